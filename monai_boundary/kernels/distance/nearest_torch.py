"""Engine of `nearest_label` on any device: the keys of `nearest_numba`, one pass per axis, batched."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from monai_boundary.kernels.distance.torch_engine import PASS_SHARE, tile_size, tiles

__all__ = ["FAR", "nearest_keys"]

#: Key of a voxel without a label anywhere.
FAR = 1 << 62


@torch.no_grad()
def nearest_keys(ranks: torch.Tensor, weights: Sequence[int], bits: int) -> torch.Tensor:
    """Squared distance to the nearest label, in the upper bits, and the rank of that label.

    Args:
        ranks: Int32 `(N, *S)`, 0 for no label, below ``2**bits``.
        weights: Squared spacings as whole numbers, such that no sum of squares reaches ``2**(61 - bits)``.
        bits: Number of lower bits.

    Returns:
        Int64 `(N, *S)`; `FAR` where a volume holds no label.
    """
    counts = ranks.shape[1:]
    keys = _scan_last_axis(ranks.reshape(-1, counts[-1]), weights[-1] << bits).view(ranks.shape)
    for axis in range(len(counts) - 2, -1, -1):
        columns = keys.view(-1, counts[axis], math.prod(counts[axis + 1 :]))
        for tile in tiles(columns, tile_size(columns, PASS_SHARE)):
            _pass(tile, weights[axis] << bits)
    return keys


def _scan_last_axis(rows: torch.Tensor, weight: int) -> torch.Tensor:
    """Keys from the nearest label before and the nearest behind; `FAR` in rows without one."""
    count = rows.shape[1]
    places, held = torch.arange(count, device=rows.device), rows > 0
    before = torch.where(held, places, -1).cummax(dim=1).values
    behind = torch.where(held, places, count).flip(1).cummin(dim=1).values.flip(1)
    keys = torch.full(rows.shape, FAR, device=rows.device)
    for nearest in (before, behind):
        known = (nearest >= 0) & (nearest < count)
        nearest = nearest.clamp_(0, count - 1)
        found = (places - nearest).square_().mul_(weight).add_(rows.gather(1, nearest))
        torch.minimum(keys, found.masked_fill_(~known, FAR), out=keys)
    return keys


def _pass(tile: torch.Tensor, weight: int) -> None:
    """Take the minimum along the middle axis of `(outer, count, inner)` in place."""
    source = tile.clone(memory_format=torch.contiguous_format)
    for step in range(1, source.shape[1]):
        ahead, behind = slice(step, None), slice(None, -step)
        for here, there in ((ahead, behind), (behind, ahead)):
            torch.minimum(tile[:, here], source[:, there] + weight * step * step, out=tile[:, here])
