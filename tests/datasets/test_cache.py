"""The cache on disk: what it gives back, and that it never gives back a damaged entry."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import warnings
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor, PersistentDataset
from monai.transforms import Compose, EnsureChannelFirstd, Lambdad, LoadImaged, MapTransform, Spacingd

from monai_boundary import RescaleDistanceMap, SignedDistanceMapd
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.cache import TRAILER_SIZE, VerifiedPersistentDataset, _read_entry


class Log(MapTransform):
    """Adds a line to a file at every call, seen from every process."""

    def __init__(self, file: Path) -> None:
        super().__init__("label")
        self.file = file

    def __call__(self, data: dict) -> dict:
        with self.file.open("a") as file:
            file.write("called\n")
        return dict(data)

    def count(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0


@pytest.fixture
def log(tmp_path) -> Log:
    return Log(tmp_path / "calls.txt")


@pytest.fixture
def items(tmp_path) -> list[dict]:
    """Label maps as files, with an anisotropic affine."""
    for number in range(4):
        phantom = lesion_phantom(number, (12, 20, 24))
        write_volume(tmp_path / f"{number}.nii.gz", phantom.labels, phantom.spacing)
    return [{"label": str(tmp_path / f"{number}.nii.gz"), "case": f"p{number}"} for number in range(4)]


@pytest.fixture
def pipeline(log) -> Compose:
    return Compose([log, LoadImaged("label"), EnsureChannelFirstd("label"), SignedDistanceMapd("label", num_classes=2)])


def entry_of(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


def assert_same(result: dict, expected: dict) -> None:
    assert list(result) == list(expected)
    assert result["case"] == expected["case"]
    for key in ("label", "distance_map"):
        one, other = result[key], expected[key]
        assert type(one) is type(other) is MetaTensor
        assert (one.dtype, one.affine.dtype, one.meta.keys()) == (other.dtype, other.affine.dtype, other.meta.keys())
        np.testing.assert_array_equal(one.numpy(), other.numpy())
        np.testing.assert_array_equal(one.affine, other.affine)
        for name, value in other.meta.items():
            assert isinstance(one.meta[name], np.ndarray) == isinstance(value, np.ndarray), name
            np.testing.assert_array_equal(one.meta[name], value, err_msg=name)


def flip_bit(file: Path, offset: int) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= 0b100
    file.write_bytes(content)


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def test_first_and_later_accesses_equal_the_plain_pipeline(items, pipeline, tmp_path):
    data = VerifiedPersistentDataset(items, pipeline, tmp_path / "cache")
    for number, item in enumerate(items):
        expected = pipeline(item)
        assert expected["label"].pixdim.tolist() != [1, 1, 1]  # an affine lost would be seen
        assert_same(data[number], expected)
        assert_same(data[number], expected)
        RescaleDistanceMap()(data[number]["distance_map"])  # needs the affine and the record in meta


@pytest.mark.parametrize("cached", [True, False])
def test_intact_entries_are_not_computed_again(cached: bool, items, pipeline, log, tmp_path):
    for _ in range(3):
        data = VerifiedPersistentDataset(items, pipeline, tmp_path / "cache" if cached else None)
        assert [data[number]["case"] for number in range(4)] == ["p0", "p1", "p2", "p3"]
    assert log.count() == (4 if cached else 12)


@pytest.mark.parametrize("form", [str, Path, lambda file: [file], lambda file: {"inner": (file,)}])
def test_a_file_that_was_changed_is_read_again(items, log, tmp_path, form):
    file = Path(items[0]["label"])
    steps = Compose([log, Lambdad("label", lambda _: file.read_bytes())])
    make = partial(VerifiedPersistentDataset, [{"label": form(file)}], steps, tmp_path / "cache")
    for number in (1, 2):
        write_volume(file, np.full((4, 4, 4), number, np.uint8), (1.0, 1.0, 1.0))
        for _ in range(2):
            assert make()[0]["label"] == file.read_bytes()
        assert log.count() == number


def test_a_transform_in_place_leaves_the_item_as_it_was(tmp_path):
    data = VerifiedPersistentDataset([{"label": torch.ones(3)}], Lambdad("label", lambda x: x.mul_(2)), tmp_path)
    assert [data[0]["label"].tolist() for _ in range(3)] == [[2.0] * 3] * 3


def test_applied_operations_can_be_inverted_from_the_cache(items, tmp_path):
    load = [LoadImaged("label"), EnsureChannelFirstd("label")]
    before = Compose(load)(items[0])["label"]
    spacing = Spacingd("label", (2.0, 2.0, 2.0), mode="nearest")
    data = VerifiedPersistentDataset(items, Compose([*load, spacing]), tmp_path / "cache")
    for _ in range(2):
        result = data[0]
        assert result["label"].shape != before.shape
        inverted = spacing.inverse(result)["label"]
        assert inverted.shape == before.shape
        torch.testing.assert_close(inverted.affine, before.affine)


def test_an_entry_can_run_no_code(tmp_path, monkeypatch):
    data = VerifiedPersistentDataset([{"label": 1}], lambda item: item, tmp_path)
    monkeypatch.setattr("monai_boundary.datasets.cache._encode", lambda *_: Path("pickled by its class"))
    data[0]
    with pytest.raises(UnpicklingError, match=r"[Ww]eights.only"):
        data[0]


DAMAGE = {
    "flip: first byte": lambda file: flip_bit(file, 0),
    "flip: end of the payload": lambda file: flip_bit(file, -TRAILER_SIZE - 1),
    "flip: magic": lambda file: flip_bit(file, -TRAILER_SIZE),
    "flip: last byte of the checksum": lambda file: flip_bit(file, -1),
    "cut: emptied": lambda file: cut(file, 0),
    "cut: less than a trailer": lambda file: cut(file, TRAILER_SIZE - 1),
    "cut: half": lambda file: cut(file, file.stat().st_size // 2),
    "cut: trailer lost": lambda file: cut(file, -TRAILER_SIZE),
    "cut: last byte lost": lambda file: cut(file, -1),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\n"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_computed_again(damage, items, pipeline, log, tmp_path):
    """It warns once, gives the true values, and is whole again; the entry beside it is not touched."""
    folder = tmp_path / "cache"
    data = VerifiedPersistentDataset(items[:1], pipeline, folder)
    expected = data[0]
    file = entry_of(folder)
    whole, calls = file.read_bytes(), log.count()
    damage(file)
    assert file.read_bytes() != whole
    with pytest.warns(UserWarning, match="cache entry .* it is computed again") as caught:
        assert_same(data[0], expected)
    assert [(one.category, one.filename) for one in caught] == [(UserWarning, __file__)]
    assert str(file) in str(caught[0].message)
    assert_same(data[0], expected)  # warnings are errors here
    assert log.count() == calls + 1
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_a_flipped_bit_anywhere_is_seen(tmp_path):
    VerifiedPersistentDataset([{"label": 1}], lambda item: item, tmp_path)[0]
    file = entry_of(tmp_path)
    for position in range(0, file.stat().st_size, 5):
        flip_bit(file, position)
        with pytest.warns(UserWarning, match="computed again"):
            assert _read_entry(file) is None
        flip_bit(file, position)
    assert _read_entry(file) == {"label": 1}


def test_an_entry_of_the_plain_class_is_not_trusted(tmp_path):
    items, double = [{"label": torch.ones(3)}], Lambdad("label", lambda x: x * 2)
    PersistentDataset(items, double, tmp_path)[0]
    torch.save({"label": torch.full((3,), 7.0)}, entry_of(tmp_path))
    data = VerifiedPersistentDataset(items, double, tmp_path)
    with pytest.warns(UserWarning, match="does not end in a checksum"):
        assert data[0]["label"].tolist() == [2.0] * 3
    assert data[0]["label"].tolist() == [2.0] * 3
    assert entry_of(tmp_path)  # of the same name: it was not merely passed over


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # pytest has threads in some set-ups
def test_workers_share_a_cache(items, pipeline, log, tmp_path):
    data = VerifiedPersistentDataset(items, pipeline, tmp_path / "cache")
    loader = DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context="fork")
    expected = [pipeline(item) for item in items]
    before = log.count()
    for _ in range(3):
        maps = torch.cat([batch["distance_map"].as_tensor() for batch in loader])
        np.testing.assert_array_equal(maps, np.stack([item["distance_map"].numpy() for item in expected]))
    assert log.count() == before + 4
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".pt"] * 4


def read_and_damage(folder: Path, number: int) -> None:
    """Read one entry over and over, cutting it in between; a wrong value or an error ends the process with 1."""
    sevens = torch.full((50_000,), 7)
    data = VerifiedPersistentDataset([{"label": 7}], Lambdad("label", lambda _: sevens), folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for turn in range(60):
            assert torch.equal(data[0]["label"], sevens)
            if turn % 4 == number:
                cut(next(folder.glob("*.pt")), 20_000)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # pytest has threads in some set-ups
def test_two_processes_write_one_entry_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=read_and_damage, args=(tmp_path, number), daemon=True) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("number", "text"), [(28, "No space left on device"), (13, "Permission denied")])
def test_a_failed_write_leaves_the_entry_and_no_part(number: int, text: str, tmp_path, monkeypatch):
    data = VerifiedPersistentDataset([{"label": 1}], lambda item: item, tmp_path)
    data[0]
    flip_bit(entry_of(tmp_path), 5)
    damaged = entry_of(tmp_path).read_bytes()

    def refuse(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(number, text)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    # a shared cache may be read-only
    expected = nullcontext() if number == 13 else pytest.raises(OSError, match=text)
    with pytest.warns(UserWarning, match="computed again"), expected:
        assert data[0] == {"label": 1}
    assert entry_of(tmp_path).read_bytes() == damaged


class Pair(NamedTuple):
    left: int
    right: int


def test_what_an_item_may_hold_comes_back(tmp_path):
    item = {
        "none": None, "bytes": b"\xff\x00", "text": "Ä", "number": 1.5, "complex": 1j, "flag": True, 3: (1, [2]),
        "path": Path("a/b"), "dtype": torch.float16, "pair": Pair(1, 2), "size": torch.Size([2, 3]),
        "float64": np.float64(0.1), "str_": np.str_("s"),
    }  # fmt: skip
    arrays = {
        "big": np.arange(6, dtype=">i2").reshape(2, 3), "uint16": np.array([65535], np.uint16), "zero-d": np.array(2.5),
        "bytes": np.array([b"ab", b"c"], "S80"), "text": np.array(["ä", "bc"]), "empty": np.zeros((0, 3)),
        "view": np.arange(12.0).reshape(3, 4).T[::2], "bool": np.array([True, False]),
    }  # fmt: skip
    arrays["read-only"] = np.arange(3)
    arrays["read-only"].flags.writeable = False
    data = VerifiedPersistentDataset([0], lambda _: _, tmp_path)
    data._pre_transform = lambda _: {"item": item, "arrays": arrays}
    for _ in range(2):
        result = data[0]
        assert result["item"] == item
        assert result["arrays"].keys() == arrays.keys()
        for key, array in arrays.items():
            assert type(result["arrays"][key]) is np.ndarray
            assert result["arrays"][key].dtype == array.dtype
            assert result["arrays"][key].shape == array.shape
            np.testing.assert_array_equal(result["arrays"][key], array)
    assert type(result["item"]["pair"]) is tuple


@pytest.mark.parametrize(
    ("value", "got"),
    [(object(), "object"), ({1}, "set"), (np.array([None]), "an array of object"), (np.zeros(2, "i4,f4"), "an array")],
)
def test_what_could_not_be_read_back_is_refused(value, got, tmp_path):
    data = VerifiedPersistentDataset([0], lambda _: _, tmp_path)
    data._pre_transform = lambda _: {"label": [value]}
    with pytest.raises(TypeError, match=rf"item\['label'\]\[0\] must be a tensor.*got {got}.*DeleteItemsd"):
        data[0]
    assert not list(tmp_path.iterdir())


def test_without_track_meta_bare_tensors_come_back(items, pipeline, tmp_path):
    data = VerifiedPersistentDataset(items, pipeline, tmp_path / "cache", track_meta=False)
    for result in (data[0], data[0]):
        assert type(result["distance_map"]) is torch.Tensor
        np.testing.assert_array_equal(result["distance_map"], pipeline(items[0])["distance_map"].numpy())


def test_datasets_are_imported_without_torch():
    code = "import sys, monai_boundary.datasets; assert not {'torch', 'monai'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
