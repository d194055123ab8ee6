"""Sums over the cells of lesions, and the cells of masks that a loss makes itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from monai_boundary.kernels.components import lesion_cells
from monai_boundary.kernels.distance.finish import sum_dtype
from monai_boundary.losses._fused import chunk_size, fusible

__all__ = ["Places", "Sums", "check_cells", "mask_cells", "sums_of_logits", "sums_of_probs"]

_MOST_SLOTS = 1 << 30  # cells of int32
_LEAST_SLOTS = 1 << 15  # where the largest number cannot be read: those of int16 and one for no lesion
_NUMBERS = (
    "lesion_cells must be from 0 to 32768, or to the number of voxels of the patch where that is more, on a GPU and in "
    "a compiled loss; leave them out, and the loss makes them"
)


class Places(NamedTuple):
    """Where each voxel of a channel that counts belongs."""

    #: Numbers of the cells, `(B, C, *S)`.
    cells: torch.Tensor
    #: Whether it is target, bool `(B, C, *S)`.
    true: torch.Tensor
    #: Whether it counts, bool `(B, 1 or C, *S)`; ``None`` where all do.
    valid: torch.Tensor | None = None


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


def sums_of_probs(probs: torch.Tensor, entropy: torch.Tensor, places: Places) -> Sums:
    """Return the sums over the cells.

    Args:
        probs: `(B, C, *S)`.
        entropy: `(B, 1 or C, *S)`.
        places: Of their voxels.
    """
    return _sums_of_probs(probs, entropy, places, _slots(places.cells))


def _sums_of_probs(probs: torch.Tensor, entropy: torch.Tensor, places: Places, slots: int) -> Sums:
    index = places.cells.long()
    if not _values_can_be_read(index):
        # no wait for the device; two lesions of one number would count as one
        torch._assert_async(((index >= 0) & (index < slots)).all(), _NUMBERS)
    index = 2 * index + places.true
    if places.valid is not None:
        index = torch.where(places.valid, index, 2 * slots)  # of no cell
    index = index.flatten(2)
    kind = sum_dtype(probs.device)  # float32 is off by percents on 2 million voxels

    def summed(values: torch.Tensor) -> torch.Tensor:
        values = values.flatten(2).expand_as(index).to(kind)
        sums = values.new_zeros((*index.shape[:2], 2 * slots + 1)).scatter_add(2, index, values)
        return sums[..., :-1].view(*index.shape[:2], slots, 2)

    return Sums(summed(probs), summed(entropy), summed(probs.new_ones(1, 1, 1)))


def sums_of_logits(logits: torch.Tensor, target: torch.Tensor, places: Places, softmax: bool) -> Sums:
    """Return the sums over the cells of probabilities, and of their cross-entropy with the target.

    On the CPU all is done piece by piece, so that nothing of the size of the volume is kept but the gradient.

    Args:
        logits: `(B, C, *S)`.
        target: `(B, C, *S)`, bool or in [0, 1].
        places: Of the voxels of the last channels, all or all but the first.
        softmax: Over the channels, with one cross-entropy for all; else a sigmoid, and a cross-entropy for each.
    """
    slots = _slots(places.cells)
    on_cpu = logits.device.type == "cpu" and logits.dtype == torch.float32
    if on_cpu and slots < _MOST_SLOTS and fusible(logits):
        given = [part for part in places if part is not None]
        target = target if target.dtype == torch.bool else target.to(logits.dtype)
        sums: torch.Tensor = _OnePass.apply(logits, softmax, slots, target, *given)
        return Sums(*sums.unbind(-1))
    return _sums_of_probs(*_activate(logits, target, places.cells.shape[1], softmax, 1), places, slots)


def _activate(
    logits: torch.Tensor, target: torch.Tensor, counted: int, softmax: bool, axis: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities and cross-entropy of the last `counted` channels, which are along `axis`."""
    first = logits.shape[axis] - counted
    if not softmax:
        logits, target = logits.narrow(axis, first, counted), target.narrow(axis, first, counted)
        entropy = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
        return torch.sigmoid(logits), entropy
    logs = torch.log_softmax(logits, axis)
    true = torch.where(target, logs, 0) if target.dtype == torch.bool else logs * target
    return torch.softmax(logits, axis).narrow(axis, first, counted), -true.sum(axis, keepdim=True)


class _OnePass(torch.autograd.Function):
    """Sums of probabilities, cross-entropy and voxels, `(B, C, cells, 2, 3)`, and the gradient of the logits.

    With P, E the gradients of the sums at the voxel's place, and t the target,

        softmax:   dz_k = p_k (P_k - sum_j p_j P_j) + (p_k sum_j t_j - t_k) sum_j E_j
        sigmoid:   dz_k = p_k (1 - p_k) P_k + (p_k - t_k) E_k

    Further derivatives are those of the plain form.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, logits: torch.Tensor, softmax: bool, slots: int, target: torch.Tensor, *places: torch.Tensor
    ) -> torch.Tensor:
        from monai_boundary.kernels.bins import add_up

        ctx.save_for_backward(logits, target, *places)
        ctx.softmax, ctx.slots = softmax, slots
        channels = places[0].shape[1]
        sums = np.zeros((len(logits), channels, slots, 2, 3))
        for sample, piece, labels, *where in _pieces(logits.detach(), target, *places):
            probs, entropy = _activate(piece, labels, channels, softmax, 0)
            for channel, row in enumerate(_rows(channels, probs, entropy, *where)):
                add_up(*row, sums[sample, channel])  # type: ignore[call-arg]
        return torch.from_numpy(sums)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        logits, target, *places = ctx.saved_tensors
        nothing = (None,) * (3 + len(places))
        if torch.is_grad_enabled():  # create_graph=True: somebody differentiates the gradient
            activated = _activate(logits, target, places[0].shape[1], ctx.softmax, 1)
            sums = torch.stack(_sums_of_probs(*activated, Places(*places), ctx.slots), -1)
            return torch.autograd.grad(sums, logits, gradient, create_graph=True)[0], *nothing
        found = torch.empty_like(logits, memory_format=torch.contiguous_format)
        _write_gradient(found, gradient.contiguous().numpy(), logits, target, places, ctx.softmax)
        return found, *nothing


def _write_gradient(
    found: torch.Tensor,
    of_sums: np.ndarray,
    logits: torch.Tensor,
    target: torch.Tensor,
    places: Sequence[torch.Tensor],
    softmax: bool,
) -> None:
    from monai_boundary.kernels.bins import spread

    channels = places[0].shape[1]
    first = logits.shape[1] - channels
    for sample, piece, labels, out, *where in _pieces(logits, target, found, *places):
        of_probs = torch.zeros(channels, piece.shape[1], dtype=torch.float32)
        of_entropy = torch.zeros(1 if softmax else channels, piece.shape[1], dtype=torch.float32)
        for channel, (probs, entropy, *place) in enumerate(_rows(channels, of_probs, of_entropy, *where)):
            spread(of_sums[sample, channel], *place, probs, entropy)  # type: ignore[call-arg]
        if softmax:
            activated = torch.softmax(piece, 0)
            slope = activated[first:] * of_probs
            torch.mul(activated, of_entropy * labels.sum(0) - slope.sum(0), out=out)
            out[first:] += slope
            out -= of_entropy * labels
        else:
            activated = torch.sigmoid(piece[first:])
            out[:first] = 0
            out[first:] = activated * (1 - activated) * of_probs + (activated - labels[first:].float()) * of_entropy


def _pieces(logits: torch.Tensor, *others: torch.Tensor) -> Iterator[tuple[Any, ...]]:
    """Yield the number of a sample and a run of its voxels, `(C, voxels)`, of each tensor."""
    voxels, step = logits[0, 0].numel(), chunk_size()
    for sample in range(len(logits)):
        flat = [each[sample].flatten(1) for each in (logits, *others)]
        for start in range(0, voxels, step):
            yield sample, *(each[:, start : start + step] for each in flat)


def _rows(
    channels: int,
    probs: torch.Tensor,
    entropy: torch.Tensor,
    cells: torch.Tensor,
    true: torch.Tensor,
    valid: torch.Tensor | None = None,
) -> Iterator[list[np.ndarray]]:
    """Yield what the compiled sums take of each channel; what has one channel has it for all."""
    valid = torch.ones_like(true[:1]) if valid is None else valid
    parts = (probs, entropy, cells.to(torch.int32), true, valid)
    for channel in range(channels):
        yield [part[min(channel, len(part) - 1)].contiguous().numpy() for part in parts]


def _slots(cells: torch.Tensor) -> int:
    """Return the number of cells, with the one of no lesion."""
    if not _values_can_be_read(cells):  # no wait for the device: more than a patch of that size needs
        return max(_LEAST_SLOTS, cells[0, 0].numel()) + 1
    if cells.is_floating_point() and (wrong := (cells != cells.round()) | cells.isinf()).any():
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
