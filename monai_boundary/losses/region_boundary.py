"""A region loss and the boundary loss in one, weighted by alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from monai_boundary._check import check_choice, check_fraction, check_number
from monai_boundary.kernels.distance import DistanceMapOptions, Preset, preset_options
from monai_boundary.losses.boundary import BoundaryLoss
from monai_boundary.losses.generalized_dice import GeneralizedDiceLoss
from monai_boundary.losses.target import split_target

__all__ = ["GeneralizedDiceBoundaryLoss", "RegionBoundaryLoss"]


class RegionBoundaryLoss(nn.Module):
    """Region weight times region loss plus alpha times boundary loss.

    Set the weights once per epoch: ``loss.term_weights = Rebalance().weights(epoch, max_epochs)``. After each call
    `region_term` and `boundary_term` hold the two unweighted terms, detached, for logging.

    Args:
        region: Any loss called as ``region(input, target)``.
        boundary: Called as ``boundary(input, target, distance_map)``.
        alpha: Weight of the boundary term until it is set again.
        mode: What setting `alpha` does to the region weight: ``"rebalance"`` makes it max(region_floor, 1 - alpha),
            ``"increase"`` leaves it at 1.
        region_floor: Smallest region weight under ``"rebalance"``.

    Example:
        >>> loss = RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True), BoundaryLoss(softmax=True), alpha=0.25)
        >>> loss.term_weights
        (0.75, 0.25)
    """

    target_name: ClassVar[str] = "distance_map"

    def __init__(
        self,
        region: nn.Module,
        boundary: nn.Module,
        alpha: float = 0.01,
        mode: Literal["rebalance", "increase"] = "rebalance",
        region_floor: float = 0.1,
    ) -> None:
        super().__init__()
        self.region = region
        self.boundary = boundary
        self.mode = check_choice("mode", mode, ("rebalance", "increase"))
        self.region_floor = check_fraction("region_floor", region_floor)
        # A tensor, so that a compiled loss reads new weights without another graph.
        self._weights: torch.Tensor
        self.register_buffer("_weights", torch.zeros(2, dtype=torch.float32), persistent=False)
        self.region_term: torch.Tensor | None = None
        self.boundary_term: torch.Tensor | None = None
        self.alpha = alpha

    @property
    def alpha(self) -> float:
        """Weight of the boundary term; setting it sets the region weight too, as `mode` says."""
        return self.term_weights[1]

    @alpha.setter
    def alpha(self, value: float) -> None:
        number = check_number("alpha", value, strict=False)
        self.term_weights = (max(self.region_floor, 1.0 - number) if self.mode == "rebalance" else 1.0, number)

    @property
    def term_weights(self) -> tuple[float, float]:
        """Weights of the region and the boundary term."""
        return self._pair

    @term_weights.setter
    def term_weights(self, pair: tuple[float, float]) -> None:
        region, boundary = pair
        self._pair = (
            check_number("region weight", region, strict=False),
            check_number("boundary weight", boundary, strict=False),
        )
        self._weights.copy_(torch.tensor(self._pair, dtype=torch.float32))

    def forward(
        self,
        input: torch.Tensor,
        target: torch.Tensor | Mapping[str, torch.Tensor],
        distance_map: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Logits `(B, C, *S)`.
            target: Label `(B, 1, *S)`, or label and map as ``{"label": ..., "distance_map": ...}``, which is how they
                pass through a MONAI engine.
            distance_map: Float `(B, C, *S)` or without the background; ``None`` to compute it from the label.
        """
        label, distance_map = split_target(target, distance_map, self.target_name)
        return self.combine(self.region(input, label), self.boundary(input, label, distance_map))

    def combine(self, region: torch.Tensor, boundary: torch.Tensor) -> torch.Tensor:
        """Keep both terms for logging, and return their weighted sum."""
        self.region_term, self.boundary_term = region.detach(), boundary.detach()
        weights = self._weights.to(region.dtype)
        total: torch.Tensor = weights[0] * region + weights[1] * boundary
        return total

    def extra_repr(self) -> str:
        """Show the weights."""
        return f"term_weights={self.term_weights}, mode={self.mode!r}"


class GeneralizedDiceBoundaryLoss(RegionBoundaryLoss):
    """Generalized Dice plus the boundary loss of the foreground, for logits and label maps.

    Give it the map of ``SignedDistanceMapd(preset=...)`` with the same preset, with or without the background channel.

    Args:
        preset: ``"robust"``: map clipped at 10 mm, scaled to [-1, 1] and half-balanced, which survives a fast alpha
            under extreme imbalance. ``"published"``: map of the published code. It sets the maps that the loss computes
            itself.
        to_onehot_y: Whether the target is a label map.
        sigmoid: Sigmoid channels, for one-channel or overlapping targets, instead of softmax.
        include_background: Whether the boundary term counts channel 0; generalized Dice always does.
        ignore_index: Label of voxels that are not counted.
        options: Map settings in place of the preset's.
        alpha: See `RegionBoundaryLoss`.
        mode: See `RegionBoundaryLoss`.
        **boundary: Further arguments of `BoundaryLoss`, such as `spacing` or `offset`.

    References:
        Kervadec et al., MIDL 2019, eq. 7; MedIA 2021, section 2.4.

    Example:
        >>> loss = GeneralizedDiceBoundaryLoss()
        >>> loss(torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8)).isfinite().item()
        True
    """

    def __init__(
        self,
        preset: Preset = "robust",
        to_onehot_y: bool = True,
        sigmoid: bool = False,
        include_background: bool = False,
        ignore_index: int | None = None,
        options: DistanceMapOptions | None = None,
        alpha: float = 0.01,
        mode: Literal["rebalance", "increase"] = "rebalance",
        **boundary: Any,
    ) -> None:
        shared: dict[str, Any] = {
            "to_onehot_y": to_onehot_y, "sigmoid": sigmoid, "softmax": not sigmoid, "ignore_index": ignore_index
        }  # fmt: skip
        map_options = preset_options(preset) if options is None else options
        super().__init__(
            GeneralizedDiceLoss(**shared),
            BoundaryLoss(include_background=include_background or sigmoid, options=map_options, **shared, **boundary),
            alpha=alpha,
            mode=mode,
        )
