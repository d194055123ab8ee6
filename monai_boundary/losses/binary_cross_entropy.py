"""Binary cross-entropy of one channel, plain or class-balanced."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from monai_boundary._check import check_number
from monai_boundary.losses.target import as_float32, check_network_output, probability_target

__all__ = ["BinaryCrossEntropyLoss"]


class BinaryCrossEntropyLoss(nn.Module):
    """Mean over voxels and samples of the cross-entropy of logits.

    Args:
        balance: ``None`` for weights of 1. A number > 0 weighs, in every sample, foreground by the share of the
            background and background by `balance` times the share of the foreground; 1.1 in the code of the
            boundary-aware loss.

    Raises:
        TypeError: `balance` is no number; `input` is not floating point.
        ValueError: `balance` is not above 0; wrong shapes, or targets outside [0, 1].

    References:
        Xie and Tu, Holistically-nested edge detection, ICCV 2015, eq. 2.

    Example:
        >>> loss = BinaryCrossEntropyLoss(balance=1.0)
        >>> round(float(loss(torch.zeros(1, 1, 4), torch.tensor([[[1, 0, 0, 0]]]))), 4)  # log 2 times 0.375
        0.2599
    """

    def __init__(self, balance: float | None = None) -> None:
        super().__init__()
        self.balance = None if balance is None else check_number("balance", balance)

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits `(B, C, *S)`.
            target: `(B, C, *S)` in [0, 1]; with `balance` above 0.5 is foreground.
        """
        logits = input
        check_network_output(logits)
        logits = as_float32(logits)
        labels = probability_target(target, logits)
        return F.binary_cross_entropy_with_logits(logits, labels, self._weight(labels))

    def _weight(self, labels: torch.Tensor) -> torch.Tensor | None:
        if self.balance is None:
            return None
        foreground = labels > 0.5
        share = foreground.to(labels.dtype).flatten(1).mean(1).view(-1, *[1] * (labels.ndim - 1))
        return torch.where(foreground, 1 - share, self.balance * share)

    def extra_repr(self) -> str:
        """Show the balance."""
        return f"balance={self.balance}"
