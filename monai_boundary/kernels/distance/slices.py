"""Exact distance to a 3-D mask that lies in part of the slices: 2-D transforms there, then a minimum over slices.

d^2(z, q) is the smallest of f(s, q) + w^2 (z - s)^2 over the slices s that hold a voxel of the mask, with f(s, q) the
squared distance inside slice s and w the slice spacing. A 3-D engine spends two of its three passes on slices that
hold nothing; here only the occupied ones are transformed. Where f(s + 1) - f(s) is small over a whole block of pixels,
s cannot be nearest beyond some z, and most pairs (z, s) drop out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

__all__ = ["bounding_box", "sliced_distance"]

# Pixels handled at once: larger blocks leave the second-level cache, smaller ones spend their time in calls.
_BLOCK = 1 << 14
# Times in ns, measured on one core; they choose between this form and one 3-D pass. Per voxel and per call:
_VOXEL_3D, _VOXEL_2D, _VOXEL_PAIR = 32.0, 25.0, 1.0
_CALL_2D, _CALL_PLANE, _CALL_PAIR = 90e3, 20e3, 3e3
_PROBES = 5


def bounding_box(mask: np.ndarray, spacing: tuple[float, ...], reach: float) -> tuple[slice, ...]:
    """Slices of the smallest box around the True voxels, grown by `reach` mm and cut at the border."""
    slices = []
    for axis, size in enumerate(spacing):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        margin = math.ceil(min(reach / size, mask.shape[axis]))
        slices.append(slice(max(0, int(occupied[0]) - margin), min(int(occupied[-1]) + margin + 1, mask.shape[axis])))
    return tuple(slices)


def sliced_distance(seeds: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None = None) -> bool:
    """Write the distance to the nearest True voxel into `out`, where that is cheaper than a 3-D pass.

    Args:
        seeds: Bool `(Z, Y, X)` with a True voxel.
        spacing: Voxel size in mm, in array order.
        out: Float32 `(Z, Y, X)`, any strides.
        limit: Distances from here on may come out as any value >= `limit`; ``None`` for none.

    Returns:
        Whether `out` was written. If not, its content is undefined.
    """
    profiles: list[np.ndarray] = [np.any(seeds, axis=2), np.any(seeds, axis=1)]
    occupied = np.flatnonzero(profiles[0].any(axis=1))
    crops = _slice_crops([profile[occupied] for profile in profiles], spacing[1:], limit)
    area = sum(math.prod(part.stop - part.start for part in crop) for crop in crops)
    rows = max(1, _BLOCK // seeds.shape[2])
    blocks = [slice(start, start + rows) for start in range(0, seeds.shape[1], rows)]
    whole = seeds.size * _VOXEL_3D
    budget = whole - area * _VOXEL_2D - len(occupied) * _CALL_2D - len(blocks) * len(seeds) * _CALL_PLANE
    if budget < whole / 3:  # too little to gain to pay for finding out
        return False
    squared = np.empty((len(occupied), *seeds.shape[1:]), np.float32)
    missing = set(range(len(occupied)))

    def transform(indices: Iterable[int]) -> None:
        for index in missing.intersection(indices):
            _slice_squared(seeds[occupied[index]], crops[index], spacing[1:], squared[index], limit)
            missing.discard(index)

    pairs = []
    # A few slices tell whether it pays; the outermost ones do not, they are nearest all the way to the border.
    for index in np.linspace(0, len(occupied) - 1, _PROBES + 2, dtype=int)[1:-1]:
        first, last = max(0, index - 1), min(len(occupied), index + 2)
        transform(range(first, last))
        for block in blocks:
            near = squared[first:last, block]
            start, stop = _winning_range(near, occupied[first:last], spacing[0], len(seeds), limit)
            pairs.append(max(0, int(stop[index - first] - start[index - first])))
    if np.mean(pairs) * len(occupied) * (seeds[0].size * _VOXEL_PAIR + len(blocks) * _CALL_PAIR) > budget:
        return False
    transform(range(len(occupied)))
    for block in blocks:
        start, stop = _winning_range(squared[:, block], occupied, spacing[0], len(seeds), limit)
        _merge_slices(squared[:, block], occupied, spacing[0], start, stop, out[:, block], limit)
    return True


def _slice_crops(
    profiles: list[np.ndarray], spacing: tuple[float, ...], limit: float | None
) -> list[tuple[slice, ...]]:
    """Part of each slice outside which all distances pass the limit; `profiles`: which rows and columns hold seeds."""
    axes = []
    for profile, size in zip(profiles, spacing, strict=True):
        count = profile.shape[1]
        margin = count if limit is None else math.ceil(min(limit / size, count))
        low = np.maximum(profile.argmax(axis=1) - margin, 0).tolist()
        high = np.minimum(count - profile[:, ::-1].argmax(axis=1) + margin, count).tolist()
        axes.append([slice(*ends) for ends in zip(low, high, strict=True)])
    return list(zip(*axes, strict=True))


def _slice_squared(
    seeds: np.ndarray, crop: tuple[slice, ...], spacing: tuple[float, ...], out: np.ndarray, limit: float | None
) -> None:
    """Squared distance inside one slice, no more than the squared limit."""
    import edt

    squared = edt.edtsq((~seeds[crop]).view(np.uint8), anisotropy=spacing, black_border=False, parallel=1)
    if limit is None:
        out[...] = squared
    else:
        out[...] = limit**2
        np.minimum(squared, np.float32(limit**2), out=out[crop])


def _winning_range(
    squared: np.ndarray, occupied: np.ndarray, size: float, count: int, limit: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """For each occupied slice, the range [start, stop) of slices z to which it may be the nearest in this block."""
    start, stop = np.zeros(len(occupied)), np.full(len(occupied), float(count))
    difference = np.empty(squared.shape[1:], np.float32)
    for index in range(len(occupied) - 1):
        near, far = float(occupied[index]), float(occupied[index + 1])
        np.subtract(squared[index + 1], squared[index], out=difference)
        # The next slice is at least as near in every pixel where max(difference) <= w^2 ((z - near)^2 - (z - far)^2).
        scale, middle = 2 * size**2 * (far - near), (near + far) / 2
        stop[index] = float(difference.max()) / scale + middle
        start[index + 1] = float(difference.min()) / scale + middle
    if limit is not None:
        np.maximum(start, occupied - limit / size, out=start)
        np.minimum(stop, occupied + limit / size + 1, out=stop)
    # Of two neighbours at most one drops out at any z, so one slice always remains.
    return np.clip(np.ceil(start), 0, count).astype(int), np.clip(np.ceil(stop), 0, count).astype(int)


def _merge_slices(
    squared: np.ndarray,
    occupied: np.ndarray,
    size: float,
    start: np.ndarray,
    stop: np.ndarray,
    out: np.ndarray,
    limit: float | None,
) -> None:
    """Write the root of the minimum over the slices into every slice of `out`."""
    shifted = np.empty(squared.shape[1:], np.float32)
    for z, plane in enumerate(out):
        candidates = np.flatnonzero((start <= z) & (z < stop))
        if not len(candidates):  # all slices are farther than the limit
            plane[...] = limit
            continue
        for position, index in enumerate(candidates):
            offset = (size * (z - int(occupied[index]))) ** 2
            if position == 0:
                np.add(squared[index], np.float32(offset), out=plane)
            else:
                np.add(squared[index], np.float32(offset), out=shifted)
                np.minimum(plane, shifted, out=plane)
        np.sqrt(plane, out=plane)
