"""IoU and boundary F1 of building maps, by counting."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_boundary.metrics import boundary_f1, score_buildings


def maps(seed: int = 0, shape: tuple[int, int] = (20, 24)) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and target with ignored pixels."""
    rng = np.random.default_rng(seed)
    pred, target = np.zeros((2, *shape), np.int64)
    pred[4:12, 3:15], target[5:13, 3:18] = 1, 1
    pred[14:17, 20:] = 1
    target[rng.random(shape) < 0.1] = 255
    return pred, target


def test_iou_is_that_of_counted_pixels() -> None:
    pred, target = maps()
    both = either = 0
    for found, true in zip(pred.flat, target.flat, strict=True):
        if true != 255:
            both += found == 1 and true == 1
            either += found == 1 or true == 1
    score = score_buildings(pred, target)
    assert (score.intersection, score.union) == (both, either)
    assert score.iou == pytest.approx(both / either)


@pytest.mark.parametrize("spacing", [None, (0.3, 0.5)])
@pytest.mark.parametrize("image_edge", [False, True])
def test_boundary_scores_are_those_of_boundary_f1(spacing, image_edge: bool) -> None:
    pred, target = maps()
    valid = target != 255
    expected = boundary_f1((pred == 1) & valid, target == 1, 0.9, spacing, valid=valid, image_edge=image_edge)
    assert score_buildings(pred, target, 0.9, spacing, image_edge=image_edge).boundary == expected
    assert expected != boundary_f1(pred == 1, target == 1, 0.9, spacing, image_edge=image_edge)


def test_what_was_not_measured_is_nan_and_a_false_alarm_is_0() -> None:
    nothing, something = np.zeros((2, 8, 8), np.int64)
    something[2:5, 2:5] = 1
    assert math.isnan(score_buildings(nothing, nothing).iou)
    assert score_buildings(something, nothing).iou == score_buildings(something, nothing).boundary.f1 == 0
