"""How well buildings in aerial tiles are found: IoU over all pixels, and the exact boundary F1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_labels, check_number
from monai_boundary.metrics.boundary_f1 import BoundaryF1, boundary_f1
from monai_boundary.metrics.cumulative import CaseMetric, aggregate_scores

__all__ = ["BuildingMetric", "BuildingScore", "score_buildings"]


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
    found, true = np.asarray(pred), np.asarray(target)
    if found.shape != true.shape:
        raise ValueError(f"pred and target must have the same shape, got {found.shape} and {true.shape}")
    found, true = check_labels(found, 2, None), check_labels(true, 2, ignore_index)
    valid = None if ignore_index is None else true != ignore_index
    first, second = found == 1, true == 1
    if valid is not None:
        first = first & valid
    boundary = boundary_f1(first, second, theta, spacing, valid=valid, image_edge=image_edge)
    return BuildingScore(int((first & second).sum()), int((first | second).sum()), boundary)


class BuildingMetric(CaseMetric):
    """IoU and boundary F1, precision and recall of many windows or tiles, as MONAI metric.

    Called with label maps `(B, 1, H, W)`, or lists of `(1, H, W)`, of 0 and 1 = building; see `score_buildings` for the
    arguments. A keyword ``spacing`` of the call comes before that of the metric. The IoU is that of all pixels
    together, as the INRIA benchmark reports it: a mean over windows would count a window with one shed as much as one
    full of houses. The boundary scores are means over the windows in which prediction or target has a boundary. A score
    that nothing was measured for is NaN.

    Raises:
        TypeError: `theta` is no number.
        ValueError: `theta` is not > 0.

    Example:
        >>> metric = BuildingMetric(theta=2)
        >>> pred = torch.zeros(1, 1, 9, 9); pred[..., 2:6, 2:6] = 1
        >>> _ = metric(pred, pred.roll(1, -1))
        >>> [round(float(value), 3) for value in metric.aggregate()]
        [0.6, 1.0, 1.0, 1.0]
    """

    scores = ("iou", "boundary_f1", "boundary_precision", "boundary_recall")
    get_not_nans = False
    _one_channel = True

    def __init__(
        self,
        theta: float = 3.0,
        spacing: Sequence[float] | None = None,
        ignore_index: int | None = 255,
        image_edge: bool = False,
    ) -> None:
        super().__init__()
        self.theta, self.spacing = check_number("theta", theta), spacing
        self.ignore_index, self.image_edge = ignore_index, image_edge

    def _score_case(
        self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None = None
    ) -> list[list[float]]:
        maps = as_numpy("y_pred", pred)[0], as_numpy("y", target)[0]
        sizes = self.spacing if spacing is None else spacing
        one = score_buildings(*maps, self.theta, sizes, self.ignore_index, self.image_edge)
        edge = one.boundary
        return [[one.iou, edge.f1, edge.precision, edge.recall, one.intersection, one.union]]

    def aggregate(self) -> list[torch.Tensor]:  # type: ignore[override] # an IoU of all pixels knows one reduction
        """Return IoU, boundary F1, precision and recall of everything so far, on all ranks."""
        buffer = self.get_buffer()
        _, *boundary = aggregate_scores(buffer, len(self.scores), "mean", False)
        intersection, union = buffer[..., 4].sum(), buffer[..., 5].sum()
        return [intersection / union if union else union.new_tensor(math.nan), *boundary]
