"""Counts of lesions: connected components of the target met by the prediction, and the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
import torch

from monai_boundary._check import check_connectivity, check_count, check_fraction, check_mask_pair, check_number
from monai_boundary.kernels.components import components
from monai_boundary.metrics.lesion_pairs import LesionPairs, pair_lesions

__all__ = ["SIZES", "LesionCounts", "LesionSettings", "count_lesions", "lesion_counts"]


#: Names of the size classes, by rising volume.
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class LesionCounts:
    """Numbers of lesions, and what follows from them.

    Args:
        target: Lesions of the target.
        found: Lesions of the target that the prediction meets.
        predicted: Components of the prediction.
        true: Components of the prediction that meet the target.
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
        """Harmonic mean of recall and precision, 0 where one is 0 (WMH)."""
        return float(harmonic_mean((self.recall, self.precision)))

    @property
    def isles_f1(self) -> float:
        """F1 of ISLES 2022: found and missed lesions of the target, and false components; 1 where there is none.

        A true component adds nothing beside the lesions that it meets: one over four lesions makes four hits, as four
        components would, and a lesion in four pieces is one.
        """
        wrong = (self.predicted - self.true) + (self.target - self.found)
        return self.found / (self.found + wrong / 2) if self.found or wrong else 1.0

    @property
    def difference(self) -> int:
        """Absolute difference of the numbers of lesions (ISLES)."""
        return abs(self.predicted - self.target)


@dataclass(frozen=True)
class LesionSettings:
    """What counts as a lesion, and as found.

    Args:
        overlap: See `lesion_counts`.
        iou: Panoptic quality takes pairs whose IoU is above this.
        dilation: The lesion-wise scores take lesions for one that meet after so many steps of dilation (18 neighbours
            in 3D, 8 in 2D), and compare them with the predicted components that they meet then. BraTS 2023: 3 for
            glioma, 1 for meningioma and metastases.
        min_volume_mm3: The lesion-wise scores leave out lesions of at most this volume. BraTS 2023: 50 for glioma and
            meningioma, 2 for metastases.
        size_limits_mm3: From these volumes on a lesion is of medium size, and large. 1 ml is 1000 mm^3.
        connectivity: Largest number of axes by which neighbours differ; ``None`` for all (26 neighbours in 3D).

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: One is out of range.
    """

    overlap: float = 0.0
    iou: float = 0.5
    dilation: int = 1
    min_volume_mm3: float = 0.0
    size_limits_mm3: tuple[float, float] = (10.0, 100.0)
    connectivity: int | None = None

    def __post_init__(self) -> None:
        check_fraction("overlap", self.overlap)
        check_fraction("iou", self.iou)
        check_count("dilation", self.dilation, 0)
        check_number("min_volume_mm3", self.min_volume_mm3, strict=False)
        if not isinstance(self.size_limits_mm3, list | tuple):
            raise TypeError(f"size_limits_mm3 must be a tuple of two volumes, got {self.size_limits_mm3!r}")
        limits = [check_number("size_limits_mm3", limit) for limit in self.size_limits_mm3]
        if len(limits) != len(SIZES) - 1 or limits != sorted(limits):
            raise ValueError(f"size_limits_mm3 must be two volumes, the smaller first, got {self.size_limits_mm3}")
        if self.connectivity is not None:
            check_connectivity(self.connectivity, 3)


def lesion_counts(
    pred: np.ndarray | torch.Tensor,
    target: np.ndarray | torch.Tensor,
    connectivity: int | None = None,
    overlap: float = 0.0,
) -> LesionCounts:
    """Count the lesions of two masks and how many meet.

    Args:
        pred: Bool, or integers 0 and 1, `(*S)` with 1 to 3 axes.
        target: The same of the ground truth.
        connectivity: Largest number of axes by which neighbours differ: 1 for faces, up to the number of axes, which is
            the default (26 neighbours in 3D).
        overlap: Share of its voxels by which a lesion, or a predicted component, must meet the other side; in any case
            one voxel, which is enough for the WMH and ISLES challenges.

    Raises:
        TypeError: A mask is not bool or integers.
        ValueError: Shapes differ, a mask holds other values than 0 and 1, or an argument is out of range.

    Example:
        >>> lesion_counts(np.array([1, 0, 0, 0, 1]), np.array([1, 1, 0, 0, 0])).precision
        0.5
    """
    masks = check_mask_pair(pred, target)
    return count_lesions(pair_lesions(*(components(mask, connectivity) for mask in masks)), overlap)


def count_lesions(pairs: LesionPairs, overlap: float) -> LesionCounts:
    """Count the lesions of a table, and those that meet the other side by the share `overlap`."""
    found, true = pairs.found(overlap), pairs.true(overlap)
    return LesionCounts(found.size, int(found.sum()), true.size, int(true.sum()))
