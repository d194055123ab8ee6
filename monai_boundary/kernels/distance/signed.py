"""The signed pass behind `distance`: from a checked bool mask to its finished map."""

from __future__ import annotations

from typing import Any

import numpy as np

from monai_boundary.kernels.distance.engines import (
    Backend,
    fused_signed,
    opposite_distance,
    resolve_backend,
    seed_distance,
)
from monai_boundary.kernels.distance.finish import diagonal, fill_beyond, finish_channel
from monai_boundary.kernels.distance.options import Convention, DistanceMapOptions
from monai_boundary.kernels.distance.slices import bounding_box

__all__ = [
    "clip_reach",
    "fill_map",
    "finish_distances",
    "inside_offset",
    "masks_distance_map",
    "two_class_map",
]


def masks_distance_map(
    masks: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None = None,
    backend: Backend = "auto",
) -> np.ndarray:
    """Signed distance map of each channel of bool `masks` `(C, *S)`, which may overlap.

    Args:
        masks: Bool `(C, *S)`.
        spacing: Voxel size in mm.
        options: Settings of the map.
        valid: Bool `(*S)`, the voxels that count; ``None`` for all.
        backend: Engine.
    """
    maps = np.empty(masks.shape, np.float32)
    for mask, out in zip(masks, maps, strict=True):
        fill_map(out, mask, spacing, options, valid, backend)
    return maps


def finish_distances(
    maps: np.ndarray,
    masks: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None = None,
) -> None:
    """Clip, normalise and balance, in place, distances in mm that were computed before, such as a part of a volume's.

    Args:
        maps: Float32 `(C, *S)`.
        masks: Bool `(C, *S)`.
        spacing: Voxel size in mm.
        options: Settings of the map; its convention and `absent` are those that `maps` have.
        valid: Bool `(*S)`, the voxels that count; ``None`` for all.
    """
    _limit(maps, options.clip)
    if valid is not None:
        maps[:, ~valid] = 0.0
    for channel, inside in zip(maps, masks, strict=True):
        finish_channel(channel, inside, None, spacing, options, "auto")


def fill_map(
    out: np.ndarray,
    mask: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None,
    backend: Backend,
) -> None:
    """Write the finished map of one mask into `out`."""
    box = _write_signed(out, None, mask, spacing, options, valid, backend)
    finish_channel(out, mask, box, spacing, options, backend)


def two_class_map(
    mask: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None,
    backend: Backend,
) -> np.ndarray:
    """Both channels of a two-class map from one pass over the foreground `mask`."""
    maps = np.empty((2, *mask.shape), np.float32)
    box = _write_signed(maps[1], maps[0], mask, spacing, options, valid, backend)
    inner, outer = finish_channel(maps[1], mask, box, spacing, options, backend)
    # Where one map is the other's negative, their sums are the same.
    sums = (outer, inner) if inside_offset(spacing, options.convention) == 0 else None
    finish_channel(maps[0], mask, box, spacing, options, backend, False, sums)
    return maps


def _write_signed(
    out: np.ndarray,
    complement: np.ndarray | None,
    mask: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None,
    backend: Backend,
) -> tuple[slice, ...] | None:
    """Write the clipped signed distance of `mask` into `out`, and that of its complement where one is asked for.

    Returns:
        A box that alone was written, where all beyond it is farther than the clip; ``None`` where everything was.
    """
    box: tuple[slice, ...] | None = None
    inside = mask if valid is None else mask & valid
    outside = None if valid is None else ~mask & valid
    present = bool(inside.any())
    if not present or (inside.all() if outside is None else not outside.any()):
        far = 0.0 if options.absent == "zero" else (options.clip or diagonal(mask.shape, spacing))
        out[...] = -far if present else far
        if complement is not None:
            complement[...] = far if present else -far
    else:
        if options.clip is not None:
            box = bounding_box(inside, spacing, clip_reach(spacing, options))
        crop: Any = ... if box is None else box
        region, other = out[crop], None if complement is None else complement[crop]
        _signed(region, other, inside[crop], None if outside is None else outside[crop], spacing, options, backend)
    if valid is None:
        return box
    for channel, sign in ((out, 1), (complement, -1)):
        if channel is not None:
            if box is not None:
                fill_beyond(channel, box, np.float32(sign * (options.clip or 0.0)))
            channel[~valid] = 0.0
    return None


def _signed(
    out: np.ndarray,
    complement: np.ndarray | None,
    inside: np.ndarray,
    outside: np.ndarray | None,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    backend: Backend,
) -> None:
    """Write the clipped signed distances of both sides; `outside` is given where some voxels are neither."""
    limit = None if options.clip is None else clip_reach(spacing, options)
    total = inside_offset(spacing, options.convention)
    beyond = min(spacing) / 2 if options.convention == "half" else 0.0
    if outside is not None and (inside | outside).all():
        outside = None
    if inside.all():  # a crop wholly inside: the surface is farther than the clip
        out[...] = -np.inf
    elif outside is None and resolve_backend(backend) == "numba":
        fused_signed(inside, spacing, out, complement, (beyond, beyond + total), options.clip, limit)
        return
    else:
        if outside is None:
            opposite_distance(inside, spacing, backend, out, limit)
        else:  # distances start only at counted voxels, so each side needs its own pass
            seed_distance(inside, spacing, backend, out, limit)
            to_outside = seed_distance(outside, spacing, backend) if outside.any() else np.float32(np.inf)
            np.copyto(out, to_outside, where=inside)
        if beyond:
            out -= np.float32(beyond)
        if total:
            np.subtract(out, np.float32(total), out=out, where=inside)
        np.negative(out, out=out, where=inside)
    if complement is not None:
        _limit(np.subtract(np.float32(total), out, out=complement), options.clip)
    _limit(out, options.clip)


def inside_offset(spacing: tuple[float, ...], convention: Convention) -> float:
    """Value that the maps of a mask and of its complement add up to: 0 for the symmetric conventions."""
    return {"half": 0.0, "centre": 0.0, "kervadec": 1.0, "kervadec_mm": min(spacing)}[convention]


def _limit(values: np.ndarray, limit: float | None) -> None:
    if limit is not None:
        np.clip(values, -limit, limit, out=values)


def clip_reach(spacing: tuple[float, ...], options: DistanceMapOptions) -> float:
    """The clip, the largest offset of any convention and a margin for rounding: what is farther ends at the clip."""
    return 1.001 * ((options.clip or 0.0) + max(1.0, min(spacing)))
