"""The scores of segmentations into objects as MONAI metrics: called per batch, aggregated over volumes and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_ignore_index, check_number, check_same_shape
from monai_boundary.kernels.regions import unlabelled_voxels
from monai_boundary.metrics.case_metric import CaseMetric
from monai_boundary.metrics.instances import INSTANCE_SCORES, cremi_target, instance_scores
from monai_boundary.metrics.likelihood import THRESHOLDS, LikelihoodSegmentation, check_thresholds

__all__ = [
    "AdaptedRandMetric",
    "CremiScoreMetric",
    "InstanceMetric",
    "ThresholdSweepMetric",
    "VariationOfInformationMetric",
]


class InstanceMetric(CaseMetric):
    """Scores of segmentations into objects, per volume.

    Called with predictions and targets as other MONAI metrics: tensors `(B, 1, *S)` or lists of `(1, *S)`, 1 to 3 axes,
    ids of any integer type. Every item is scored by itself: give volumes, not crops, for an object that a crop cuts
    counts as two.

    Args:
        scores: Which of `INSTANCE_SCORES`, in this order; one name or several. ``None`` for those of the class.
        segmentation: How ids are made of predictions that are membrane likelihoods in [0, 1]; ``None``: they are ids.
        target_is_membrane: Targets are membrane masks (0 and 1), whose objects are the components between them, with
            the connectivity of `segmentation`; else they are ids.
        border: Score as the CREMI challenge does, see `cremi_target`: voxels up to this distance from a border of the
            target do not count, and id 0 counts. ``None``: all voxels count except those with id 0.
        ignore_index: Value of targets at voxels that nobody labelled, whether ids or membranes; so are ids that CREMI
            reserves, 2**64 - 3 and above. They do not count, and objects do not run through them: a likelihood is taken
            for membrane there.
        **settings: Others of `CaseMetric`; the spacing is in the unit of `border`. Volumes without objects in the
            target have no score. The mean is that of the volumes' scores, for the CREMI score too.

    Example:
        >>> metric = CremiScoreMetric(segmentation=LikelihoodSegmentation(threshold=0.5))
        >>> _ = metric(torch.tensor([[[0.1, 0.9, 0.2, 0.2]]]), torch.tensor([[[1, 0, 2, 2]]]))
        >>> float(metric.aggregate())
        0.0
    """

    known = INSTANCE_SCORES
    one_channel = True

    def __init__(
        self,
        scores: str | Sequence[str] | None = None,
        segmentation: LikelihoodSegmentation | None = None,
        target_is_membrane: bool = False,
        border: float | None = None,
        ignore_index: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(scores, **settings)
        check_ignore_index(ignore_index)
        self.ignore_index = ignore_index
        if segmentation is not None and not isinstance(segmentation, LikelihoodSegmentation):
            raise TypeError(f"segmentation must be a LikelihoodSegmentation or None, got {type(segmentation).__name__}")
        if border is not None:
            check_number("border", border, strict=False)
        if border is not None and target_is_membrane:
            raise ValueError("border must be None with target_is_membrane=True, got both; the membranes are the border")
        self.segmentation, self.target_is_membrane, self.border = segmentation, target_is_membrane, border

    def score_case(self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None) -> list[list[Any]]:
        """Return one row per segmentation of the prediction."""
        found, truth = as_numpy("y_pred", pred)[0], as_numpy("y", target)[0]
        unlabelled = unlabelled_voxels(truth, self.ignore_index)
        if self.segmentation is not None and unlabelled.any():
            check_same_shape("y_pred", found, "y", truth)
            found = np.where(unlabelled, 1, found)
        ids = self._target_ids(truth, unlabelled, spacing)
        results = [instance_scores(one, ids) for one in self._segmentations(found, spacing)]
        return [[getattr(result, name) for name in self.scores] for result in results]

    def _segmentations(self, pred: np.ndarray, spacing: Sequence[float] | None) -> Iterator[np.ndarray]:
        yield pred if self.segmentation is None else self.segmentation(pred, spacing)

    def _target_ids(self, target: np.ndarray, unlabelled: np.ndarray, spacing: Sequence[float] | None) -> np.ndarray:
        """Ids of the target, 0 where it does not count."""
        if self.target_is_membrane:
            settings = self.segmentation or LikelihoodSegmentation()
            return LikelihoodSegmentation(connectivity=settings.connectivity)(np.where(unlabelled, 1, target))
        if self.border is None:
            return np.where(unlabelled, 0, target) if unlabelled.any() else target
        if spacing is None:
            raise ValueError("spacing must be given with border, got None; CREMI's is (40, 4, 4) nm")
        return np.where(unlabelled, 0, cremi_target(target, self.border, spacing))


class VariationOfInformationMetric(InstanceMetric):
    """`InstanceMetric` with split, merge and their sum, in bits; 0 is best."""

    default = ("voi_split", "voi_merge", "voi")


class AdaptedRandMetric(InstanceMetric):
    """`InstanceMetric` with the adapted Rand error (0 is best), precision and recall."""

    default = ("adapted_rand_error", "adapted_rand_precision", "adapted_rand_recall")


class CremiScoreMetric(InstanceMetric):
    """`InstanceMetric` with the CREMI score, sqrt(VOI x adapted Rand error); 0 is best."""

    default = ("cremi_score",)


class ThresholdSweepMetric(InstanceMetric):
    """Scores of likelihood maps at several thresholds, averaged over volumes: figure 6 of the paper.

    Args:
        thresholds: In [0, 1], each once.
        scores: See `InstanceMetric`.
        segmentation: All settings but the threshold; ``None`` for the defaults.
        reduction: The default keeps the thresholds apart: aggregates are `(T,)`, one value per threshold.
        **settings: Others of `InstanceMetric`.

    Example:
        >>> metric = ThresholdSweepMetric((0.3, 0.5), scores="voi_merge")
        >>> _ = metric(torch.tensor([[[0.1, 0.4, 0.1]]]), torch.tensor([[[1, 0, 2]]]))
        >>> metric.aggregate().tolist(), metric.best()
        ([0.0, 1.0], 0.3)
    """

    def __init__(
        self,
        thresholds: Sequence[float] = THRESHOLDS,
        scores: str | Sequence[str] | None = None,
        segmentation: LikelihoodSegmentation | None = None,
        reduction: str = "mean_batch",
        **settings: Any,
    ) -> None:
        super().__init__(scores, segmentation or LikelihoodSegmentation(), reduction=reduction, **settings)
        self.thresholds = check_thresholds(thresholds)

    def _segmentations(self, pred: np.ndarray, spacing: Sequence[float] | None) -> Iterator[np.ndarray]:
        settings = self.segmentation or LikelihoodSegmentation()
        yield from (replace(settings, threshold=value)(pred, spacing) for value in self.thresholds)

    def best(self, score: str | None = None) -> float:
        """Return the threshold with the best mean of a score over all volumes so far; the lowest of equal ones.

        Choose it on validation data: on test data it flatters.

        Args:
            score: One of `scores`; ``None`` for the first.

        Raises:
            ValueError: `score` is none of `scores`, or no volume had an object.
        """
        name = self.scores[0] if score is None else score
        if name not in self.scores:
            raise ValueError(f"score must be one of {', '.join(self.scores)}, got {score!r}")
        curve = self.table()[..., self.scores.index(name)].nanmean(0).tolist()
        sign = -1 if name.endswith(("index", "precision", "recall")) else 1
        ranked = [(sign * value, at) for value, at in zip(curve, self.thresholds, strict=True) if not math.isnan(value)]
        if not ranked:
            raise ValueError(f"targets must hold objects to choose a threshold, got {name} NaN for all volumes")
        return min(ranked)[1]
