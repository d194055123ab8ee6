"""Exact boundary F1: precision and recall of boundary voxels within a Euclidean distance of the other boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from monai.data import MetaTensor

from monai_boundary._check import as_numpy, check_labels, check_mask, check_number, check_spacing
from monai_boundary.kernels.distance import bounding_box, distance_transform
from monai_boundary.metrics.cumulative import CaseMetric, check_class_settings, check_onehot
from monai_boundary.metrics.surface import surface_voxels
from monai_boundary.transforms.spacing import image_spacing

__all__ = ["BoundaryF1", "BoundaryF1Metric", "boundary_f1"]

_SCORES = ("f1", "precision", "recall")


@dataclass(frozen=True)
class BoundaryF1:
    """Boundary precision and recall of one mask, and their harmonic mean.

    Args:
        precision: Share of the predicted boundary that lies less than theta from the target's.
        recall: Share of the target boundary that lies less than theta from the prediction's.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """2PR / (P + R), 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else total


def boundary_f1(
    pred: np.ndarray | torch.Tensor,
    target: np.ndarray | torch.Tensor,
    theta: float = 3.0,
    spacing: Sequence[float] | None = None,
    *,
    valid: np.ndarray | torch.Tensor | None = None,
    image_edge: bool = True,
) -> BoundaryF1:
    """Measure the boundary F1 of a mask.

    A boundary voxel is one of the mask with a face neighbour outside it. The metric that `BoundaryF1Loss` stands for:
    that counts neighbours across corners too, and measures the tolerance in a box.

    Args:
        pred: Bool, or integers 0 and 1, `(*S)` with 1 to 3 axes.
        target: The same of the ground truth.
        theta: Distance that still counts as wrong, in the unit of `spacing`: smaller ones are right. The paper takes 3
            or 5 pixels.
        spacing: Voxel size in mm, metres or any unit, one per axis in array order; ``None`` measures in voxels.
        valid: Bool `(*S)`, the voxels that count; others neither lie on a boundary nor make one. ``None`` for all.
        image_edge: Whether an object that the edge of the image cuts has a boundary there, as in `surface_distances`.
            The loss sees none there.

    Returns:
        Precision, recall and F1: all 0 where one of the two has no boundary, NaN where neither has.

    Raises:
        TypeError: A mask is not bool or integers; `theta` is no number.
        ValueError: Shapes differ, a mask holds other values than 0 and 1, `theta` is not > 0, or `spacing` is wrong.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 3.1;
        Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.

    Example:
        >>> pred, target = np.zeros((2, 9, 9), bool)
        >>> pred[2:5, 2:5], target[2:5, 4:8] = True, True
        >>> score = boundary_f1(pred, target, theta=2)
        >>> (score.precision, score.recall, round(score.f1, 3))
        (0.625, 0.5, 0.556)
    """
    masks = check_mask("pred", as_numpy("pred", pred)), check_mask("target", as_numpy("target", target))
    if masks[0].shape != masks[1].shape:
        raise ValueError(f"pred and target must have the same shape, got {masks[0].shape} and {masks[1].shape}")
    theta = check_number("theta", theta)
    sizes = check_spacing(spacing, masks[0].ndim)
    counted = None if valid is None else check_mask("valid", as_numpy("valid", valid))
    if counted is not None and counted.shape != masks[0].shape:
        raise ValueError(f"valid and pred must have the same shape, got {counted.shape} and {masks[0].shape}")
    first, second = (_boundary(mask, counted, image_edge) for mask in masks)
    if not (first.any() and second.any()):
        value = 0.0 if first.any() or second.any() else math.nan
        return BoundaryF1(value, value)
    box = bounding_box(first | second, sizes, 0.0)
    first, second = first[box], second[box]
    precision, recall = (
        float((distance_transform(other, sizes, reach=theta)[own] < theta).mean())
        for own, other in ((first, second), (second, first))
    )
    return BoundaryF1(precision, recall)


def _boundary(mask: np.ndarray, valid: np.ndarray | None, image_edge: bool) -> np.ndarray:
    solid = mask if valid is None else mask | ~valid
    if image_edge:
        surface = surface_voxels(solid)
    else:
        inner = (slice(1, -1),) * mask.ndim
        surface = surface_voxels(np.pad(solid, 1, mode="edge"))[inner]
    return surface if valid is None else surface & valid


class BoundaryF1Metric(CaseMetric):
    """Boundary F1, precision and recall per case and class, as MONAI metric.

    Called with predictions and targets as other MONAI metrics: tensors `(B, C, *S)` or lists of `(C, *S)`, one-hot, or
    label maps with one channel where `num_classes` is given. One channel without `num_classes` is a mask.

    Args:
        theta: Distance that still counts as wrong, see `boundary_f1`.
        scores: Which of ``"f1"``, ``"precision"``, ``"recall"`` to aggregate, in this order.
        spacing: Unit of `theta`: ``None`` for voxels, one voxel size per axis, or ``"affine"`` for that of targets that
            are `MetaTensor`. A keyword ``spacing`` of the call comes first.
        include_background: Score class 0, too.
        num_classes: Number of classes of label maps; ``None`` for one-hot input.
        ignore_index: Label of the target that is not counted. Needs `num_classes`.
        image_edge: See `boundary_f1`.
        reduction: As in MONAI's metrics. Cases without the class in prediction and target are no part of it; where no
            case has it the score is NaN.
        get_not_nans: Return the number of cases behind each aggregate, too.

    Raises:
        TypeError: `theta` is no number.
        ValueError: An argument is wrong.

    Example:
        >>> metric = BoundaryF1Metric(theta=2)
        >>> pred = torch.zeros(1, 1, 9, 9); pred[..., 2:6, 2:6] = 1
        >>> _ = metric(pred, pred.roll(1, -1))
        >>> [float(value) for value in metric.aggregate()]
        [1.0, 1.0, 1.0]
    """

    def __init__(  # noqa: PLR0913 - all by keyword, as in MONAI's metrics
        self,
        theta: float = 3.0,
        scores: Sequence[str] = _SCORES,
        spacing: Sequence[float] | Literal["affine"] | None = None,
        include_background: bool = False,
        num_classes: int | None = None,
        ignore_index: int | None = None,
        image_edge: bool = True,
        reduction: str = "mean",
        get_not_nans: bool = False,
    ) -> None:
        super().__init__()
        self.theta = check_number("theta", theta)
        self.scores = (scores,) if isinstance(scores, str) else tuple(scores)
        if not self.scores or not set(self.scores) <= set(_SCORES):
            raise ValueError(f"scores must be names among {', '.join(_SCORES)}, got {scores}")
        check_class_settings(num_classes, ignore_index)
        self.spacing, self.include_background = spacing, include_background
        self.num_classes, self.ignore_index, self.image_edge = num_classes, ignore_index, image_edge
        self.reduction, self.get_not_nans = reduction, get_not_nans

    def _sizes(self, target: torch.Tensor, spacing: Sequence[float] | None = None) -> Sequence[float] | None:
        chosen = self.spacing if spacing is None else spacing
        if isinstance(chosen, str):
            if chosen != "affine" or not isinstance(target, MetaTensor):
                raise ValueError(
                    f"spacing must be 'affine' with a MetaTensor target, got {chosen!r} and a "
                    f"{type(target).__name__}; pass the voxel size, or None to measure in voxels"
                )
            return image_spacing(target, None, target.ndim - 1)
        return chosen

    def _score_case(
        self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None = None
    ) -> list[list[float]]:
        sizes, valid = self._sizes(target, spacing), None
        found, true = as_numpy("y_pred", pred), as_numpy("y", target)
        if self.num_classes is None:
            first = 0 if self.include_background or len(target) == 1 else 1
            masks = check_onehot("y_pred", found[first:]), check_onehot("y", true[first:])
            pairs = list(zip(*masks, strict=True))
        elif len(true) != 1:
            raise ValueError(f"y must have one channel when num_classes is given, got {len(true)}")
        else:
            found = check_labels(found[0], self.num_classes, None)
            true = check_labels(true[0], self.num_classes, self.ignore_index)
            valid = None if self.ignore_index is None else true != self.ignore_index
            classes = range(0 if self.include_background else 1, self.num_classes)
            pairs = [(found == index, true == index) for index in classes]
        results = [boundary_f1(*pair, self.theta, sizes, valid=valid, image_edge=self.image_edge) for pair in pairs]
        return [[float(getattr(result, name)) for name in self.scores] for result in results]
