"""Notice in time that a network is on its way to an empty prediction, of all classes or of one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch

from monai_boundary._check import check_count, check_dense, check_fraction, check_ignore_index
from monai_boundary.losses.values import (
    check_label_values,
    check_mask_values,
    check_output,
    check_same_device,
    counted_mask,
    label_numbers,
    without_unsigned,
)

__all__ = ["CollapseGuard", "CollapseWarning", "foreground_shares"]


class CollapseWarning(UserWarning):
    """The predicted foreground, of one class at least, is a small fraction of the true one."""


@torch.no_grad()
def foreground_shares(
    logits: torch.Tensor, labels: torch.Tensor, ignore_index: int | None = None
) -> tuple[list[float], list[float]]:
    """Return the predicted and the true share of the counted voxels, one value per foreground class.

    Args:
        logits: `(B, C, *S)`; with C = 1 foreground is a positive logit, else the arg max decides.
        labels: `(B, 1, *S)`: integers, or with C = 1 values in [0, 1], above 0.5 foreground.
        ignore_index: Label that is not counted.

    Returns:
        Two lists with C - 1 values, one value for C = 1.
    """
    check_output(logits, "logits")
    single = logits.shape[1] == 1
    predicted = (logits > 0).long() if single else logits.argmax(1, keepdim=True)
    if not isinstance(labels, torch.Tensor):
        raise TypeError(f"labels must be a tensor, got {type(labels).__name__}; make one with torch.as_tensor")
    if predicted.shape != labels.shape:
        raise ValueError(
            f"labels must have shape {tuple(predicted.shape)} for logits {tuple(logits.shape)}, got "
            f"{tuple(labels.shape)}"
        )
    check_dense("labels", labels)
    check_same_device("labels", labels, "logits", logits)
    if labels.is_complex():
        raise TypeError(f"labels must hold real numbers, got {labels.dtype}")
    check_ignore_index(ignore_index)
    labels = without_unsigned(labels) if single else label_numbers(labels)
    valid = counted_mask(labels, ignore_index)
    valid = torch.ones_like(labels, dtype=torch.bool) if valid is None else valid
    labels = labels.masked_fill(~valid, 0)
    if single:
        check_mask_values("labels", labels, ignore_index)
        labels = (labels > 0.5).long()
    else:
        check_label_values("labels", labels, logits.shape[1], ignore_index)
    count = valid.sum().clamp(min=1)
    classes = range(1, max(2, logits.shape[1]))
    shares = [torch.stack([((map_ == k) & valid).sum() / count for k in classes]) for map_ in (predicted, labels)]
    return shares[0].tolist(), shares[1].tolist()


class CollapseGuard:
    """Moving averages of the predicted and the true foreground share, and one warning when the first falls away.

    Under extreme imbalance the boundary term rewards an empty prediction almost as much as a right one. When its weight
    grows before the region term has found the target, training ends there. Of several classes each is watched: one may
    be lost while another grows. Call `update` once per step or epoch.

    Args:
        threshold: Collapse is a predicted share below this fraction of the true one, in any class.
        momentum: Of the moving averages; 0 looks at the last update only.
        warmup: Number of updates, since the class was first seen in the truth, before a verdict on it.

    Attributes:
        updates: Number of updates taken in.
    """

    REMEDY = (
        "set a share of the gradient (Share, GradientShare), lower alpha or hold it (end=, pace=), start it later "
        "(Warmup, WaitForRegion); with an alpha up to 1 take the map of preset='robust' (balance=0.5)"
    )

    def __init__(self, threshold: float = 0.05, momentum: float = 0.9, warmup: int = 20) -> None:
        self.threshold = check_fraction("threshold", threshold)
        self.momentum = check_fraction("momentum", momentum)
        self.warmup = check_count("warmup", warmup, 0)
        self.updates = 0
        self._averages = np.zeros((2, 0))  # predicted, true; of each class
        self._seen = np.zeros(0, int)
        self._warned: set[int] = set()

    @property
    def ratios(self) -> list[float]:
        """Predicted over true share of each class, of the moving averages; NaN where none was seen yet."""
        predicted, true = self._averages
        ratios: list[float] = np.divide(predicted, true, out=np.full(len(true), np.nan), where=true > 0).tolist()
        return ratios

    @property
    def ratio(self) -> float:
        """Smallest of the ratios; NaN before any foreground was seen."""
        return min((ratio for ratio in self.ratios if not math.isnan(ratio)), default=math.nan)

    @property
    def collapsed_classes(self) -> list[int]:
        """Classes, counted from 1, whose predicted share is below `threshold` of the true one."""
        due = self._seen >= max(1, self.warmup)
        return [k + 1 for k, ratio in enumerate(self.ratios) if due[k] and ratio < self.threshold]

    @property
    def collapsed(self) -> bool:
        """The verdict after the last update. Hold alpha while it is true, or lower it."""
        return bool(self.collapsed_classes)

    def update(self, predicted: float | Sequence[float], true: float | Sequence[float]) -> bool:
        """Take in the shares of one step (`foreground_shares`) and return the verdict; warn at each class's first.

        Args:
            predicted: Share of the predicted foreground, or one share per class.
            true: The same of the truth.

        Raises:
            ValueError: The number of classes differs between the two, or from that of the update before.
        """
        shares = [np.atleast_1d(np.asarray(values, float)) for values in (predicted, true)]
        # NaN would stay in the averages for good; a NaN loss speaks for itself.
        if not all(np.isfinite(values).all() for values in shares):
            return self.collapsed
        count = self._averages.shape[1] if self.updates else len(shares[1])
        if not len(shares[0]) == len(shares[1]) == count:
            raise ValueError(
                f"predicted and true must hold one share per class, {count} as in the first update, got "
                f"{len(shares[0])} and {len(shares[1])}"
            )
        if not self.updates:
            self._averages, self._seen = np.stack(shares), np.zeros(count, int)
        self._averages = self.momentum * self._averages + (1 - self.momentum) * np.stack(shares)
        self._seen += self._averages[1] > 0
        self.updates += 1
        self._warn()
        return self.collapsed

    def _warn(self) -> None:
        for index in set(self.collapsed_classes) - self._warned:
            self._warned.add(index)
            which = f" of class {index}" if len(self._seen) > 1 else ""
            warnings.warn(
                f"the predicted foreground{which} is {self.ratios[index - 1]:.2g} of the true one, an empty prediction "
                f"is near: {self.REMEDY}",
                CollapseWarning,
                stacklevel=3,
            )
