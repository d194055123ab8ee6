"""The two passes of the numba engines along one axis: rows are scanned, columns swept LANES at once.

The inner loop of the sweep takes the minimum of ``rows[s] + weight * (p - s)^2`` over a few sources s. Written as plain
loops numba compiles it to code that loads and stores the running minimum at every source, at a third to a sixth of the
speed (8 sources: 72 against 19 ns for 32 columns; 30 sources: 118 against 53 ns); LLVM cannot know that the arrays do
not overlap. `_minimum` therefore emits the loop itself: one vector of LANES floats for the minimum, and one of LANES
integers for its source, stay in registers. There is nothing else in it: a load, a multiplication, an addition, a
comparison and two selections per source. It takes rows of float32, the squared distances of maps, or of integers, the
keys of `nearest_numba`. Checked against the plain form, brute force and scipy (tests/kernels); at its
first use in a process `self_check` measures a mask whose distances are known, and where that fails, or another numba
does not compile it, `edt` takes over with one warning.
"""

from __future__ import annotations

import math
from typing import Any

from monai_boundary.kernels.compiled import cgutils, inlined, intrinsic, ir, types

__all__ = ["EMPTY", "FULL", "KEY_LANES", "LANES", "MIXED", "index_sources", "scan_rows", "sweep"]

EMPTY, MIXED, FULL = 0, 1, 2
_FAR = 1 << 28  # steps, where a row holds no voxel of the other side in this direction
LANES = 32  # 4 registers of 8 floats, and as many for the places: all of them stay in registers
KEY_LANES = {32: 32, 64: 16}  # the same registers of integers, by their bits

_INT = ir.IntType(32)


def _vectors(array: Any) -> tuple[Any, Any]:
    """The vector of one row of an array, and that of the sources of its lanes, whose integers are as wide."""
    if array.dtype == types.float32:
        return ir.VectorType(ir.FloatType(), LANES), ir.VectorType(_INT, LANES)
    keys = ir.VectorType(ir.IntType(array.dtype.bitwidth), KEY_LANES[array.dtype.bitwidth])
    return keys, keys


def _spread(builder: Any, value: Any, lanes: int) -> Any:
    """A vector that holds `value` in every lane."""
    kind = ir.VectorType(value.type, lanes)
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(_INT, lanes), [0] * lanes))


def _row(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    view = context.make_array(kind)(context, builder, array)
    element = cgutils.get_item_pointer(context, builder, kind, view, [index, context.get_constant(types.intp, 0)])
    return builder.bitcast(element, _vectors(kind)[0].as_pointer())


def _candidate(context: Any, builder: Any, kinds: Any, arguments: Any, source: Any) -> Any:
    """``rows[source] + weight * (place - places[source]) ** 2``."""
    rows, places, place, weight = arguments
    view = context.make_array(kinds[1])(context, builder, places)
    there = builder.load(cgutils.get_item_pointer(context, builder, kinds[1], view, [source]))
    step = builder.trunc(builder.sub(place, there), _INT)
    values = builder.load(_row(context, builder, kinds[0], rows, source))
    values.align = kinds[0].dtype.bitwidth // 8
    lanes = values.type.count
    if kinds[0].dtype != types.float32:
        step = step if lanes == KEY_LANES[32] else builder.sext(step, ir.IntType(64))
        return builder.add(values, _spread(builder, builder.mul(weight, builder.mul(step, step)), lanes))
    step = builder.sitofp(step, ir.FloatType())
    return builder.fadd(values, _spread(builder, builder.fmul(weight, builder.fmul(step, step)), lanes))


def _minimum(context: Any, builder: Any, kinds: Any, arguments: Any, low: Any, high: Any, tracked: bool) -> list[Any]:
    """Emit the loop; returns the minimum over the sources low..high, and where `tracked` the source of each lane."""
    places = _vectors(kinds[0])[1]
    less = builder.fcmp_ordered if kinds[0].dtype == types.float32 else builder.icmp_signed

    def state(source: Any) -> list[Any]:
        values = [_candidate(context, builder, kinds, arguments, source)]
        if not tracked:
            return values
        narrow = source if places.element.width == 64 else builder.trunc(source, places.element)
        return [*values, _spread(builder, narrow, places.count)]

    first = state(low)
    start = builder.add(low, ir.Constant(low.type, 1))
    before, loop, done = builder.block, builder.append_basic_block("sources"), builder.append_basic_block("found")
    builder.cbranch(builder.icmp_signed("<=", start, high), loop, done)
    builder.position_at_end(loop)
    source = builder.phi(low.type)
    best = [builder.phi(value.type) for value in first]
    new = state(source)
    near = less("<", new[0], best[0])
    kept = [builder.select(near, *pair) for pair in zip(new, best, strict=True)]
    following = builder.add(source, ir.Constant(low.type, 1))
    for phi, initial, later in zip([source, *best], [start, *first], [following, *kept], strict=True):
        phi.add_incoming(initial, before)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_signed("<=", following, high), loop, done)
    builder.position_at_end(done)
    result = [builder.phi(value.type) for value in first]
    for phi, initial, later in zip(result, first, kept, strict=True):
        phi.add_incoming(initial, before)
        phi.add_incoming(later, loop)
    return result


def _typed(tracked: bool) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, places, low, high, place, weight, out = arguments
        kinds = signature.args
        given = (rows, places, place, weight)
        found = _minimum(context, builder, kinds, given, low, high, tracked)
        builder.store(found[0], _row(context, builder, kinds[6], out, place)).align = kinds[6].dtype.bitwidth // 8
        if not tracked:
            return context.get_dummy_value()
        kind = _vectors(kinds[0])[1]
        ends = []
        for name in ("smin", "smax"):
            reduce = ir.FunctionType(kind.element, [kind])
            called = f"llvm.vector.reduce.{name}.v{kind.count}i{kind.element.width}"
            end = builder.call(cgutils.get_or_insert_function(builder.module, reduce, called), [found[1]])
            ends.append(end if kind.element.width == 64 else builder.sext(end, ir.IntType(64)))
        return context.make_tuple(builder, signature.return_type, ends)

    def typing(_context, rows, places, low, high, place, weight, out):  # type: ignore[no-untyped-def] # noqa: ARG001
        result = types.UniTuple(types.int64, 2) if tracked else types.void
        return result(rows, places, types.int64, types.int64, types.int64, rows.dtype, out), generate

    return typing


# Write ``min(rows[s] + weight * (place - places[s]) ** 2 for s in low..high)`` into ``out[place]``, lane by lane.
_nearest = intrinsic(_typed(tracked=False))
# The same; returns the least and the greatest s that is nearest in some lane.
_nearest_range = intrinsic(_typed(tracked=True))


@inlined
def scan_rows(mask, box, kind, line_of, lines):  # type: ignore[no-untyped-def]
    """Write the steps along x to the nearest voxel of the other side, negative inside.

    Args:
        mask: Uint8 `(Z, Y, X)` of 0 and 1.
        box: Int64 `(6,)`: z, end of z, y, end of y, x, end of x.
        kind: Uint8 `(y, z)` of the box: `EMPTY`, `MIXED` or `FULL`.
        line_of: Int64 `(y, z)`: which of `lines` a mixed row has; the others need none.
        lines: Int32 `(rows, x)`, whose width is a multiple of LANES.
    """
    used = 0
    for z in range(box[0], box[1]):
        for y in range(box[2], box[3]):
            row = mask[z, y, box[4] : box[5]]
            total = 0
            for x in range(len(row)):
                total += row[x]
            if total == 0 or total == len(row):
                kind[y - box[2], z - box[0]] = EMPTY if total == 0 else FULL
                continue
            kind[y - box[2], z - box[0]] = MIXED
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
def index_sources(places, count, length, own, below):  # type: ignore[no-untyped-def]
    """`own[p]`: the source at p, or -1; `below[p]`: how many sources lie before p."""
    source = 0
    for place in range(length):
        below[place] = source
        own[place] = -1
        if source < count and places[source] == place:
            own[place] = source
            source += 1
    below[length] = source


@inlined
def sweep(  # type: ignore[no-untyped-def] # noqa: C901, PLR0913 - numba has no cheap way to pass them together
    rows, places, tops, count, own, below,
    weight, length, reach, out, ends,
):  # fmt: skip
    """Write the least ``rows[s] + weight * (p - places[s])^2`` into ``out[p]``; from reach^2 on, anything as large.

    Args:
        rows: Float32 `(count, LANES)`, squared distances at the sources; or integers `(count, KEY_LANES)`, keys.
        places: Where along the axis each source lies, ascending.
        tops: Largest value of each source; 0 where no other is nearer to its place, inf where it is not known.
        count: Number of sources.
        own: Source at each place, or -1.
        below: Number of sources before each place.
        weight: Squared spacing.
        length: Number of places.
        reach: See above.
        out: As `rows`, `(length, LANES)`.
        ends: Scratch `(2, length)`: the least and greatest source that is nearest in some lane.
    """
    first, last = ends[0], ends[1]
    spacing = math.sqrt(weight)
    half = 1
    while 2 * half <= length:
        half *= 2
    while half >= 1:
        for place in range(half - 1, length, 2 * half):
            within = reach
            source = own[place]
            if source >= 0:
                if tops[source] == 0:
                    for lane in range(out.shape[1]):
                        out[place, lane] = rows[source, lane]
                    first[place] = last[place] = source
                    continue
                within = min(within, math.sqrt(tops[source]))  # what is farther than that is beaten by its own source
            low = first[place - half] if place >= half else 0
            high = last[place + half] if place + half < length else count - 1
            if low > high:  # by rounding, among sources that are equally near
                low, high = high, low
            first[place], last[place] = low, high
            if within < spacing * length:
                steps = int(within / spacing) + 1
                near, far = below[max(place - steps, 0)], below[min(place + steps + 1, length)] - 1
                if near > far:
                    for lane in range(out.shape[1]):
                        out[place, lane] = reach * reach
                    continue
                if max(low, near) <= min(high, far):
                    low, high = max(low, near), min(high, far)
            if half > 1:
                first[place], last[place] = _nearest_range(rows, places, low, high, place, weight, out)
            else:
                _nearest(rows, places, low, high, place, weight, out)
        half //= 2
