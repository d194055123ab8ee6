"""Boundary F1 against brute force over all pairs of boundary voxels, and the scores of building maps by counting."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_boundary.metrics import boundary_f1, score_buildings
from tests.strategies import shapes, spacings


def boundary_points(mask: np.ndarray, valid: np.ndarray, image_edge: bool) -> list[tuple[int, ...]]:
    """Voxels with a face neighbour that counts and lies outside."""
    points = []
    axes = [axis for axis, count in enumerate(mask.shape) if count > 1] or [mask.ndim - 1]  # others have no extent
    for point in itertools.product(*(range(count) for count in mask.shape)):
        if not (mask[point] and valid[point]):
            continue
        for axis, step in itertools.product(axes, (-1, 1)):
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


def test_the_threshold_itself_is_wrong():
    pred, target = np.zeros((2, 1, 9), bool)
    pred[0, 2], target[0, 5] = True, True
    assert boundary_f1(pred, target, 3.0).f1 == 0
    assert boundary_f1(pred, target, 3.001).f1 == 1
    assert boundary_f1(pred, target, 3.0, spacing=(1.0, 0.3)).f1 == 1  # 0.9 m


def test_missing_class_scores_zero_and_absent_class_nan():
    empty, full = np.zeros((6, 6), bool), np.ones((6, 6), bool)
    for pair in ((empty, full), (full, empty)):
        score = boundary_f1(*pair)
        assert (score.precision, score.recall, score.f1) == (0, 0, 0)
    assert math.isnan(boundary_f1(empty, empty).f1)
    assert boundary_f1(full, full).f1 == 1
    assert math.isnan(boundary_f1(full, full, image_edge=False).f1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: boundary_f1(m, m[0]), r"pred and target must have the same shape, got \(4, 4\) and \(4,\)"),
        (lambda m: boundary_f1(m, m, valid=m[0]), r"valid and pred must have the same shape, got \(4,\) and \(4, 4\)"),
        (lambda m: boundary_f1(m, m, spacing=(1.0, 0.0)), "spacing must hold one finite value > 0"),
    ],
)
def test_wrong_input_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(np.zeros((4, 4), bool))


# Buildings


@pytest.mark.parametrize("spacing", [None, (0.3, 0.5)])
@pytest.mark.parametrize("image_edge", [False, True])
def test_buildings_are_scored_over_the_pixels_that_count(rng, spacing, image_edge):
    pred, target = np.zeros((2, 20, 24), np.int64)
    pred[4:12, 3:15], pred[14:17, 20:], target[5:13, 3:18] = 1, 1, 1
    target[rng.random(target.shape) < 0.1] = 255
    score = score_buildings(pred, target, 0.9, spacing, image_edge=image_edge)
    counted = [(a == 1, b == 1) for a, b in zip(pred.flat, target.flat, strict=True) if b != 255]
    assert (score.intersection, score.union) == (sum(map(all, counted)), sum(map(any, counted)))
    assert score.iou == pytest.approx(score.intersection / score.union)
    valid = target != 255
    expected = boundary_f1((pred == 1) & valid, target == 1, 0.9, spacing, valid=valid, image_edge=image_edge)
    assert score.boundary == expected
    assert expected != boundary_f1(pred == 1, target == 1, 0.9, spacing, image_edge=image_edge)


def test_buildings_that_nobody_has_are_nan_and_a_false_alarm_is_0():
    nothing, something = np.zeros((2, 8, 8), np.int64)
    something[2:5, 2:5] = 1
    assert math.isnan(score_buildings(nothing, nothing).iou)
    assert score_buildings(something, nothing).iou == score_buildings(something, nothing).boundary.f1 == 0
