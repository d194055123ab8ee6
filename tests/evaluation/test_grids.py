"""Files on two grids: the error names what differs, by how much, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from monai_boundary.datasets.nifti import same_affine
from monai_boundary.evaluation.matching import read_pair

SHAPE, SIZES = (16, 14, 6), (1.0, 1.0, 3.0)
HEADER = "the header of one may be wrong: copy that of truth/a.nii.gz to pred/a.nii.gz if their voxels belong together"


def affine(sizes=SIZES, origin=(-7.0, 5.0, 20.0), turn: float = 0.0) -> np.ndarray:
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = turned * sizes, origin
    return found


def stored(root: Path, pred: np.ndarray, truth: np.ndarray, shapes=(SHAPE, SHAPE)) -> tuple[Path, Path]:
    files = root / "pred" / "a.nii.gz", root / "truth" / "a.nii.gz"
    for file, matrix, shape in zip(files, (pred, truth), shapes, strict=True):
        file.parent.mkdir()
        nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), matrix), file)
    return files


def refusal(files: tuple[Path, Path]) -> str:
    with pytest.raises(ValueError, match="must lie on one grid in both folders, got ") as error:
        read_pair(*files)
    return str(error.value)


def farthest(first: np.ndarray, second: np.ndarray) -> float:
    """Largest distance in mm between the places of one voxel, of all voxels."""
    voxels = np.argwhere(np.ones(SHAPE))
    return float(np.linalg.norm(nib.affines.apply_affine(first - second, voxels), axis=1).max())


def test_another_origin_is_named_with_the_shift_in_mm(tmp_path: Path) -> None:
    text = refusal(stored(tmp_path, affine(origin=(-4.0, 9.0, 20.0)), affine()))
    assert "got origins (x, y, z) (-4, 9, 20) and (-7, 5, 20) mm, voxels up to 5 mm apart in pred/a.nii.gz and" in text
    assert f"; {HEADER}, else resample pred/a.nii.gz" in text
    assert not re.search("shapes|spacings|directions|orientation", text)


@pytest.mark.parametrize("turn", [2.0, 30.0])
def test_another_direction_is_named_with_its_angle(turn: float, tmp_path: Path) -> None:
    matrices = affine(turn=turn), affine()
    text = refusal(stored(tmp_path, *matrices))
    assert f"got directions {turn:g} degrees apart, voxels up to {farthest(*matrices):.3g} mm apart" in text
    assert HEADER in text
    assert not re.search("shapes|spacings|origins", text)


def test_axes_that_are_flipped_in_a_header_are_named(tmp_path: Path) -> None:
    text = refusal(stored(tmp_path, np.diag([1.0, 1.0, 3.0, 1.0]), np.diag([-1.0, -1.0, 3.0, 1.0])))
    assert "directions RAS and LPS in the files" in text
    assert "voxels up to 19.8 mm apart" in text  # the one is at 0 to 15, 0 to 13, the other at their negatives
    assert HEADER in text


def test_shape_and_spacing_are_resampled_and_no_header_is_blamed(tmp_path: Path) -> None:
    text = refusal(stored(tmp_path, affine((1.0, 1.0, 1.5)), affine(), ((16, 14, 12), SHAPE)))
    assert "got shapes (12, 14, 16) and (6, 14, 16), spacings (1.5, 1.0, 1.0) and (3.0, 1.0, 1.0) mm in pred" in text
    assert text.endswith("; resample pred/a.nii.gz")
    assert not re.search("origins|directions|header|apart", text)


def test_another_spacing_alone_is_no_matter_of_the_position(tmp_path: Path) -> None:
    text = refusal(stored(tmp_path, affine((1.0, 1.0, 3.5)), affine()))
    assert "got spacings (3.5, 1.0, 1.0) and (3.0, 1.0, 1.0) mm, voxels up to 2.5 mm apart" in text
    assert text.endswith("; resample pred/a.nii.gz")


@pytest.mark.parametrize("silent", ["pred", "truth"])
def test_a_file_that_names_no_orientation_is_told(silent: str, tmp_path: Path) -> None:
    files = stored(tmp_path, affine(), affine())
    file = files[silent == "truth"]
    image = nib.load(file)
    image = nib.Nifti1Image(np.asarray(image.dataobj), None, image.header)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, file)
    assert nib.load(file).header["sform_code"] == nib.load(file).header["qform_code"] == 0
    text = refusal(files)
    assert f"; {silent}/a.nii.gz names no orientation (sform and qform codes 0); {HEADER}" in text


def test_pictures_are_told_by_their_shapes(tmp_path: Path) -> None:
    files = tmp_path / "pred" / "a.png", tmp_path / "truth" / "a.png"
    for file, width in zip(files, (20, 21), strict=True):
        file.parent.mkdir()
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((9, width), np.uint8)), file)
    text = refusal(files)
    assert text == (
        "a.png must lie on one grid in both folders, got shapes (1, 9, 20) and (1, 9, 21) in pred/a.png and "
        "truth/a.png; resample pred/a.png"
    )


def test_a_rotation_about_the_line_to_the_farthest_voxel_is_seen(tmp_path: Path) -> None:
    axis = np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(8)
    turned = np.eye(4)
    turned[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    np.testing.assert_allclose(turned @ [16, 16, 16, 1], [16, 16, 16, 1])
    assert not same_affine((16, 16, 16), np.eye(4), turned)
    text = refusal(stored(tmp_path, turned, np.eye(4), ((16, 16, 16),) * 2))
    assert "degrees apart" in text
