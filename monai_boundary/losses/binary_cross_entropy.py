"""Binary cross-entropy of one channel, plain or class-balanced."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from monai_boundary._check import check_number
from monai_boundary.losses.contract import Pair, TargetContract

__all__ = ["BinaryCrossEntropyLoss", "counted_mean"]


class BinaryCrossEntropyLoss(nn.Module):
    """Mean over voxels and samples of the cross-entropy of logits.

    Args:
        balance: ``None`` for weights of 1. A number > 0 weighs, in every sample, foreground by the share of the
            background and background by `balance` times the share of the foreground; 1.1 in the code of the
            boundary-aware loss.
        ignore_index: Value of the target at voxels that do not count.
        validate: See `BoundaryLoss`.

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

    def __init__(
        self, balance: float | None = None, *, ignore_index: int | None = None, validate: bool = False
    ) -> None:
        super().__init__()
        self.balance = None if balance is None else check_number("balance", balance)
        self.contract = TargetContract(sigmoid=True, ignore_index=ignore_index, validate=validate)

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits `(B, C, *S)`.
            target: `(B, C, *S)` in [0, 1]; with `balance` above 0.5 is foreground.
        """
        return self.value(self.contract.read(input, target))

    def value(self, pair: Pair) -> torch.Tensor:
        """Return the loss of what `contract.read` returned."""
        target = pair.target.to(pair.logits.dtype)
        weight = None if self.balance is None else self._weight(target, pair.valid, self.balance)
        if pair.valid is None:
            return F.binary_cross_entropy_with_logits(pair.logits, target, weight)
        values = F.binary_cross_entropy_with_logits(pair.logits, target, weight, reduction="none")
        return counted_mean(values, pair.valid)

    @staticmethod
    def _weight(target: torch.Tensor, valid: torch.Tensor | None, balance: float) -> torch.Tensor:
        foreground, shape = target > 0.5, (-1, *[1] * (target.ndim - 1))
        share = foreground.to(target.dtype).flatten(1).mean(1).view(shape)
        if valid is not None:
            share = share / valid.expand_as(target).to(target.dtype).flatten(1).mean(1).view(shape).clamp(min=1e-12)
        return torch.where(foreground, 1 - share, balance * share)

    def extra_repr(self) -> str:
        """Show the balance."""
        return f"balance={self.balance}"


def counted_mean(values: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Return the mean of the values that count, 0 where none does."""
    if valid is None:
        return values.mean()
    counted = valid.expand_as(values)
    return torch.where(counted, values, 0).sum() / counted.sum().clamp(min=1)
