"""Scores as MONAI metrics: called per batch, aggregated over cases and ranks."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.metrics import CumulativeIterationMetric, do_metric_reduction

from monai_boundary._check import as_numpy, check_labels, check_number
from monai_boundary.metrics.protocols import PROTOCOLS, check_scores, score_pair
from monai_boundary.metrics.surface import Empty, check_empty
from monai_boundary.transforms.spacing import image_spacing

__all__ = ["CaseMetric", "ProtocolMetric", "aggregate_scores", "check_class_settings", "check_onehot"]

_FAILURES = ("missed", "false_alarm")


class CaseMetric(CumulativeIterationMetric):
    """Base of the metrics that score every case by itself and keep a table `(cases, rows, scores)`.

    A subclass sets `scores`, `reduction` and `get_not_nans`, and scores a case.
    """

    scores: tuple[str, ...]
    reduction: str
    get_not_nans: bool
    _one_channel = False

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None or y_pred.shape != y.shape or y.ndim < 3 or (self._one_channel and y.shape[1] != 1):
            got, channels = None if y is None else tuple(y.shape), 1 if self._one_channel else "C"
            raise ValueError(
                f"y_pred and y must be (B, {channels}, *S) of one shape, got {tuple(y_pred.shape)} and {got}"
            )
        rows = [self._score_case(pred, target, **kwargs) for pred, target in zip(y_pred, y, strict=True)]
        return torch.tensor(rows, dtype=torch.float64, device=y_pred.device)

    @abstractmethod
    def _score_case(self, pred: torch.Tensor, target: torch.Tensor, spacing: Any = None) -> list[list[float]]:
        """Return the rows of one case `(C, *S)`; `spacing` is that of the call."""

    def aggregate(self, reduction: str | None = None) -> Any:
        """Reduce the scores of all cases so far, on all ranks.

        Args:
            reduction: ``None`` for that of the constructor.

        Returns:
            One tensor per score, in the order of `scores`; a single tensor where there is one score. With
            `get_not_nans` a pair of this and the counts.
        """
        return aggregate_scores(self.get_buffer(), len(self.scores), reduction or self.reduction, self.get_not_nans)


class ProtocolMetric(CaseMetric):
    """Scores of a protocol per case and class, measured together.

    Called with predictions and targets as other MONAI metrics: tensors `(B, C, *S)` or lists of `(C, *S)`, one-hot, or
    label maps with one channel where `num_classes` is given. Spacing comes from the keyword ``spacing`` (one value per
    axis in mm, for all cases), else from a target that is a `MetaTensor`; without both, distances are in voxels and a
    warning says so.

    Beside the scores of the protocol there are ``"missed"`` (1 where the target holds the class and the prediction does
    not) and ``"false_alarm"`` (the reverse), whose mean is a share and whose sum is a count.

    Args:
        protocol: Name in `PROTOCOLS`.
        scores: Which to compute, in this order; ``None`` for all of the protocol and ``"missed"``.
        include_background: Score class 0, too.
        num_classes: Number of classes of label maps; ``None`` for one-hot input.
        ignore_index: Voxels of the target label map with this value are taken out of the prediction. Needs
            `num_classes`.
        empty: What distances are where only one of the two holds the class, see `SurfaceDistances`.
        tolerance_mm: Of the surface Dice.
        slice_axis: Spatial axis across the slices, for ``"wmh"``; the last in MONAI's arrays.
        reduction: As in MONAI's metrics. A score that no case has stays NaN; MONAI would make it 0.
        get_not_nans: Return the number of cases behind each aggregate, too.

    Raises:
        ValueError: An argument is wrong.

    Example:
        >>> metric = ProtocolMetric("surface", scores=("dice", "hd95_mm"), num_classes=2)
        >>> pred = torch.zeros(1, 1, 8, 8); pred[..., 2:5, 2:5] = 1
        >>> _ = metric(pred, pred.roll(2, -1), spacing=(1.0, 0.5))
        >>> [round(float(value), 3) for value in metric.aggregate()]
        [0.333, 1.0]
    """

    def __init__(  # noqa: PLR0913 - all by keyword, as in MONAI's metrics
        self,
        protocol: str = "surface",
        scores: Sequence[str] | None = None,
        include_background: bool = False,
        num_classes: int | None = None,
        ignore_index: int | None = None,
        empty: Empty = "diagonal",
        tolerance_mm: float = 1.0,
        slice_axis: int = -1,
        reduction: str = "mean",
        get_not_nans: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(scores, str):
            scores = (scores,)
        wanted = None if scores is None else tuple(name for name in scores if name not in _FAILURES)
        self._measured = () if wanted == () else check_scores(protocol, wanted)
        self.scores = (*PROTOCOLS[protocol], "missed") if scores is None else tuple(scores)
        check_empty(empty)
        check_number("tolerance_mm", tolerance_mm, strict=False)
        check_class_settings(num_classes, ignore_index)
        self.protocol, self.include_background = protocol, include_background
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.empty, self.tolerance_mm, self.slice_axis = empty, tolerance_mm, slice_axis
        self.reduction, self.get_not_nans = reduction, get_not_nans

    def _spacing(self, target: torch.Tensor, spacing: Sequence[float] | None = None) -> tuple[float, ...]:
        needless = not any(name.endswith("_mm") or name in ("surface_dice", "volume_difference_ml")
                           for name in self._measured)  # fmt: skip
        if needless and not isinstance(target, MetaTensor) and spacing is None:
            return (1.0,) * (target.ndim - 1)  # no score has a unit, nothing to warn of
        return image_spacing(target, spacing, target.ndim - 1)

    def _score_case(
        self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None = None
    ) -> list[list[float]]:
        sizes, first = self._spacing(target, spacing), 0 if self.include_background else 1
        found, true = as_numpy("y_pred", pred), as_numpy("y", target)
        if self.num_classes is None:
            found, true = check_onehot("y_pred", found), check_onehot("y", true)
            return [self._score(found[label], true[label], 1, sizes) for label in range(first, len(true))]
        if len(true) != 1:
            raise ValueError(f"y must have one channel when num_classes is given, got {len(true)}")
        maps = (
            check_labels(found[0], self.num_classes, None),
            check_labels(true[0], self.num_classes, self.ignore_index),
        )
        return [self._score(*maps, label, sizes) for label in range(first, self.num_classes)]

    def _score(self, pred: np.ndarray, target: np.ndarray, label: int, spacing: tuple[float, ...]) -> list[float]:
        values: dict[str, float] = {}
        if self._measured:
            values = score_pair(
                self.protocol, pred, target, spacing, label, self.ignore_index, self.empty, self.tolerance_mm,
                self.slice_axis, self._measured,
            )  # fmt: skip
        found = pred == label
        if self.ignore_index is not None:
            found = found & (target != self.ignore_index)
        sides = bool(found.any()), bool((target == label).any())
        values["missed"], values["false_alarm"] = float(sides == (False, True)), float(sides == (True, False))
        return [values[name] for name in self.scores]


def check_class_settings(num_classes: int | None, ignore_index: int | None) -> None:
    """Refuse settings of label maps that make no sense."""
    if num_classes is not None and num_classes < 2:
        raise ValueError(f"num_classes must be >= 2 (background counts), got {num_classes}")
    if ignore_index is not None and num_classes is None:
        raise ValueError(
            f"ignore_index must come with num_classes and label maps, got {ignore_index} without; one-hot channels "
            "hold no ignored voxels"
        )


def check_onehot(name: str, channels: np.ndarray) -> np.ndarray:
    """Return channels of 0 and 1 as bool."""
    if not ((channels == 0) | (channels == 1)).all():
        raise ValueError(
            f"{name} must be one-hot, got other values than 0 and 1; use AsDiscrete first, or pass num_classes with "
            "label maps"
        )
    return channels.astype(bool)


def aggregate_scores(buffer: Any, number: int, reduction: str, get_not_nans: bool) -> Any:
    """Reduce a buffer `(cases, classes, number)`; a score that no case has is NaN, where MONAI makes it 0.

    Returns:
        One tensor per score, a single tensor for one score; with `get_not_nans` a pair of this and the counts.
    """
    if not isinstance(buffer, torch.Tensor):
        raise ValueError("the metric must have been called before aggregate, got no case")
    values, counts = do_metric_reduction(buffer, reduction)
    values = torch.where(counts > 0, values, math.nan)
    results, numbers = ([table[..., index] for index in range(number)] for table in (values, counts))
    if not get_not_nans:
        return results if number > 1 else results[0]
    return (results, numbers) if number > 1 else (results[0], numbers[0])
