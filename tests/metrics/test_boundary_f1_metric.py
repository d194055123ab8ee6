"""Boundary F1 against brute force over all pairs of boundary voxels, and its MONAI metric."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data import MetaTensor
from monai.networks import one_hot

from monai_boundary.metrics import BoundaryF1Metric, boundary_f1, surface_distances
from tests.strategies import shapes, spacings


def boundary_points(mask: np.ndarray, valid: np.ndarray, image_edge: bool) -> list[tuple[int, ...]]:
    """Voxels with a face neighbour that counts and lies outside."""
    points = []
    for point in itertools.product(*(range(count) for count in mask.shape)):
        if not (mask[point] and valid[point]):
            continue
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            near = tuple(value + step * (other == axis) for other, value in enumerate(point))
            inside = all(0 <= value < count for value, count in zip(near, mask.shape, strict=True))
            if (inside and valid[near] and not mask[near]) or (not inside and image_edge):
                points.append(point)
                break
    return points


def brute_force(pred, target, theta, spacing, valid, image_edge) -> tuple[float, float]:
    sides = [boundary_points(mask, valid, image_edge) for mask in (pred, target)]
    if not (sides[0] and sides[1]):
        return (0.0, 0.0) if sides[0] or sides[1] else (math.nan, math.nan)
    return tuple(
        sum(min(math.dist(np.multiply(p, spacing), np.multiply(q, spacing)) for q in other) < theta for p in own)
        / len(own)
        for own, other in (sides, sides[::-1])
    )


@st.composite
def cases(draw):
    shape = draw(shapes)
    masks = [draw(hnp.arrays(bool, shape)) for _ in range(3)]
    return *masks, draw(spacings(len(shape)))


@given(cases(), st.floats(0.6, 9.0), st.booleans(), st.booleans())
def test_equals_brute_force(case, theta, image_edge, all_valid):
    pred, target, valid, spacing = case
    valid = np.ones_like(valid) if all_valid else valid
    found = boundary_f1(pred, target, theta, spacing, valid=None if all_valid else valid, image_edge=image_edge)
    precision, recall = brute_force(pred, target, theta, spacing, valid, image_edge)
    assert (found.precision, found.recall) == pytest.approx((precision, recall), nan_ok=True)
    total = precision + recall
    assert found.f1 == pytest.approx(2 * precision * recall / total if total else total, nan_ok=True)


@given(cases(), st.floats(0.6, 9.0))
def test_prediction_and_target_change_places(case, theta):
    pred, target, _, spacing = case
    one, other = boundary_f1(pred, target, theta, spacing), boundary_f1(target, pred, theta, spacing)
    assert (one.precision, one.recall) == pytest.approx((other.recall, other.precision), nan_ok=True)


@given(cases(), st.floats(0.6, 5.0), st.floats(0.1, 4.0))
def test_wider_tolerance_never_lowers_it(case, theta, more):
    pred, target, _, spacing = case
    narrow, wide = (boundary_f1(pred, target, value, spacing).f1 for value in (theta, theta + more))
    assert math.isnan(narrow) == math.isnan(wide)
    assert math.isnan(narrow) or narrow <= wide + 1e-12


@given(cases())
def test_a_mask_scores_one_against_itself(case):
    score = boundary_f1(case[0], case[0], 0.01, case[3]).f1
    assert score == 1 if case[0].any() else math.isnan(score)


def test_is_the_share_of_the_surface_distances(rng):
    pred, target = rng.random((2, 12, 11, 10)) < 0.2
    spacing = (3.0, 1.0, 0.5)
    distances = surface_distances(pred, target, spacing)
    score = boundary_f1(pred, target, 1.2, spacing)
    assert score.precision == pytest.approx((distances.pred_to_target < 1.2).mean())
    assert score.recall == pytest.approx((distances.target_to_pred < 1.2).mean())


def test_the_threshold_itself_is_wrong():
    pred, target = np.zeros((2, 1, 9), bool)
    pred[0, 2], target[0, 5] = True, True
    assert boundary_f1(pred, target, 3.0).f1 == 0
    assert boundary_f1(pred, target, 3.001).f1 == 1
    assert boundary_f1(pred, target, 3.0, spacing=(1.0, 0.3)).f1 == 1  # 0.9 m


def test_slices_of_equal_content_score_as_the_slice(rng):
    pred, target = rng.random((2, 12, 11)) < 0.5
    flat = boundary_f1(pred, target, 2.0, image_edge=False)
    volume = boundary_f1(*(np.repeat(mask[None], 4, 0) for mask in (pred, target)), 2.0, image_edge=False)
    assert volume == flat


def test_missing_class_scores_zero_and_absent_class_nan():
    empty, full = np.zeros((6, 6), bool), np.ones((6, 6), bool)
    for pair in ((empty, full), (full, empty)):
        score = boundary_f1(*pair)
        assert (score.precision, score.recall, score.f1) == (0, 0, 0)
    assert math.isnan(boundary_f1(empty, empty).f1)
    assert boundary_f1(full, full).f1 == 1
    assert math.isnan(boundary_f1(full, full, image_edge=False).f1)


# The metric


def label_pair(rng) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(labels) for labels in rng.integers(0, 3, (2, 2, 1, 9, 8)))


def test_metric_gives_the_functional_form_case_by_case(rng):
    pred, target = label_pair(rng)
    for first in (0, 1):
        metric = BoundaryF1Metric(1.2, num_classes=3, reduction="none", include_background=first == 0)
        onehot = BoundaryF1Metric(1.2, reduction="none", include_background=first == 0)
        metric(pred, target, spacing=(0.5, 0.7))
        onehot(list(one_hot(pred, 3)), list(one_hot(target, 3)), spacing=(0.5, 0.7))
        values = torch.stack(metric.aggregate(), -1)
        assert values.shape == (2, 3 - first, 3)
        for case, label in np.ndindex(2, 3 - first):
            pair = [labels[case, 0].numpy() == label + first for labels in (pred, target)]
            expected = boundary_f1(*pair, 1.2, (0.5, 0.7))
            assert values[case, label].tolist() == [expected.f1, expected.precision, expected.recall]
        torch.testing.assert_close(torch.stack(onehot.aggregate(), -1), values)


def test_metric_accumulates_and_reduces(rng):
    pred, target = label_pair(rng)
    metric, single = (BoundaryF1Metric(1.2, "f1", num_classes=3) for _ in range(2))
    metric(pred, target)
    for case in range(2):
        single(pred[case : case + 1], target[case : case + 1])
    assert float(metric.aggregate()) == pytest.approx(float(single.aggregate()))
    metric.reset()
    with pytest.raises(ValueError, match="must have been called before aggregate, got no case"):
        metric.aggregate()


def test_cases_without_the_class_are_no_part_of_the_mean():
    mask = torch.zeros(3, 1, 8, 8)
    mask[0, 0, 2:5, 2:5] = 1
    pred = mask.clone()
    pred[2, 0, 4, 4] = 1  # a false alarm
    metric = BoundaryF1Metric(scores=("f1", "recall"), get_not_nans=True)
    metric(pred, mask)
    values, counts = metric.aggregate()
    assert [float(value) for value in values] == [0.5, 0.5]
    assert [float(count) for count in counts] == [2, 2]
    nothing = BoundaryF1Metric(scores="f1")
    nothing(mask[1:2], mask[1:2])
    assert math.isnan(nothing.aggregate())


def test_ignored_voxels_do_not_count(rng):
    target = torch.zeros(1, 1, 10, 10, dtype=torch.long)
    target[..., 2:8, 2:8], target[..., :, 6:] = 1, 255
    pred = (target == 1).long()
    pred[..., 6:] = torch.from_numpy(rng.integers(0, 2, (10, 4)))
    metric = BoundaryF1Metric(0.5, num_classes=2, ignore_index=255)
    metric(pred, target)
    assert [float(value) for value in metric.aggregate()] == [1, 1, 1]


def test_spacing_is_in_voxels_unless_asked_for():
    mask = torch.zeros(1, 1, 12, 12)
    mask[..., 3:6, 3:6] = 1
    moved = mask.roll(2, -1)
    target = MetaTensor(moved, affine=torch.diag(torch.tensor([0.3, 0.3, 1.0, 1.0])))

    def score(target, *call, **settings) -> float:
        metric = BoundaryF1Metric(1.0, "f1", **settings)
        metric(list(mask), list(target), **dict(call))
        return float(metric.aggregate())

    assert score(target) < 1
    assert score(target, spacing="affine") == 1
    assert score(moved, spacing=(0.3, 0.3)) == 1
    assert score(target, ("spacing", (1.0, 1.0)), spacing="affine") < 1
    with pytest.raises(
        ValueError, match="spacing must be 'affine' with a MetaTensor target, got 'affine' and a Tensor"
    ):
        score(moved, spacing="affine")


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"theta": 0}, ValueError, "theta must be finite and > 0, got 0"),
        ({"theta": "3"}, TypeError, "theta must be a number, got str"),
        (
            {"scores": ("f1", "dice")},
            ValueError,
            r"scores must be names among f1, precision, recall, got \('f1', 'dice'\)",
        ),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer >= 2, got 1"),
        ({"ignore_index": 2}, ValueError, "ignore_index must come with num_classes and label maps, got 2 without"),
    ],
)
def test_wrong_settings_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        BoundaryF1Metric(**settings)


def test_wrong_input_is_refused(rng):
    pred, target = label_pair(rng)
    with pytest.raises(ValueError, match="y_pred must be one-hot, got other values than 0 and 1; use AsDiscrete first"):
        BoundaryF1Metric()(pred, target)
    with pytest.raises(ValueError, match=r"of one shape, got \(2, 1, 9, 8\) and \(1, 1, 9, 8\)"):
        BoundaryF1Metric()(pred, target[:1])
    with pytest.raises(ValueError, match="y must have one channel when num_classes is given, got 3"):
        BoundaryF1Metric(num_classes=3)(one_hot(pred, 3), one_hot(target, 3))
    with pytest.raises(ValueError, match="labels must lie in"):
        BoundaryF1Metric(num_classes=2)(pred, target)
    mask = np.zeros((4, 4), bool)
    with pytest.raises(ValueError, match=r"pred and target must have the same shape, got \(4, 4\) and \(4,\)"):
        boundary_f1(mask, mask[0])
    with pytest.raises(ValueError, match=r"valid and pred must have the same shape, got \(4,\) and \(4, 4\)"):
        boundary_f1(mask, mask, valid=mask[0])
    with pytest.raises(ValueError, match="spacing must hold one finite value > 0"):
        boundary_f1(mask, mask, spacing=(1.0, 0.0))
