"""Backend ``"numba"``: exact signed distances of a mask by a minimum over ever fewer candidates.

Squared distances come from three passes: along the rows, then ``min over s of f(s) + w (p - s)^2`` along the other
axes. The nearest s never moves back as p moves on, so that the middle of an axis is searched first and halves what is
left to search on both sides: some ten candidates for each voxel, whatever the mask (Felzenszwalb and Huttenlocher,
Theory of Computing 2012, have one lower envelope per column and a division per candidate). LANES columns side by side
share the search, which keeps it in vector registers. Only rows, planes and columns that hold a seed are candidates.

Arrays are `(z, y, x)`; a plane is one y, so that the last pass writes slices row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from monai_boundary.kernels.compiled import (
    boolean,
    compiled,
    float32,
    float64,
    inlined,
    int64,
    read_only,
    types,
    uint8,
    void,
)
from monai_boundary.kernels.distance.numba_lanes import LANES, index_sources, sweep
from monai_boundary.kernels.distance.plan import Plan

__all__ = ["seed_distance", "self_check", "write_maps"]

_EMPTY, _MIXED, _FULL = 0, 1, 2
_FAR = 1 << 28


@inlined
def _scan_rows(mask, box, kind, line_of, lines):  # type: ignore[no-untyped-def]
    """Row by row, the steps to the nearest voxel of the other side, negative inside; rows of one side need no line."""
    used = 0
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            row = mask[z, y, box[4] : box[5]]
            total = 0
            for x in range(len(row)):
                total += row[x]
            if total == 0 or total == len(row):
                kind[y - box[2], z - box[0]] = _EMPTY if total == 0 else _FULL
                continue
            kind[y - box[2], z - box[0]] = _MIXED
            line_of[y - box[2], z - box[0]] = used
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


@inlined
def _sweep_plane(side, kind, line_of, lines, left, span, weights, reach, scratch, out, held):  # type: ignore[no-untyped-def] # noqa: PLR0913
    """Distances inside one plane, along z over `span`, to the mask (side 0) or to the rest (side 1).

    Side 0 marks in `held` which rows hold mask. Returns whether there is any source and whether any row holds mask.
    """
    rows, tops, at, own, below, ends = scratch
    bare, sign = (_FULL, -1) if side == 1 else (_EMPTY, 1)
    start, stop = span
    count, any_held = 0, False
    for z in range(start, stop):
        if kind[z] == bare:
            continue
        farthest, least = 0, 0
        if kind[z] == _MIXED:
            line = lines[line_of[z], left : left + LANES]
            for lane in range(LANES):
                steps = sign * line[lane]
                least = min(least, line[lane])
                farthest = max(farthest, steps)
                number = float32(max(steps, 0))
                rows[count, lane] = number * number * weights[2]
        else:
            for lane in range(LANES):
                rows[count, lane] = 0
        if side == 0 and (least < 0 or kind[z] == _FULL):
            held[z] = any_held = True
        tops[count] = float32(farthest) * float32(farthest) * weights[2]
        at[count] = z - start
        count += 1
    if count:
        index_sources(at, count, stop - start, own, below)
        sweep(rows, at, tops, count, own, below, weights[0], stop - start, reach, out, ends)
    return count > 0, any_held


@inlined
def _margin(held):  # type: ignore[no-untyped-def]
    """The range that holds mask and one place more, where the inside distances end."""
    start, stop = len(held), 0
    for place in range(len(held)):
        if held[place]:
            start, stop = min(start, max(place - 1, 0)), min(place + 2, len(held))
    return start, stop


@inlined
def _sweep_column(planes, places, count, place, length, weight, reach, scratch, out):  # type: ignore[no-untyped-def] # noqa: PLR0913
    """Join what the planes hold at one z, along y."""
    rows, tops, _, own, below, ends = scratch
    for source in range(count):
        line, row = planes[source, place], rows[source]
        top = line[0]
        for lane in range(LANES):
            row[lane] = line[lane]
            top = max(top, line[lane])
        tops[source] = top
    index_sources(places, count, length, own, below)
    sweep(rows, places, tops, count, own, below, weight, length, reach, out, ends)


@inlined
def _sweep_planes(left, both, kind, line_of, lines, weights, reach, scratch, planes, places, held):  # type: ignore[no-untyped-def] # noqa: PLR0913
    """Fill the planes of LANES columns from `left` for both sides; returns their numbers, and the box of side 1."""
    height, depth = kind.shape
    held[0, :], held[1, :] = False, False
    outside = inside = 0
    for y in range(height):
        found, held[1, y] = _sweep_plane(
            0, kind[y], line_of[y], lines, left, (0, depth), weights, reach, scratch, planes[0, outside], held[0]
        )
        places[0, outside] = y
        outside += found
    span, (top, bottom) = _margin(held[0, :depth]), _margin(held[1, :height])
    for y in range(top, bottom if both else top):
        found = True
        if held[1, y]:
            found, _ = _sweep_plane(
                1, kind[y], line_of[y], lines, left, span, weights, reach, scratch, planes[1, inside], held[0]
            )
        else:
            planes[1, inside, : span[1] - span[0]] = 0
        places[1, inside] = y - top
        inside += found
    return outside, inside, span[0], top, bottom


@compiled(
    void(
        read_only(uint8[:, :, ::1]), read_only(int64[::1]), read_only(float32[::1]), float32, float32, boolean,
        float32[:, :, ::1],
    )
)  # fmt: skip
def _measure(mask, box, weights, unit, reach, both, out):  # type: ignore[no-untyped-def]
    """Write the distances of a mask with a voxel on each side into the box of `out`, negative inside.

    Args:
        mask: Bool as uint8 `(Z, Y, X)`.
        box: Int64 `(6,)`: z, end of z, y, end of y, x, end of x; what lies beyond is taken for absent.
        weights: Float32 `(3,)`, squares of the spacing in units of `unit`.
        unit: What the distances are multiplied by at the end.
        reach: In units of `unit`: distances of at least this may come out as any value >= reach.
        both: Whether the inside distances are wanted; without them they are 0.
        out: Float32 `(Z, Y, X)`.
    """
    depth, height, width = box[1] - box[0], box[3] - box[2], box[5] - box[4]
    longest = max(depth, height) + 1
    kind, line_of = np.empty((height, depth), np.uint8), np.empty((height, depth), np.int64)
    lines = np.empty((height * depth, (width + LANES - 1) // LANES * LANES), np.int32)
    _scan_rows(mask, box, kind, line_of, lines)
    scratch = (
        np.empty((longest, LANES), np.float32), np.empty(longest, np.float32),
        np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest + 1, np.int64),
        np.empty((2, longest), np.int64),
    )  # fmt: skip
    # One row more than there are: planes a multiple of 4096 bytes apart would share one cache set.
    planes = np.empty((2, height, depth + 1, LANES), np.float32)
    places, held = np.empty((2, height), np.int64), np.empty((2, longest), np.bool_)
    field, within = np.empty((height, LANES), np.float32), np.empty((height, LANES), np.float32)
    for left in range(0, width, LANES):
        outside, inside, front, top, bottom = _sweep_planes(
            left, both, kind, line_of, lines, weights, reach, scratch, planes, places, held
        )
        columns = min(LANES, width - left)
        for z in range(depth):
            _sweep_column(planes[0], places[0], outside, z, height, weights[1], reach, scratch, field)
            if both and held[0, z]:
                _sweep_column(planes[1], places[1], inside, z - front, bottom - top, weights[1], reach, scratch, within)
                for y in range(top, bottom):  # of the two distances one is 0 in every voxel
                    for lane in range(LANES):
                        field[y, lane] -= within[y - top, lane]
            for y in range(height):
                values, start = field[y], box[4] + left
                for lane in range(LANES):
                    distance = math.sqrt(abs(values[lane])) * unit
                    values[lane] = -distance if values[lane] < 0 else distance
                target = out[z + box[0], y + box[2], start : start + columns]
                for lane in range(columns):
                    target[lane] = values[lane]


@compiled(types.UniTuple(int64, 7)(read_only(uint8[:, :, ::1])))
def _extent(mask):  # type: ignore[no-untyped-def]
    """Begin and end of what holds True along z, y and x, and the number of True voxels."""
    depth, height, width = mask.shape
    front, back, top, bottom, left, right, count = depth, 0, height, 0, width, 0, 0
    for z in range(depth):
        for y in range(height):
            row = mask[z, y]
            total = 0
            for x in range(width):
                total += row[x]
            if total == 0:
                continue
            count += total
            front, back = min(front, z), z + 1
            top, bottom = min(top, y), max(bottom, y + 1)
            x = 0
            while x < left and row[x] == 0:
                x += 1
            left = min(left, x)
            x = width
            while x > right and row[x - 1] == 0:
                x -= 1
            right = max(right, x)
    return front, back, top, bottom, left, right, count


@compiled(
    types.UniTuple(float64, 2)(
        float32[:, :, ::1], read_only(uint8[:, :, ::1]), read_only(int64[::1]), uint8, float32, float32, float32
    ),
    any_order=True,
)
def _shift(values, mask, box, own, outside, inside, clip):  # type: ignore[no-untyped-def]
    """Shift the zero level and clip, in the box; NaN, an ignored voxel, becomes 0.

    Returns the sum of the absolute values where `mask` is `own`, and the sum of those elsewhere.
    """
    inner = outer = 0.0
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            row, side = values[z, y, box[4] : box[5]], mask[z, y, box[4] : box[5]]
            for x in range(len(row)):
                within = side[x] == own
                value = row[x] + (inside if within else outside)
                value = value if value < clip else clip if value >= clip else float32(0)
                value = value if value > -clip else -clip
                row[x] = value
                inner += abs(float64(value)) if within else 0.0
                outer += 0.0 if within else float64(value)
    return inner, outer


@compiled(void(float32[:, :, ::1], read_only(uint8[:, :, ::1]), read_only(int64[::1]), uint8, float32, float32))
def _scale(values, mask, box, own, divisor, factor):  # type: ignore[no-untyped-def]
    """Divide all values of the box, and multiply those where `mask` is `own` by `factor`."""
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            row, side = values[z, y, box[4] : box[5]], mask[z, y, box[4] : box[5]]
            for x in range(len(row)):
                row[x] = row[x] / divisor * (factor if side[x] == own else float32(1))


def write_maps(
    maps: np.ndarray, masks: Iterable[np.ndarray], valid: np.ndarray | None, plan: Plan, paired: bool
) -> None:
    """Write the finished map of each mask.

    Args:
        maps: Float32 `(C, *S)`, C order.
        masks: Bool `(*S)`, C order, one for each channel; with `paired` the one of channel 1.
        valid: Bool `(*S)`, C order, the voxels that count; ``None`` for all.
        plan: See `Plan`.
        paired: Whether there are two channels, and channel 0 is the map of what the mask leaves.
    """
    shape = (1,) * (3 - len(plan.kept)) + tuple(maps.shape[1 + axis] for axis in plan.kept)
    counted = None if valid is None else valid.reshape(shape)
    volumes = maps.reshape(-1, *shape)
    for out, mask in zip(volumes[int(paired) :], masks, strict=True):
        _write_map(out, volumes[0] if paired else None, mask.reshape(shape), counted, plan)


def seed_distance(seeds: np.ndarray, plan: Plan) -> np.ndarray:
    """Distance in mm to the nearest True voxel of bool `(*S)`, which has one; C order."""
    shape = (1,) * (3 - len(plan.kept)) + tuple(seeds.shape[axis] for axis in plan.kept)
    distance = np.empty(shape, np.float32)
    box = np.array([end for size in shape for end in (0, size)])
    _measure(seeds.reshape(shape).view(np.uint8), box, *_settings(plan), False, distance)
    return distance.reshape(seeds.shape)


def _settings(plan: Plan) -> tuple[np.ndarray, float, float]:
    """Weights, unit and reach for `_measure`."""
    weights = [1.0] * (3 - len(plan.unit_spacing)) + [width * width for width in plan.unit_spacing]
    return np.array(weights, np.float32), plan.unit, plan.reach / plan.unit


def _write_map(
    out: np.ndarray, complement: np.ndarray | None, mask: np.ndarray, valid: np.ndarray | None, plan: Plan
) -> None:
    inside = mask if valid is None else mask & valid
    *extent, count = _extent(inside.view(np.uint8))
    others = (mask.size if valid is None else int(np.count_nonzero(valid))) - count
    channels = [(out, 1)] if complement is None else [(out, 1), (complement, 0)]
    if not count or not others:
        for channel, own in channels:
            _fill(channel, plan.far if (count == 0) == own else -plan.far, valid, plan)
        return
    box, crop = _grown(extent, mask.shape, plan)
    if valid is not None:
        _measure_valid(inside, valid & ~mask, box, crop, out, plan)
        out[~valid] = np.nan
        box, crop = _grown([end for size in mask.shape for end in (0, size)], mask.shape, plan)
    elif inside[crop].all():  # the other side is out of reach
        out[crop] = -np.inf
    else:
        _measure(inside.view(np.uint8), box, *_settings(plan), True, out)
    if complement is not None:
        np.negative(out[crop], out=complement[crop])
    for channel, own in channels:
        _finish(channel, inside.view(np.uint8), box, crop, own, plan)


def _grown(extent: Sequence[int], shape: tuple[int, ...], plan: Plan) -> tuple[np.ndarray, tuple[slice, slice, slice]]:
    """The box of the True voxels, grown by the reach and cut at the border; as numbers and as slices."""
    spacing = (1.0,) * (3 - len(plan.unit_spacing)) + plan.unit_spacing
    box = []
    for axis, width in enumerate(spacing):
        margin = math.ceil(min(plan.reach / plan.unit / width, shape[axis]))
        box += [max(extent[2 * axis] - margin, 0), min(extent[2 * axis + 1] + margin, shape[axis])]
    return np.array(box), (slice(*box[:2]), slice(*box[2:4]), slice(*box[4:]))


def _measure_valid(
    inside: np.ndarray, outside: np.ndarray, box: np.ndarray, crop: tuple[slice, ...], out: np.ndarray, plan: Plan
) -> None:
    """Where some voxels are neither, each side needs a sweep of its own."""
    out.fill(plan.reach)
    _measure(inside.view(np.uint8), box, *_settings(plan), False, out)
    to_other = np.full_like(out, np.inf)
    if outside[crop].any():
        _measure(outside.view(np.uint8), box, *_settings(plan), False, to_other)
    np.negative(to_other, out=out, where=inside)


def _fill(channel: np.ndarray, value: float, valid: np.ndarray | None, plan: Plan) -> None:
    """The map of a mask without a surface."""
    divisor = plan.divisor or abs(value) or 1.0
    channel.fill(value / divisor)
    if valid is not None:
        channel[~valid] = 0.0


def _finish(
    channel: np.ndarray, mask: np.ndarray, box: np.ndarray, crop: tuple[slice, ...], own: int, plan: Plan
) -> None:
    """Turn the signed distances in the box into the map of where `mask` is `own`; all beyond is at the clip."""
    inner, outer = _shift(channel, mask, box, own, *plan.shifts, plan.clip)
    beyond, rest = plan.clip if own else -plan.clip, channel.size - channel[crop].size
    divisor, factor = plan.divisor, 1.0
    if not divisor:
        divisor = max(float(channel[crop].max()), -float(channel[crop].min()), plan.clip if rest else 0.0) or 1.0
    if plan.balance > 0:
        added = rest * plan.clip if rest else 0.0
        inner, outer = (inner, outer + added) if own else (inner + added, outer)
        if inner > 0 and outer > 0:
            factor = min((outer / inner) ** plan.balance, plan.balance_cap)
    if (divisor, factor) != (1.0, 1.0):
        _scale(channel, mask, box, own, divisor, factor)
    if rest:
        value = np.float32(beyond) / np.float32(divisor) * np.float32(1.0 if own else factor)
        for axis, part in enumerate(crop):
            before, behind = (*crop[:axis], slice(0, part.start)), (*crop[:axis], slice(part.stop, None))
            channel[before] = channel[behind] = value


def self_check() -> str:
    """Measure a small mask; return what is wrong, or nothing."""
    mask = np.zeros((3, 3, 40), bool)
    mask[1, 1, 3], mask[2, 2, 35:] = True, True
    found = np.empty(mask.shape, np.float32)
    _measure(
        mask.view(np.uint8), np.array([0, 3, 0, 3, 0, 40]), np.array([4, 1, 1], np.float32), 1.0, np.inf, True, found
    )
    places = [np.argwhere(side) * [2, 1, 1] for side in (mask, ~mask)]
    pairs = ((places[0][:, None] - places[1]) ** 2).sum(-1)
    expected = np.empty(mask.shape)
    expected[mask], expected[~mask] = -np.sqrt(pairs.min(1)), np.sqrt(pairs.min(0))
    worst = float(np.abs(found - expected).max())
    return "" if worst <= 1e-5 else f"a distance is off by {worst:g}"
