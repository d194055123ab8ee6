"""Backend ``"torch"``: exact distances by one pass per axis, batched, on any device, no value read by the host.

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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn import functional as F

from monai_boundary._check import as_numpy, check_labels, check_mask, check_spatial_ndim, plain_tensor
from monai_boundary.kernels.distance.finish import finish_maps
from monai_boundary.kernels.distance.plan import Plan

__all__ = [
    "PASS_SHARE", "as_given", "device_labels_map", "device_masks_map", "device_seed_distance", "labels_tensor",
    "mask_tensor", "tile_size", "tiles",
]  # fmt: skip

Array = TypeVar("Array", np.ndarray, torch.Tensor)
# Elements handled at once on the CPU: fewer spend their time in calls, more leave the cache.
_CPU_TILE = 1 << 18
# Elsewhere a tile is a fixed part of the field, so that a pass has few launches and its buffers stay below half a
# field: the scan keeps about eight buffers, a pass four.
_SCAN_SHARE, PASS_SHARE = 24, 12

_SCHEMA = "(Tensor mask, float[] spacing, float reach) -> Tensor"


# Opaque to torch.compile: it would unroll the passes, whose number grows with the axes.
@torch.library.custom_op("monai_boundary::signed_field", mutates_args=(), schema=_SCHEMA)
def signed_field(mask: torch.Tensor, spacing: Sequence[float], reach: float) -> torch.Tensor:
    """Distance to the nearest voxel of the other side, negative inside.

    Args:
        mask: Bool `(N, *S)`, 1 to 3 spatial axes.
        spacing: Voxel size in the unit of the plan, one per spatial axis: where voxels are cubes, and in the first pass
            anyway, squares are whole numbers.
        reach: Distances from here on, in the same unit, may come out as any value >= `reach`; ``inf`` for none.

    Returns:
        Float32 `(N, *S)` in this unit; a mask without a surface gives +inf (empty) or -inf (full).
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
    counts = mask.shape[1:]
    field = torch.empty(mask.shape, dtype=torch.float32, device=mask.device)
    _scan_last_axis(mask, field, spacing[-1], signed)
    for axis in range(len(counts) - 2, -1, -1):
        steps = math.ceil(min(reach / spacing[axis], counts[axis] - 1))
        _pass(field.view(-1, counts[axis], math.prod(counts[axis + 1 :])), spacing[axis] ** 2, steps)
    sign = field.sgn() if signed else None
    field.abs_().sqrt_()
    return field if sign is None else field.mul_(sign)


def _scan_last_axis(mask: torch.Tensor, field: torch.Tensor, spacing: float, signed: bool) -> None:
    """Write the signed square of the distance along the last axis; inf in rows without a change, or without a seed."""
    count = mask.shape[-1]
    rows, out = mask.reshape(-1, count), field.view(-1, count)
    places = torch.arange(count, dtype=torch.float32, device=mask.device)
    step = max(1, tile_size(field, _SCAN_SHARE) // count)
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
        nearest = torch.minimum(before, after, out=before).mul_(spacing)
        target = out[start : start + step]
        torch.mul(nearest, nearest, out=target)
        if signed:
            target.mul_(torch.where(part, -1.0, 1.0).to(target.dtype))


def _pass(columns: torch.Tensor, weight: float, steps: int) -> None:
    """Take the minimum along the middle axis of `(outer, count, inner)` in place, over at most `steps` voxels away."""
    for tile in tiles(columns, tile_size(columns, PASS_SHARE)):
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


def tile_size(field: torch.Tensor, share: int) -> int:
    """Elements that are handled at once: what the cache of a CPU holds, elsewhere this part of the field."""
    return _CPU_TILE if field.device.type == "cpu" else max(1, field.numel() // share)


def tiles(columns: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Cut `(outer, count, inner)` into parts of whole columns of about `size` elements."""
    outer, count, inner = columns.shape
    width = min(inner, max(1, size // count))
    height = max(1, size // (count * width)) if width == inner else 1
    for start in range(0, outer, height):
        for left in range(0, inner, width):
            yield columns[start : start + height, :, left : left + width]


@torch.no_grad()
def device_labels_map(labels: torch.Tensor, classes: range, ignore_index: int | None, plan: Plan) -> torch.Tensor:
    """Maps `(B, C, *S)` of a batch of label maps `(B, 1, *S)` of any integer type, on their device.

    Labels out of range are no class's: looking at them would be a wait.
    """
    names = torch.arange(classes.start, classes.stop, device=labels.device).view(-1, *[1] * (labels.ndim - 2))
    inside, valid = labels == names, None
    if ignore_index is not None:
        valid = labels != ignore_index
        inside &= valid
    return _maps(inside, valid, plan)


@torch.no_grad()
def device_masks_map(masks: torch.Tensor, plan: Plan, valid: torch.Tensor | None = None) -> torch.Tensor:
    """The same of bool `masks` `(B, C, *S)`, which may overlap; `valid` `(B, 1, *S)` is False on ignored voxels."""
    return _maps(masks if valid is None else masks & valid, valid, plan)


@torch.no_grad()
def device_seed_distance(seeds: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Distance in mm to the nearest True voxel of bool `(B, C, *S)`."""
    return _in_mm(seed_field, seeds, plan)


def _maps(inside: torch.Tensor, valid: torch.Tensor | None, plan: Plan) -> torch.Tensor:
    # Beside the maps, masks and less than twice their size are asked for.
    if valid is None:
        maps = _in_mm(signed_field, inside, plan)
    else:
        # Distances start only at counted voxels, so each side needs passes of its own.
        negative = _in_mm(seed_field, valid & ~inside, plan).neg_()
        maps = _in_mm(seed_field, inside, plan)
        torch.where(inside, negative, maps, out=maps)
        del negative
    finish_maps(maps, inside, valid, plan)
    return maps


def _in_mm(field: Callable[..., torch.Tensor], mask: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Call one of the two ops; axes of one voxel add nothing, and it does not see them."""
    rows = mask.reshape(mask.shape[0] * mask.shape[1], *[mask.shape[2 + axis] for axis in plan.kept])
    return field(rows, plan.unit_spacing, plan.reach / plan.unit).mul_(plan.unit).view(mask.shape)


def labels_tensor(labels: Any, num_classes: int, ignore_index: int | None) -> torch.Tensor:
    """Return labels as a plain tensor where they are, checked where looking at them costs no wait."""
    if isinstance(labels, torch.Tensor) and (labels.device.type != "cpu" or torch.compiler.is_compiling()):
        # A negative `ignore_index` would wrap in unsigned integers.
        wider = {torch.uint8: torch.int16, torch.uint16: torch.int32, torch.uint32: torch.int64}
        return plain_tensor("labels", labels).to(wider.get(labels.dtype, labels.dtype))
    checked = check_labels(as_numpy("labels", labels), num_classes, ignore_index)
    return torch.from_numpy(np.require(checked, np.int64, ["C", "W"]))


def mask_tensor(mask: Any) -> torch.Tensor:
    """Return a mask as a plain bool tensor where it is, checked alike."""
    if not isinstance(mask, torch.Tensor) or (mask.device.type == "cpu" and not torch.compiler.is_compiling()):
        return torch.from_numpy(np.require(check_mask("mask", as_numpy("mask", mask)), requirements=["C", "W"]))
    check_spatial_ndim("mask", mask.shape)
    if mask.is_floating_point():
        raise TypeError(f"mask must be bool (or integers 0 and 1), got dtype {mask.dtype}; threshold it first")
    return plain_tensor("mask", mask).bool()


def as_given(reference: Array, values: np.ndarray | torch.Tensor) -> Array:
    """Return values as array or as tensor on the device, as the input was."""
    if isinstance(reference, torch.Tensor):
        tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(values)
        return tensor.to(reference.device)
    return values.numpy() if isinstance(values, torch.Tensor) else values
