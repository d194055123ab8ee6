"""Generalized Dice with an ignore label, compilable without graph breaks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_boundary._check import check_activation
from monai_boundary.losses.target import activate, check_network_output, onehot_target, reduce_loss

__all__ = ["GeneralizedDiceLoss"]


class GeneralizedDiceLoss(_Loss):
    """Dice over all classes at once, each weighted by the inverse square of its volume.

    The value and gradient of `monai.losses.GeneralizedDiceLoss` with its defaults, which knows no ignore label and
    cannot be compiled with ``fullgraph=True``. A class absent from a sample gets the largest weight among the others.

    Args:
        include_background: Whether channel 0 counts.
        to_onehot_y: Whether the target is a label map.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        reduction: ``"mean"`` or ``"sum"`` over the samples, or ``"none"``: `(B,)`.
        smooth: Added to numerator and denominator; a sample without any counted class scores 0.
        ignore_index: Label of voxels that are not counted.

    References:
        Sudre et al., Generalised Dice overlap as a deep learning loss function, DLMIA 2017, eq. 2.
    """

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        smooth: float = 1e-5,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        check_activation(sigmoid, softmax, other_act)
        self.include_background = include_background
        self.to_onehot_y = to_onehot_y
        self.sigmoid = sigmoid
        self.softmax = softmax
        self.other_act = other_act
        self.smooth = float(smooth)
        self.ignore_index = ignore_index

    def forward(self, input: torch.Tensor, target: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)`.
            target: `(B, C, *S)`, or labels with `to_onehot_y`.
            valid: Bool `(B, 1, *S)`, the voxels that count, for targets that have no label to ignore.
        """
        check_network_output(input)
        onehot, counted = onehot_target(target, input, self.to_onehot_y, self.ignore_index)
        valid = counted if valid is None else valid
        probs = activate(input, self.sigmoid, self.softmax, self.other_act)
        if not self.include_background and input.shape[1] > 1:
            probs, onehot = probs[:, 1:], onehot[:, 1:]
        onehot = onehot.to(probs.dtype)
        if valid is not None:
            probs, onehot = probs * valid, onehot * valid
        overlap = (probs * onehot).flatten(2).sum(-1)  # (B, C)
        volume = onehot.flatten(2).sum(-1)
        total = probs.flatten(2).sum(-1) + volume
        weights = volume.clamp(min=1e-8).square().reciprocal() * (volume > 0)
        weights = torch.where(volume > 0, weights, weights.amax(dim=1, keepdim=True))
        score = (2 * (weights * overlap).sum(1) + self.smooth) / ((weights * total).sum(1) + self.smooth)
        return reduce_loss(1 - score, self.reduction)
