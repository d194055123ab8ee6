"""Scores of single lesions: against loops over whole masks, against BraTS' own script, and cases made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_boundary.metrics import (
    PROTOCOLS,
    LesionMetric,
    LesionSettings,
    ProtocolMetric,
    lesion_counts,
    lesion_scores,
    score_pair,
    surface_distances,
)
from monai_boundary.metrics.lesions import SIZES

FULL = {2: np.ones((3, 3)), 3: np.ones((3, 3, 3))}


def boxes(*corners, shape: tuple[int, ...] = (12, 24, 24)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for corner in corners:
        mask[tuple(slice(*edge) if isinstance(edge, tuple) else edge for edge in corner)] = True
    return mask


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Prediction, target and spacing, in 2D and 3D by turns; lesions are split, merged, missed, false, cut off."""
    rng = np.random.default_rng(seed)
    shape, spacing = (((14, 26, 24), (3.0, 1.0, 0.7)), ((48, 40), (0.8, 2.0)))[seed % 2]
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.3)
    other = field + 0.7 * ndimage.gaussian_filter(rng.standard_normal(shape), 1.3)
    return other > np.quantile(other, 0.94), field > np.quantile(field, 0.95), spacing


# Two boxes that one component covers, a voxel beside its prediction, a missed box; and a false box.
TARGET = boxes(((2, 5), (2, 6), (2, 6)), ((2, 5), (2, 6), (7, 11)), ((8, 10), (14, 18), (14, 18)), (6, 20, 4))
PRED = boxes(((2, 5), (2, 6), (2, 11)), ((8, 10), (10, 12), (18, 20)), (6, 20, 5))


# Against loops over whole masks


def lesion_wise_by_loops(pred, target, spacing, settings, definition) -> tuple[list[float], ...]:
    """Dice, HD95 and surface Dice of each lesion and false component, each lesion dilated by itself."""
    structure = ndimage.generate_binary_structure(target.ndim, 2)
    grow = settings.dilation
    dilated = ndimage.binary_dilation(target, structure, grow) if grow else target
    lesions, components = (ndimage.label(mask, FULL[mask.ndim])[0] for mask in (dilated, pred))
    rows, near = [], set()
    for number in range(1, lesions.max() + 1):
        lesion = target & (lesions == number)
        reach = ndimage.binary_dilation(lesion, structure, grow) if grow else lesion
        partners = set(components[reach].tolist()) - {0}
        near |= partners
        found = np.isin(components, list(partners))
        if lesion.sum() * math.prod(spacing) <= settings.min_volume_mm3:
            continue
        surface = surface_distances(found, lesion, spacing, definition=definition)
        dice = 2 * (found & lesion).sum() / (found.sum() + lesion.sum())
        rows.append((dice, surface.hausdorff_mm(95, 374.0), surface.surface_dice(1.0)))
    rows += [(0.0, 374.0, 0.0)] * len(set(components.ravel().tolist()) - near - {0})
    return tuple(zip(*rows, strict=True))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("dilation", "min_volume"), [(0, 0.0), (1, 4.0), (3, 20.0)])
@pytest.mark.parametrize("definition", ["voxels", "surface_elements"])
def test_lesion_wise_scores_equal_a_loop_over_lesions(seed, dilation, min_volume, definition) -> None:
    pred, target, spacing = blobs(seed)
    settings = LesionSettings(dilation=dilation, min_volume_mm3=min_volume)
    expected = lesion_wise_by_loops(pred, target, spacing, settings, definition)
    scores = lesion_scores(pred, target, spacing, settings, definition=definition)
    found = scores.lesion_dice, scores.lesion_hd95_mm, scores.lesion_surface_dice
    assert found == pytest.approx([np.mean(values) for values in expected], rel=1e-5)
    kept = scores.volumes_mm3 > min_volume
    for values, each in zip((scores.dices, scores.hd95s_mm, scores.surface_dices), expected, strict=True):
        assert sorted(values[kept]) == pytest.approx(sorted(each[: kept.sum()]), rel=1e-5)
    assert len(expected[0]) == kept.sum() + scores.false_volumes_mm3.size > 0


@pytest.mark.parametrize("seed", range(6))
def test_cc_dice_is_the_mean_over_the_cells_of_each_component(seed) -> None:
    pred, target, spacing = blobs(seed)
    ids, count = ndimage.label(target, FULL[target.ndim])
    distances = [ndimage.distance_transform_edt(ids != number, spacing) for number in range(1, count + 1)]
    cells = 1 + np.argmin(distances, axis=0)
    far = np.sort(distances, axis=0)
    pred &= far[1] > far[0] + 1e-6  # a voxel as near to two components may belong to either
    expected = []
    for number in range(1, count + 1):
        found, lesion = pred & (cells == number), ids == number
        expected.append(2 * (found & lesion).sum() / (found.sum() + lesion.sum()))
    assert lesion_scores(pred, target, spacing).cc_dice == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("seed", range(6))
def test_panoptic_quality_equals_that_of_all_pairs(seed) -> None:
    pred, target, _ = blobs(seed)
    (found, predicted), (true, count) = (ndimage.label(mask, FULL[mask.ndim]) for mask in (pred, target))
    ious = []
    for one in range(1, count + 1):
        for other in range(1, predicted + 1):
            shared = ((true == one) & (found == other)).sum()
            ious.append(shared / ((true == one) | (found == other)).sum())
    matched = [iou for iou in ious if iou > 0.5]
    scores = lesion_scores(pred, target)
    assert len(matched) > 0
    assert scores.panoptic_quality == pytest.approx(2 * sum(matched) / (count + predicted))
    assert scores.segmentation_quality == pytest.approx(np.mean(matched))
    assert scores.recognition_quality == pytest.approx(2 * len(matched) / (count + predicted))


# Against BraTS' own script: what eval.py of rachitsaluja/BraTS-2023-Metrics (commit 0e272e6) gives for the same masks


@pytest.mark.parametrize(
    ("spacing", "dilation", "min_volume", "dice", "hd95"),
    [
        ((1.0, 1.0, 1.0), 1, 0.0, 0.23529411764705882, 187.5),
        ((1.0, 1.0, 1.0), 1, 2.0, 0.3137254901960784, 249.66666666666666),
        ((1.0, 1.0, 1.0), 3, 50.0, 0.9411764705882353, 1.0),
        ((3.0, 1.0, 0.5), 1, 0.0, 0.23529411764705882, 187.625),
        ((3.0, 1.0, 0.5), 1, 2.0, 0.3137254901960784, 250.0),
        ((3.0, 1.0, 0.5), 3, 50.0, 0.9411764705882353, 2.0),
    ],
)
def test_dice_and_hd95_are_those_of_brats_script(spacing, dilation, min_volume, dice, hd95) -> None:
    scores = lesion_scores(PRED, TARGET, spacing, LesionSettings(dilation=dilation, min_volume_mm3=min_volume))
    assert (scores.lesion_dice, scores.lesion_hd95_mm) == pytest.approx((dice, hd95))


def test_a_lesion_near_its_prediction_is_no_miss_and_a_component_near_a_small_lesion_is_not_false() -> None:
    scores = lesion_scores(PRED, TARGET, settings=LesionSettings(dilation=3, min_volume_mm3=50))
    assert scores.hd95s_mm.tolist() == pytest.approx([1, 1, 6.708203932499369])  # of BraTS' script
    assert scores.dices.tolist() == pytest.approx([2 * 96 / (96 + 108), 0, 0])
    assert scores.false_volumes_mm3.size == 0


# Cases made by hand


def test_touching_lesions_are_one_component_by_all_neighbours_and_two_by_faces() -> None:
    target = boxes(((2, 4), (2, 4)), ((4, 6), (4, 6)), shape=(8, 8))
    for connectivity, expected in ((None, 1), (1, 2)):
        settings = LesionSettings(connectivity=connectivity, dilation=0)
        scores = lesion_scores(target, target, settings=settings, definition="voxels")
        assert (scores.counts.target, scores.volumes_mm3.size) == (expected, expected)
        assert scores.lesion_dice == scores.cc_dice == scores.panoptic_quality == 1
    assert lesion_counts(target, target, 1).target == 2


def test_a_merged_prediction_finds_both_lesions_and_matches_one() -> None:
    plain = lesion_scores(PRED, TARGET, settings=LesionSettings(dilation=0))
    assert plain.dices.tolist() == pytest.approx([2 * 48 / 156, 2 * 48 / 156, 0, 0])
    assert (plain.lesion_recall, plain.lesion_precision, plain.false_lesions) == (0.5, 1 / 3, 2)
    assert math.isnan(plain.segmentation_quality)
    assert plain.panoptic_quality == plain.recognition_quality == 0
    low = lesion_scores(PRED, TARGET, settings=LesionSettings(iou=0.4))
    assert low.segmentation_quality == pytest.approx(48 / 108)
    assert (low.recognition_quality, low.panoptic_quality) == pytest.approx((2 / 7, 2 / 7 * 48 / 108))
    assert low.cc_dice == pytest.approx((2 * 48 / (48 + 60) + 1) / 4)  # the gap lies in the first cell


def test_a_split_lesion_is_found_once_by_two_true_components() -> None:
    target = boxes(((2, 4), (2, 12)), shape=(6, 20))
    pred = boxes(((2, 4), (2, 7)), ((2, 4), (8, 12)), shape=(6, 20))
    scores = lesion_scores(pred, target)
    assert (scores.counts.found, scores.counts.true, scores.false_lesions) == (1, 2, 0)
    assert scores.dices.tolist() == [2 * 18 / 38]
    assert (scores.panoptic_quality, scores.recognition_quality, scores.matches.size) == (0, 0, 0)  # IoU 0.5 and 0.4
    low = lesion_scores(pred, target, settings=LesionSettings(iou=0.45))
    assert (low.segmentation_quality, low.recognition_quality) == (0.5, 2 / 3)


def test_the_best_pair_matches_first_and_leaves_the_next_best_to_the_others() -> None:
    # IoU with the first lesion 6/10, 3/10; with the second 0, 3/7
    target = boxes((0, (0, 6)), (0, (8, 12)), shape=(1, 20))
    pred = boxes((0, (0, 2)), (0, (3, 6)), (0, (7, 12)), shape=(1, 20))
    scores = lesion_scores(pred, target, settings=LesionSettings(iou=0.3))
    assert scores.matches.tolist() == pytest.approx([4 / 5, 3 / 6])


def test_overlap_is_a_share_of_each_sides_own_voxels() -> None:
    recall = {overlap: lesion_counts(PRED, TARGET, overlap=overlap).found for overlap in (0.0, 0.5, 1.0)}
    true = {overlap: lesion_counts(PRED, TARGET, overlap=overlap).true for overlap in (0.0, 96 / 108, 0.9)}
    assert recall == {0.0: 2, 0.5: 2, 1.0: 2}
    assert list(true.values()) == [1, 1, 0]
    assert lesion_scores(PRED, TARGET, settings=LesionSettings(overlap=0.9)).lesion_precision == 0
    metric = LesionMetric("precision", overlap=0.9)
    metric(torch.from_numpy(PRED)[None, None].float(), torch.from_numpy(TARGET)[None, None].float())
    assert float(metric.aggregate()) == 0


def test_size_classes_are_by_the_volume_of_each_component() -> None:
    scores = lesion_scores(PRED, TARGET)
    assert list(scores.recall_by_size.values()) == pytest.approx([0, 2 / 3, math.nan], nan_ok=True)
    assert scores.false_by_size == {"small": 2, "medium": 0, "large": 0}
    larger = lesion_scores(PRED, TARGET, (3.0, 1.0, 1.0), LesionSettings(size_limits_mm3=(3, 96)))
    assert list(larger.recall_by_size.values()) == pytest.approx([math.nan, 0, 2 / 3], nan_ok=True)
    assert larger.false_by_size == {"small": 0, "medium": 2, "large": 0}


@pytest.mark.parametrize(
    ("empty", "expected"), [(374.0, 249.33333333), (10.0, 20 / 3), ("nan", 0.0), ("diagonal", 2 / 3 * math.sqrt(200))]
)
def test_missed_and_false_lesions_have_the_distance_that_is_given(empty, expected) -> None:
    target = boxes(((1, 3), (1, 3)), ((7, 9), (1, 3)), shape=(10, 10))
    pred = boxes(((1, 3), (1, 3)), ((1, 3), (7, 9)), shape=(10, 10))
    assert lesion_scores(pred, target, empty=empty).lesion_hd95_mm == pytest.approx(expected)


NOTHING = np.zeros((6, 8, 8), bool)
ONE = boxes((3, 4, 4), shape=(6, 8, 8))


@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [
        (NOTHING, NOTHING, {"dice": math.nan, "lesion_hd95_mm": 0, "false_lesions": 0,
                            "false_lesions_without_target": 0, "segmentation_quality": math.nan}),
        (ONE, ONE, {"lesion_hd95_mm": 0, "false_lesions": 0, "false_lesions_without_target": math.nan}),
        (ONE, NOTHING, {"lesion_dice": 0, "lesion_hd95_mm": 374, "cc_dice": 0, "panoptic_quality": 0,
                        "lesion_recall": 1, "lesion_precision": 0, "false_lesions_without_target": 1}),
        (NOTHING, ONE, {"lesion_dice": 0, "lesion_hd95_mm": 374, "cc_dice": 0, "panoptic_quality": 0,
                        "lesion_recall": 0, "lesion_precision": 1, "false_lesions": 0, "recall_small": 0}),
    ],
    ids=["nothing", "one voxel", "false alarm", "miss"],
)  # fmt: skip
def test_nothing_is_right_and_a_voxel_is_a_lesion(pred, target, expected) -> None:
    scores = score_pair("lesions", pred, target, None)
    assert {name: scores[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    if not pred.any() ^ target.any():
        perfect = ("lesion_dice", "lesion_surface_dice", "cc_dice", "panoptic_quality", "lesion_f1")
        assert [scores[name] for name in perfect] == [1] * 5


def test_lesions_at_the_border_have_their_own_surface() -> None:
    target, pred = np.zeros((2, 6, 10, 10), bool)
    target[0, :3, :3], target[-1, -3:, -3:], pred[0, :3, :4], pred[-1, -3:, -3:] = 1, 1, 1, 1
    scores = lesion_scores(pred, target, (2.0, 1.0, 1.0))
    assert scores.dices.tolist() == pytest.approx([2 * 9 / 21, 1])
    assert scores.hd95s_mm.tolist() == pytest.approx([1, 0])


def test_a_prediction_that_is_all_foreground_is_one_component_of_every_lesion() -> None:
    scores = lesion_scores(np.ones(TARGET.shape, bool), TARGET)
    assert (scores.lesion_recall, scores.lesion_precision, scores.false_lesions) == (1, 1, 0)
    volume = TARGET.size
    assert scores.dices.tolist() == pytest.approx([2 * 96 / (96 + volume), 2 / (1 + volume), 64 / (32 + volume)])
    assert scores.panoptic_quality == 0


def test_a_hole_is_no_lesion_and_what_lies_in_it_is_one_of_its_own() -> None:
    shell = boxes(((1, 10), (1, 20), (1, 20)))
    shell[3:8, 4:16, 4:16] = False
    core = boxes(((5, 6), (9, 11), (9, 11)))
    scores = lesion_scores(shell, shell | core, settings=LesionSettings(dilation=0))
    assert (scores.counts.target, scores.counts.found, scores.counts.predicted) == (2, 1, 1)
    assert scores.dices.tolist() == [1, 0]


def test_thirty_thousand_components_are_counted_like_one(rng) -> None:
    target = rng.random((132, 128, 128)) > 0.98
    pred = np.roll(target, 1, axis=2) & (rng.random(target.shape) > 0.4) | (target & (rng.random(target.shape) > 0.7))
    scores = lesion_scores(pred, target, settings=LesionSettings(dilation=0))
    count = ndimage.label(target, FULL[3])[1]
    assert count > 30_000
    assert scores.dices.size == scores.counts.target == count
    assert 0 < scores.lesion_dice < scores.lesion_recall < 1
    assert scores.lesion_hd95_mm < 374


def test_ignored_voxels_are_taken_out_of_the_prediction() -> None:
    target = TARGET.astype(int)
    target[8:10, 10:12, 18:20] = 2  # where the false component lies
    target[2:5, 2:6, 6] = 2  # and the gap
    scores = score_pair("lesions", PRED.astype(int), target, None, ignore_index=2)
    assert (scores["lesion_precision"], scores["false_lesions"]) == (2 / 3, 1)
    assert scores["panoptic_quality"] == pytest.approx(4 / 7)


def test_every_lesion_is_as_bad_as_it_was_with_one_more_empty_slice() -> None:
    wider = [np.pad(mask, ((3, 5), (0, 7), (2, 0))) for mask in (PRED, TARGET)]
    small, large = (score_pair("lesions", *pair, (3.0, 1.0, 1.0)) for pair in ((PRED, TARGET), wider))
    for name in PROTOCOLS["lesions"]:
        assert small[name] == pytest.approx(large[name], nan_ok=True), name


# Metric, settings and bad input


def test_the_metric_scores_every_class_with_its_settings() -> None:
    pred, target = (torch.from_numpy(np.where(mask, 1, np.roll(mask, 1, 0) * 2))[None, None] for mask in (PRED, TARGET))
    lesions = LesionSettings(dilation=0, iou=0.3, overlap=0.2)
    metric = ProtocolMetric("lesions", num_classes=3, spacing=(3, 1, 1), lesions=lesions, empty=50.0, reduction="none")
    metric(pred, target)
    for label in (1, 2):
        masks = (pred[0, 0].numpy() == label, target[0, 0].numpy() == label)
        expected = score_pair("lesions", *masks, (3, 1, 1), lesions=lesions, empty=50.0)
        found = dict(zip(metric.scores, (float(one[0, label - 1]) for one in metric.aggregate()), strict=True))
        assert found.pop("missed") == 0
        assert found == pytest.approx(expected, nan_ok=True)
        assert found["lesion_hd95_mm"] < 60


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: LesionSettings(overlap=1.5), ValueError, r"overlap must lie in \[0, 1\], got 1.5"),
        (lambda: LesionSettings(iou=-0.1), ValueError, "iou must be finite and >= 0, got -0.1"),
        (lambda: LesionSettings(dilation=-1), ValueError, "dilation must be an integer >= 0, got -1"),
        (lambda: LesionSettings(dilation=1.5), TypeError, "dilation must be an integer >= 0, got 1.5"),
        (lambda: LesionSettings(min_volume_mm3=math.nan), ValueError, "min_volume_mm3 must be .* >= 0, got nan"),
        (lambda: LesionSettings(size_limits_mm3=(100, 10)), ValueError, r"the smaller first, got \(100, 10\)"),
        (lambda: LesionSettings(size_limits_mm3=(10,)), ValueError, r"must be two volumes, .* got \(10,\)"),
        (lambda: LesionSettings(connectivity=4), ValueError, "connectivity must be 1 for 6 neighbours, .* got 4"),
        (lambda: lesion_counts(ONE, ONE, overlap=2), ValueError, r"overlap must lie in \[0, 1\], got 2"),
        (lambda: LesionMetric(overlap="half"), TypeError, "overlap must be a number, got str"),
        (lambda: lesion_scores(ONE, ONE[:2]), ValueError, r"same shape, got \(6, 8, 8\) and \(2, 8, 8\)"),
        (lambda: lesion_scores(ONE * math.nan, ONE), TypeError, "pred must be bool .* got dtype float64; threshold it"),
        (lambda: lesion_scores(ONE, ONE, (1, 1)), ValueError, r"spacing must hold .* axis \(3\), got \(1.0, 1.0\)"),
        (lambda: lesion_scores(ONE, ONE, empty="far"), ValueError, "empty must be 'diagonal', 'nan' or a number of mm"),
        (lambda: lesion_scores(ONE, ONE, tolerance_mm=-1), ValueError, "tolerance_mm must be finite and >= 0, got -1"),
        (lambda: lesion_scores(ONE, ONE, definition="edges"), ValueError, "definition must be one of 'voxels', "),
        (lambda: lesion_scores(ONE, ONE, settings=LesionSettings(connectivity=2)), ValueError,
         "connectivity must be 3 for definition='surface_elements', got 2: .*; use 'voxels'"),
        (lambda: score_pair("wmh", ONE, ONE, None, lesions=LesionSettings()), ValueError,
         "lesions must be None for the protocol 'wmh', got settings; use 'lesions'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_every_size_has_its_columns() -> None:
    names = {f"{kind}_{size}" for kind in ("recall", "false") for size in SIZES}
    assert names <= set(PROTOCOLS["lesions"])
