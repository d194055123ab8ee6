"""Scores of connected components: how many are found, panoptic quality, CC-Dice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monai_boundary.kernels.distance import nearest_label
from monai_boundary.metrics.lesion_pairs import LesionPairs, pair_lesions
from monai_boundary.metrics.lesions import SIZES, LesionCounts, LesionSettings, count_lesions

__all__ = ["ComponentScores", "mean"]


@dataclass(frozen=True, eq=False)
class ComponentScores:
    """The connected components of two masks; each score is computed when it is asked for.

    Where neither mask holds anything, scores are 1; NaN is what has no meaning then (`segmentation_quality`, recall of
    a size).

    Args:
        pred: Int32 ids `(*S)` of the predicted components, cut to where either mask holds any.
        target: The same of the ground truth.
        spacing: Voxel size in mm.
        settings: As given.
    """

    pred: np.ndarray
    target: np.ndarray
    spacing: tuple[float, ...]
    settings: LesionSettings

    @cached_property
    def pairs(self) -> LesionPairs:
        """The components, and the voxels that they share."""
        return pair_lesions(self.pred, self.target)

    @cached_property
    def counts(self) -> LesionCounts:
        """Numbers of components, found and true by the share `overlap`."""
        return count_lesions(self.pairs, self.settings.overlap)

    @property
    def lesion_recall(self) -> float:
        """Share of the target's components that were found; 1 where there are none."""
        return self.counts.recall

    @property
    def lesion_precision(self) -> float:
        """Share of the predicted components that are true; 1 where there are none."""
        return self.counts.precision

    @property
    def lesion_f1(self) -> float:
        """Harmonic mean of lesion recall and precision."""
        return self.counts.f1

    @property
    def false_lesions(self) -> int:
        """Number of predicted components that are not true."""
        return self.counts.predicted - self.counts.true

    @property
    def false_lesions_without_target(self) -> float:
        """`false_lesions` of a scan without lesions; NaN of others, so that a mean is that of lesion-free scans."""
        return math.nan if self.counts.target else self.false_lesions

    @property
    def recall_by_size(self) -> dict[str, float]:
        """Share of the target's components that were found, by their own size; NaN where there are none."""
        found = self.pairs.found(self.settings.overlap)
        return {size: mean(found[of], math.nan) for size, of in self._by_size(self.pairs.target_sizes)}

    @property
    def false_by_size(self) -> dict[str, int]:
        """Number of predicted components that are not true, by their own size."""
        wrong = ~self.pairs.true(self.settings.overlap)
        return {size: int(wrong[of].sum()) for size, of in self._by_size(self.pairs.pred_sizes)}

    @cached_property
    def matches(self) -> np.ndarray:
        """IoU of each pair of components that match, above the setting `iou`."""
        return self.pairs.matches(self.settings.iou)

    @property
    def segmentation_quality(self) -> float:
        """Mean IoU of the pairs that match; NaN without any."""
        return mean(self.matches, math.nan)

    @property
    def recognition_quality(self) -> float:
        """Harmonic mean of the shares of components that match, of the target's and of the predicted."""
        return _ratio(2 * self.matches.size, self.counts.target + self.counts.predicted)

    @property
    def panoptic_quality(self) -> float:
        """Product of the two qualities: sum of the IoU over the mean number of components."""
        return _ratio(2 * float(self.matches.sum()), self.counts.target + self.counts.predicted)

    @property
    def cc_dice(self) -> float:
        """Mean of the Dice inside the cell of each of the target's components: the voxels to which it is nearest."""
        pairs = self.pairs
        if not (pairs.target_sizes.size and pairs.pred_sizes.size):
            return float(pairs.target_sizes.size == pairs.pred_sizes.size)
        cells = nearest_label(self.target, self.spacing)
        predicted = np.bincount(cells[self.pred > 0], minlength=pairs.target_sizes.size + 1)[1:]
        return float(np.mean(2 * pairs.target_shared / (pairs.target_sizes + predicted)))

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return math.prod(self.spacing)

    def _by_size(self, sizes: np.ndarray) -> list[tuple[str, np.ndarray]]:
        places = np.digitize(sizes * self.voxel_mm3, self.settings.size_limits_mm3)
        return [(size, places == place) for place, size in enumerate(SIZES)]


def mean(values: np.ndarray, none: float) -> float:
    """Return the mean, or `none` where there is no value."""
    return float(values.mean()) if values.size else none


def _ratio(part: float, whole: float) -> float:
    """Divide; what is not there is all right."""
    return part / whole if whole else 1.0
