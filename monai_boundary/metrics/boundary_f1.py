"""Exact boundary F1: precision and recall of boundary voxels within a Euclidean distance of the other boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_mask, check_mask_pair, check_number, check_same_shape, check_spacing
from monai_boundary.kernels.distance import bounding_box, distance_transform
from monai_boundary.metrics.extent import extended_axes
from monai_boundary.metrics.surface import surface_voxels

__all__ = ["BoundaryF1", "boundary_f1"]

# Distances are float32: one that equals theta is to be found wrong whatever its last bit.
_SLACK = 1e-5


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
        """Harmonic mean of precision and recall, 0 where one is 0."""
        return float(harmonic_mean((self.precision, self.recall)))


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
        pred: Bool, or integers 0 and 1, `(*S)` with 1 to 3 axes; the boundary of `(1, Y, X)` is that of `(Y, X)`.
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
    masks = check_mask_pair(pred, target)
    theta, spacing = check_number("theta", theta), check_spacing(spacing, masks[0].ndim)
    counted = None if valid is None else check_mask("valid", as_numpy("valid", valid))
    if counted is not None:
        check_same_shape("valid", counted, "pred", masks[0])
    first, second = (_boundary(mask, counted, image_edge) for mask in masks)
    if not (first.any() and second.any()):
        value = 0.0 if first.any() or second.any() else math.nan
        return BoundaryF1(value, value)
    box = bounding_box(first | second, spacing, 0.0)
    first, second = first[box], second[box]
    precision, recall = (
        float((distance_transform(other, spacing, reach=theta)[own] < theta * (1 - _SLACK)).mean())
        for own, other in ((first, second), (second, first))
    )
    return BoundaryF1(precision, recall)


def _boundary(mask: np.ndarray, valid: np.ndarray | None, image_edge: bool) -> np.ndarray:
    solid = mask if valid is None else mask | ~valid
    solid = solid.reshape([mask.shape[axis] for axis in extended_axes(mask.shape)])
    if image_edge:
        surface = surface_voxels(solid)
    else:
        inner = (slice(1, -1),) * solid.ndim
        surface = surface_voxels(np.pad(solid, 1, mode="edge"))[inner]
    surface = surface.reshape(mask.shape)
    return surface if valid is None else surface & valid
