"""The pass of `_separable` along one axis as a Triton kernel, for CUDA devices; importable without Triton.

A program holds a block of rows by columns in registers and reads the column voxel by voxel, so that each voxel read
serves all rows of the block. ``TRITON_INTERPRET=1`` runs it on the CPU, for tests.
"""

from __future__ import annotations

from typing import Any

import torch

from monai_boundary.kernels import _triton
from monai_boundary.kernels._triton import tl, triton

__all__ = ["lower_envelope", "usable"]

_ROWS, _COLUMNS = 16, 64
_KERNEL: Any = None

if _triton.INSTALLED:

    @triton.jit  # type: ignore[misc, untyped-decorator]
    def _lower_envelope(  # type: ignore[no-untyped-def]  # noqa: PLR0913
        source, target, outer_step, row_step, count, inner, weight, reach, rows: tl.constexpr, columns: tl.constexpr
    ):
        blocks = tl.cdiv(inner, columns)
        part = (tl.program_id(0) // blocks).to(tl.int64)
        column = (tl.program_id(0) % blocks) * columns + tl.arange(0, columns)
        row = tl.program_id(1) * rows + tl.arange(0, rows)
        counted = column < inner
        inside = (row < count)[:, None] & counted[None, :]
        column_start = source + part * count * inner + column
        own = tl.load(column_start[None, :] + row[:, None].to(tl.int64) * inner, mask=inside, other=0.0)
        sign = tl.where(own < 0, -1.0, 1.0)
        best = tl.abs(own)
        first = tl.maximum(tl.program_id(1) * rows - reach, 0)
        last = tl.minimum(tl.program_id(1) * rows + rows + reach, count)
        voxel = column_start + first.to(tl.int64) * inner
        for near in range(first, last):
            there = tl.load(voxel, mask=counted, other=0.0)
            gap = (row - near).to(tl.float32)
            best = tl.minimum(best, tl.maximum(sign * there[None, :], 0.0) + (weight * gap * gap)[:, None])
            voxel += inner
        place = target + part * outer_step + row[:, None].to(tl.int64) * row_step + column[None, :]
        tl.store(place, sign * best, mask=inside)

    _KERNEL = _lower_envelope


def usable(field: torch.Tensor) -> bool:
    """Whether the kernel runs on the device of `field`."""
    return _triton.usable(_KERNEL, field)


def lower_envelope(source: torch.Tensor, target: torch.Tensor, weight: float, steps: int) -> bool:
    """Write the pass over `source` into `target`, and return whether the kernel runs here.

    Args:
        source: Float32 `(outer, count, inner)`, contiguous.
        target: The same shape, other memory, columns next to each other.
        weight: Squared voxel size along the axis.
        steps: Voxels farther away than this may be left out.
    """
    outer, count, inner = source.shape
    grid = (outer * -(-inner // _COLUMNS), -(-count // _ROWS))
    sizes = (target.stride(0), target.stride(1), count, inner, weight, steps)

    def launch() -> None:
        with torch.cuda.device_of(source):  # Triton starts on the current device; nothing happens for CPU tensors
            _KERNEL[grid](source, target, *sizes, rows=_ROWS, columns=_COLUMNS)

    return _triton.launched(_KERNEL, "distance maps", launch)
