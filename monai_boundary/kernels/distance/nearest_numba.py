"""Engine of `nearest_label` on the CPU: the passes of `numba_engine`, over keys that carry the label along.

A key holds a squared distance in its upper bits and the rank of a label in its lower ones. Steps along an axis are
added to the upper bits only, so that the least key is the nearest label, and of labels at one distance the smaller one.
All is whole numbers: no order of the passes changes it. Keys of 32 bits, where they suffice, are twice as fast.

Arrays are `(z, y, x)`, as in `numba_engine`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monai_boundary.kernels.axis_passes import KEY_LANES, index_sources, sweep
from monai_boundary.kernels.compiled import compiled, float32, float64, inlined, int32, int64, read_only, void

__all__ = ["fill_nearest"]


@inlined
def _scan_row(row, weight, line):  # type: ignore[no-untyped-def]
    """Write the keys of a row from its own labels, of which there are some."""
    place, rank = -1, 0
    for x in range(len(row)):
        if row[x]:
            place, rank = x, row[x]
        line[x] = weight * (x - place) ** 2 + rank if place >= 0 else -1
    place = -1
    for x in range(len(row) - 1, -1, -1):
        if row[x]:
            place, rank = x, row[x]
        if place >= 0:
            key = weight * (place - x) ** 2 + rank
            line[x] = min(line[x], key) if line[x] >= 0 else key
    for x in range(len(row), len(line)):
        line[x] = line[len(row) - 1]


@inlined
def _scan_rows(ranks, weight, line_of, lines):  # type: ignore[no-untyped-def]
    """Write the keys of the rows that hold a label.

    Args:
        ranks: Int32 `(Z, Y, X)`, 0 for no label.
        weight: Squared spacing along x, in the upper bits.
        line_of: Int64 `(y, z)`: which of `lines` a row has; -1 where it holds no label.
        lines: Keys `(rows, x)`, whose width is a multiple of the lanes.
    """
    used = 0
    for z in range(ranks.shape[0]):
        for y in range(ranks.shape[1]):
            row = ranks[z, y]
            bits = 0
            for x in range(len(row)):
                bits |= row[x]
            line_of[y, z] = -1
            if bits:
                line_of[y, z] = used
                _scan_row(row, weight, lines[used])
                used += 1


@inlined
def _sweep_axis(sources, places, count, length, weight, scratch, out):  # type: ignore[no-untyped-def]
    """Join the rows of keys at `places` along one axis."""
    unbounded, own, below, ends = scratch
    index_sources(places, count, length, own, below)
    sweep(sources, places, unbounded, count, own, below, weight, length, math.inf, out, ends)


@inlined
def _sweep_planes(left, line_of, lines, weight, scratch, rows, at, planes, places):  # type: ignore[no-untyped-def] # noqa: PLR0913
    """Fill the planes, one for each y with a label, of as many columns as lanes from `left`; returns their number."""
    used, right = 0, left + rows.shape[1]
    for y in range(line_of.shape[0]):
        count = 0
        for z in range(line_of.shape[1]):
            if line_of[y, z] >= 0:
                rows[count] = lines[line_of[y, z], left:right]
                at[count] = z
                count += 1
        if count:
            _sweep_axis(rows, at, count, line_of.shape[1], weight, scratch, planes[used])
            places[used] = y
            used += 1
    return used


@inlined
def _write(field, z, left, bits, unit, out, distance):  # type: ignore[no-untyped-def]
    """Write what the keys `(y, lane)` say into both arrays."""
    columns = min(field.shape[1], out.shape[2] - left)
    for y in range(out.shape[1]):
        for lane in range(columns):
            out[z, y, left + lane] = field[y, lane] & ((1 << bits) - 1)
        if distance.size:
            for lane in range(columns):
                distance[z, y, left + lane] = math.sqrt(field[y, lane] >> bits) * unit


@functools.cache
def _engine(bits_of_key: int) -> Callable[..., Any]:
    """Compile the engine for keys of 32 or 64 bits."""
    key, lanes = (np.int32, KEY_LANES[32]) if bits_of_key == 32 else (np.int64, KEY_LANES[64])

    def _nearest(ranks, weights, bits, unit, out, distance):  # type: ignore[no-untyped-def]
        depth, height, width = ranks.shape
        longest = max(depth, height)
        line_of = np.empty((height, depth), np.int64)
        lines = np.empty((height * depth, (width + lanes - 1) // lanes * lanes), key)
        _scan_rows(ranks, weights[2], line_of, lines)
        # the largest key of a source would bound the search, but takes longer to find than it saves
        scratch = (
            np.full(longest, np.inf), np.empty(longest, np.int64), np.empty(longest + 1, np.int64),
            np.empty((2, longest), np.int64),
        )  # fmt: skip
        # One row more than there are: planes a multiple of 4096 bytes apart would share one cache set.
        planes = np.empty((height, depth + 1, lanes), key)
        rows, field = np.empty((longest, lanes), key), np.empty((height, lanes), key)
        at, places = np.empty(longest, np.int64), np.empty(height, np.int64)
        for left in range(0, width, lanes):
            used = _sweep_planes(left, line_of, lines, key(weights[0]), scratch, rows, at, planes, places)
            for z in range(depth):
                _sweep_axis(planes[:, z], places, used, height, key(weights[1]), scratch, field)
                _write(field, z, left, bits, unit, out, distance)

    _nearest.__qualname__ += str(bits_of_key)  # by which it is kept on disk
    volume = int32[:, :, ::1]
    return compiled(void(read_only(volume), read_only(int64[::1]), int64, float64, volume, float32[:, :, ::1]))(
        _nearest
    )


def fill_nearest(
    ranks: np.ndarray, weights: Sequence[int], bits: int, unit: float, out: np.ndarray, distance: np.ndarray | None
) -> None:
    """Write the rank of the nearest label of every voxel, and its distance.

    Args:
        ranks: Int32 `(Z, Y, X)`, C order, 0 for no label, one of them not; below ``2**bits``.
        weights: Squared spacings as whole numbers, such that no sum of squares reaches ``2**(61 - bits)``.
        bits: Lower bits of a key.
        unit: Distance of the square 1.
        out: Int32 `(Z, Y, X)`.
        distance: Float32 `(Z, Y, X)`, or ``None`` if not wanted.
    """
    shifted = [weight << bits for weight in weights]
    largest = sum(weight * (count - 1) ** 2 for weight, count in zip(shifted, ranks.shape, strict=True))
    engine = _engine(32 if largest < 1 << 30 else 64)
    measured = np.empty((0, 0, 0), np.float32) if distance is None else distance
    engine(ranks, np.array(shifted, np.int64), bits, unit, out, measured)
