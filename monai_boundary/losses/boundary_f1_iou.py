"""Cross-entropy, boundary F1 and IoU in one loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_boundary._check import check_number
from monai_boundary.losses.binary_cross_entropy import counted_mean
from monai_boundary.losses.boundary_f1 import BoundaryF1Loss
from monai_boundary.losses.contract import Counted, Pair
from monai_boundary.losses.region_boundary import RegionBoundaryLoss, Target
from monai_boundary.losses.target import SMOOTH, TargetLoss

__all__ = ["BoundaryF1IoULoss"]


class BoundaryF1IoULoss(RegionBoundaryLoss):
    """Cross-entropy + alpha * boundary F1 loss + (1 - alpha) * IoU loss, of logits.

    `WeightSearch` sets alpha during training as the paper does; `AlphaScheduleHandler` raises it by a schedule. After
    each call `cross_entropy_term`, `boundary_term` and `region_term` hold the three unweighted terms, detached. The two
    `term_weights` always have the sum 1, and a pair that has not is refused.

    Args:
        alpha: Weight of the boundary term in [0, 1].
        theta0, theta: See `BoundaryF1Loss`.
        softmax: Softmax over exclusive classes with categorical cross-entropy. Without it every channel gets a sigmoid
            and binary cross-entropy, which is the paper's form for one channel.
        to_onehot_y: Whether the target is a label map.
        include_background: Whether channel 0 counts in the boundary and IoU terms; cross-entropy always counts it.
        batch: Sum over the batch before dividing, in the boundary and IoU terms.
        smooth: > 0, of the boundary and IoU terms, see `BoundaryF1Loss`; a class absent from both scores an IoU of 1.
        ignore_index: Value of the target at voxels that do not count.
        validate: See `BoundaryLoss`.

    Raises:
        TypeError: A width is no integer; `input` is not floating point.
        ValueError: `alpha` is outside [0, 1]; a width is even; wrong shapes or values.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 4.2.

    Example:
        >>> loss = BoundaryF1IoULoss(alpha=0.1)
        >>> loss.alpha = 0.3
        >>> loss(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)).isfinite().item()
        True
    """

    region: IoULoss
    boundary: BoundaryF1Loss

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
        smooth: float = SMOOTH,
        ignore_index: int | None = None,
        validate: bool = False,
    ) -> None:
        target = {
            "include_background": include_background, "to_onehot_y": to_onehot_y, "sigmoid": not softmax,
            "softmax": softmax, "batch": batch, "ignore_index": ignore_index, "validate": validate,
        }  # fmt: skip
        boundary = BoundaryF1Loss(**target, theta0=theta0, theta=theta, smooth=smooth)  # type: ignore[arg-type]
        super().__init__(IoULoss(smooth=smooth, **target), boundary, alpha=alpha, mode="complement")  # type: ignore[arg-type]
        self.cross_entropy_term: torch.Tensor | None = None

    def forward(self, input: torch.Tensor, target: Target, target_boundary: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits `(B, C, *S)`.
            target: `(B, C, *S)`, or labels with `to_onehot_y`; or both as ``{"label": ..., "target_boundary": ...}``,
                which is how they pass through a MONAI engine (`PrepareBatchTarget`).
            target_boundary: See `BoundaryF1Loss`; ``None`` to compute it from the target.
        """
        return super().forward(input, target, target_boundary)

    def terms(self, input: torch.Tensor, label: torch.Tensor, beside: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        """Return the unweighted terms: IoU loss, boundary F1 loss, cross-entropy."""
        pair = self.region.contract.read(input, label)
        counted = self.region.contract.count(pair)
        return self.region.value(counted), self.boundary.value(counted, beside), self._cross_entropy(pair)

    def combine(self, region: torch.Tensor, boundary: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        """Keep the three terms for logging, and return their weighted sum."""
        self.cross_entropy_term = others[0].detach()
        return super().combine(region, boundary, *others)

    def _cross_entropy(self, pair: Pair) -> torch.Tensor:
        """Mean over the voxels that count, and over the channels that have a sigmoid."""
        logits, target, valid = pair.logits, pair.target.to(pair.logits.dtype), pair.valid
        if self.region.contract.softmax and logits.shape[1] > 1:
            values = -(target * torch.log_softmax(logits, dim=1)).sum(1, keepdim=True)
        else:
            values = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return counted_mean(values, valid)


@dataclass(eq=False, repr=False, kw_only=True)
class IoULoss(TargetLoss):
    """1 - intersection over union with soft counts, the mean over classes and samples.

    MONAI's ``DiceLoss(jaccard=True)`` has no ignore index before 1.6.

    Args:
        smooth: > 0, see `SensitivitySpecificityLoss`; a class absent from both scores an IoU of 1.
        include_background, to_onehot_y, sigmoid, softmax, other_act, reduction, batch, ignore_index, validate: See
            `TargetLoss`.
    """

    smooth: float = SMOOTH

    def set_up(self) -> None:
        """Check the arguments that this loss adds."""
        self.smooth = check_number("smooth", self.smooth)

    def value(self, counted: Counted) -> torch.Tensor:
        """Return the loss of what `contract.count` returned."""
        probs, target = counted.probs, counted.target
        over = self.summed_axes(probs.ndim)
        overlap = (probs * target).sum(over)
        union = probs.sum(over) + target.sum(over) - overlap
        voxels = self.counted_voxels(probs, counted.valid)
        return self.reduce(1 - self.smoothed(overlap, union, self.smooth, voxels))
