"""Fit the package's losses to nnU-Net's targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from monai_boundary.kernels.distance import DistanceMapOptions
from monai_boundary.losses import BoundaryLoss, GeneralizedDiceLoss, RegionBoundaryLoss
from monai_boundary.losses.deep_supervision import resample_nearest, sum_over_heads
from monai_boundary.losses.gradient_share import Heads
from monai_boundary.losses.map_agreement import FirstMapCheck, Masks
from monai_boundary.losses.soft_recall import class_hits

__all__ = ["RegionAndBoundary", "TargetGeneralizedDice"]


class TargetGeneralizedDice(nn.Module):
    """Generalized Dice for nnU-Net's targets: labels, or regions with an optional last channel to ignore.

    It is taken per sample, so averaging gradients over ranks is right without gathering.
    """

    def __init__(self, regions: bool, ignore_index: int | None) -> None:
        super().__init__()
        self.has_ignore_channel = regions and ignore_index is not None
        self.dice = GeneralizedDiceLoss(
            softmax=not regions,
            sigmoid=regions,
            to_onehot_y=not regions,
            ignore_index=None if regions else ignore_index,
        )

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of one head."""
        valid = None
        if self.has_ignore_channel:
            target, valid = target[:, :-1], ~target[:, -1:].bool()
        loss: torch.Tensor = self.dice(output, target, valid=valid)
        return loss


class RegionAndBoundary(RegionBoundaryLoss):
    """Weighted sum of nnU-Net's region loss and the boundary term, called as nnU-Net calls a loss.

    The trainer hands the maps over with `take_maps` before each step: nnU-Net's own steps, which know two arguments
    only, then run unchanged. The first maps are compared with the target: a transform behind the one that makes them
    must not move the target.

    Args:
        region: nnU-Net's loss, wrapped for deep supervision where that is on.
        regions: Whether channels are overlapping regions.
        head_weights: One weight per head, ``None`` without deep supervision.
        options: Settings of the maps that the boundary term expects.
        ignore_label: Label that is not counted; with regions it is the last channel of the target.
    """

    def __init__(
        self,
        region: nn.Module,
        regions: bool,
        head_weights: tuple[float, ...] | None,
        options: DistanceMapOptions,
        ignore_label: int | None = None,
    ) -> None:
        self.boundary: BoundaryLoss
        boundary = BoundaryLoss(
            include_background=regions, sigmoid=regions, softmax=not regions, options=options, check_map=False
        )  # the check is made here, where the whole target is
        super().__init__(region, boundary, alpha=0.0, mode="increase")
        self.regions = regions
        self.options = options
        self.ignore_label = ignore_label
        self.head_weights = (1.0,) if head_weights is None else head_weights
        self._maps: tuple[torch.Tensor, DistanceMapOptions] | None = None
        self._first_map = FirstMapCheck()

    def take_maps(self, maps: torch.Tensor, made_with: DistanceMapOptions) -> None:
        """Take the maps `(B, C, *S)` of the batch that the next call is for."""
        self._maps = maps, made_with

    def forward(self, output: Heads, target: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
        """Return the loss."""
        if self._maps is None:
            raise RuntimeError("take_maps must come before each call, got no maps; train_step of the mixin does it")
        (maps, made_with), self._maps = self._maps, None  # never the maps of another batch
        whole = target[0] if isinstance(target, (list, tuple)) else target
        self._first_map(maps, self.options, lambda: self._masks(whole, maps.shape[1]), made_with)
        return self.weighted(output, whole, lambda heads: self.terms(heads, target, maps))

    def terms(self, input: Heads, label: Any, beside: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        """Return both terms; `label` is nnU-Net's target, one for each head, and `beside` the maps."""
        region = self.region(input, label)
        heads = [input] if isinstance(input, torch.Tensor) else input

        def term(head: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.boundary(head, None, resample_nearest(beside, head.shape[2:])),)

        return region, *sum_over_heads(term, heads, self.head_weights)

    def foreground_hits(self, logits: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is found of each class in the target of full size, and how much there is."""
        first = 0 if self.regions else 1
        masks, valid = self._masks(label, logits.shape[1] - first)
        probs = self.boundary.contract.activate(logits)[:, first:]
        return class_hits(probs, masks, valid)

    def _masks(self, target: torch.Tensor, channels: int) -> Masks:
        """Foreground masks of a target, and which voxels count."""
        if self.regions:
            return target[:, :channels].bool(), None if self.ignore_label is None else ~target[:, -1:].bool()
        masks = torch.cat([target == label for label in range(1, channels + 1)], dim=1)
        return masks, None if self.ignore_label is None else target != self.ignore_label
