"""Cross-entropy, boundary F1 and IoU in one loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from monai_boundary._check import check_fraction
from monai_boundary.losses.boundary_f1 import BoundaryF1Loss
from monai_boundary.losses.target import (
    activate,
    as_float32,
    check_network_output,
    first_counted_channel,
    onehot_target,
    split_target,
)

__all__ = ["BoundaryF1IoULoss"]


class BoundaryF1IoULoss(nn.Module):
    """Cross-entropy + alpha * boundary F1 loss + (1 - alpha) * IoU loss, of logits.

    `WeightSearch` sets the weight during training as the paper does; `AlphaScheduleHandler` raises it by a schedule.
    After each call `cross_entropy_term`, `boundary_term` and `region_term` hold the three unweighted terms, detached.

    Args:
        alpha: Weight of the boundary term in [0, 1].
        theta0: See `BoundaryF1Loss`.
        theta: See `BoundaryF1Loss`.
        softmax: Softmax over exclusive classes with categorical cross-entropy. Without it every channel gets a sigmoid
            and binary cross-entropy, which is the paper's form for one channel.
        to_onehot_y: Whether the target is a label map.
        include_background: Whether channel 0 counts in the boundary and IoU terms; cross-entropy always counts it.
        batch: Sum over the batch before dividing, in the boundary and IoU terms.
        smooth: > 0, added above and below in the boundary and IoU terms; a class absent from both scores an IoU of 1.
        ignore_index: Label that is not counted.

    Raises:
        TypeError: A width is no integer; `input` is not floating point.
        ValueError: `alpha` is outside [0, 1]; a width is even; wrong shapes or labels.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 4.2.

    Example:
        >>> loss = BoundaryF1IoULoss(alpha=0.1)
        >>> loss.alpha = 0.3
        >>> loss(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)).isfinite().item()
        True
    """

    target_name: ClassVar[str] = "target_boundary"

    def __init__(  # noqa: PLR0913 - those of BoundaryF1Loss
        self,
        alpha: float = 0.5,
        theta0: int | Sequence[int] = 3,
        theta: int | Sequence[int] = 5,
        *,
        softmax: bool = False,
        to_onehot_y: bool = False,
        include_background: bool = True,
        batch: bool = False,
        smooth: float = 1e-5,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__()
        self.boundary = BoundaryF1Loss(
            theta0, theta, include_background, to_onehot_y, batch=batch, smooth=smooth, ignore_index=ignore_index
        )
        self.softmax = softmax
        # A tensor, so that a compiled loss reads a new weight without another graph.
        self._weight: torch.Tensor
        self.register_buffer("_weight", torch.zeros((), dtype=torch.float32), persistent=False)
        self.cross_entropy_term: torch.Tensor | None = None
        self.boundary_term: torch.Tensor | None = None
        self.region_term: torch.Tensor | None = None
        self.alpha = alpha

    @property
    def alpha(self) -> float:
        """Weight of the boundary term; the IoU term has the rest to 1."""
        return self._number

    @alpha.setter
    def alpha(self, value: float) -> None:
        self._number = check_fraction("alpha", value)
        self._weight.fill_(self._number)

    @property
    def term_weights(self) -> tuple[float, float]:
        """(region, boundary), always 1 - alpha and alpha, so that schedules and handlers can drive this loss.

        Of a pair that is set the boundary's counts, and must lie in [0, 1]; the IoU term gets the rest to 1.
        """
        return 1 - self.alpha, self.alpha

    @term_weights.setter
    def term_weights(self, values: Sequence[float]) -> None:
        _, self.alpha = values

    def forward(
        self,
        input: torch.Tensor,
        target: torch.Tensor | Mapping[str, torch.Tensor],
        target_boundary: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits `(B, C, *S)`.
            target: `(B, C, *S)`, or labels with `to_onehot_y`; or both as one target of a MONAI engine, from
                `PrepareBatchTarget`.
            target_boundary: See `BoundaryF1Loss`; ``None`` to compute it from the target.
        """
        logits = input
        check_network_output(logits)
        logits = as_float32(logits)
        target, target_boundary = split_target(target, target_boundary, self.target_name)
        settings = self.boundary
        onehot, valid = onehot_target(target, logits, settings.to_onehot_y, settings.ignore_index)
        onehot = onehot.to(logits.dtype)
        onehot = onehot if valid is None else torch.where(valid, onehot, 0)
        cross_entropy = self._cross_entropy(logits, onehot, valid)
        probs = activate(logits, not self.softmax, self.softmax, None)
        region = self._iou_loss(probs, onehot, valid)
        boundary = settings(probs, target, target_boundary)
        terms = cross_entropy.detach(), boundary.detach(), region.detach()
        self.cross_entropy_term, self.boundary_term, self.region_term = terms
        weight = self._weight.to(region.dtype)
        total: torch.Tensor = cross_entropy + weight * boundary + (1 - weight) * region
        return total

    def _cross_entropy(self, logits: torch.Tensor, onehot: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Mean over the voxels that count, and over the channels that have a sigmoid."""
        if self.softmax and logits.shape[1] > 1:
            values = -(onehot * torch.log_softmax(logits, dim=1)).sum(1, keepdim=True)
            valid = None if valid is None else valid.all(1, keepdim=True)
        else:
            values = F.binary_cross_entropy_with_logits(logits, onehot, reduction="none")
        if valid is None:
            return values.mean()
        counted = valid.expand_as(values)
        return torch.where(counted, values, 0).sum() / counted.sum().clamp(min=1)

    def _iou_loss(self, probs: torch.Tensor, onehot: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        # MONAI's DiceLoss(jaccard=True) knows no ignore label before 1.6.
        settings = self.boundary
        first = first_counted_channel(probs.shape[1], settings.include_background)
        probs = probs if valid is None else torch.where(valid, probs, 0)
        probs, onehot = probs[:, first:], onehot[:, first:]
        over = [*([0] if settings.batch else []), *range(2, probs.ndim)]
        overlap = (probs * onehot).sum(over)
        union = probs.sum(over) + onehot.sum(over) - overlap
        return (1 - (overlap + settings.smooth) / (union + settings.smooth)).mean()

    def extra_repr(self) -> str:
        """Show the weight."""
        return f"alpha={self.alpha}, softmax={self.softmax}"
