"""The losses for networks with several output heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from monai_boundary._check import check_number
from monai_boundary.losses.region_boundary import RegionBoundaryLoss
from monai_boundary.losses.target import split_target

__all__ = ["DeepSupervisionBoundary", "DeepSupervisionLoss"]

Heads = torch.Tensor | Sequence[torch.Tensor]


class DeepSupervisionBoundary(nn.Module):
    """Weighted sum of the boundary loss over the heads, all from one map at full resolution.

    The map is resampled to each head by the nearest voxel and keeps its values: a millimetre weighs the same in each.

    Args:
        boundary: The loss of one head, called as ``boundary(input, None, distance_map)``.
        head_weights: One weight per head, highest resolution first; heads of weight 0 are passed over. ``None`` for 1,
            1/2, 1/4, ... divided by their sum.

    Raises:
        ValueError: A weight is negative or not finite, or none is above 0.
    """

    def __init__(self, boundary: nn.Module, head_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.boundary = boundary
        self.head_weights = None if head_weights is None else _check_weights(head_weights)

    def forward(self, heads: Sequence[torch.Tensor], distance_map: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            heads: Network outputs `(B, C, *S_i)`.
            distance_map: Float `(B, C, *S)` at the resolution of the first head.

        Raises:
            ValueError: The numbers of heads and weights differ.
        """
        return sum_over_heads(
            lambda head: self.boundary(head, None, _resample(distance_map, head.shape[2:])), heads, self.head_weights
        )


class DeepSupervisionLoss(nn.Module):
    """A `RegionBoundaryLoss` for networks that return several heads in training, as `DynUNet` and `SegResNetDS` do.

    Each term is the weighted sum of that term over the heads; region weight and alpha weigh the two sums, and are those
    of `loss`. Handlers work alike with this loss and with the one inside.

    What differs from `monai.losses.DeepSupervisionLoss`:

    - The target is label and distance map. Lower heads get the map of full resolution at their nearest voxels, values
      unchanged, also when no map is given. MONAI's has each head compute its own, in voxels of that head: the boundary
      term then halves from head to head on top of the weights.
    - The heads may be stacked on axis 1, which MONAI's needs unbound first; labels may be integers.
    - The default weights 1, 1/2, 1/4, ... are divided by their sum, so that adding heads leaves the scale of the loss.
    - A wrong number of weights is an error, not a reason to go back to the default ones.

    Args:
        loss: The loss of one head, such as `GeneralizedDiceBoundaryLoss()`.
        head_weights: One weight per head, highest resolution first, used as given; ``None`` for 1, 1/2, 1/4, ...
            divided by their sum. Heads of weight 0 are passed over and get no gradient, about which
            `DistributedDataParallel` must know (``find_unused_parameters=True``).

    Raises:
        TypeError: `loss` is no `RegionBoundaryLoss`.
        ValueError: A weight is negative or not finite, or none is above 0.

    References:
        Isensee et al., nnU-Net, Nature Methods 2021, for the weights.

    Example:
        >>> from monai_boundary.losses import GeneralizedDiceBoundaryLoss
        >>> loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=0.25))
        >>> heads = [torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 4, 4)]
        >>> loss(heads, torch.zeros(1, 1, 8, 8)).isfinite().item(), loss.term_weights
        (True, (0.75, 0.25))
    """

    def __init__(self, loss: RegionBoundaryLoss, head_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not isinstance(loss, RegionBoundaryLoss):
            raise TypeError(
                f"loss must be a RegionBoundaryLoss, got {type(loss).__name__}; wrap a region loss as "
                "RegionBoundaryLoss(region, BoundaryLoss(...))"
            )
        self.loss = loss
        self._boundary = DeepSupervisionBoundary(loss.boundary, head_weights)

    @property
    def target_name(self) -> str:
        """What the loss wants beside the label, as of `loss`."""
        return self.loss.target_name

    @property
    def head_weights(self) -> tuple[float, ...] | None:
        """Weights of the heads; ``None`` while they follow from the number of heads."""
        return self._boundary.head_weights

    @property
    def alpha(self) -> float:
        """Weight of the boundary term, as of `loss`."""
        return self.loss.alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        self.loss.alpha = value

    @property
    def term_weights(self) -> tuple[float, float]:
        """Weights of the region and the boundary term, not of the heads: those of `loss`, which schedules set."""
        return self.loss.term_weights

    @term_weights.setter
    def term_weights(self, pair: tuple[float, float]) -> None:
        self.loss.term_weights = pair

    @property
    def region_term(self) -> torch.Tensor | None:
        """Sum of the region loss over the heads in the last call, detached."""
        return self.loss.region_term

    @property
    def boundary_term(self) -> torch.Tensor | None:
        """Sum of the boundary loss over the heads in the last call, detached."""
        return self.loss.boundary_term

    def forward(
        self,
        input: Heads,
        target: torch.Tensor | Mapping[str, torch.Tensor],
        distance_map: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            input: Heads as a sequence of `(B, C, *S_i)` with the largest, of the target's size, first, or stacked
                `(B, H, C, *S)`. A single `(B, C, *S)`, which such networks return in evaluation, has weight 1.
            target: Label `(B, 1, *S)`, or label and map as ``{"label": ..., "distance_map": ...}``.
            distance_map: Float `(B, C, *S)` or without the background; ``None`` to compute it from the label.

        Raises:
            ValueError: The numbers of heads and weights differ, or the first head does not have the target's size.
        """
        label, distance_map = split_target(target, distance_map, self.target_name)
        return self.loss.combine(self.region(input, label), self.boundary(input, label, distance_map))

    def region(self, input: Heads, target: torch.Tensor) -> torch.Tensor:
        """Return the region term; arguments as of the call, `target` the label."""
        heads = split_heads(input, target)
        if heads is None:
            term: torch.Tensor = self.loss.region(input, target)
            return term
        return sum_over_heads(
            lambda head: self.loss.region(head, _resample(target, head.shape[2:])), heads, self.head_weights
        )

    def boundary(self, input: Heads, target: torch.Tensor, distance_map: torch.Tensor | None = None) -> torch.Tensor:
        """Return the boundary term; arguments as of the call, `target` the label."""
        heads = split_heads(input, target)
        if heads is None:
            term: torch.Tensor = self.loss.boundary(input, target, distance_map)
            return term
        if distance_map is None:
            distance_map = self._compute_map(heads[0], target)
        term = self._boundary(heads, distance_map)
        return term

    def _compute_map(self, head: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        # Once, at full resolution: each head's own would be in its own voxels.
        compute: Callable[..., torch.Tensor] | None = getattr(self.loss.boundary, "compute_distance_map", None)
        if compute is None:
            raise ValueError(
                f"distance_map must be given, got None and {type(self.loss.boundary).__name__} cannot compute it; put "
                "SignedDistanceMapd into the transforms"
            )
        return compute(head, label)

    def extra_repr(self) -> str:
        """Show the weights of the heads."""
        return f"head_weights={self.head_weights}"


def split_heads(output: Heads, label: torch.Tensor) -> list[torch.Tensor] | None:
    """Return the heads, or ``None`` for the one output of evaluation."""
    if isinstance(output, torch.Tensor) and output.ndim != label.ndim + 1:
        return None
    heads = list(output.unbind(1) if isinstance(output, torch.Tensor) else output)
    sizes = [tuple(head.shape[2:]) for head in heads]
    if not heads or sizes[0] != tuple(label.shape[2:]):
        raise ValueError(
            f"input must hold the head of the target's size {tuple(label.shape[2:])} first, got heads of {sizes}; "
            "order them from high to low resolution, and give the label as (B, 1, *S)"
        )
    return heads


def _check_weights(weights: Sequence[float]) -> tuple[float, ...]:
    checked = tuple(check_number("head_weights", weight, strict=False) for weight in weights)
    if not any(checked):
        raise ValueError(f"head_weights must hold a value above 0, got {checked}; pass None for 1, 1/2, 1/4, ...")
    return checked


def sum_over_heads(
    term: Callable[[torch.Tensor], torch.Tensor], heads: Sequence[torch.Tensor], weights: Sequence[float] | None
) -> torch.Tensor:
    if weights is None:
        halves = [0.5**index for index in range(len(heads))]
        weights = [half / sum(halves) for half in halves]
    if len(heads) != len(weights):
        raise ValueError(
            f"head_weights must hold one value per head ({len(heads)}), got {len(weights)}; name one for each output "
            "of the network, highest resolution first (0 skips it), or pass None for 1, 1/2, 1/4, ..."
        )
    # A head of weight 0 is not evaluated: it may hold infinite values, times which 0 is not 0.
    first, *others = [weight * term(head) for head, weight in zip(heads, weights, strict=True) if weight]
    return sum(others, start=first)


def _resample(volume: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return the values of `volume` at the voxels nearest to the centres of those of a grid of `size`."""
    if tuple(volume.shape[2:]) == tuple(size):
        return volume
    # torch resamples no integers other than uint8; labels are far below the 2**24 where float32 ends to be exact.
    values = volume if volume.is_floating_point() else volume.float()
    return F.interpolate(values, size=tuple(size), mode="nearest-exact").to(volume.dtype)
