"""The compiled passes behind `_signed_field`: exact squared distances by a minimum over ever fewer candidates.

Squared distances come from three passes: along the rows, then ``min over s of f(s) + w (p - s)^2`` along the other
axes. The nearest s never moves back as p moves on, so that the middle of an axis is searched first and halves what is
left to search on both sides: some ten candidates for each voxel, whatever the mask (Felzenszwalb and Huttenlocher,
Theory of Computing 2012, have one lower envelope per column and a division per candidate). LANES columns side by side
share the search, which keeps it in vector registers. Only rows, slices and columns that hold a seed are candidates.
"""

from __future__ import annotations

import math

import numpy as np

from monai_boundary.kernels.compiled import compiled
from monai_boundary.kernels.distance.lanes import LANES, nearest, nearest_range

__all__ = ["scan_rows", "sweep_columns", "sweep_slices"]

_EMPTY, _MIXED, _FULL = 0, 1, 2
_FAR = 1 << 28


@compiled
def scan_rows(mask, kind, line_of, lines):  # type: ignore[no-untyped-def]
    """Row by row, the steps to the nearest voxel of the other side, negative inside; rows of one side need no line."""
    used = 0
    for z in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            row = mask[z, y]
            total = 0
            for x in range(len(row)):
                total += row[x]
            if total == 0 or total == len(row):
                kind[z, y] = _EMPTY if total == 0 else _FULL
                continue
            kind[z, y] = _MIXED
            line_of[z, y] = used
            line = lines[used]
            used += 1
            steps, before = _FAR, row[0]
            for x in range(len(row)):
                steps = 1 if row[x] != before else steps + 1
                before = row[x]
                line[x] = steps
            steps = _FAR
            for x in range(len(row) - 1, -1, -1):
                steps = 1 if row[x] != before else steps + 1
                before = row[x]
                nearer = min(line[x], steps)
                line[x] = -nearer if before else nearer
            for x in range(len(row), len(line)):
                line[x] = line[len(row) - 1]


@compiled
def _index_sources(places, count, length, own, below):  # type: ignore[no-untyped-def]
    """`own[p]`: the source at p, or -1; `below[p]`: how many sources lie before p."""
    source = 0
    for place in range(length):
        below[place] = source
        own[place] = -1
        if source < count and places[source] == place:
            own[place] = source
            source += 1
    below[length] = source


@compiled
def _sweep(  # type: ignore[no-untyped-def] # noqa: C901, PLR0913 - numba has no cheap way to pass them together
    rows, places, tops, count, own, below,
    weight, length, limit, out, ends,
):  # fmt: skip
    """Write the least ``rows[s] + weight * (p - places[s])^2`` into ``out[p]``; from limit^2 on, anything as large.

    Args:
        rows: Float32 `(count, LANES)`, squared distances at the sources.
        places: Where along the axis each source lies, ascending.
        tops: Largest value of each source.
        count: Number of sources.
        own: Source at each place, or -1.
        below: Number of sources before each place.
        weight: Squared spacing.
        length: Number of places.
        limit: See above.
        out: Float32 `(length, LANES)`.
        ends: Scratch `(2, length)`: the least and greatest source that is nearest in some lane.
    """
    first, last = ends[0], ends[1]
    size = math.sqrt(weight)
    half = 1
    while 2 * half <= length:
        half *= 2
    while half >= 1:
        for place in range(half - 1, length, 2 * half):
            reach = limit
            source = own[place]
            if source >= 0:
                if tops[source] == 0:
                    for lane in range(LANES):
                        out[place, lane] = 0
                    first[place] = last[place] = source
                    continue
                reach = min(reach, math.sqrt(tops[source]))  # what is farther than that is beaten by its own source
            low = first[place - half] if place >= half else 0
            high = last[place + half] if place + half < length else count - 1
            if low > high:  # by rounding, among sources that are equally near
                low, high = high, low
            first[place], last[place] = low, high
            if reach < size * length:
                steps = int(reach / size) + 1
                near, far = below[max(place - steps, 0)], below[min(place + steps + 1, length)] - 1
                if near > far:
                    for lane in range(LANES):
                        out[place, lane] = limit * limit
                    continue
                if max(low, near) <= min(high, far):
                    low, high = max(low, near), min(high, far)
            if half > 1:
                first[place], last[place] = nearest_range(rows, places, low, high, place, weight, out)
            else:
                nearest(rows, places, low, high, place, weight, out)
        half //= 2


@compiled
def _load(row, source):  # type: ignore[no-untyped-def]
    """Copy a row of LANES values and return the largest."""
    top = np.float32(0)
    for lane in range(LANES):
        row[lane] = source[lane]
        top = max(top, row[lane])
    return top


@compiled
def _put(out, values, sign, shift, clip):  # type: ignore[no-untyped-def]
    """Write ``sign * values + shift``, limited to +-clip."""
    for lane in range(len(out)):
        value = sign * values[lane] + shift
        value = value if value < clip else clip
        out[lane] = value if value > -clip else -clip


@compiled
def sweep_slices(  # type: ignore[no-untyped-def] # noqa: PLR0913 - numba has no cheap way to pass them together
    side, box, left, kind, line_of, lines,
    weights, limit, scratch, planes, places, held,
):  # fmt: skip
    """In LANES columns from `left`, the distances inside each slice to the mask (side 0) or to the rest (side 1).

    `box` is (first slice, end, first row, end); `held[0]` and `held[1]`: which slices and rows hold mask in these
    columns.
    Writes `planes[n, y]` for the n-th slice that holds a source, its place into `places`, and returns their number.
    """
    rows, tops, at, own, below, ends = scratch
    bare = _FULL if side == 1 else _EMPTY
    sign = -1 if side == 1 else 1
    length = box[3] - box[2]
    used = 0
    for z in range(box[0], box[1]):
        if side == 1 and not held[0, z]:
            planes[used, :length] = 0
            places[used] = z - box[0]
            used += 1
            continue
        count = 0
        for y in range(box[2], box[3]):
            if kind[z, y] == bare:
                continue
            top = np.float32(0)
            inside = kind[z, y] == _FULL
            if kind[z, y] == _MIXED:
                line = lines[line_of[z, y], left : left + LANES]
                least = 0
                for lane in range(LANES):
                    least = min(least, line[lane])
                    steps = np.float32(max(sign * line[lane], 0))
                    rows[count, lane] = steps * steps * weights[2]
                    top = max(top, rows[count, lane])
                inside = least < 0
            else:
                for lane in range(LANES):
                    rows[count, lane] = 0
            if inside:
                held[0, z] = held[1, y] = True
            tops[count] = top
            at[count] = y - box[2]
            count += 1
        if count:
            _index_sources(at, count, length, own, below)
            _sweep(rows, at, tops, count, own, below, weights[1], length, limit, planes[used], ends)
            places[used] = z - box[0]
            used += 1
    return used


@compiled
def sweep_columns(  # type: ignore[no-untyped-def] # noqa: C901, PLR0913 - numba has no cheap way to pass them together
    sides, boxes, left, counts, weights, limit, shift,
    scratch, planes, places, held, field, outs, steps,
):  # fmt: skip
    """Join the slices along the first axis, and write the finished values of LANES columns from `left`.

    `shift` is (unit, offset outside, offset inside, sign inside, clip); outs[0] gets the values, outs[1], where
    it is not
    empty, those of the other side of the mask. Both are flat, with `steps` (slice, row, width) between their voxels.
    """
    rows, tops, _, _, _, ends = scratch
    unit, outside, inside, sign, clip = shift
    owns, belows = np.empty((2, len(ends[0]) + 1), np.int64), np.empty((2, len(ends[0]) + 1), np.int64)
    for side in range(sides):
        _index_sources(places[side], counts[side], boxes[side, 1] - boxes[side, 0], owns[side], belows[side])
    width = min(LANES, steps[2] - left)
    for y in range(boxes[0, 3]):
        for side in range(sides):
            if side == 1 and not held[1, y]:
                continue
            for source in range(counts[side]):
                tops[source] = _load(rows[source], planes[side, source, y - boxes[side, 2]])
            length = boxes[side, 1] - boxes[side, 0]
            _sweep(
                rows,
                places[side],
                tops,
                counts[side],
                owns[side],
                belows[side],
                weights[0],
                length,
                limit,
                field[side],
                ends,
            )
            if side == 1:  # of the two distances one is 0 in every voxel
                for z in range(length):
                    for lane in range(LANES):
                        field[0, z + boxes[1, 0], lane] -= field[1, z, lane]
        for z in range(boxes[0, 1]):
            values = field[0, z]
            for lane in range(LANES):
                distance = math.sqrt(abs(values[lane])) * unit
                values[lane] = distance - outside if values[lane] > 0 else sign * (distance - inside)
            start = z * steps[0] + y * steps[1] + left
            _put(outs[0][start : start + width], values, np.float32(1), np.float32(0), clip)
            if len(outs[1]):
                _put(outs[1][start : start + width], values, np.float32(-1), inside - outside, clip)
