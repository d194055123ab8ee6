"""How well buildings in aerial tiles are found: IoU over all pixels, and the exact boundary F1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_boundary._check import as_numpy, check_labels, check_same_shape
from monai_boundary.metrics.boundary_f1 import BoundaryF1, boundary_f1

__all__ = ["BuildingScore", "score_buildings"]


@dataclass(frozen=True)
class BuildingScore:
    """Scores of one tile or window.

    Args:
        intersection: Pixels that are building in prediction and target.
        union: Pixels that are building in one of them.
        boundary: Exact boundary F1; NaN where neither has a boundary.
    """

    intersection: int
    union: int
    boundary: BoundaryF1

    @property
    def iou(self) -> float:
        """Intersection over union, NaN where neither prediction nor target has a building."""
        return self.intersection / self.union if self.union else math.nan


def score_buildings(
    pred: np.ndarray,
    target: np.ndarray,
    theta: float = 3.0,
    spacing: Sequence[float] | None = None,
    ignore_index: int | None = 255,
    image_edge: bool = False,
) -> BuildingScore:
    """Score a predicted map of buildings.

    Args:
        pred: Integers `(H, W)`: 1 = building, 0 = others.
        target: The same of the ground truth, which may hold `ignore_index`.
        theta: Distance that still counts as wrong, see `boundary_f1`, in the unit of `spacing`.
        spacing: Pixel size (height, width), in metres for instance; ``None`` measures in pixels.
        ignore_index: Label of the target that is not counted.
        image_edge: Whether a building that the edge of the tile cuts has a boundary there.

    Raises:
        ValueError: Shapes differ, or there are other labels.

    Example:
        >>> target = np.zeros((8, 8), int); target[2:6, 2:6] = 1
        >>> score = score_buildings(np.roll(target, 1, 1), target, theta=2)
        >>> (score.iou, score.boundary.f1)
        (0.6, 1.0)
    """
    found, true = as_numpy("pred", pred), as_numpy("target", target)
    check_same_shape("pred", found, "target", true)
    found, true = check_labels(found, 2, None, "pred"), check_labels(true, 2, ignore_index, "target")
    valid = true != ignore_index
    first, second = (found == 1) & valid, true == 1
    boundary = boundary_f1(first, second, theta, spacing, valid=valid, image_edge=image_edge)
    return BuildingScore(int((first & second).sum()), int((first | second).sum()), boundary)
