"""The signed pass behind `distance`: from a checked bool mask to its finished map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_boundary.kernels._engines import (
    Backend,
    fused_signed,
    opposite_distance,
    resolve_backend,
    seed_distance,
)
from monai_boundary.kernels._slices import bounding_box
from monai_boundary.kernels.map_options import Convention, DistanceMapOptions

__all__ = [
    "clip_reach",
    "diagonal",
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
        _finish(channel, inside, spacing, options)


def fill_map(
    out: np.ndarray,
    mask: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None,
    backend: Backend,
) -> None:
    """Write the finished map of one mask into `out`."""
    _write_signed(out, None, mask, spacing, options, valid, backend)
    _finish(out, mask, spacing, options)


def two_class_map(
    mask: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None,
    backend: Backend,
) -> np.ndarray:
    """Both channels of a two-class map from one pass over the foreground `mask`."""
    maps = np.empty((2, *mask.shape), np.float32)
    _write_signed(maps[1], maps[0], mask, spacing, options, valid, backend)
    for channel, inside in ((maps[0], ~mask), (maps[1], mask)):
        _finish(channel, inside, spacing, options)
    return maps


def _write_signed(
    out: np.ndarray,
    complement: np.ndarray | None,
    mask: np.ndarray,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: np.ndarray | None,
    backend: Backend,
) -> None:
    """Write the clipped signed distance of `mask` into `out`, and that of its complement where one is asked for."""
    inside = mask if valid is None else mask & valid
    outside = None if valid is None else ~mask & valid
    present = bool(inside.any())
    if not present or not (~inside if outside is None else outside).any():
        far = 0.0 if options.absent == "zero" else (options.clip or diagonal(mask.shape, spacing))
        out[...] = -far if present else far
        if complement is not None:
            complement[...] = far if present else -far
    else:
        crop: Any = ...
        if options.clip is not None:  # what lies beyond the crop is farther than the clip
            crop = bounding_box(inside, spacing, clip_reach(spacing, options))
            out[...] = options.clip
            if complement is not None:
                complement[...] = -options.clip
        region, other = out[crop], None if complement is None else complement[crop]
        _signed(region, other, inside[crop], None if outside is None else outside[crop], spacing, options, backend)
    if valid is not None:
        out[~valid] = 0.0
        if complement is not None:
            complement[~valid] = 0.0


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


def _finish(channel: np.ndarray, inside: np.ndarray, spacing: tuple[float, ...], options: DistanceMapOptions) -> None:
    """Normalise and balance the channel of the mask `inside` in place; voxels that do not count are 0 by now."""
    if options.normalize is not None:
        largest = {
            "clip": options.clip,
            "diagonal": diagonal(channel.shape, spacing),
            "max": float(max(channel.max(), -channel.min())),
        }[options.normalize]
        if largest:  # an all-zero channel stays zero
            channel /= np.float32(largest)
    if options.balance > 0:
        values = channel[inside]  # one voxel less than 1 mm wide is not negative by convention "kervadec"
        inner = float(np.abs(values).sum(dtype=np.float64))
        outer = float(channel.sum(dtype=np.float64)) - float(values.sum(dtype=np.float64))
        if inner > 0 and outer > 0:
            factor = min((outer / inner) ** options.balance, options.balance_cap)
            np.multiply(channel, np.float32(factor), out=channel, where=inside)


def diagonal(shape: Sequence[int], spacing: tuple[float, ...]) -> float:
    """Length in mm of the diagonal of a volume."""
    return math.hypot(*(count * size for count, size in zip(shape, spacing, strict=True)))
