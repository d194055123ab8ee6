"""Sums over the cells of lesions, and the cells of masks that a loss makes itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from monai_boundary.kernels.components import lesion_cells
from monai_boundary.kernels.distance.finish import sum_dtype

__all__ = ["Sums", "check_cells", "mask_cells", "sum_over_cells"]

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
    bins = 2 * slots + 1
    index = cells.long() if _values_can_be_read(cells) else cells.long().clamp(0, slots - 1)
    index = index.mul(2).add_(true)
    if valid is not None:
        index = index.masked_fill_(~valid, 2 * slots)  # of no cell
    index = index.flatten(2)
    shape, kind = (*index.shape[:2], bins), sum_dtype(probs.device)  # float32 is off by percents on 2 million voxels

    def summed(values: torch.Tensor) -> torch.Tensor:
        values = values.flatten(2).to(kind).expand_as(index)
        sums = values.new_zeros(shape).scatter_add(2, index, values)[..., :-1]
        return sums.view(*shape[:2], slots, 2)

    return Sums(summed(probs), summed(entropy), summed(probs.new_ones(1, 1, 1)))


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
