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
import torch
from scipy import ndimage

from monai_boundary.kernels.axis_passes import EMPTY, FULL, LANES, MIXED, index_sources, scan_rows, sweep
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
from monai_boundary.kernels.distance.finish import balance_maps
from monai_boundary.kernels.distance.plan import Plan, bounding_box

__all__ = ["seed_distance", "self_check", "write_maps"]


@inlined
def _sweep_plane(side, kind, line_of, lines, left, span, weights, reach, scratch, out, held):  # type: ignore[no-untyped-def] # noqa: PLR0913
    """Distances inside one plane, along z over `span`, to the mask (side 0) or to the rest (side 1).

    Side 0 marks in `held` which rows hold mask. Returns whether there is any source and whether any row holds mask.
    """
    rows, tops, at, own, below, ends = scratch
    bare, sign = (FULL, -1) if side == 1 else (EMPTY, 1)
    start, stop = span
    count, any_held = 0, False
    for z in range(start, stop):
        if kind[z] == bare:
            continue
        farthest, least = 0, 0
        if kind[z] == MIXED:
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
        if side == 0 and (least < 0 or kind[z] == FULL):
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
    scan_rows(mask, box, kind, line_of, lines)
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


@compiled(
    types.UniTuple(float64, 2)(
        float32[:, :, ::1], read_only(uint8[:, :, ::1]), read_only(int64[::1]), uint8, types.UniTuple(float32, 2),
        float32,
    ),
    any_order=True,
)  # fmt: skip
def _shift(values, mask, box, own, shifts, clip):  # type: ignore[no-untyped-def]
    """Shift the zero level and clip, in the box; NaN, an ignored voxel, becomes 0.

    Returns the sum of the absolute values where `mask` is `own`, and the sum of those elsewhere.
    """
    inner = outer = 0.0
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            row, side = values[z, y, box[4] : box[5]], mask[z, y, box[4] : box[5]]
            for x in range(len(row)):
                within = side[x] == own
                value = row[x] + (shifts[1] if within else shifts[0])
                value = value if value < clip else clip if value >= clip else float32(0)
                value = value if value > -clip else -clip
                row[x] = value
                inner += abs(float64(value)) if within else 0.0
                outer += 0.0 if within else float64(value)
    return inner, outer


@compiled(
    void(
        float32[:, :, ::1], read_only(uint8[:, :, ::1]), read_only(int64[::1]), uint8, types.UniTuple(float32, 2),
        float32, float32, types.UniTuple(float64, 2),
    )
)  # fmt: skip
def _finish(values, mask, box, own, shifts, clip, divisor, balance):  # type: ignore[no-untyped-def]
    """Turn the signed distances in the box into the map of where `mask` is `own`; all beyond is at the clip.

    Args:
        values: Float32 `(Z, Y, X)`, changed in place.
        mask: Bool as uint8 `(Z, Y, X)`.
        box: See `_measure`.
        own: 1, or 0 for the map of what the mask leaves.
        shifts: See `Plan`, as `clip` and `divisor`.
        clip: See `shifts`.
        divisor: See `shifts`.
        balance: Exponent and cap of the factor that balances both sides.
    """
    inner, outer = _shift(values, mask, box, own, shifts, clip)
    beyond, factor = float32(0), float32(1)
    rest = values.size - (box[1] - box[0]) * (box[3] - box[2]) * (box[5] - box[4])
    if rest:
        beyond = clip if own else -clip
        inner, outer = inner + (0.0 if own else rest * clip), outer + (rest * clip if own else 0.0)
    if divisor == 0:
        divisor = max(abs(beyond), np.abs(values[box[0] : box[1], box[2] : box[3], box[4] : box[5]]).max())
        divisor = divisor if divisor > 0 else float32(1)
    if balance[0] > 0 and inner > 0 and outer > 0:
        factor = float32(min((outer / inner) ** balance[0], balance[1]))
    beyond = beyond / divisor * (float32(1) if own else factor)
    for z in range(len(values)):
        for y in range(values.shape[1]):
            if not (box[0] <= z < box[1] and box[2] <= y < box[3]):
                values[z, y] = beyond
                continue
            values[z, y, : box[4]] = values[z, y, box[5] :] = beyond
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
    volumes, counted = maps.reshape(-1, *plan.volume), None if valid is None else valid.reshape(plan.volume)
    for index, mask in enumerate(masks, start=int(paired)):
        inside = mask.reshape(plan.volume) if counted is None else mask.reshape(plan.volume) & counted
        channels = [(volumes[index], 1), (volumes[0], 0)] if paired else [(volumes[index], 1)]
        count = np.count_nonzero(inside)
        others = (inside.size if counted is None else np.count_nonzero(counted)) - count
        if count and others:
            box = _measure_both(volumes[index], inside, counted, plan)
            if paired:
                crop = tuple(slice(*box[axis : axis + 2]) for axis in (0, 2, 4))
                np.negative(volumes[1][crop], out=volumes[0][crop])
        for channel, own in channels:
            if count and others:
                balance = (0.0 if plan.balance_lesions else plan.balance, plan.balance_cap)
                _finish(channel, inside.view(np.uint8), box, own, plan.shifts, plan.clip, plan.divisor, balance)
            else:
                value = plan.far if (count == 0) == own else -plan.far
                channel.fill(value / (plan.divisor or abs(value) or 1.0))
                if counted is not None:
                    channel[~counted] = 0.0
            if plan.balance_lesions:
                side = inside if own else ~inside if counted is None else counted & ~inside
                balance_maps(torch.from_numpy(channel)[None, None], torch.from_numpy(side)[None, None], plan)


def seed_distance(seeds: np.ndarray, plan: Plan) -> np.ndarray:
    """Distance in mm to the nearest True voxel of bool `(*S)`, which has one; C order."""
    distance, weights = np.empty(plan.volume, np.float32), np.square(plan.volume_spacing).astype(np.float32)
    mask, reach = seeds.reshape(plan.volume).view(np.uint8), plan.reach / plan.unit
    _measure(mask, _whole(plan.volume), weights, plan.unit, reach, False, distance)
    return distance.reshape(seeds.shape)


def _whole(shape: Sequence[int]) -> np.ndarray:
    """The box that is the whole array."""
    return np.array([end for size in shape for end in (0, size)])


def _measure_both(out: np.ndarray, inside: np.ndarray, valid: np.ndarray | None, plan: Plan) -> np.ndarray:
    """Write distances from both sides, negative inside, NaN where not valid; returns the box beyond which none are."""
    settings = (np.square(plan.volume_spacing).astype(np.float32), plan.unit, plan.reach / plan.unit)
    crop = bounding_box(inside, plan.volume_spacing, settings[-1])
    box = np.array([end for part in crop for end in (part.start, part.stop)])
    if valid is None:
        _measure(inside.view(np.uint8), box, *settings, True, out)
        return box
    # Where some voxels are on neither side, each side needs a sweep of its own.
    out.fill(plan.reach)
    _measure(inside.view(np.uint8), box, *settings, False, out)
    outside, to_other = valid & ~inside, np.full_like(out, np.inf)
    if outside[crop].any():
        _measure(outside.view(np.uint8), box, *settings, False, to_other)
    np.negative(to_other, out=out, where=inside)
    out[~valid] = np.nan
    return _whole(out.shape)


def self_check() -> str:
    """Measure a small mask; return what is wrong, or nothing."""
    mask = np.zeros((3, 3, 40), bool)
    mask[1, 1, 3], mask[2, 2, 35:] = True, True
    found = np.empty(mask.shape, np.float32)
    _measure(mask.view(np.uint8), _whole(mask.shape), np.array([4, 1, 1], np.float32), 1.0, np.inf, True, found)
    expected = ndimage.distance_transform_edt(~mask, (2, 1, 1)) - ndimage.distance_transform_edt(mask, (2, 1, 1))
    worst = float(np.abs(found - expected).max())
    return "" if worst <= 1e-5 else f"a distance is off by {worst:g}"
