"""Scores of label maps against hand geometry, and the cases in which a score flatters a failure."""

import math

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt

from monai_boundary.datasets import write_volume
from monai_boundary.metrics import score_case, score_folder

SPACING = (3.0, 1.0, 2.0)


def box(corner, size, shape=(10, 20, 16)):
    labels = np.zeros(shape, np.int64)
    labels[tuple(slice(start, start + length) for start, length in zip(corner, size, strict=True))] = 1
    return labels


@pytest.mark.parametrize(("axis", "voxels", "expected"), [(0, 1, 3.0), (1, 4, 4.0), (2, 2, 4.0)])
def test_a_single_voxel_moved_along_one_axis_is_as_far_as_the_spacing_says(axis, voxels, expected):
    target = box((4, 4, 4), (1, 1, 1))
    (score,) = score_case(np.roll(target, voxels, axis), target, SPACING, num_classes=2)
    assert score.hd95_mm == pytest.approx(expected, abs=1e-5)
    assert score.dice == 0
    assert not score.missed


def test_a_perfect_prediction_scores_one_and_zero():
    target = box((2, 3, 4), (4, 5, 6))
    (score,) = score_case(target, target, SPACING, num_classes=2)
    assert (score.label, score.dice, score.hd95_mm, score.target_voxels, score.predicted_voxels) == (1, 1, 0, 120, 120)


def test_dice_of_a_half_covered_box_is_two_thirds():
    (score,) = score_case(box((2, 3, 4), (4, 5, 3)), box((2, 3, 4), (4, 5, 6)), SPACING, num_classes=2)
    assert score.dice == pytest.approx(2 / 3)


def test_hd95_equals_the_percentiles_of_surface_distances_measured_with_scipy():
    rng = np.random.default_rng(1)
    pred, target = (box((2, 3, 4), (4, 6, 6)) | (rng.random((10, 20, 16)) < 0.01) for _ in range(2))
    surfaces = [mask.astype(bool) & ~binary_erosion(mask) for mask in (pred, target)]
    distances = [distance_transform_edt(~surface, sampling=SPACING) for surface in surfaces]
    sides = np.percentile(distances[1][surfaces[0]], 95), np.percentile(distances[0][surfaces[1]], 95)
    (score,) = score_case(pred.astype(int), target.astype(int), SPACING, num_classes=2)
    assert score.hd95_mm == pytest.approx(max(sides), rel=1e-4)


def test_an_empty_prediction_of_a_present_class_scores_the_diagonal_and_is_counted_as_missed():
    target = box((2, 3, 4), (4, 5, 6))
    (score,) = score_case(np.zeros_like(target), target, SPACING, num_classes=2)
    assert score.missed
    assert score.dice == 0
    assert score.hd95_mm == pytest.approx(math.hypot(30, 20, 32))


def test_a_prediction_of_an_absent_class_scores_the_diagonal_and_is_not_missed():
    pred = box((2, 3, 4), (1, 1, 1))
    (score,) = score_case(pred, np.zeros_like(pred), SPACING, num_classes=2)
    assert (score.dice, score.missed) == (0, False)
    assert score.hd95_mm == pytest.approx(math.hypot(30, 20, 32))


def test_a_class_that_neither_side_holds_has_no_score():
    empty = np.zeros((4, 5), np.int64)
    (score,) = score_case(empty, empty, None, num_classes=2)
    assert math.isnan(score.dice)
    assert math.isnan(score.hd95_mm)
    assert not score.missed


def test_every_foreground_class_gets_its_own_score():
    target = box((2, 3, 4), (4, 5, 6)) + 2 * box((7, 10, 1), (2, 3, 3))
    scores = score_case(np.where(target == 2, 0, target), target, SPACING, num_classes=4)
    assert [score.label for score in scores] == [1, 2, 3]
    assert [score.missed for score in scores] == [False, True, False]
    assert scores[0].dice == 1


@pytest.mark.parametrize(
    ("pred", "target", "spacing", "message"),
    [
        (np.zeros((4, 5), int), np.zeros((4, 6), int), None, r"same shape, got \(4, 5\) and \(4, 6\)"),
        (np.full((4, 5), 2), np.zeros((4, 5), int), None, r"labels must lie in \[0, 1\] .* got \[2\] at 20 voxels"),
        (np.zeros((4, 5), int), np.zeros((4, 5), int), (1.0, -1.0), r"spacing must hold .* got \(1.0, -1.0\)"),
    ],
)
def test_unusable_arguments_are_refused(pred, target, spacing, message):
    with pytest.raises(ValueError, match=message):
        score_case(pred, target, spacing, num_classes=2)


@pytest.fixture
def folders(tmp_path):
    target = box((2, 3, 4), (4, 5, 6)).astype(np.uint8)
    for name, shift in (("gt", 0), ("pred", 1)):
        (tmp_path / name).mkdir()
        for case in ("a", "b"):
            write_volume(tmp_path / name / f"{case}.nii.gz", np.roll(target, shift, axis=0), SPACING)
    return tmp_path / "pred", tmp_path / "gt"


def test_folders_are_matched_by_file_name(folders):
    scores = list(score_folder(*folders, labels=[1]))
    assert [case.case for case in scores] == ["a", "b"]
    assert scores[0].scores[0].hd95_mm == pytest.approx(3.0)
    assert scores[0].scores[0].dice == pytest.approx(0.75)


def test_a_missing_prediction_is_refused(folders):
    (folders[0] / "b.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"pred_dir must hold a prediction for every case, got none for b\.nii\.gz"):
        list(score_folder(*folders, labels=[1]))


def test_a_folder_without_ground_truth_is_refused(folders, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=r"gt_dir must hold .* got none in .*none"):
        list(score_folder(folders[0], tmp_path / "none", labels=[1]))


def test_a_prediction_on_another_grid_is_refused(folders):
    image = nib.load(folders[0] / "a.nii.gz")
    moved = nib.Nifti1Image(np.asarray(image.dataobj), image.affine @ np.diag([1.0, 1.0, 2.0, 1.0]))
    nib.save(moved, folders[0] / "a.nii.gz")
    with pytest.raises(ValueError, match=r"a\.nii\.gz must lie on one grid .* spacings \(6\.0, 1\.0, 2\.0\)"):
        list(score_folder(*folders, labels=[1]))
