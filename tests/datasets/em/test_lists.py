"""Lists of volumes: the published layouts, the folds, and what is wrong with a download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import (
    EmSlices,
    EmVolume,
    EmVolumes,
    cremi_volumes,
    fold_volumes,
    gala_volumes,
    isbi2012_volumes,
    snemi3d_volumes,
)
from tests.datasets.em import files

pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("tifffile", reason="tifffile is not installed")


def write(path: Path, array: np.ndarray, form: str) -> None:
    """Write a volume as TIFF stack, HDF5 file or folder of slices; the form is the ending."""
    if form == ".tif":
        files.write_tiff(path.with_suffix(".tif"), array)
    elif form == ".h5":
        files.write_hdf5(path.with_suffix(".h5"), {"main": array})
    else:
        files.write_slices(path, array, "{}" + form)


@pytest.mark.parametrize(
    ("image_name", "label_name", "form"),
    [
        ("train-volume", "train-labels", ".tif"),
        ("images", "labels", ".png"),
        ("train/image", "train/label", ".png"),
        ("images", "labels", "_slice.tiff"),
    ],
)
def test_isbi_2012_is_read_from_stacks_and_folders_alike(tmp_path, image_name, label_name, form) -> None:
    image, labels = files.grey(), files.interior()
    write(tmp_path / image_name, image, form)
    write(tmp_path / label_name, labels, form)
    (item,) = EmVolumes(isbi2012_volumes(tmp_path))
    np.testing.assert_array_equal(item["image"][0], image.astype(np.float32))
    np.testing.assert_array_equal(item["membrane"][0], labels < 128)
    assert (item["case"], item["spacing"]) == ("isbi2012", (50, 4, 4))
    files.write_tiff(tmp_path / "test-volume.tif", image[:2])
    (item,) = EmVolumes(isbi2012_volumes(tmp_path), "test")
    np.testing.assert_array_equal(item["image"][0], image[:2].astype(np.float32))
    assert "membrane" not in item


def test_slices_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    image = files.grey(shape=(12, 8, 8))
    files.write_slices(tmp_path / "images", image, "slice_{}.png")
    files.write_slices(tmp_path / "labels", np.zeros_like(image), "labels_{}.png")
    (tmp_path / "images" / ".hidden.png").touch()
    (tmp_path / "images" / "readme.txt").touch()
    (whole,) = EmVolumes(isbi2012_volumes(tmp_path))
    np.testing.assert_array_equal(whole["image"][0], image)


@pytest.mark.parametrize(("image", "labels", "fits"), [
    ("s{}_c0", "s{}_c0", True), ("s{}_c0", "s{}_c1", True), ("slice_{}", "2012_{}_id", True),
    ("s{}_c0", "s{shifted}_c0", False), ("{}_4nm", "lab_{shifted}", False), ("a{}", "b{shifted}_2", False),
])  # fmt: skip
def test_slices_are_compared_by_the_number_that_counts_them(
    tmp_path: Path, image: str, labels: str, fits: bool
) -> None:
    for folder, name, one in (("images", image, files.grey()), ("labels", labels, files.interior())):
        for index, part in enumerate(one):
            files.write_png(tmp_path / folder / f"{name.format(index, shifted=index + 1)}.png", part)
    if fits:
        assert len(EmSlices(isbi2012_volumes(tmp_path))) == 6
    else:
        volumes = isbi2012_volumes(tmp_path)
        with pytest.raises(ValueError, match=r"must hold a slice for each of .*, got number 1 in the place of 0"):
            EmSlices(volumes)


@pytest.mark.parametrize("form", [".tif", ".h5", ".png"])
def test_snemi3d_is_read_from_stacks_files_and_folders(tmp_path: Path, form: str) -> None:
    ids = files.blocks().astype(np.uint16)
    ids[:, :, 9] = 0
    for name, array in (("train-input", files.grey()), ("train-labels", ids), ("test-input", files.grey(1))):
        write(tmp_path / name, array, form)
    train, test = snemi3d_volumes(tmp_path)
    assert (train.split, test.split, test.labels, train.spacing) == ("training", "test", None, (30, 6, 6))
    (item,) = EmVolumes([train])
    np.testing.assert_array_equal(item["membrane"][0], ids == 0)
    assert item["ids"].max() == len(np.unique(ids)) - 1
    write(tmp_path / "test-labels", ids, form)
    parts = fold_volumes(snemi3d_volumes(tmp_path), 0, 2)  # with labels, and still not trained with
    assert [(part.name, part.split) for part in parts] == [
        ("snemi3d_000-002", "validation"), ("snemi3d_003-005", "training"), ("snemi3d_test", "test"),
    ]  # fmt: skip


def test_cremi_samples_with_ids_train_and_others_test(tmp_path: Path) -> None:
    for name in ("sample_B_20160501.hdf", "sample_A_20160501.hdf"):
        files.write_cremi(tmp_path / name, files.blocks())
    files.write_cremi(tmp_path / "sample_A+_20160601.hdf", None)
    (tmp_path / "notes.txt").touch()
    volumes = cremi_volumes(tmp_path)
    assert [(volume.name, volume.split) for volume in volumes] == [
        ("sample_A", "training"), ("sample_B", "training"), ("sample_A+", "test"),
    ]  # fmt: skip
    assert {volume.spacing for volume in volumes} == {files.CREMI_SPACING}
    assert cremi_volumes(tmp_path / "sample_B_20160501.hdf") == [volumes[1]]


def test_the_ids_of_cremi_leave_membranes_of_one_pixel_each(tmp_path: Path) -> None:
    ids = files.blocks()
    files.write_cremi(tmp_path / "sample_A.hdf", ids)
    differs = ids[0, :, 1:] != ids[0, :, :-1]
    found = EmSlices(cremi_volumes(tmp_path))[0]["membrane"][0]
    assert found[:, 1:][differs].all()
    assert found[:, :-1][differs].all()
    assert 0 < found.mean() < 0.5
    assert not EmSlices(cremi_volumes(tmp_path, membrane_width=0))[0]["membrane"].any()


def test_cremi_labels_lie_at_their_offset_in_padded_images(tmp_path: Path) -> None:
    image, ids = files.grey(), files.blocks(shape=(3, 10, 12))
    files.write_cremi(tmp_path / "sample_C_padded_20160501.hdf", ids, image, offset=(80.0, 12.0, 24.0))
    (volume,) = cremi_volumes(tmp_path)
    assert volume.offset == (2, 3, 6)
    (item,) = EmVolumes([volume])
    np.testing.assert_array_equal(item["image"][0], image[2:5, 3:13, 6:18])
    np.testing.assert_array_equal(EmSlices([volume])[1]["image"][0], image[3, 3:13, 6:18])


def test_gala_volumes_are_one_or_two(tmp_path: Path) -> None:
    ids = files.blocks().astype(np.int32)
    for prefix in ("", "train-", "test-"):
        files.write_hdf5(tmp_path / f"{prefix}image.h5", {"stack": files.grey()})
        files.write_hdf5(tmp_path / f"{prefix}gt.lzf.h5", {"stack": ids}, compression="lzf")
    volumes = gala_volumes(tmp_path, (8, 8, 8))
    assert [(volume.name, volume.split) for volume in volumes] == [
        ("gala", "training"), ("gala_train", "training"), ("gala_test", "test"),
    ]  # fmt: skip
    (item,) = EmVolumes(volumes, "test")
    assert item["ids"].max() == 8
    assert item["spacing"] == (8, 8, 8)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_each_slice_validates_in_one_fold_and_never_trains_there(tmp_path: Path, fold: int) -> None:
    files.write_tiff(tmp_path / "train-volume.tif", files.grey(shape=(10, 8, 8)))
    files.write_tiff(tmp_path / "train-labels.tif", files.interior(shape=(10, 8, 8)))
    files.write_tiff(tmp_path / "test-volume.tif", files.grey())
    volumes = isbi2012_volumes(tmp_path)
    parts = fold_volumes(volumes, fold)
    held, rest = ([item["slices"][0] for item in EmSlices(parts, split)] for split in ("validation", "training"))
    assert held == ([0, 1, 2], [3, 4, 5], [6, 7, 8, 9])[fold]
    assert sorted(held + rest) == list(range(10))
    assert parts[-1] == volumes[1]  # nothing to validate without labels
    (again, *_) = fold_volumes(parts[:1], 0, 2)  # folds of a part stay inside it
    start, stop = parts[0].slices
    assert again.slices == (start, (start + stop) // 2)


def isbi(root: Path, labels: np.ndarray | None = None, name: str = "{:02d}.png") -> list[EmVolume]:
    files.write_slices(root / "images", files.grey())
    files.write_slices(root / "labels", files.interior() if labels is None else labels, name)
    return isbi2012_volumes(root)


def cremi(*names: str, attributes: dict | None = None, options: dict | None = None, **settings):
    """Files of CREMI of these names; `attributes` replace all of theirs, `options` are those of the list."""

    def make(root: Path) -> object:
        for name in names or ("sample_A.hdf",):
            if attributes is None:
                files.write_cremi(root / name, **({"ids": files.blocks()} | settings))
            else:
                files.write_hdf5(root / name, {RAW: files.grey(), IDS: files.blocks()}, attributes)
        return EmVolumes(cremi_volumes(root, **(options or {})))

    return make


def gala(root: Path) -> object:
    files.write_hdf5(root / "image.h5", {"stack": files.grey()})
    return gala_volumes(root)


RAW, IDS, SIZES = "volumes/raw", "volumes/labels/neuron_ids", {"resolution": (40.0, 4.0, 4.0)}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (isbi2012_volumes, "root must hold train-volume.tif and train-labels.tif, or folders images and labels, got"),
        (snemi3d_volumes, "root must hold train-input.tif and train-labels.tif, got .*; unpack the download there"),
        (cremi_volumes, "root must hold sample_A_20160501.hdf or others of CREMI, got"),
        (gala_volumes, "root must hold image.h5 and gt.lzf.h5, or train-image.h5 and others, got"),
        (gala, "image.h5 must have labels, got none of gt.h5, gt.lzf.h5 in .*; put them there"),
        (lambda root: EmSlices(isbi(root, files.interior()[:-1])),
         r"labels must have as many voxels \(D, H, W\) as its image, \(6, 24, 32\), got \(5, 24, 32\)"),
        (lambda root: EmSlices(isbi(root, name="1{}.png")),
         "labels must hold a slice for each of .*images, got number 10 in the place of 0; name both"),
        (lambda root: EmSlices(isbi(root), "test"), "volumes must hold at least one of split 'test', got none"),
        (lambda root: EmSlices(isbi(root), "train"), "split must be one of 'training', .*got 'train'"),
        (lambda root: EmSlices(isbi(root) * 2), "volumes must have names of their own, got isbi2012 for"),
        (lambda root: fold_volumes(isbi(root), 0, 7), "isbi2012 must have at least 7 slices, got 6; take fewer folds"),
        (cremi("sample_A.hdf", "sample_A_padded.hdf"), "names of their own, got sample_A for .*A.hdf and .*padded.hdf"),
        (cremi(offset=(40.0, 0.0, 0.0)), r"got \(6, 24, 32\) from voxel \(1, 0, 0\) on; check that both are of one"),
        (cremi(ids=files.blocks(shape=(4, 24, 32))), r"as its image, \(6, 24, 32\), got \(4, 24, 32\)"),
        (cremi(options={"membrane_width": -1}), "membrane_width of sample_A must be .*, got -1"),
        (cremi(options={"spacing": (40, 4)}), r"spacing must hold one finite value > 0 per spatial axis \(3\)"),
        (cremi(attributes={RAW: {"resolution": (4.0, 4.0, 40.0)}, IDS: {"resolution": (4.0, 4.0, 40.0)}}),
         r"must be \(z, y, x\), got \(4.0, 4.0, 40.0\) .* looks like \(x, y, z\).*\(40.0, 4.0, 4.0\)"),
        (cremi(options={"spacing": (4, 4, 40)}), r"spacing of sample_A must be \(z, y, x\), got \(4.0, 4.0, 40.0\)"),
        (cremi(options={"spacing": (5, 30, 5)}), r"spacing of sample_A must be \(z, y, x\), got \(5.0, 30.0, 5.0\)"),
        (cremi(attributes={}), "resolution of volumes/raw must be > 0 .*, got None; pass spacing="),
        (cremi(attributes={RAW: SIZES}), "resolution of volumes/labels/neuron_ids must be > 0 .*, got None"),
        (cremi(attributes={RAW: {"resolution": (40.0, 4.0)}}), r"of volumes/raw must hold one number per axis \(3"),
        (cremi(attributes={RAW: {"resolution": "fine"}}), "must hold one number per axis .*got 'fine'"),
        (cremi(attributes={RAW: {"resolution": (40.0, 0.0, 4.0)}}), "of volumes/raw must be > 0 along each axis"),
        (cremi(attributes={RAW: SIZES, IDS: {"resolution": (40.0, 8.0, 8.0)}}), "resolution must be that of volumes/r"),
        (cremi(offset=(0.0, 2.0, 0.0)), "a whole number of voxels of"),
        (cremi(offset=(-40.0, 0.0, 0.0)), r"inside its image, got \(-40.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_download_is_told(tmp_path: Path, make, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(tmp_path)


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent does not exist; check the path"):
        cremi_volumes(tmp_path / "absent")
