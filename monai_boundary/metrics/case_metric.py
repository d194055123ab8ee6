"""What the MONAI metrics share: a table of scores per case, filled batch by batch and reduced over cases and ranks.

A new metric is a function of two masks and a class of five lines: a `MaskMetric` whose `measure` calls the function,
and whose `known` names the attributes or keys of what it returns.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from monai.data import MetaTensor
from monai.metrics import CumulativeIterationMetric, do_metric_reduction
from monai.utils import MetricReduction

from monai_boundary._check import as_numpy, check_choice, check_count, check_dense, check_ignore_index, check_labels
from monai_boundary._geometry import image_spacing
from monai_boundary._labels import near_integers

__all__ = ["CaseMetric", "MaskMetric", "Spacing"]

#: Voxel size, one per axis in array order; ``"affine"`` for that of targets that are `MetaTensor`; ``None`` for voxels.
Spacing = Sequence[float] | Literal["affine"] | None


class CaseMetric(CumulativeIterationMetric):
    """Base of the metrics that score every case by itself and keep a table `(cases, rows, scores)`.

    Args:
        scores: Names of the scores to keep, in this order; one name or several of `known`, ``None`` for `default`.
        spacing: See `Spacing`; a keyword ``spacing`` of the call comes first.
        reduction: As in MONAI's metrics. Cases without a score, such as those where neither prediction nor target holds
            the class, are no part of it. A score that no case has stays NaN; MONAI would make it 0.
        get_not_nans: Return the number of cases behind each aggregate, too.

    Raises:
        TypeError: An argument, of this or a derived class, is of the wrong kind.
        ValueError: One has a wrong value.
    """

    known: ClassVar[tuple[str, ...]]
    default: ClassVar[tuple[str, ...] | None] = None
    one_channel: ClassVar[bool] = False

    def __init__(
        self,
        scores: str | Sequence[str] | None = None,
        spacing: Spacing = None,
        reduction: str = "mean",
        get_not_nans: bool = False,
    ) -> None:
        super().__init__()
        chosen = (self.default or self.known) if scores is None else scores
        self.scores = tuple(chosen) if isinstance(chosen, list | tuple) else (chosen,)
        if not self.scores or not set(self.scores) <= set(self.known):
            raise ValueError(f"scores must be names among {', '.join(self.known)}, got {scores!r}")
        check_choice("reduction", reduction, [str(one.value) for one in MetricReduction])
        self.spacing, self.reduction, self.get_not_nans = spacing, reduction, get_not_nans

    @abstractmethod
    def score_case(self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None) -> list[list[Any]]:
        """Return the rows of one case `(C, *S)`, with one column per score."""

    def __call__(self, y_pred: Any, y: Any = None, **kwargs: Any) -> Any:
        """Score a batch, or a list of cases, and keep the scores; see `CaseMetric`."""
        for name, values in (("y_pred", y_pred), ("y", y)):
            cases = values if isinstance(values, list | tuple) else [values]
            for case in cases:
                if not isinstance(case, torch.Tensor):
                    raise TypeError(
                        f"{name} must be a tensor (B, C, *S), or a list of (C, *S), got {type(case).__name__}"
                    )
                check_dense(name, case)
        # MONAI zips lists, and drops what the longer one has beyond the other
        if y is not None and any(isinstance(one, list | tuple) for one in (y_pred, y)) and len(y_pred) != len(y):
            raise ValueError(
                f"y_pred and y must hold as many cases, got {len(y_pred)} and {len(y)}; pass one target per prediction"
            )
        return super().__call__(y_pred, y, **kwargs)

    def table(self) -> torch.Tensor:
        """Return the scores `(cases, rows, scores)` of all cases so far, on all ranks."""
        buffer = self.get_buffer()
        if not isinstance(buffer, torch.Tensor):
            raise ValueError("the metric must have been called before aggregate, got no case")
        return buffer

    def aggregate(self, reduction: str | None = None) -> Any:
        """Reduce the scores of all cases so far, on all ranks.

        Args:
            reduction: ``None`` for that of the constructor.

        Returns:
            One tensor per score, in the order of `scores`; a single tensor where there is one score. With
            `get_not_nans` a pair of this and the counts.
        """
        values, counts = do_metric_reduction(self.table(), reduction or self.reduction)
        tables = torch.where(counts > 0, values, math.nan), counts
        several = len(self.scores) > 1
        results = [[table[..., at] for at in range(len(self.scores))] if several else table[..., 0] for table in tables]
        return tuple(results) if self.get_not_nans else results[0]

    def case_spacing(self, target: torch.Tensor, given: Spacing) -> Sequence[float] | None:
        """Return the spacing of one case `(C, *S)`."""
        chosen = self.spacing if given is None else given
        if not isinstance(chosen, str):
            return chosen
        if chosen != "affine" or not isinstance(target, MetaTensor):
            raise ValueError(
                f"spacing must be 'affine' with a MetaTensor target, got {chosen!r} and a {type(target).__name__}; "
                "pass the voxel size, or None to measure in voxels"
            )
        return image_spacing(target, target.ndim - 1)

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None or y_pred.shape != y.shape or y.ndim < 3 or (self.one_channel and y.shape[1] != 1):
            got, channels = None if y is None else tuple(y.shape), 1 if self.one_channel else "C"
            raise ValueError(
                f"y_pred and y must be (B, {channels}, *S) of one shape, got {tuple(y_pred.shape)} and {got}"
            )
        given = kwargs.get("spacing")
        rows = [
            self.score_case(pred, target, self.case_spacing(target, given))
            for pred, target in zip(y_pred, y, strict=True)
        ]
        return torch.tensor(rows, dtype=torch.float64, device=y_pred.device)


class MaskMetric(CaseMetric):
    """Base of the metrics that score every class of a case as a mask.

    Called with predictions and targets as other MONAI metrics: tensors `(B, C, *S)` or lists of `(C, *S)`, one-hot, or
    label maps with one channel where `num_classes` is given. One channel without `num_classes` is a mask.

    Args:
        scores: See `CaseMetric`.
        include_background: Score class 0, too.
        num_classes: Number of classes of label maps; ``None`` for one-hot input.
        ignore_index: Label of the target that is not counted. Needs `num_classes`.
        **settings: Others of `CaseMetric`.
    """

    def __init__(
        self,
        scores: str | Sequence[str] | None = None,
        include_background: bool = False,
        num_classes: int | None = None,
        ignore_index: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(scores, **settings)
        if num_classes is not None:
            check_count("num_classes", num_classes, 2)
        check_ignore_index(ignore_index)
        if ignore_index is not None and num_classes is None:
            raise ValueError(
                f"ignore_index must come with num_classes and label maps, got {ignore_index} without; one-hot channels "
                "hold no ignored voxels"
            )
        self.include_background, self.num_classes, self.ignore_index = include_background, num_classes, ignore_index

    @abstractmethod
    def measure(
        self, pred: np.ndarray, target: np.ndarray, valid: np.ndarray | None, spacing: Sequence[float] | None
    ) -> Any:
        """Return the scores of one class, as mapping or as attributes.

        Args:
            pred: Bool `(*S)`, true on voxels that count alone.
            target: The same of the ground truth.
            valid: Bool `(*S)`, the voxels that count; ``None`` for all.
            spacing: Voxel size, or ``None`` for voxels.
        """

    def score_case(self, pred: torch.Tensor, target: torch.Tensor, spacing: Sequence[float] | None) -> list[list[Any]]:
        """Return one row per class."""
        found, true, valid = as_numpy("y_pred", pred), as_numpy("y", target), None
        if self.num_classes is None:
            first = 0 if self.include_background or len(true) == 1 else 1
            pairs = list(zip(_as_masks("y_pred", found)[first:], _as_masks("y", true)[first:], strict=True))
        elif len(true) != 1:
            raise ValueError(f"y must have one channel when num_classes is given, got {len(true)}")
        else:
            found = check_labels(found[0], self.num_classes, None, "y_pred")
            true = check_labels(true[0], self.num_classes, self.ignore_index, "y")
            counted = true != self.ignore_index
            valid = None if self.ignore_index is None else counted
            classes = range(0 if self.include_background else 1, self.num_classes)
            pairs = [((found == label) & counted, (true == label) & counted) for label in classes]
        results = [self.measure(*pair, valid, spacing) for pair in pairs]
        return [[one[name] if isinstance(one, Mapping) else getattr(one, name) for name in self.scores]
                for one in results]  # fmt: skip


def _as_masks(name: str, channels: np.ndarray) -> np.ndarray:
    """Return one-hot channels or a mask of any type as bool: every value must be 0 or 1, which NaN is not."""
    channels = near_integers(channels) if channels.dtype.kind == "f" else channels
    if not ((channels == 0) | (channels == 1)).all():
        raise ValueError(
            f"{name} must be one-hot, got other values than 0 and 1; use AsDiscrete first, divide masks of 0 and 255, "
            "or pass num_classes with label maps"
        )
    return channels.astype(bool)
