"""Sensitivity and specificity in one loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_boundary._check import check_fraction, check_number
from monai_boundary.losses.contract import Counted
from monai_boundary.losses.target import SMOOTH, TargetLoss

__all__ = ["SensitivitySpecificityLoss"]


@dataclass(eq=False, repr=False, kw_only=True)
class SensitivitySpecificityLoss(TargetLoss):
    """1 - lam * specificity - (1 - lam) * sensitivity, with soft counts, per class and sample.

    Specificity is TN / (TN + FP), sensitivity TP / (TP + FN). Both get `smooth` above and below: a class absent from
    the target has a sensitivity of 1, one that fills the image a specificity of 1. This is the baseline of the boundary
    F1 paper, not the squared error of Brosch et al. (MICCAI 2015) that goes by the same name.

    Args:
        include_background, to_onehot_y, sigmoid, softmax, other_act, reduction, ignore_index, validate: As of
            `BoundaryLoss`.
        batch: Sum over the batch before dividing.
        lam: Weight of the specificity in [0, 1].
        smooth: > 0, added above and below, in voxels of 100,000 that count: patches of any size score alike.

    Raises:
        TypeError, ValueError: See `BoundaryLoss`, or `lam` is outside [0, 1].

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 2.

    Example:
        >>> loss = SensitivitySpecificityLoss(lam=0.25)
        >>> round(float(loss(torch.tensor([[[0.5, 0.0]]]), torch.tensor([[[1.0, 0.0]]]))), 3)
        0.375
    """

    lam: float = 0.5
    smooth: float = SMOOTH
    ignore_index: int | None = None

    def set_up(self) -> None:
        """Check the arguments that this loss adds."""
        self.lam = check_fraction("lam", self.lam)
        self.smooth = check_number("smooth", self.smooth)

    def value(self, counted: Counted) -> torch.Tensor:
        """Return the loss of what `contract.count` returned."""
        probs, inside, valid, _ = counted
        outside = 1 - inside if valid is None else torch.where(valid, 1 - inside, 0)
        voxels = self.counted_voxels(probs, valid)
        sensitivity, specificity = self._share(probs, inside, voxels), self._share(1 - probs, outside, voxels)
        return self.reduce(1 - self.lam * specificity - (1 - self.lam) * sensitivity)

    def _share(self, found: torch.Tensor, where: torch.Tensor, voxels: torch.Tensor | int) -> torch.Tensor:
        over = self.summed_axes(where.ndim)
        return self.smoothed((found * where).sum(over), where.sum(over), self.smooth, voxels)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"lam={self.lam}, {super().extra_repr()}"
