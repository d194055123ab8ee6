"""A search that is killed, anywhere and again and again, ends as an unbroken one; broken files are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from monai_boundary.weight_search import WeightSearch
from tests.weight_search.course import Training, make_search, run_whole

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, which need a POSIX system")

SHORT = {"candidates": (0.2, 0.9), "first": 1, "every": 2, "max_epochs": 4}  # 7 epochs in searches at 1 and 3
KILLED, FILE = 77, "weight_search.pt"


class Clock:
    """Counts what a run does, down to half-written files, and can end the process at any count."""

    def __init__(self, deadline: int | None = None) -> None:
        self.count, self.deadline = 0, deadline

    def tick(self) -> None:
        self.count += 1
        if self.count == self.deadline:
            os._exit(KILLED)

    def wrap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        save, replace, unlink = torch.save, Path.replace, Path.unlink

        def save_in_two(content, file):
            save(content, file)
            if isinstance(file, Path):
                whole = file.read_bytes()
                file.write_bytes(whole[: len(whole) // 2])
                self.tick()
                file.write_bytes(whole)
            self.tick()

        def replace_and_tick(path, target):
            self.tick()
            replace(path, target)
            self.tick()

        def tick_and_unlink(path, **options):
            if path.exists():
                self.tick()
            unlink(path, **options)

        monkeypatch.setattr(torch, "save", save_in_two)
        monkeypatch.setattr(Path, "replace", replace_and_tick)
        monkeypatch.setattr(Path, "unlink", tick_and_unlink)

    def listen(self, training: Training) -> None:
        """Tick in every batch, and before and after a validation."""
        training.network.register_forward_hook(lambda *_: self.tick())
        validate = training.validate

        def validate_and_tick() -> float:
            score = validate()
            self.tick()
            return score

        training.validate = validate_and_tick


def live(folder: Path, deadline: int | None) -> bool:
    """Run the search in a child process until `deadline`; return whether it got to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            clock = Clock(deadline)
            with pytest.MonkeyPatch.context() as patch:
                clock.wrap(patch)
                fingerprint, _ = run_whole(folder / "search", clock.listen, **SHORT)
            torch.save(fingerprint, folder / "fingerprint.pt")
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"the child failed with {code}"
    return code == 0


def assert_same_end(folder: Path, expected: list[torch.Tensor]) -> None:
    found = torch.load(folder / "fingerprint.pt", weights_only=True)
    assert all(map(torch.equal, found, expected))
    assert [path.name for path in (folder / "search").iterdir()] == [FILE]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> tuple[list[torch.Tensor], int]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        clock.wrap(patch)
        fingerprint, search = run_whole(tmp_path_factory.mktemp("whole"), clock.listen, **SHORT)
    assert search.finished
    return fingerprint, clock.count


@needs_fork
def test_a_run_killed_at_any_point_ends_as_the_unbroken_one(unbroken, tmp_path):
    expected, ticks = unbroken
    assert ticks > 60
    for point in range(1, ticks + 1, 10):  # a save ticks 7 to 9 times: every kind of point comes up
        folder = tmp_path / str(point)
        folder.mkdir()
        assert not live(folder, point)
        assert live(folder, None)
        assert_same_end(folder, expected)


@needs_fork
@pytest.mark.parametrize("life", [19, 23])
def test_a_run_killed_again_and_again_ends_as_the_unbroken_one(unbroken, tmp_path, life):
    lives = 1
    while not live(tmp_path, life):
        lives += 1
        assert lives < 40, "no progress from one kill to the next"
    assert lives > 3
    assert_same_end(tmp_path, unbroken[0])


def test_an_exception_in_the_middle_of_an_epoch_can_be_tried_again_in_one_process(unbroken, tmp_path):
    training = Training()
    search = make_search(training, tmp_path, **SHORT)

    def train_epoch(epoch: int) -> None:
        training.train_epoch(epoch)
        if len(training.seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(train_epoch, training.validate)
    search.run(train_epoch, training.validate)
    assert all(map(torch.equal, training.fingerprint(), unbroken[0]))


def test_a_finished_search_trains_no_more(unbroken, tmp_path):
    _, search = run_whole(tmp_path, **SHORT)
    training = Training()
    again = make_search(training, tmp_path, **SHORT)
    assert again.run(training.train_epoch, training.validate) == search.rounds
    assert training.seen == []
    assert all(map(torch.equal, training.fingerprint(), unbroken[0]))


def test_a_full_disk_leaves_the_last_save(tmp_path, monkeypatch):
    training = Training()
    search = make_search(training, tmp_path, **SHORT)

    save = torch.save

    def fail(content, file):
        if not isinstance(file, Path):
            return save(content, file)
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    def train_epoch(epoch: int) -> None:
        training.train_epoch(epoch)
        if epoch == 1:
            monkeypatch.setattr(torch, "save", fail)

    with pytest.raises(OSError, match="No space left"):
        search.run(train_epoch, training.validate)
    assert not list(tmp_path.glob(".*"))
    again = make_search(Training(), tmp_path, **SHORT)
    again.restore()
    assert again.epoch == 1


@pytest.fixture(scope="module")
def half_done(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("half")
    training = Training()
    search = make_search(training, folder)
    search.restore()
    for epoch in range(4):
        training.train_epoch(epoch)
        search.finish_epoch()
    return folder


def restore_copy(source: Path, folder: Path, change, **numbers) -> WeightSearch:
    shutil.copytree(source, folder)
    change(folder)
    search = make_search(Training(), folder, **numbers)
    search.restore()
    return search


def flip_bit(at: float):
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(at * len(content))] ^= 1
        path.write_bytes(content)

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "PytorchStreamReader failed"),
        (flip_bit(0.3), "bad checksum of .*data"),
        (flip_bit(0.6), "bad checksum of .*data"),
        (lambda path: path.write_bytes(b""), "File is not a zip file"),
        (lambda path: path.write_text("[1]"), "File is not a zip file"),
        (lambda path: torch.save([1], path), "list indices"),
        (lambda path: torch.save({"format": "other 2"}, path), "another program or version: other 2"),
    ],
)
def test_a_damaged_file_is_refused(half_done, tmp_path, change, text):
    with pytest.raises(RuntimeError, match=rf"must be the file of a weight search, got .* \({text}.*; restore it"):
        restore_copy(half_done, tmp_path / "copy", lambda folder: change(folder / FILE))


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"max_epochs": 10}, "max_epochs must be 9 as in the search that .* holds, got 10; go on with the same"),
        ({"candidates": (0.2, 0.9, 0.5)}, "candidates must be"),
        ({"trial": 2}, "trial must be 3 as in the search"),
    ],
)
def test_a_search_with_other_numbers_is_refused(half_done, tmp_path, numbers, text):
    with pytest.raises(ValueError, match=text):
        restore_copy(half_done, tmp_path / "copy", lambda _: None, **numbers)


def test_a_search_over_other_objects_is_refused(half_done):
    training = Training()
    state = training.state()
    del state["scheduler"]
    training.state = lambda: state
    with pytest.raises(ValueError, match=r"state must be \['flip', .*'scheduler'\] as in the search"):
        make_search(training, half_done).restore()


def test_a_network_of_another_shape_is_refused(half_done):
    training = Training()
    training.network = torch.nn.Conv2d(1, 1, 3)
    with pytest.raises(RuntimeError, match="got a 'network' that does not take its state"):
        make_search(training, half_done).restore()


def test_a_state_that_only_pickle_could_read_is_refused_at_once(tmp_path):
    class Odd:
        def state_dict(self) -> dict:
            return {"where": Path("a")}

        def load_state_dict(self, state: dict) -> None:
            """Not called."""

    training = Training()
    search = WeightSearch(training.loss, {"odd": Odd()}, tmp_path, 9)
    with pytest.raises(RuntimeError, match="state must hold objects whose state_dict is made of tensors, numbers"):
        search.run(training.train_epoch, training.validate)
    assert training.seen == []


def test_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(RuntimeError, match="WeightSearch must run in a single process, got a group of several"):
        make_search(Training(), tmp_path).restore()
