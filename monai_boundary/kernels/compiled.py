"""The compiler of the front propagation and of the distance sweep: numba, from the extra `em`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

try:
    import numba
    from llvmlite import ir
    from numba import int64, types, uintp
    from numba.core import cgutils
    from numba.extending import intrinsic
except ImportError as error:
    raise ImportError(
        'the minimum-barrier cut and backend="numba" of distance maps need numba, which is not installed; '
        "pip install numba"
    ) from error

__all__ = ["cgutils", "compiled", "int64", "intrinsic", "ir", "prefetch", "types", "uintp"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile `function` at its first call, free of the interpreter lock, and keep the result on disk where possible.

    What is kept is renewed when the file of `function` changes: a compiled function calls only those of its own file.
    """
    try:
        kept: Function = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder to write to: compile in every process
        kept = numba.njit(nogil=True)(function)
    return kept


@intrinsic
def prefetch(_typing, array, index):  # type: ignore[no-untyped-def]
    """Ask the processor to have `array[index]` near by soon; nothing happens where there is no such element."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        element = cgutils.get_item_pointer(context, builder, kind, view, [arguments[1]])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], call)
        builder.call(function, [builder.bitcast(element, byte), number(0), number(3), number(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.void(array, index), generate
