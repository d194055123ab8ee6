"""Sensitivity and specificity in one loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_boundary._check import check_activation, check_fraction, check_number
from monai_boundary.losses.target import (
    activate,
    check_network_output,
    first_counted_channel,
    onehot_target,
    reduce_loss,
)

__all__ = ["SensitivitySpecificityLoss"]


class SensitivitySpecificityLoss(_Loss):
    """1 - lam * specificity - (1 - lam) * sensitivity, with soft counts, per class and sample.

    Specificity is TN / (TN + FP), sensitivity TP / (TP + FN). Both get `smooth` above and below: a class absent from
    the target has a sensitivity of 1, one that fills the image a specificity of 1. This is the baseline of the boundary
    F1 paper, not the squared error of Brosch et al. (MICCAI 2015) that goes by the same name.

    Args:
        lam: Weight of the specificity in [0, 1].
        include_background: Whether channel 0 counts.
        to_onehot_y: Whether the target is a label map.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        reduction: ``"mean"`` over samples and channels, ``"sum"``, or ``"none"``: `(B, C)`, `(C,)` with `batch`.
        batch: Sum over the batch before dividing.
        smooth: > 0, added above and below.
        ignore_index: Label of voxels that are not counted.

    Raises:
        TypeError: `other_act` is not callable; `input` is not floating point.
        ValueError: `lam` is outside [0, 1]; more than one activation; wrong shapes, labels or reduction.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 2.

    Example:
        >>> loss = SensitivitySpecificityLoss(lam=0.25)
        >>> round(float(loss(torch.tensor([[[0.5, 0.0]]]), torch.tensor([[[1.0, 0.0]]]))), 3)
        0.375
    """

    def __init__(  # noqa: PLR0913 - MONAI's arguments
        self,
        lam: float = 0.5,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        batch: bool = False,
        smooth: float = 1e-5,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        check_activation(sigmoid, softmax, other_act)
        self.lam = check_fraction("lam", lam)
        self.include_background = include_background
        self.to_onehot_y = to_onehot_y
        self.sigmoid = sigmoid
        self.softmax = softmax
        self.other_act = other_act
        self.batch = batch
        self.smooth = check_number("smooth", smooth)
        self.ignore_index = ignore_index

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)`.
            target: `(B, C, *S)`, or labels with `to_onehot_y`.
        """
        check_network_output(input)
        onehot, valid = onehot_target(target, input, self.to_onehot_y, self.ignore_index)
        probs = activate(input, self.sigmoid, self.softmax, self.other_act)
        inside = onehot.to(probs.dtype)
        outside = 1 - inside
        if valid is not None:
            inside, outside = torch.where(valid, inside, 0), torch.where(valid, outside, 0)
            probs = torch.where(valid, probs, 0)
        first = first_counted_channel(input.shape[1], self.include_background)
        probs, inside, outside = probs[:, first:], inside[:, first:], outside[:, first:]
        sensitivity, specificity = self._share(probs, inside), self._share(1 - probs, outside)
        return reduce_loss(1 - self.lam * specificity - (1 - self.lam) * sensitivity, self.reduction)

    def _share(self, found: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        over = [*([0] if self.batch else []), *range(2, where.ndim)]
        return ((found * where).sum(over) + self.smooth) / (where.sum(over) + self.smooth)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"lam={self.lam}, include_background={self.include_background}, reduction={self.reduction!r}"
