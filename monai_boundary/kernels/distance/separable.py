"""Exact Euclidean distances by one pass per axis in torch: batched, on any device, without a value read by the host.

A mask becomes a field g of squared distances to the nearest voxel of the other side, negative inside. It starts from
the nearest change of side along the last axis. Each further axis, with voxels w mm apart, turns it into

    g_i  <-  s_i min over j of [max(s_i g_j, 0) + w^2 (i - j)^2],    s_i = -1 inside, 1 outside,

because a voxel j on the other side is itself a candidate, at distance w |i - j|, and one on the same side hands on its
own. Seeds, where only the distance to the True voxels is asked for, are the same field with no negative value.

References:
    Felzenszwalb & Huttenlocher, Distance transforms of sampled functions, Theory of Computing 2012, eq. 1 and section
    3, for the separation; the minimum is taken over all pairs here, not by their lower envelope of parabolas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional as F

from monai_boundary.kernels.distance.engines import distance_unit

__all__ = ["seed_field", "signed_field"]

# Elements handled at once on the CPU: fewer spend their time in calls, more leave the cache.
_CPU_TILE = 1 << 18
# Elsewhere a tile is a fixed part of the field, so that a pass has few launches and its buffers stay below half a
# field: the scan keeps about eight buffers, a pass four.
_SCAN_SHARE, _PASS_SHARE = 24, 12

_SCHEMA = "(Tensor mask, float[] spacing, float reach) -> Tensor"


# Opaque to torch.compile: it would unroll the passes, whose number grows with the axes.
@torch.library.custom_op("monai_boundary::signed_field", mutates_args=(), schema=_SCHEMA)
def signed_field(mask: torch.Tensor, spacing: Sequence[float], reach: float) -> torch.Tensor:
    """Distance to the nearest voxel of the other side, negative inside.

    Args:
        mask: Bool `(N, *S)`, 1 to 3 spatial axes.
        spacing: Voxel size in mm, one per spatial axis.
        reach: Distances from here on may come out as any value >= `reach`; ``inf`` for none.

    Returns:
        Float32 `(N, *S)` in mm; a mask without a surface gives +inf (empty) or -inf (full).
    """
    return _distance(mask, spacing, reach, signed=True)


@torch.library.custom_op("monai_boundary::seed_field", mutates_args=(), schema=_SCHEMA)
def seed_field(mask: torch.Tensor, spacing: Sequence[float], reach: float) -> torch.Tensor:
    """Distance to the nearest True voxel, 0 on them, +inf without one; arguments as of `signed_field`."""
    return _distance(mask, spacing, reach, signed=False)


@signed_field.register_fake
@seed_field.register_fake
def _(mask: torch.Tensor, spacing: Sequence[float], reach: float) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(mask, dtype=torch.float32, memory_format=torch.contiguous_format)


def _distance(mask: torch.Tensor, spacing: Sequence[float], reach: float, signed: bool) -> torch.Tensor:
    # Axes of one voxel add nothing.
    kept = [axis for axis, count in enumerate(mask.shape[1:]) if count > 1] or [0]
    sizes = [spacing[axis] for axis in kept]
    # In units of the last axis the first squares, and all where voxels are cubes, are whole numbers.
    unit = distance_unit(sizes)
    counts = [mask.shape[1 + axis] for axis in kept]
    field = torch.empty((mask.shape[0], *counts), dtype=torch.float32, device=mask.device)
    _scan_last_axis(mask.reshape(field.shape), field, sizes[-1] / unit, signed)
    for axis in range(len(counts) - 2, -1, -1):
        steps = math.ceil(min(reach / sizes[axis], counts[axis] - 1))
        _pass(field.view(-1, counts[axis], math.prod(counts[axis + 1 :])), (sizes[axis] / unit) ** 2, steps)
    sign = field.sgn() if signed else None
    field.abs_().sqrt_().mul_(unit)
    return (field if sign is None else field.mul_(sign)).view(mask.shape)


def _scan_last_axis(mask: torch.Tensor, field: torch.Tensor, size: float, signed: bool) -> None:
    """Write the signed square of the distance along the last axis; inf in rows without a change, or without a seed."""
    count = mask.shape[-1]
    rows, out = mask.reshape(-1, count), field.view(-1, count)
    places = torch.arange(count, dtype=torch.float32, device=mask.device)
    step = max(1, _tile_size(field, _SCAN_SHARE) // count)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        if signed:
            changes = part[:, 1:] != part[:, :-1]
            before = F.pad(torch.where(changes, places[:-1], -math.inf), (1, 0), value=-math.inf)
            after = F.pad(torch.where(changes, places[1:], math.inf), (0, 1), value=math.inf)
        else:
            before, after = torch.where(part, places, -math.inf), torch.where(part, places, math.inf)
        before = places - before.cummax(dim=1).values
        after = after.flip(1).cummin(dim=1).values.flip(1).sub_(places)
        nearest = torch.minimum(before, after, out=before).mul_(size)
        target = out[start : start + step]
        torch.mul(nearest, nearest, out=target)
        if signed:
            target.mul_(torch.where(part, -1.0, 1.0).to(target.dtype))


def _pass(columns: torch.Tensor, weight: float, steps: int) -> None:
    """Take the minimum along the middle axis of `(outer, count, inner)` in place, over at most `steps` voxels away."""
    for tile in _tiles(columns, _tile_size(columns, _PASS_SHARE)):
        _lower_envelope(tile, weight, steps)


def _lower_envelope(tile: torch.Tensor, weight: float, steps: int) -> None:
    source = tile.clone(memory_format=torch.contiguous_format)
    sign = torch.where(source < 0, -1.0, 1.0).to(source.dtype)
    best, scratch = source.abs(), torch.empty_like(source)
    costs = torch.arange(steps + 1, dtype=torch.float32, device=tile.device).square_().mul_(weight)
    for step in range(1, steps + 1):
        cost, ahead, behind = costs[step], slice(step, None), slice(None, -step)
        for here, there in ((ahead, behind), (behind, ahead)):
            candidate = scratch[:, here]
            torch.addcmul(cost, source[:, there], sign[:, here], out=candidate)
            torch.maximum(candidate, cost, out=candidate)  # the other side: a distance of 0 there
            torch.minimum(best[:, here], candidate, out=best[:, here])
    torch.mul(best, sign, out=tile)


def _tile_size(field: torch.Tensor, share: int) -> int:
    return _CPU_TILE if field.device.type == "cpu" else max(1, field.numel() // share)


def _tiles(columns: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Cut `(outer, count, inner)` into parts of whole columns of about `size` elements."""
    outer, count, inner = columns.shape
    width = min(inner, max(1, size // count))
    height = max(1, size // (count * width)) if width == inner else 1
    for start in range(0, outer, height):
        for left in range(0, inner, width):
            yield columns[start : start + height, :, left : left + width]
