"""How this package compiles: by numba, once per environment, kept on disk.

Numba keeps compiled code beside the source, or in the user's cache folder where that is read-only; where neither can be
written a private folder of the system's temporary one is taken. Of processes that start together on an empty cache one
compiles and the others wait for its code. They need not: files are replaced in one step, and each function has one
signature, so that all write the same.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba import boolean, float32, float64, int32, int64, types, uint8, uintp, void
from numba.core import cgutils, config
from numba.extending import intrinsic

__all__ = [
    "boolean", "cgutils", "compiled", "float32", "float64", "inlined", "int32", "int64", "intrinsic", "ir", "prefetch",
    "read_only", "types", "uint8", "uintp", "void",
]  # fmt: skip

Function = TypeVar("Function", bound=Callable[..., Any])
_announced: list[str] = []
_SOURCES = sorted(Path(__file__).parent.rglob("*.py"))
_DIGEST = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]

#: For parts of compiled functions, which are kept with these.
inlined = numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def compiled(signature: Any = None, any_order: bool = False) -> Callable[[Function], Function]:
    """Compile a function, free of the interpreter lock, and keep it on disk.

    What is kept is renewed when any file of `kernels` changes: its name holds a digest of them. Numba by itself looks
    at the file of the function only, not at those of what it calls.

    Args:
        signature: Its one signature, for which it is compiled now; without one at its first call.
        any_order: Whether sums may be added up in any order, as vector registers do.
    """

    def compile_function(function: Function) -> Function:
        function.__qualname__ += f"_{_DIGEST}"  # part of the file name
        dispatcher = _cached(function, {"reassoc"} if any_order else False)
        if signature is not None:
            folder = dispatcher.stats.cache_path  # None where nothing can be kept
            with _one_at_a_time(folder):
                _announce(function, folder)
                dispatcher.compile(signature)
            dispatcher.disable_compile()
        kept: Function = dispatcher
        return kept

    return compile_function


def _cached(function: Any, fastmath: Any) -> Any:
    compiler = numba.njit(nogil=True, cache=True, fastmath=fastmath)
    try:
        return compiler(function)
    except RuntimeError:  # numba found no folder to write to
        given = config.CACHE_DIR
        config.CACHE_DIR = _private_folder()
        try:
            return compiler(function)
        except RuntimeError:
            return numba.njit(nogil=True, fastmath=fastmath)(function)
        finally:
            config.CACHE_DIR = given


@contextmanager
def _one_at_a_time(folder: str | None) -> Iterator[None]:
    """Let the workers that start together wait for the first one's code, where files can be locked."""
    with ExitStack() as stack:
        if folder is not None:
            try:
                import fcntl

                file = stack.enter_context((Path(folder) / "monai-boundary.lock").open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)
            except (ImportError, OSError):  # Windows, some network drives: each process then compiles for itself
                pass
        yield


def _announce(function: Any, folder: str | None) -> None:
    kept = f"{Path(function.__code__.co_filename).stem}.*{_DIGEST}*.nbi"
    if not _announced and not (folder and any(Path(folder).glob(kept))):
        _announced.append(function.__name__)
        sys.stderr.write("monai-boundary: compiling the distance kernels, once per environment (about 10 s)\n")


def _private_folder() -> str:
    """A folder for compiled code that nobody else can write to: what lies in it is executed."""
    folder = Path(tempfile.gettempdir()) / f"monai-boundary-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat()
    if hasattr(os, "getuid") and (folder.is_symlink() or owner.st_uid != os.getuid() or owner.st_mode & 0o022):
        return tempfile.mkdtemp(prefix="monai-boundary-")
    return str(folder)


def read_only(kind: Any) -> Any:
    """The type of arrays that a function does not write to; writable ones fit it too."""
    return kind.copy(readonly=True)


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
