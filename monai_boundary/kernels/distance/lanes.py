"""The inner loop of `_envelope`, over LANES columns at once, held in vector registers.

Written as a loop over arrays, the running minimum goes through memory at every candidate, at a third of the speed.
"""

from __future__ import annotations

from typing import Any

from monai_boundary.kernels.compiled import cgutils, intrinsic, ir, types

__all__ = ["LANES", "nearest", "nearest_range"]

LANES = 32  # 4 registers of 8 floats, and as many for the places: all of them stay in registers

_INT = ir.IntType(32)
_FLOATS, _INTS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(_INT, LANES)


def _spread(builder: Any, value: Any) -> Any:
    """A vector that holds `value` in every lane."""
    kind = ir.VectorType(value.type, LANES)
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(_INTS, [0] * LANES))


def _row(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    view = context.make_array(kind)(context, builder, array)
    element = cgutils.get_item_pointer(context, builder, kind, view, [index, context.get_constant(types.intp, 0)])
    return builder.bitcast(element, _FLOATS.as_pointer())


def _candidate(context: Any, builder: Any, kinds: Any, arguments: Any, source: Any) -> Any:
    """``rows[source] + weight * (place - places[source]) ** 2``."""
    rows, places, place, weight = arguments
    view = context.make_array(kinds[1])(context, builder, places)
    there = builder.load(cgutils.get_item_pointer(context, builder, kinds[1], view, [source]))
    step = builder.sitofp(builder.trunc(builder.sub(place, there), _INT), ir.FloatType())
    values = builder.load(_row(context, builder, kinds[0], rows, source))
    values.align = 4
    return builder.fadd(values, _spread(builder, builder.fmul(weight, builder.fmul(step, step))))


def _minimum(context: Any, builder: Any, kinds: Any, arguments: Any, low: Any, high: Any, tracked: bool) -> list[Any]:
    """Emit the loop; returns the minimum over the sources low..high, and where `tracked` the source of each lane."""

    def state(source: Any) -> list[Any]:
        values = [_candidate(context, builder, kinds, arguments, source)]
        return [*values, _spread(builder, builder.trunc(source, _INT))] if tracked else values

    first = state(low)
    start = builder.add(low, ir.Constant(low.type, 1))
    before, loop, done = builder.block, builder.append_basic_block("sources"), builder.append_basic_block("found")
    builder.cbranch(builder.icmp_signed("<=", start, high), loop, done)
    builder.position_at_end(loop)
    source = builder.phi(low.type)
    best = [builder.phi(value.type) for value in first]
    new = state(source)
    near = builder.fcmp_ordered("<", new[0], best[0])
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
        builder.store(found[0], _row(context, builder, kinds[6], out, place)).align = 4
        if not tracked:
            return context.get_dummy_value()
        ends = []
        for name in ("smin", "smax"):
            reduce = ir.FunctionType(_INT, [_INTS])
            function = cgutils.get_or_insert_function(builder.module, reduce, f"llvm.vector.reduce.{name}.v{LANES}i32")
            ends.append(builder.sext(builder.call(function, [found[1]]), ir.IntType(64)))
        return context.make_tuple(builder, signature.return_type, ends)

    def typing(_context, rows, places, low, high, place, weight, out):  # type: ignore[no-untyped-def] # noqa: ARG001
        result = types.UniTuple(types.int64, 2) if tracked else types.void
        return result(rows, places, types.int64, types.int64, types.int64, types.float32, out), generate

    return typing


#: Write ``min(rows[s] + weight * (place - places[s]) ** 2 for s in low..high)`` into ``out[place]``, lane by lane.
nearest = intrinsic(_typed(tracked=False))
#: The same; returns the least and the greatest s that is nearest in some lane.
nearest_range = intrinsic(_typed(tracked=True))
