"""Files are whole or not there: `monai_boundary._files`."""

import errno
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_boundary import export
from monai_boundary._checksums import check_archive
from monai_boundary._files import (
    only_writer,
    part_pattern,
    replacing,
    together,
    write_csv,
    write_json,
    write_text,
    write_torch,
)
from monai_boundary.bundles.checkpoints import load_weights


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("scores.txt", "old")]


def test_folders_on_the_way_are_made_and_go_again_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a" / "b" / "c.txt"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "a" / "b" / "c.json", [1])
    assert (tmp_path / "a" / "b" / "c.json").read_text() == "[\n 1\n]\n"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with replacing(tmp_path / "model") as part:
            part.mkdir()
            (part / content).touch()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["model", "model/new"]


def test_numbers_of_numpy_are_numbers_in_json_and_nothing_else_is(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [np.int64(2), np.float32(0.5), np.bool_(True), np.float32("nan"), np.float64(0.1)])
    assert (tmp_path / "a.json").read_text().split() == ["[", "2,", "0.5,", "true,", "NaN,", "0.1", "]"]
    for wrong in (tmp_path, torch.tensor(2), {2}, np.ones(1)):
        with pytest.raises(TypeError, match=f"content must be JSON, got {type(wrong).__name__}"):
            write_json(tmp_path / "a.json", [wrong])


@pytest.mark.parametrize("with_name", [False, True])
def test_a_full_disk_is_reported_with_the_path_that_was_asked_for(tmp_path: Path, with_name: bool) -> None:
    path = tmp_path / "scores.txt"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path) as part:  # noqa: PT012
        named = (str(part),) if with_name else ()
        raise OSError(errno.ENOSPC, "No space left on device", *named)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)


def test_files_of_one_result_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    out, left = tmp_path / "out", tmp_path / "out" / f".together.{'0af9' * 8}.part"
    left.mkdir(parents=True)  # by a run that was killed
    (left / "a").touch()
    with together(out, "b") as part:
        write_text(part / "a", "old")
        write_text(part / "b", "old")
    with pytest.raises(IsADirectoryError) as caught, together(out, "b") as part:  # noqa: PT012
        write_text(part / "a", "new")
        (part / "b").mkdir()
        (part / "b").write_text("new")
    assert caught.value.filename == str(out / "b")
    with pytest.raises(RuntimeError), together(out, "b") as part:  # noqa: PT012
        write_text(part / "b", "new")
        raise RuntimeError
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a": "old", "b": "old"}


def test_what_a_killed_writer_leaves_is_found_by_its_pattern(tmp_path: Path) -> None:
    with replacing(tmp_path / "map.b2nd") as part:
        part.touch()
        assert list(tmp_path.glob(part_pattern("*.b2nd"))) == [part]


def test_a_table_holds_no_formula_in_any_column(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    names = ["=1+1", "+a", "-a", "@a", "\ta", "＝a", "a=1\r"]  # noqa: RUF001
    table = pd.DataFrame({"case": names, "score": -0.5, "reason": "@a", "n": None})
    write_csv(tmp_path / "t.csv", table)
    found = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert found["case"].tolist() == [*(f"'{name}" for name in names[:-1]), r"a=1\r"]
    assert set(found["reason"]) == {"'@a"}
    assert set(found["score"]) == {-0.5}
    assert table["case"].tolist() == names


SHORT_DISK = """
import resource, sys
import numpy as np, pandas, torch
from pathlib import Path
from matplotlib.figure import Figure
from monai_boundary import _files, export
from monai_boundary.bundles import copy_bundle
from monai_boundary.datasets import write_volume
from monai_boundary.reports import save_figure
import tifffile
from monai_boundary.reports.boundary_log import plot_boundary_log

folder, noise = Path(sys.argv[1]), np.random.default_rng(0).random((60, 60, 60), np.float32)

def figure():
    figure = Figure(figsize=(20, 20))
    figure.subplots().imshow(noise[0])
    return figure

def tiff(path):
    with _files.replacing(path) as part, tifffile.TiffWriter(part) as file:
        for one in noise:
            file.write(one, contiguous=True)

log = dict.fromkeys(("alpha", "region_weight", "alpha_paused", "region_term", "boundary_term", "gradient_share",
    "region_gradient", "boundary_gradient"), [0.5] * 90)
log |= dict.fromkeys(("foreground_predicted", "foreground_true"), [[.5]] * 90)
(folder / "source").write_bytes(noise.tobytes())
WRITERS = {
    "a.txt": lambda path: _files.write_text(path, "a" * 100_000),
    "a.json": lambda path: _files.write_json(path, ["a" * 100_000]),
    "a.csv": lambda path: _files.write_csv(path, pandas.DataFrame({"a": noise.ravel()})),
    "a.nii.gz": lambda path: write_volume(path, noise, (1.0, 1.0, 1.0)),
    "a.nii": lambda path: write_volume(path, noise, (1.0, 1.0, 1.0)),
    "a.png": lambda path: save_figure(figure(), path),
    "boundary.png": lambda path: plot_boundary_log(log, path),
    "a.pth": lambda path: _files.write_torch(path, {"a": torch.from_numpy(noise)}),
    "a.tif": tiff,
    "copy": lambda path: _files.copy_file(folder / "source", path),
}
for name in WRITERS:
    (folder / name).write_bytes(b"earlier")
before = sorted(folder.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for name, write in WRITERS.items():
    try:
        write(folder / name)
    except OSError as error:
        print(name, error.errno, error.filename, error.strerror)
    assert (folder / name).read_bytes() == b"earlier", name
    assert sorted(folder.iterdir()) == before, name
print(len(WRITERS))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of the size of a file")
def test_every_writer_keeps_the_old_file_on_a_full_disk_and_names_path_and_space(tmp_path: Path) -> None:
    for module in ("tifffile", "pandas", "matplotlib", "nnunetv2"):
        pytest.importorskip(module)
    done = subprocess.run([sys.executable, "-c", SHORT_DISK, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *lines, count = done.stdout.splitlines()
    assert len(lines) == int(count)
    for line in lines:
        name = line.split()[0]
        said = rf"{name} (27|28) {tmp_path}/{name} .*: the file takes (at least )?[\d.e+-]+ MB, [\d.e+-]+ MB are free"
        assert re.fullmatch(said, line), line


HOLD = """
import sys, time
from monai_boundary._files import only_writer
with only_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_run_waits_until_the_first_ends_or_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    folder, entered = tmp_path / "a" / "out", threading.Event()

    def second() -> None:
        with only_writer(folder):
            entered.set()
            (folder / "scores").touch()

    first = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"held\n"
    waiting = threading.Thread(target=second)
    waiting.start()
    assert not entered.wait(1)
    first.kill()  # as with kill -9: it cannot take its lock away
    first.wait()
    first.stdout.close()
    waiting.join(60)
    assert f"another run of monai-boundary writes to {folder}: this one waits until it ends" in capfd.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["scores"]


def test_a_folder_in_which_nothing_was_written_goes_again_and_runs_of_other_names_do_not_wait(tmp_path: Path) -> None:
    with only_writer(tmp_path / "a" / "b", "1-of-2"), only_writer(tmp_path / "a" / "b", "2-of-2"):
        assert len(list((tmp_path / "a" / "b").iterdir())) == 2
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(FileExistsError, match=str(tmp_path / "out")), only_writer(tmp_path / "out"):
        pass


def test_a_flipped_bit_of_what_torch_saved_is_found_in_every_reader(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pth"
    write_torch(path, {"network_weights": {"a": torch.randn(100_000)}})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # sees nothing
    readers = {
        check_archive: (path,),
        export.export_checkpoint: (path, tmp_path / "b.pth"),
        load_weights: (torch.nn.Linear(1, 1), path),
    }
    for read, given in readers.items():
        with pytest.raises(ValueError, match=r"bad checksum of .*/data/0"):
            read(*given)
