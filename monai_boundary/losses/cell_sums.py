"""Sums over the cells of lesions, and the cells of masks that a loss makes itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from monai_boundary.kernels.components import lesion_cells
from monai_boundary.kernels.distance.finish import sum_dtype
from monai_boundary.kernels.distance.plan import HAS_NUMBA
from monai_boundary.losses._fused import fusible

__all__ = ["Sums", "check_cells", "mask_cells", "sum_over_cells"]

_MOST_SLOTS = 1 << 30  # bins of int32
_LEAST_SLOTS = 1 << 15  # where the largest number cannot be read: those of int16 and one for no lesion


class Sums(NamedTuple):
    """Sums over the voxels of each cell that count, `(B, C, cells, 2)`: outside of its lesion, and inside."""

    probs: torch.Tensor
    entropy: torch.Tensor
    voxels: torch.Tensor


# Opaque to torch.compile: components are found on the CPU.
@torch.library.custom_op("monai_boundary::mask_cells", mutates_args=())
def mask_cells(masks: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:
    """Return the cells of the components of each mask.

    Args:
        masks: Bool `(B, C, *S)`.
        spacing: One per spatial axis.

    Returns:
        Int32 `(B, C, *S)`.
    """
    return torch.stack([lesion_cells(sample, None, spacing, include_background=True) for sample in masks]).int()


@mask_cells.register_fake
def _(masks: torch.Tensor, spacing: Sequence[float]) -> torch.Tensor:  # noqa: ARG001
    return torch.empty_like(masks, dtype=torch.int32, memory_format=torch.contiguous_format)


def _values_can_be_read(cells: torch.Tensor) -> bool:
    return cells.device.type == "cpu" and not torch.compiler.is_compiling()


def sum_over_cells(
    probs: torch.Tensor,
    entropy: torch.Tensor,
    true: torch.Tensor,
    cells: torch.Tensor,
    valid: torch.Tensor | None,
) -> Sums:
    """Return the sums over the cells.

    Args:
        probs: `(B, C, *S)`.
        entropy: `(B, 1 or C, *S)`.
        true: Bool `(B, C, *S)`.
        cells: Integers `(B, C, *S)`.
        valid: Bool `(B, 1 or C, *S)`, the voxels that count; ``None`` for all.
    """
    slots = _slots(cells)
    index = cells if _values_can_be_read(cells) else cells.long().clamp(0, slots - 1)
    compiled = slots < _MOST_SLOTS and _compiles(probs) and _compiles(entropy)
    index = index.to(torch.int32 if compiled else torch.int64, copy=True).mul_(2).add_(true)
    if valid is not None:
        index = index.masked_fill_(~valid, -1)  # of no cell
    index = index.flatten(2)

    def summed(values: torch.Tensor) -> torch.Tensor:
        values = values.flatten(2).expand_as(index)
        sums: torch.Tensor = _AddUp.apply(values, index, 2 * slots) if compiled else _add_up(values, index, 2 * slots)
        return sums.view(*sums.shape[:2], slots, 2)

    return Sums(summed(probs), summed(entropy), summed(probs.new_ones(1, 1, 1)))


def _add_up(values: torch.Tensor, bins: torch.Tensor, count: int) -> torch.Tensor:
    """Return the sums `(B, C, count)` of values `(B, C, N)`; those of negative bins are left out."""
    kind = sum_dtype(values.device)  # float32 is off by percents on 2 million voxels
    sums = values.new_zeros((*bins.shape[:2], count + 1), dtype=kind)
    return sums.scatter_add(2, bins.where(bins >= 0, count), values.to(kind))[..., :-1]


def _compiles(values: torch.Tensor) -> bool:
    """Whether the compiled sums know these values, and numba is there."""
    return values.device.type == "cpu" and values.dtype == torch.float32 and fusible(values) and HAS_NUMBA


class _AddUp(torch.autograd.Function):
    """`_add_up` in one compiled pass. Its gradient is `_Spread` and the reverse, so that all derivatives are there."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, bins: torch.Tensor, count: int) -> torch.Tensor:  # type: ignore[override]
        from monai_boundary.kernels.bins import add_up

        ctx.save_for_backward(bins)
        sums = np.zeros((*bins.shape[:2], count))
        for each in _rows(values.detach().numpy(), bins.numpy(), sums):
            add_up(*each)
        return torch.from_numpy(sums)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        return _Spread.apply(gradient, *ctx.saved_tensors), None, None


class _Spread(torch.autograd.Function):
    """The value of its bin at every voxel, float32 `(B, C, N)`."""

    @staticmethod
    def forward(ctx: Any, sums: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        from monai_boundary.kernels.bins import spread

        ctx.save_for_backward(bins)
        ctx.count = sums.shape[-1]
        values = np.empty(bins.shape, np.float32)
        for each in _rows(sums.detach().numpy(), bins.numpy(), values):
            spread(*each)
        return torch.from_numpy(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return _AddUp.apply(gradient, *ctx.saved_tensors, ctx.count), None


def _rows(*arrays: np.ndarray) -> Iterator[list[np.ndarray]]:
    for place in np.ndindex(arrays[0].shape[:2]):
        yield [np.ascontiguousarray(array[place]) for array in arrays]


def _slots(cells: torch.Tensor) -> int:
    """Return the number of cells, with the one of no lesion."""
    if not _values_can_be_read(cells):  # no wait for the device: more than a patch of that size needs
        return max(_LEAST_SLOTS, cells[0, 0].numel()) + 1
    if cells.is_floating_point() and (wrong := cells != cells.round()).any():
        value = float(cells[wrong][0])
        raise ValueError(f"lesion_cells must be whole numbers, got {value:g}; resample them with mode='nearest'")
    low, high = (int(end) for end in torch.aminmax(cells))
    if low < 0:
        raise ValueError(f"lesion_cells must be >= 0, got {low}; 0 stands for no lesion")
    return high + 1


def check_cells(cells: torch.Tensor, sums: Sums) -> None:
    """Raise ``ValueError`` where a lesion is in no cell."""
    if _values_can_be_read(cells) and (lost := int(sums.voxels[..., 0, 1].sum())):
        raise ValueError(
            f"lesion_cells must be above 0 at all voxels of a lesion, got 0 at {lost}; they are those of another "
            "label: put LesionCellsd before the transforms that move the label, and give these both keys"
        )
