"""Notice in time that a network is on its way to an empty prediction."""

from __future__ import annotations

import math
import warnings

import torch

from monai_boundary._check import check_fraction, check_number

__all__ = ["CollapseGuard", "CollapseWarning", "foreground_shares"]


class CollapseWarning(UserWarning):
    """The predicted foreground is a small fraction of the true one and falling behind."""


@torch.no_grad()
def foreground_shares(
    logits: torch.Tensor, labels: torch.Tensor, ignore_index: int | None = None
) -> tuple[float, float]:
    """Return the predicted and the true foreground share of the counted voxels.

    Args:
        logits: `(B, C, *S)`; with C = 1 foreground is a positive logit, else any class but 0 as arg max.
        labels: Integers `(B, 1, *S)`.
        ignore_index: Label that is not counted.
    """
    predicted = logits > 0 if logits.shape[1] == 1 else logits.argmax(1, keepdim=True) > 0
    if predicted.shape != labels.shape:
        raise ValueError(f"labels must have shape {tuple(predicted.shape)}, got {tuple(labels.shape)}")
    valid = torch.ones_like(labels, dtype=torch.bool) if ignore_index is None else labels != ignore_index
    count = valid.sum().clamp(min=1)
    shares = torch.stack([(predicted & valid).sum() / count, ((labels > 0) & valid).sum() / count])
    return tuple(shares.tolist())  # type: ignore[return-value]


class CollapseGuard:
    """Moving averages of the predicted and the true foreground share, and one warning when the first falls away.

    Under extreme imbalance the boundary term rewards an empty prediction almost as much as a right one. When its weight
    grows before the region term has found the target, training ends there. Call `update` once per step or epoch.

    Args:
        threshold: Collapse is a predicted share below this fraction of the true one.
        momentum: Of the moving averages; 0 looks at the last update only.
        warmup: Number of updates before a verdict.

    Attributes:
        collapsed: The verdict after the last update. Hold alpha while it is true, or lower it.
        ratio: Predicted over true share; NaN before any foreground was seen.
    """

    REMEDY = (
        "lower alpha or hold it (end=, pace=), start it later (Warmup, WaitForRegion), or use the robust map: "
        "clip and normalize='clip' with balance=0.5 or more"
    )

    def __init__(self, threshold: float = 0.05, momentum: float = 0.9, warmup: int = 20) -> None:
        self.threshold = check_fraction("threshold", threshold)
        self.momentum = check_fraction("momentum", momentum)
        self.warmup = int(check_number("warmup", warmup, strict=False))
        self.updates = 0
        self._predicted = self._true = 0.0
        self._warned = False

    @property
    def ratio(self) -> float:
        """Predicted over true foreground share, of the moving averages."""
        return self._predicted / self._true if self._true > 0 else math.nan

    @property
    def collapsed(self) -> bool:
        """Whether the predicted share is below `threshold` of the true one."""
        return self.updates >= max(1, self.warmup) and self.ratio < self.threshold

    def update(self, predicted: float, true: float) -> bool:
        """Take in the shares of one step (`foreground_shares`) and return the verdict; warn at the first collapse."""
        # NaN would stay in the averages for good; a NaN loss speaks for itself.
        if not (math.isfinite(predicted) and math.isfinite(true)):
            return self.collapsed
        keep = self.momentum if self.updates else 0.0
        self._predicted = keep * self._predicted + (1 - keep) * predicted
        self._true = keep * self._true + (1 - keep) * true
        self.updates += 1
        if self.collapsed and not self._warned:
            self._warned = True
            warnings.warn(
                f"the predicted foreground is {self.ratio:.2g} of the true one, an empty prediction is near: "
                f"{self.REMEDY}",
                CollapseWarning,
                stacklevel=2,
            )
        return self.collapsed
