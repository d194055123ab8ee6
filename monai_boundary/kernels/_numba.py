"""The compiler of the front propagation: numba, from the extra `em`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

try:
    import numba
    from numba import int64, uintp
except ImportError as error:
    raise ImportError(
        'the minimum-barrier cut needs numba, which is not installed; pip install "monai-boundary[em]"'
    ) from error

__all__ = ["compiled", "int64", "uintp"]

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
