"""When Triton's kernels are taken, and what happens where one fails.

None has run on a GPU yet, so the forms in torch are taken unless ``MONAI_BOUNDARY_TRITON=1`` asks for the kernels.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import torch

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = None

__all__ = ["INSTALLED", "TritonWarning", "launched", "tl", "triton", "usable"]

#: Whether kernels can be written; a folder named triton imports, but has no compiler.
INSTALLED = hasattr(triton, "jit")

#: Whether CUDA devices take the kernels.
ENABLED = os.environ.get("MONAI_BOUNDARY_TRITON") == "1"
_FAILED: set[Any] = set()


class TritonWarning(RuntimeWarning):
    """A kernel could not be compiled or started, so that torch does its work."""


def usable(kernel: Any, tensor: torch.Tensor) -> bool:
    """Whether `kernel`, ``None`` without Triton, runs on the device of `tensor`."""
    return ENABLED and kernel is not None and kernel not in _FAILED and tensor.is_cuda and torch.version.hip is None


def launched(kernel: Any, what: str, launch: Callable[[], object]) -> bool:
    """Call `launch` and return whether it started `kernel`; a kernel that fails is not usable from then on.

    Args:
        kernel: The kernel.
        what: What it computes, for the warning, which comes once.
        launch: Compiles and starts it; it has written nothing where it fails.

    Raises:
        torch.cuda.OutOfMemoryError: That is no fault of the kernel.
    """
    try:
        launch()
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        _FAILED.add(kernel)
        warnings.warn(
            f"the Triton kernel of {what} does not run here, so torch computes it: {type(error).__name__}: "
            f"{str(error)[:300]}; unset MONAI_BOUNDARY_TRITON, or repair Triton",
            TritonWarning,
            stacklevel=3,
        )
        return False
    return True
