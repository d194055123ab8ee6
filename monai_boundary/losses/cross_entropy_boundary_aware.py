"""Cross-entropy and the boundary-aware loss in one, weighted by alpha."""

from __future__ import annotations

from typing import Any, Literal

import torch

from monai_boundary._check import check_choice
from monai_boundary.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from monai_boundary.losses.boundary_aware import BoundaryAwareLoss
from monai_boundary.losses.region_boundary import Mode, RegionBoundaryLoss, Target

__all__ = ["BoundaryAwarePreset", "CrossEntropyBoundaryAwareLoss"]

BoundaryAwarePreset = Literal["robust", "paper", "published"]
_PUBLISHED_BALANCE = 1.1
_PRESETS: dict[str, dict[str, Any]] = {
    "robust": {"alpha": 1.0, "balanced": False, "weighting": "mean", "dilation": 3},
    "paper": {"alpha": 0.1, "balanced": False, "weighting": "count", "dilation": 0},
    "published": {
        "alpha": 0.1, "balanced": True, "weighting": "published", "dilation": 3, "double_sigmoid": True
    },
}  # fmt: skip


class CrossEntropyBoundaryAwareLoss(RegionBoundaryLoss):
    """Cross-entropy of the membrane plus alpha times the boundary-aware loss, for logits, membrane and seeds.

    Set the weights once per epoch as of any `RegionBoundaryLoss`, so that the boundary term starts on a prediction that
    has membranes: ``loss.term_weights = Warmup(20, Constant(1.0)).weights(epoch, max_epochs)``. While alpha is 0
    nothing is cut, and `boundary_term` is 0.

    Args:
        preset: ``"robust"``: plain cross-entropy, alpha 1, and the mean over the dilated contours, whose weight does
            not depend on the size of the image. ``"paper"``: equations 4 and 5 as they stand with alpha 0.1.
            ``"published"``: the published code: class-balanced cross-entropy, its weights and its second sigmoid,
            alpha 0.1.
        alpha: Weight of the boundary term in place of the preset's.
        mode: See `RegionBoundaryLoss`.
        balanced: Class-balanced cross-entropy in place of the preset's choice.
        ignore_index: Value of the target at voxels that do not count.
        **boundary: Arguments of `BoundaryAwareLoss` in place of the preset's.

    Raises:
        ImportError: numba is not installed.
        TypeError: Arguments of a wrong kind.
        ValueError: Wrong values.

    References:
        Vu Ngoc et al., Introducing the boundary-aware loss for deep image segmentation, BMVC 2021, eq. 5.

    Example:
        >>> loss = CrossEntropyBoundaryAwareLoss(alpha=3.0)
        >>> logits, seeds = torch.tensor([[[-9.0, 0.0, -9.0]]]), torch.tensor([[[1, 0, 2]]])
        >>> value = loss(logits, torch.tensor([[[0, 1, 0]]]), seeds)
        >>> loss.term_weights, round(float(loss.region_term), 4), round(float(loss.boundary_term), 4)
        ((1.0, 3.0), 0.2311, 0.2311)
    """

    region: BinaryCrossEntropyLoss
    boundary: BoundaryAwareLoss

    def __init__(
        self,
        preset: BoundaryAwarePreset = "robust",
        alpha: float | None = None,
        mode: Mode = "increase",
        *,
        balanced: bool | None = None,
        ignore_index: int | None = None,
        **boundary: Any,
    ) -> None:
        settings = dict(_PRESETS[check_choice("preset", preset, tuple(_PRESETS))])
        preset_alpha, preset_balanced = settings.pop("alpha"), settings.pop("balanced")
        is_balanced = preset_balanced if balanced is None else balanced
        super().__init__(
            BinaryCrossEntropyLoss(_PUBLISHED_BALANCE if is_balanced else None, ignore_index=ignore_index),
            BoundaryAwareLoss(**{**settings, "ignore_index": ignore_index, **boundary}),
            alpha=preset_alpha if alpha is None else alpha,
            mode=mode,
        )

    def forward(self, input: torch.Tensor, target: Target, seeds: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits of the membrane `(B, 1, *S)`.
            target: Membrane `(B, 1, *S)`, or membrane and seeds as ``{"label": ..., "seeds": ...}``, which is how they
                pass through a MONAI engine (`PrepareBatchTarget`).
            seeds: Integers `(B, 1, *S)` of `RegionSeeds`.
        """
        return super().forward(input, target, seeds)

    def terms(self, input: torch.Tensor, label: torch.Tensor, beside: Any) -> tuple[torch.Tensor, ...]:
        """Return the unweighted terms: cross-entropy, boundary-aware loss."""
        pair, seeds = self.boundary.read(input, label, beside)  # also while alpha is 0: not only after the warm-up
        region = self.region.value(pair)
        return region, self.boundary.value(pair, seeds) if self.uses_boundary else torch.zeros_like(region)
