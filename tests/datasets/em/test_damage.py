"""Damaged and strange files: each gives one clear error, or is read right."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import EmSlices, EmVolume, Stored, check_volume
from tests.datasets.em import files

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")

UNKNOWN_FILTER = 32099


def as_volume(image: Stored, labels: Stored | None = None, kind: str = "interior") -> EmVolume:
    return EmVolume("v", image, labels, kind, (1.0, 1.0, 1.0))


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def written(root: Path, form: str) -> Stored:
    image = files.grey(shape=(5, 40, 50))
    if form == "slices":
        files.write_slices(root / "images", image)
        return Stored(root / "images")
    path = root / f"image.{form}"
    if form == "h5":
        files.write_hdf5(path, {"stack": image}, compression="gzip", chunks=(1, 40, 50))
        return Stored(path, "stack")
    files.write_tiff(path, image)
    return Stored(path)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.97])
@pytest.mark.parametrize("form", ["h5", "tif", "slices"])
def test_a_truncated_file_is_told_by_name(tmp_path: Path, form: str, share: float) -> None:
    stored = written(tmp_path, form)
    target = stored.path if form != "slices" else stored.path / "03.png"
    cut(target, share)
    kind = {"h5": "HDF5 file", "tif": "TIFF", "slices": "PNG"}[form]
    with pytest.raises(
        ValueError, match=rf"{target.name} must be a complete {kind}, got: .*; download or copy it again"
    ):
        check_volume(as_volume(stored))


def test_a_stack_that_breaks_off_between_pages_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    # pages and their data in turn, so that a cut leaves whole pages before it
    path = tmp_path / "image.tif"
    with tifffile.TiffWriter(path) as file:
        for one in files.grey(shape=(5, 40, 50)):
            file.write(one, contiguous=False, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        third = file.pages[3].offset
    path.write_bytes(path.read_bytes()[:third])
    with pytest.raises(ValueError, match=r"image.tif must be a complete TIFF, got: .*invalid page offset"):
        check_volume(as_volume(Stored(path)))


def test_damaged_chunks_are_told_by_file_and_data_set(tmp_path: Path) -> None:
    stored = written(tmp_path, "h5")
    with h5py.File(stored.path) as file:
        chunk = file["stack"].id.get_chunk_info(3)
    data = bytearray(stored.path.read_bytes())
    data[chunk.byte_offset + 20 : chunk.byte_offset + 200] = bytes(180)
    stored.path.write_bytes(data)
    assert stored.read(0, 3).shape == (3, 40, 50)
    with pytest.raises(ValueError, match=r"image.h5 must be a complete HDF5 file, got: .* in /stack"):
        stored.read()


def test_an_absent_compression_filter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((1, 4, 5))
        settings.set_filter(UNKNOWN_FILTER, h5py.h5z.FLAG_OPTIONAL)
        space, kind = h5py.h5s.create_simple((2, 4, 5)), h5py.h5t.NATIVE_UINT8
        dataset = h5py.h5d.create(file.id, b"stack", kind, space, settings)
        for index in range(2):
            dataset.write_direct_chunk((index, 0, 0), bytes(20), 0)  # says that the filter was applied
    stored = Stored(path, "stack")
    assert stored.shape == (2, 4, 5)
    text = rf"image.h5: data set /stack is compressed with the HDF5 filter {UNKNOWN_FILTER}.*pip install hdf5plugin"
    with pytest.raises(RuntimeError, match=text):
        stored.read()


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compressed_volumes_are_read(tmp_path: Path, compression: str) -> None:
    image = files.grey()
    files.write_hdf5(tmp_path / "a.h5", {"deep/stack": image}, compression=compression, shuffle=True)
    np.testing.assert_array_equal(Stored(tmp_path / "a.h5", "deep/stack").read(1, 4), image[1:4])


@pytest.mark.parametrize("settings", [{"compression": "zlib"}, {"imagej": True}, {"bigtiff": True}, {"byteorder": ">"}])
def test_stacks_of_other_tiff_writers_are_read(tmp_path: Path, settings: dict) -> None:
    image = files.grey().astype(np.uint16) * 200
    settings = settings if "imagej" not in settings else settings | {"metadata": {"axes": "ZYX"}}
    files.write_tiff(tmp_path / "a.tif", image, **settings)
    stored = Stored(tmp_path / "a.tif")
    assert stored.shape == image.shape
    np.testing.assert_array_equal(stored.read(), image)
    np.testing.assert_array_equal(stored.read(2, 4), image[2:4])


def test_imagej_stacks_behind_one_page_are_read(tmp_path: Path) -> None:
    image = files.grey()
    files.write_tiff(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        end, order = file.pages[0].offset, file.byteorder
    data = bytearray((tmp_path / "a.tif").read_bytes())
    count = int.from_bytes(data[end : end + 2], {"<": "little", ">": "big"}[order])
    data[end + 2 + 12 * count : end + 6 + 12 * count] = bytes(4)  # as ImageJ beyond 4 GB: no further page
    (tmp_path / "a.tif").write_bytes(data)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1
    np.testing.assert_array_equal(Stored(tmp_path / "a.tif").read(2, 4), image[2:4])


def colours(root: Path) -> Stored:
    files.write_png(root / "images" / "0.png", files.grey(shape=(8, 9, 3)), colours=True)
    return Stored(root / "images")


def coloured_stack(root: Path) -> Stored:
    files.write_tiff(root / "a.tif", files.grey(shape=(2, 8, 9, 3)), photometric="rgb")
    return Stored(root / "a.tif")


def coloured_page(root: Path) -> Stored:
    files.write_tiff(root / "a.tif", files.grey(shape=(8, 9, 3)), photometric="rgb")  # no stack of 8 slices
    return Stored(root / "a.tif")


def two_sizes(root: Path) -> Stored:
    with tifffile.TiffWriter(root / "a.tif") as file:
        for size in (8, 9):
            file.write(files.grey(shape=(size, size)), photometric="minisblack", metadata=None)
    return Stored(root / "a.tif")


def slices_of_two_sizes(root: Path) -> Stored:
    for index, size in enumerate((8, 9)):
        files.write_png(root / "images" / f"{index}.png", files.grey(shape=(size, size)))
    return Stored(root / "images")


def stacks_as_slices(root: Path) -> Stored:
    files.write_tiff(root / "images" / "a.tif", files.grey(shape=(2, 8, 9)))
    return Stored(root / "images")


def two_kinds(root: Path) -> Stored:
    files.write_tiff(root / "images" / "a.tif", files.grey(shape=(8, 9)))
    files.write_png(root / "images" / "b.png", files.grey(shape=(8, 9)))
    return Stored(root / "images")


def nothing(root: Path) -> Stored:
    (root / "images").mkdir()
    return Stored(root / "images")


def text(root: Path) -> Stored:
    (root / "a.tif").write_text("no image")
    return Stored(root / "a.tif")


def hdf5(array: np.ndarray, key: str = "stack"):
    def make(root: Path) -> Stored:
        files.write_hdf5(root / "a.h5", {"stack": array})
        return Stored(root / "a.h5", key)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (colours, r"0.png must hold one grey channel, got shape \(8, 9, 3\); convert colours to grey"),
        (coloured_stack, r"a.tif must hold grey slices \(D, H, W\), got shape .* with 3 samples per pixel"),
        (coloured_page, r"a.tif must hold grey slices \(D, H, W\), got shape \(8, 9, 3\) with 3 samples per pixel"),
        (two_sizes, "a.tif must hold pages of one size, got 2 kinds; split them"),
        (stacks_as_slices, "a.tif must hold one slice, got 2; pass a stack as a file"),
        (two_kinds, "images must hold slices of one kind among .png, .tif, .tiff, got .png and .tif"),
        (nothing, "images must hold slices of one kind .*, got none"),
        (text, "a.tif must be a complete TIFF, got: not a TIFF file"),
        (hdf5(files.grey(), "raw"), "a.h5 must hold the data set raw, got stack; pass the key of the volume"),
        (hdf5(files.grey(shape=(8, 9))), r"a.h5, stack, must hold a volume \(D, H, W\), got shape \(8, 9\)"),
        (hdf5(np.zeros((0, 8, 9))), r"got shape \(0, 8, 9\)"),
        (hdf5(np.full((2, 8, 9), np.nan)), "a.h5, stack, must hold finite grey values, got NaN"),
        (hdf5(np.zeros((2, 8, 9), complex)), "must hold grey values, got dtype complex128"),
    ],
)
def test_what_is_no_volume_is_refused(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_volume(as_volume(make(tmp_path)))


def test_slices_of_two_sizes_are_refused(tmp_path: Path) -> None:
    stored = slices_of_two_sizes(tmp_path)
    with pytest.raises(ValueError, match=r"1.png must have the size of 0.png, \(8, 8\) pixels \(H, W\), got \(9, 9\)"):
        stored.read()


@pytest.mark.parametrize("path", ["a.h5", "a.tif", "a"])
def test_a_missing_file_is_told(tmp_path: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"{path} does not exist; check the path"):
        check_volume(as_volume(Stored(tmp_path / path, "stack")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("form", ["h5", "tif"])
def test_an_unreadable_file_is_told(tmp_path: Path, form: str) -> None:
    stored = written(tmp_path, form)
    stored.path.chmod(0)
    with pytest.raises(PermissionError, match="must be readable; change its permissions"):
        check_volume(as_volume(stored))


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (files.grey(), "interior", r"labels.h5, stack, must be a mask of 0 and 255 \(or 0 and 1\), got .* and more"),
        (files.blocks(), "membrane", "must be a mask .*kind='ids' for a map of ids"),
        (-files.blocks(), "ids", "labels.h5, stack, is no map of ids: ids must hold ids >= 0, got -8"),
        (files.blocks() + 0.5, "ids", "is no map of ids: ids must hold ids, integers >= 0, got float64"),
        (files.blocks() + 0j, "ids", "is no map of ids: ids must hold ids, integers >= 0, got dtype complex128"),
    ],
)  # fmt: skip
def test_labels_of_another_kind_are_refused(tmp_path: Path, labels: np.ndarray, kind: str, message: str) -> None:
    files.write_hdf5(tmp_path / "image.h5", {"stack": files.grey()})
    files.write_hdf5(tmp_path / "labels.h5", {"stack": labels})
    pair = (Stored(tmp_path / name, "stack") for name in ("image.h5", "labels.h5"))
    with pytest.raises(ValueError, match=message):
        check_volume(as_volume(*pair, kind=kind))


def test_a_check_of_a_good_volume_shows_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    check_volume(as_volume(written(tmp_path, "h5")))
    assert "check v: 100%" in capsys.readouterr().err
    check_volume(as_volume(Stored(tmp_path / "image.h5", "stack")), progress=False)
    assert not capsys.readouterr().err


def test_slices_out_of_the_volume_and_unknown_kinds_are_refused(tmp_path: Path) -> None:
    image = written(tmp_path, "h5")
    made = as_volume(image)
    with pytest.raises(ValueError, match=r"slices of v must lie in its 5 slices, got \(2, 6\)"):
        EmSlices([EmVolume("v", image, None, "ids", made.spacing, slices=(2, 6))])
    with pytest.raises(ValueError, match="kind of v must be one of 'ids', 'interior', 'membrane', got 'cells'"):
        EmSlices([EmVolume("v", image, None, "cells", made.spacing)])
    with pytest.raises(ValueError, match=r"spacing must hold one finite value > 0"):
        EmSlices([EmVolume("v", image, None, "ids", (0.0, 1.0, 1.0))])
    with pytest.raises(ValueError, match=r"split of v must be one of 'training', .* got 'train'"):
        EmSlices([EmVolume("v", image, None, "ids", made.spacing, "train")])
