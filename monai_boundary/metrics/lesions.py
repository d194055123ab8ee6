"""Detection of single lesions: connected components of the target met by the prediction, and the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
import torch

from monai_boundary._check import check_mask_pair
from monai_boundary.kernels.components import components

__all__ = ["LesionCounts", "lesion_counts"]


@dataclass(frozen=True)
class LesionCounts:
    """Numbers of lesions, and what follows from them.

    Args:
        target: Lesions of the target.
        found: Lesions of the target with at least one predicted voxel.
        predicted: Components of the prediction.
        true: Components of the prediction with at least one voxel of the target.
    """

    target: int
    found: int
    predicted: int
    true: int

    @property
    def recall(self) -> float:
        """Share of the target's lesions that were found; 1 where the target has none, as the WMH challenge says."""
        return self.found / self.target if self.target else 1.0

    @property
    def precision(self) -> float:
        """Share of the predicted components that are true; 1 where nothing is predicted."""
        return self.true / self.predicted if self.predicted else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision, 0 where one is 0."""
        return float(harmonic_mean((self.recall, self.precision)))

    @property
    def difference(self) -> int:
        """Absolute difference of the numbers of lesions (ISLES)."""
        return abs(self.predicted - self.target)


def lesion_counts(
    pred: np.ndarray | torch.Tensor, target: np.ndarray | torch.Tensor, connectivity: int | None = None
) -> LesionCounts:
    """Count the lesions of two masks and how many meet.

    Args:
        pred: Bool, or integers 0 and 1, `(*S)` with 1 to 3 axes.
        target: The same of the ground truth.
        connectivity: Largest number of axes by which neighbours differ: 1 for faces, up to the number of axes, which is
            the default (26 neighbours in 3D).

    Raises:
        TypeError: A mask is not bool or integers.
        ValueError: Shapes differ, or a mask holds other values than 0 and 1.

    Example:
        >>> lesion_counts(np.array([1, 0, 0, 0, 1]), np.array([1, 1, 0, 0, 0])).precision
        0.5
    """
    first, second = check_mask_pair(pred, target)
    counts = []
    for mask in (second, first):
        labels = components(mask, connectivity)
        counts += [int(labels.max()), np.unique(labels[first & second]).size]
    return LesionCounts(*counts)
