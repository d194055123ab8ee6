"""Surface distances against MONAI, SimpleITK, scipy and closed forms; lesion counts and the challenges' scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage
from scipy.spatial import cKDTree

from monai_boundary.datasets import read_labels
from monai_boundary.metrics import PROTOCOLS, lesion_counts, score_pair, surface_distances

SPACING = (3.0, 1.0, 0.5)
# MONAI 1.5 and 1.6 call their own functions with an argument they have deprecated
monai_warns = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")


def blobs(seed: int, shape=(9, 20, 24)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    other = field + 0.4 * ndimage.gaussian_filter(rng.standard_normal(shape), 2)
    return field > 0.12, other > 0.12


def as_image(array: np.ndarray, spacing: tuple[float, ...]) -> sitk.Image:
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    return image


@monai_warns
@pytest.mark.parametrize("seed", range(4))
def test_all_reductions_equal_those_of_monai(seed):
    pred, target = blobs(seed)
    a, b = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (pred, target))
    ours = surface_distances(pred, target, SPACING)
    common = {"include_background": True, "spacing": SPACING}
    assert ours.hausdorff_mm() == pytest.approx(float(compute_hausdorff_distance(a, b, **common)), rel=1e-5)
    for percentile in (0.5, 50, 95):
        expected = float(compute_hausdorff_distance(a, b, percentile=percentile, **common))
        assert ours.hausdorff_mm(percentile) == pytest.approx(expected, rel=1e-5)
    assert ours.average_mm() == pytest.approx(
        float(compute_average_surface_distance(a, b, symmetric=True, **common)), rel=1e-5
    )
    for tolerance in (0.0, 0.6, 2.0):
        expected = float(compute_surface_dice(a, b, [tolerance], **common))
        assert ours.surface_dice(tolerance) == pytest.approx(expected, rel=1e-6)


def test_distances_equal_those_of_scipy_and_their_maximum_that_of_simpleitk():
    pred, target = blobs(11)
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (pred, target)]
    maps = [ndimage.distance_transform_edt(~surface, sampling=SPACING) for surface in surfaces]
    found = surface_distances(pred, target, SPACING)
    np.testing.assert_allclose(found.pred_to_target, maps[1][surfaces[0]], rtol=1e-5)
    np.testing.assert_allclose(found.target_to_pred, maps[0][surfaces[1]], rtol=1e-5)
    hausdorff = sitk.HausdorffDistanceImageFilter()  # from all voxels of one mask, which has the same maximum
    hausdorff.Execute(*(as_image(mask, SPACING) for mask in (pred, target)))
    assert found.hausdorff_mm() == pytest.approx(hausdorff.GetHausdorffDistance(), rel=1e-5)


@pytest.mark.parametrize(("size", "shift"), [(0.7, 1), (0.1, 3), (1.1, 2), (0.3, 7), (2.3, 1)])
@pytest.mark.parametrize("sparse", [True, False])
def test_a_distance_that_equals_the_tolerance_lies_within_it(size, shift, sparse):
    target = np.zeros((24, 24) if sparse else (5, 24), bool)
    target[2:5, 2:5] = True
    found = surface_distances(np.roll(target, shift, 1), target, (size, size))
    assert found.surface_dice(size * shift) == 1
    assert found.surface_dice(size * shift * 0.99) < 1


def test_a_moved_mask_is_as_far_as_it_was_moved_on_one_and_two_axes():
    line = np.array([0, 1, 1, 1, 0, 0])
    assert surface_distances(line, np.roll(line, 2), (2.0,)).hausdorff_mm() == 4.0
    plane = torch.zeros(6, 6, dtype=torch.bool)
    plane[2, 2] = True
    assert surface_distances(plane, plane.roll(2, 1), (1.0, 1.5)).average_mm() == 3.0


@pytest.mark.parametrize(("empty", "value"), [("diagonal", math.hypot(12, 5, 3)), ("nan", math.nan), (42.0, 42.0)])
def test_an_empty_side_is_what_was_asked_for(empty, value):
    mask = np.zeros((4, 5, 6), bool)
    mask[1, 1, 1] = True
    for pair in ((mask, ~mask & mask), (~mask & mask, mask)):
        distances = surface_distances(*pair, SPACING)
        for found in (distances.hausdorff_mm(95, empty), distances.average_mm(empty)):
            assert found == pytest.approx(value, nan_ok=True)
        assert distances.surface_dice(1.0) == 0.0
    nothing = surface_distances(mask & False, mask & False)
    for found in (nothing.hausdorff_mm(empty=9.0), nothing.average_mm(), nothing.surface_dice(1.0)):
        assert math.isnan(found)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: surface_distances(m, m[:2]), r"same shape, got \(4, 5\) and \(2, 5\)"),
        (lambda m: surface_distances(m, m, (1, 0)), "spacing must hold"),
        (lambda m: surface_distances(m * 2, m), r"pred must be bool .* got values in \[2, 2\]"),
        (lambda m: surface_distances(m, m, through_plane=2), "through_plane must be one of the 2 axes, got 2"),
        (lambda m: surface_distances(m, m).hausdorff_mm(101), r"percentile must lie in \[0, 100\], got 101"),
        (lambda m: surface_distances(m, 0 * m).hausdorff_mm(empty="zero"), "empty must be 'diagonal', 'nan' or a numb"),
        (lambda m: surface_distances(m, m).surface_dice(-1), "tolerance_mm must be finite and >= 0, got -1"),
        (lambda m: lesion_counts(m, m[:2]), r"same shape, got \(4, 5\) and \(2, 5\)"),
        (lambda m: lesion_counts(m, m, 3), r"connectivity must be 1 for 4 neighbours, 2 for 8 .* got 3"),
        (lambda m: score_pair("brats", m, m, None), "protocol must be one of"),
        (lambda m: score_pair("wmh", 255 * m, m, None), "pred must hold the label 1, got a mask of 0 and 255"),
        (lambda m: score_pair("wmh", m, m * 0.5, None), "target must hold integers, got float64 with fractional"),
        (lambda m: score_pair("wmh", m, m * np.nan, None), "target must hold integers, got float64 with fractional"),
        (lambda m: score_pair("wmh", m, m[:2], None), r"same shape, got \(4, 5\) and \(2, 5\)"),
    ],
)
def test_wrong_arguments_are_named(call, text):
    with pytest.raises(ValueError, match=text):
        call(np.ones((4, 5), int))


masks = hnp.arrays(bool, (3, 5, 4)).filter(np.any)


@given(masks, masks, st.tuples(*[st.floats(0.2, 5)] * 3), st.floats(0.1, 10))
def test_laws(pred, target, spacing, scale):
    found, swapped = surface_distances(pred, target, spacing), surface_distances(target, pred, spacing)
    assert found.hausdorff_mm(95) == swapped.hausdorff_mm(95)
    assert found.average_mm() <= found.hausdorff_mm() * (1 + 1e-6) <= found.diagonal_mm * (1 + 1e-5)
    assert found.surface_dice(0.5) <= found.surface_dice(2.0) <= found.surface_dice(found.diagonal_mm * 1.01) == 1.0
    itself = surface_distances(pred, pred, spacing)
    assert (itself.hausdorff_mm(), itself.average_mm(), itself.surface_dice(0.0)) == (0.0, 0.0, 1.0)
    scaled = surface_distances(pred, target, tuple(scale * size for size in spacing))
    assert scaled.average_mm() == pytest.approx(scale * found.average_mm(), rel=1e-5)


# Lesions and the challenges


def test_lesions_are_counted_by_hand():
    target = np.array([[1, 1, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0, 0, 1]])  # three, one of them joined at a corner
    pred = np.array([[1, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1]])  # three, one of them beside all
    counts = lesion_counts(pred, target)
    assert (counts.target, counts.found, counts.predicted, counts.true) == (3, 2, 3, 2)
    assert (counts.recall, counts.precision, counts.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert counts.difference == 0
    assert lesion_counts(pred, target, connectivity=1).target == 4


@pytest.mark.parametrize(
    ("pred", "target", "recall", "precision", "f1"),
    [
        ([0, 0], [0, 0], 1, 1, 1),
        ([1, 0], [0, 0], 1, 0, 0),
        ([0, 0], [0, 1], 0, 1, 0),
        ([1, 0], [0, 1], 0, 0, 0),  # neighbours, but not the same voxels: found means overlap
    ],
)
def test_lesion_scores_of_empty_sides_are_those_of_the_challenge(pred, target, recall, precision, f1):
    counts = lesion_counts(np.array([pred]).repeat(2, 0), np.array([target]).repeat(2, 0))
    assert (counts.recall, counts.precision, counts.f1) == (recall, precision, f1)


def wmh_challenge(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    """The challenge's evaluation.py rewritten with SimpleITK; slices along the first array axis."""
    truth, result = (as_image(array, spacing) for array in (target, pred))
    result = sitk.Mask(sitk.BinaryThreshold(result, 1, 1, 1, 0), sitk.BinaryThreshold(truth, 2, 2, 0, 1), 0)
    truth = sitk.BinaryThreshold(truth, 1, 1, 1, 0)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(truth, result)
    points = []
    for image in (truth, result):
        # ITK keeps foreground at the border of the volume; the challenge's volumes end in background
        padded = sitk.ConstantPad(image, (1, 1, 1), (1, 1, 1), 0)
        edge = sitk.Subtract(padded, sitk.BinaryErode(padded, (1, 1, 0)))
        indices = np.flip(np.transpose(np.nonzero(sitk.GetArrayFromImage(edge))), 1).astype(int)
        points.append(np.array([padded.TransformIndexToPhysicalPoint(tuple(index.tolist())) for index in indices]))
    gaps = [cKDTree(points[1 - side]).query(points[side])[0] for side in (0, 1)]
    connected = sitk.ConnectedComponentImageFilter()
    connected.SetFullyConnected(True)
    true_parts, parts = (sitk.GetArrayFromImage(connected.Execute(image)) for image in (truth, result))
    found = np.setdiff1d(np.unique(true_parts[parts > 0]), [0]).size
    hits = np.setdiff1d(np.unique(parts[true_parts > 0]), [0]).size
    recall, precision = found / true_parts.max(), hits / parts.max()
    volumes = [float(sitk.GetArrayFromImage(image).sum()) for image in (truth, result)]
    return {
        "dice": overlap.GetDiceCoefficient(),
        "hd95_mm": max(np.percentile(gap, 95) for gap in gaps),
        "volume_difference_percent": abs(volumes[0] - volumes[1]) / volumes[0] * 100,
        "lesion_recall": recall,
        "lesion_f1": 2 * recall * precision / (recall + precision),
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_five_of_the_wmh_challenge_equal_its_way_with_simpleitk(seed):
    pred, truth = blobs(seed)
    labels = truth.astype(int)
    labels[6:, :8] = 2  # other pathology
    found = score_pair("wmh", pred.astype(int), labels, SPACING, ignore_index=2)
    assert found == pytest.approx(wmh_challenge(pred.astype(int), labels, SPACING), rel=1e-5)


@pytest.mark.real_data
def test_the_five_on_a_real_mask(data_dir):
    volume = read_labels(data_dir / "ms_lesions" / "masks_raw" / "patient04.nii.gz")
    where = np.argwhere(volume.array)
    box = tuple(slice(max(0, low - 2), low + 90) for low in where.min(0))
    truth = volume.array[box] > 0
    pred = ndimage.binary_dilation(np.roll(truth, 2, axis=1)) & (np.arange(truth.shape[0])[:, None, None] % 3 > 0)
    found = score_pair("wmh", pred.astype(int), truth.astype(int), volume.spacing, ignore_index=2)
    assert found == pytest.approx(wmh_challenge(pred.astype(int), truth.astype(int), volume.spacing), rel=1e-5)


def test_isles_scores_by_hand():
    target, pred = np.zeros((4, 10, 10), int), np.zeros((4, 10, 10), int)
    target[1, 1:4, 1:5] = 1  # 12 voxels
    pred[1, 1:4, 1:3] = 1  # 6 of them
    pred[3, 8, 8] = 1  # and a lesion that is none
    scores = score_pair("isles", pred, target, (5.0, 2.0, 1.0))
    assert list(scores) == list(PROTOCOLS["isles"])
    assert scores["dice"] == pytest.approx(2 * 6 / 19)
    assert scores["volume_difference_ml"] == pytest.approx(5 * 10 / 1000)
    assert scores["lesion_f1"] == pytest.approx(2 / 3)
    assert scores["lesion_count_difference"] == 1


def isles_challenge(pred: np.ndarray, target: np.ndarray, voxel_mm3: float) -> dict[str, float]:
    """The four scores of ISLES 2022 from their definitions, with scipy's components of 26 neighbours."""
    corners = np.ones((3, 3, 3))
    (true, lesions), (found, components) = ndimage.label(target, corners), ndimage.label(pred, corners)
    tp = sum(bool((pred & (true == one)).any()) for one in range(1, lesions + 1))
    fp = sum(not (target & (found == one)).any() for one in range(1, components + 1))
    fn, size = lesions - tp, int(pred.sum() + target.sum())
    return {
        "dice": 2 * (pred & target).sum() / size if size else 1.0,
        "volume_difference_ml": abs(float(pred.sum() - 1.0 * target.sum())) * voxel_mm3 / 1000,
        "lesion_f1": tp / (tp + (fp + fn) / 2) if tp + fp + fn else 1.0,
        "lesion_count_difference": abs(lesions - components),
    }


def boxes(*places: tuple[int, int]) -> np.ndarray:
    """A volume with a bar of 4 x 4 voxels over these columns."""
    mask = np.zeros((6, 8, 40), bool)
    for start, end in places:
        mask[1:5, 2:6, start:end] = True
    return mask


@pytest.mark.parametrize(
    ("pred", "target", "f1"),
    [
        ([(2, 38)], [(3, 6), (10, 14), (20, 24), (30, 36)], 1.0),  # four lesions, one component over all
        ([(3, 6), (8, 10), (12, 14), (18, 20)], [(2, 22)], 1.0),  # one lesion in four pieces
        ([(2, 16), (30, 33)], [(3, 6), (10, 14), (20, 24)], 2 / (2 + (1 + 1) / 2)),  # two merged, one missed, one false
        ([(2, 4), (6, 8), (30, 33)], [(2, 9), (14, 18)], 1 / (1 + (1 + 1) / 2)),  # one split, one missed, one false
        ([], [(2, 9), (14, 18)], 0.0),
        ([(2, 9)], [], 0.0),
        ([], [], 1.0),
        ([(0, 40)], [(0, 40)], 1.0),
    ],
)
def test_isles_counts_lesions_of_the_truth_and_false_components(pred, target, f1):
    masks = boxes(*pred), boxes(*target)
    spacing = (5.0, 2.0, 0.5)
    found, expected = score_pair("isles", *masks, spacing), isles_challenge(*masks, math.prod(spacing))
    assert expected["lesion_f1"] == pytest.approx(f1)
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert math.isnan(found["hd95_mm"]) == (not (masks[0].any() or masks[1].any()))


@pytest.mark.parametrize("seed", range(6))
def test_the_four_of_isles_on_random_masks(seed):
    rng = np.random.default_rng(seed)
    field, noise = (ndimage.gaussian_filter(rng.standard_normal((9, 22, 24)), 1) for _ in range(2))
    pred, target = field + rng.uniform(0.3, 2) * noise > 0.35, field > 0.3
    expected = isles_challenge(pred, target, 3.0)
    found = score_pair("isles", pred, target, (3.0, 2.0, 0.5))
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    counts = lesion_counts(pred, target)
    assert score_pair("wmh", pred, target, None)["lesion_f1"] == counts.f1 != found["lesion_f1"]


def test_scores_of_a_class_that_only_one_side_holds():
    target, pred = np.zeros((4, 5, 6), int), np.zeros((4, 5, 6), int)
    target[1, 1, 1] = 1
    missed = score_pair("surface", pred, target, SPACING)
    assert missed == pytest.approx(
        {"dice": 0, "hd95_mm": math.hypot(12, 5, 3), "hausdorff_mm": math.hypot(12, 5, 3),
         "average_mm": math.hypot(12, 5, 3), "surface_dice": 0}
    )  # fmt: skip
    assert math.isnan(score_pair("wmh", target, pred, SPACING)["volume_difference_percent"])
    assert all(map(math.isnan, score_pair("surface", pred, pred, SPACING).values()))


@pytest.mark.parametrize("through_plane", [None, 0])
@pytest.mark.parametrize("shape", [(40,), (17, 23), (9, 14, 16)])
def test_tree_and_transform_measure_the_same(
    shape: tuple[int, ...], through_plane: int | None, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    pred, target = rng.random(shape) < 0.3, rng.random(shape) < 0.1
    spacing = (2.5, 0.7, 1.3)[: len(shape)]
    found = []
    for per_point in (0, 10**6):  # always the tree, always the transform
        monkeypatch.setattr("monai_boundary.metrics.surface._VOXELS_PER_POINT", per_point)
        plane = through_plane if len(shape) > 1 else None
        found.append(surface_distances(pred, target, spacing, plane))
    np.testing.assert_allclose(found[0].pred_to_target, found[1].pred_to_target, atol=1e-5)
    np.testing.assert_allclose(found[0].target_to_pred, found[1].target_to_pred, atol=1e-5)
