"""TIFF as label maps and images: what was written comes back, and what could be misread is refused."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everywhere
import tifffile
from PIL import Image

from monai_boundary.datasets.em import Stored
from monai_boundary.datasets.label_maps import read_any_image, read_any_labels
from monai_boundary.evaluation import EvaluationSettings, evaluate_folder

pytestmark = pytest.mark.filterwarnings("ignore:.*data with shape.*are stored as RGB:DeprecationWarning")


def labels(*shape: int, dtype=np.uint8, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, classes, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int16, np.int32, np.uint64, np.float32])
@pytest.mark.parametrize("shape", [(9, 11), (1, 9, 11), (2, 9, 11), (3, 9, 11), (4, 9, 11), (7, 9, 11), (5, 1, 11)])
def test_what_tifffile_writes_comes_back(tmp_path: Path, dtype, shape) -> None:
    array = labels(*shape, dtype=dtype, classes=2 if dtype is bool else 5)
    tifffile.imwrite(tmp_path / "a.tif", array, compression="zlib")
    found = read_any_labels(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.array, array.reshape((1, *shape)[-3:]))
    assert found.array.dtype == np.int64
    np.testing.assert_array_equal(read_any_image(tmp_path / "a.tif").array, array.reshape((1, *shape)[-3:]))


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_what_nnunet_writes_comes_back_on_its_grid(tmp_path: Path, depth) -> None:
    writer = pytest.importorskip("nnunetv2.imageio.tif_reader_writer", reason="nnunetv2 is not installed").Tiff3DIO()
    array = labels(depth, 9, 11)
    writer.write_seg(array, str(tmp_path / "a.tif"), {"spacing": (5.0, 2.0, 1.0)})
    found = read_any_labels(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.array, array)
    assert (found.spacing, found.unit) == ((5.0, 2.0, 1.0), "mm")
    tifffile.imwrite(tmp_path / "a_0000.tif", array)  # a channel of the case
    image = read_any_image(tmp_path / "a_0000.tif")
    np.testing.assert_array_equal(image.array, array)
    assert (image.spacing, image.unit) == ((5.0, 2.0, 1.0), "mm")


@pytest.mark.parametrize(
    "how",
    [{"imagej": True}, {"ome": True, "photometric": "minisblack"}, {"bigtiff": True}, {"byteorder": ">"},
     {"tile": (16, 16)}, {"photometric": "minisblack", "metadata": None}, {"photometric": "miniswhite"},
     {"compression": "lzw", "predictor": True}],
)  # fmt: skip
@pytest.mark.parametrize("depth", [3, 4, 6])
def test_no_layout_of_a_volume_matters(tmp_path: Path, how, depth) -> None:
    if "compression" in how:
        pytest.importorskip("imagecodecs", reason="imagecodecs is not installed")
    array = labels(depth, 33, 40, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, **how)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.tif").array, array)


@pytest.mark.parametrize("contiguous", [True, False])
def test_pages_that_were_written_one_by_one_are_one_volume(tmp_path: Path, contiguous) -> None:
    array = labels(5, 9, 11)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for one in array:
            file.write(one, contiguous=contiguous)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.tif").array, array)
    first, *others = map(Image.fromarray, array)
    first.save(tmp_path / "b.tif", save_all=True, append_images=others)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "b.tif").array, array)


def test_a_tiff_of_simpleitk_comes_back(tmp_path: Path) -> None:
    for shape in ((9, 11), (3, 9, 11), (4, 9, 11)):
        array = labels(*shape, dtype=np.uint16)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.tif"))
        np.testing.assert_array_equal(read_any_labels(tmp_path / "a.tif").array, array.reshape((1, *shape)[-3:]))


@pytest.mark.parametrize("compression", [None, "tiff_deflate", "tiff_lzw", "packbits"])
def test_one_bit_holds_0_and_1(tmp_path: Path, compression) -> None:
    if compression == "tiff_lzw":
        pytest.importorskip("imagecodecs", reason="imagecodecs is not installed")
    array = labels(9, 11, classes=2)
    Image.fromarray(array * 255).convert("1").save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.tif").array[0], array)


def test_the_name_of_a_tiff_does_not_matter(tmp_path: Path) -> None:
    array = labels(4, 9, 11)
    tifffile.imwrite(tmp_path / "a.png", array)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.png").array, array)


def palette(path: Path) -> None:
    image = Image.fromarray(labels(9, 11))
    image.putpalette([0, 0, 0, 85, 85, 85, 170, 170, 170])
    image.save(path)


def white(path: Path) -> None:
    tifffile.imwrite(path, labels(9, 11), photometric="miniswhite", metadata=None)


def white_bits(path: Path) -> None:
    Image.fromarray(labels(9, 11, classes=2) * 255).convert("1").save(path, tiffinfo={262: 0})


def colours(*shape: int, **how):
    return lambda path: tifffile.imwrite(path, np.ones(shape, np.uint8), **how)


#: What a label map must not be, and what is said of it.
REFUSED = {
    "palette": (palette, r"one channel of labels, got numbers of colours; save it as grey values"),
    "0 is white": (white, r"labels whose 0 is black \(MINISBLACK\), got 0 as white \(MINISWHITE\).*save it as"),
    "0 is white, of 1 bit": (white_bits, r"labels whose 0 is black"),
    "colours": (colours(9, 11, 3), r"one channel of labels, got 3 samples per pixel; convert colours to labels"),
    "colours and opacity": (colours(9, 11, 4), r"one channel of labels, got 4 samples per pixel"),
    "planes of colours": (
        colours(3, 9, 11, photometric="rgb", planarconfig="separate", metadata=None), "got 3 samples per pixel"
    ),
    "slices of colours": (colours(5, 9, 11, 3), "got 3 samples per pixel"),
    "grey and opacity": (
        colours(9, 11, 2, photometric="minisblack", extrasamples=["unassalpha"]), "got 2 samples per pixel"
    ),
    "four axes": (colours(2, 5, 9, 11), r"one slice \(y, x\) or one volume \(z, y, x\), got shape \(2, 5, 9, 11\)"),
    "complex numbers": (
        lambda path: tifffile.imwrite(path, np.full((9, 11), 1 + 2j, np.complex64)),
        "must hold real numbers, got complex64",
    ),
    "fractions": (lambda path: tifffile.imwrite(path, np.full((9, 11), 0.5)), r"must hold labels \(integers >= 0\)"),
    "more than int64 holds": (
        lambda path: tifffile.imwrite(path, np.full((9, 11), 2**64 - 1, np.uint64)), r"must hold labels below 2\^63"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_label_map_is_named(tmp_path: Path, write, text) -> None:
    write(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=rf"a\.tif must hold .*{text.removeprefix('must hold ')}"):
        read_any_labels(tmp_path / "a.tif")


def test_pages_of_two_kinds_and_damage_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(labels(9, 11))
        file.write(labels(5, 6))
    with pytest.raises(ValueError, match=r"a\.tif must hold pages of one size, got 2 kinds; split them"):
        read_any_labels(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", labels(40, 50))
    monkeypatch.setenv("MONAI_BOUNDARY_MAX_GB", "1e-6")
    with pytest.raises(ValueError, match=r"b\.tif must take at most"):
        read_any_labels(tmp_path / "b.tif")
    monkeypatch.delenv("MONAI_BOUNDARY_MAX_GB")
    for compression in ("zlib", "lzw", "packbits"):
        tifffile.imwrite(tmp_path / "d.tif", np.random.default_rng(0).integers(0, 9, (64, 64)).astype(np.uint8),
                         compression=compression)  # fmt: skip
        damaged = bytearray((tmp_path / "d.tif").read_bytes())
        damaged[len(damaged) // 2 :] = bytes(byte ^ 0x5A for byte in damaged[len(damaged) // 2 :])
        (tmp_path / "d.tif").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"d.tif must be a complete TIFF, got: .*; download or copy it again"):
            read_any_labels(tmp_path / "d.tif")
    (tmp_path / "b.tif").write_bytes((tmp_path / "b.tif").read_bytes()[:900])
    with pytest.raises(ValueError, match=r"b\.tif must be a complete TIFF, got: .*; download or copy it again"):
        read_any_labels(tmp_path / "b.tif")
    with pytest.raises(FileNotFoundError, match=r"c\.tif does not exist; check the path"):
        read_any_labels(tmp_path / "c.tif")


def test_an_image_has_the_brightness_that_is_seen(tmp_path: Path) -> None:
    grey = labels(9, 11, classes=200)
    tifffile.imwrite(tmp_path / "white.tif", 255 - grey, photometric="miniswhite", metadata=None)
    np.testing.assert_array_equal(read_any_image(tmp_path / "white.tif").array[0], grey)
    rgb = labels(9, 11, 3, classes=200)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb)
    planes = np.ascontiguousarray(np.moveaxis(rgb, -1, 0))
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate", metadata=None)
    for name in ("rgb", "planes"):
        np.testing.assert_allclose(read_any_image(tmp_path / f"{name}.tif").array[0], rgb.mean(-1), rtol=1e-6)
    image = Image.fromarray(labels(9, 11))
    image.putpalette([0, 0, 0, 30, 60, 90, 200, 200, 200])
    image.save(tmp_path / "palette.tif")
    seen = np.array(image.convert("RGB")).mean(-1)
    found = read_any_image(tmp_path / "palette.tif").array[0]
    np.testing.assert_allclose(found / found.max(), seen / seen.max(), atol=0.01)


def test_a_boolean_prediction_scores_as_the_labels_it_holds(tmp_path: Path) -> None:
    true, found = np.zeros((2, 4, 20, 20), bool)
    true[1:3, 5:12, 5:12], found[1:3, 5:12, 6:12] = True, True
    scores = {}
    for ending in (".tif", ".nii.gz"):
        for name, mask in (("true", true), ("found", found)):
            folder = tmp_path / f"{name}{ending}"
            folder.mkdir()
            if ending == ".tif":
                tifffile.imwrite(folder / "a.tif", mask)
                (folder / "a.json").write_text(json.dumps({"spacing": [1, 1, 1]}))
            else:
                nib.save(nib.Nifti1Image(mask.T.astype(np.uint8), np.eye(4)), folder / "a.nii.gz")
        result = evaluate_folder(
            tmp_path / f"found{ending}", tmp_path / f"true{ending}", EvaluationSettings("surface"), progress=False
        )
        assert not result.failed
        (row,) = result.rows
        assert (row.label, row.scores["dice"]) == (1, pytest.approx(2 * 84 / (84 + 98)))
        scores[ending] = row.scores
    assert scores[".tif"] == pytest.approx(scores[".nii.gz"])


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_a_stack_of_electron_microscopy_has_all_slices(tmp_path: Path, depth) -> None:
    array = labels(depth, 9, 11)
    tifffile.imwrite(tmp_path / "a.tif", array)
    assert Stored(tmp_path / "a.tif").shape == array.shape
    np.testing.assert_array_equal(Stored(tmp_path / "a.tif").read(1, 3), array[1:3])
