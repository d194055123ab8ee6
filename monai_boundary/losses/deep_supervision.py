"""The boundary term of a network with several output resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["DeepSupervisionBoundary"]


class DeepSupervisionBoundary(nn.Module):
    """Weighted sum of the boundary loss over the heads, all from one map at full resolution.

    The map is resampled to each head by the nearest voxel and keeps its values: a millimetre weighs the same in each.

    Args:
        boundary: The loss of one head, called as ``boundary(input, None, distance_map)``.
        weights: One weight per head, highest resolution first; heads of weight 0 are passed over.
    """

    def __init__(self, boundary: nn.Module, weights: Sequence[float]) -> None:
        super().__init__()
        self.boundary = boundary
        self.head_weights = tuple(float(weight) for weight in weights)

    def forward(self, heads: Sequence[torch.Tensor], distance_map: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum.

        Args:
            heads: Network outputs `(B, C, *S_i)`.
            distance_map: Float `(B, C, *S)` at the resolution of the first head.

        Raises:
            ValueError: The numbers of heads and weights differ.
        """
        if len(heads) != len(self.head_weights):
            raise ValueError(f"heads must hold one output per weight ({len(self.head_weights)}), got {len(heads)}")
        total = distance_map.new_zeros((), dtype=torch.float32)
        for head, weight in zip(heads, self.head_weights, strict=True):
            if weight:
                total = total + weight * self.boundary(head, None, _resample(distance_map, head.shape[2:]))
        return total


def _resample(distance_map: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    if tuple(distance_map.shape[2:]) == tuple(size):
        return distance_map
    return F.interpolate(distance_map, size=tuple(size), mode="nearest-exact")
