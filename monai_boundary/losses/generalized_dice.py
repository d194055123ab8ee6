"""Generalized Dice with an ignore index, compilable without graph breaks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.utils import LossReduction

from monai_boundary._check import check_number
from monai_boundary.losses.target import SMOOTH, Counted, TargetLoss

__all__ = ["GeneralizedDiceLoss"]


class GeneralizedDiceLoss(TargetLoss):
    """Dice over all classes at once, each weighted by the inverse square of its volume.

    The value and gradient of `monai.losses.GeneralizedDiceLoss` with its defaults, which knows no ignore index and
    cannot be compiled with ``fullgraph=True``. A class absent from a sample gets the largest weight among the others.

    Args:
        include_background: Whether channel 0 counts.
        to_onehot_y: Whether the target is a label map.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        reduction: ``"mean"`` or ``"sum"`` over the samples, or ``"none"``: `(B,)`, `()` with `batch`.
        batch: Take the volumes of the whole batch. Under DDP this is the batch of one process.
        smooth: >= 0, added to numerator and denominator; a sample without any counted class scores 0.
        ignore_index: Value of the target at voxels that do not count.

    Raises:
        TypeError: `other_act` is not callable; `input` is not floating point.
        ValueError: More than one activation; wrong shapes, values or reduction.

    References:
        Sudre et al., Generalised Dice overlap as a deep learning loss function, DLMIA 2017, eq. 2.
    """

    def __init__(  # noqa: PLR0913 - MONAI's seven arguments come first
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        batch: bool = False,
        *,
        smooth: float = SMOOTH,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(include_background, to_onehot_y, sigmoid, softmax, other_act, reduction, batch, ignore_index)
        self.smooth = check_number("smooth", smooth, strict=False)

    def forward(self, input: torch.Tensor, target: torch.Tensor, *, valid: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)`.
            target: `(B, C, *S)` in [0, 1], or labels with `to_onehot_y`.
            valid: Bool `(B, 1, *S)`, the voxels that count, for targets without a value to ignore.
        """
        return self.value(self.contract.count(self.contract.read(input, target, valid)))

    def value(self, counted: Counted) -> torch.Tensor:
        """Return the loss of what `contract.count` returned."""
        probs, target = counted.probs, counted.target
        over = self.summed_axes(probs.ndim)
        overlap, volume = (probs * target).sum(over), target.sum(over)  # (B, C) or (C,)
        total = probs.sum(over) + volume
        weights = volume.clamp(min=1e-8).square().reciprocal() * (volume > 0)
        weights = torch.where(volume > 0, weights, weights.amax(dim=-1, keepdim=True))
        score = (2 * (weights * overlap).sum(-1) + self.smooth) / ((weights * total).sum(-1) + self.smooth)
        return self.reduce(1 - score)
