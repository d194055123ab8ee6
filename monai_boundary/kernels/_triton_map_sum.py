"""Activation, product with the map, sum and gradient as one Triton kernel, for CUDA; importable without Triton.

A program holds all channels of a block of voxels in registers: logits and maps are read once, the gradient is written
once. ``TRITON_INTERPRET=1`` runs it on the CPU, for tests.
"""

from __future__ import annotations

from typing import Any

import torch

from monai_boundary.kernels import _triton
from monai_boundary.kernels._triton import tl, triton

__all__ = ["partial_sums", "usable"]

# Values of a program; beyond so many channels a block would have too few voxels to read in one go.
_BLOCK, _MOST_CHANNELS = 4096, 16
_TYPES = (torch.float32, torch.float16, torch.bfloat16)
_KERNEL: Any = None

if _triton.INSTALLED:

    @triton.jit  # type: ignore[misc, untyped-decorator]
    def _map_sum(  # type: ignore[no-untyped-def]  # noqa: PLR0913
        logits, maps, gradient, sums, channels, first, voxels, logits_sample, logits_channel, maps_sample, maps_channel,
        rows: tl.constexpr, columns: tl.constexpr, sigmoid: tl.constexpr, write: tl.constexpr,
    ):  # fmt: skip
        block, sample = tl.program_id(0), tl.program_id(1).to(tl.int64)
        voxel = block.to(tl.int64) * columns + tl.arange(0, columns)
        channel = tl.arange(0, rows).to(tl.int64)
        inside = (channel < channels)[:, None] & (voxel < voxels)[None, :]
        mapped = inside & (channel >= first)[:, None]
        place = logits + sample * logits_sample + channel[:, None] * logits_channel + voxel[None, :]
        values = tl.load(place, mask=inside, other=float("-inf")).to(tl.float32)
        place = maps + sample * maps_sample + (channel - first)[:, None] * maps_channel + voxel[None, :]
        counted = tl.load(place, mask=mapped, other=0.0).to(tl.float32)
        if sigmoid:
            probs = 1.0 / (1.0 + tl.exp(-values))
            products = tl.where(mapped, probs * counted, 0.0)
            total = tl.sum(products, axis=0)
            slope = products * (1.0 - probs)
        else:
            probs = tl.exp(values - tl.max(values, axis=0)[None, :])
            probs = probs / tl.sum(probs, axis=0)[None, :]
            total = tl.sum(probs * counted, axis=0)
            slope = probs * (counted - total[None, :])
        total = tl.where(voxel < voxels, total, 0.0)
        tl.store(sums + sample * tl.num_programs(0) + block, tl.sum(total, axis=0))
        if write:
            place = gradient + (sample * channels + channel[:, None]) * voxels + voxel[None, :]
            tl.store(place, slope, mask=inside)

    _KERNEL = _map_sum


def usable(logits: torch.Tensor, maps: torch.Tensor) -> bool:
    """Whether the kernel takes these, `(B, C, *S)`, on their device."""
    known = logits.dtype in _TYPES and maps.dtype in _TYPES and logits.shape[1] <= _MOST_CHANNELS
    return known and _triton.usable(_KERNEL, logits)


def partial_sums(
    logits: torch.Tensor, maps: torch.Tensor, first: int, sigmoid: bool, gradient: torch.Tensor | None
) -> torch.Tensor | None:
    """Return float32 sums `(B, blocks)` of activation times map, and write the gradient of the whole sum.

    Args:
        logits: `(B, C, *S)`.
        maps: `(B, C - first, *S)`.
        first: Number of leading channels without a map.
        sigmoid: Sigmoid instead of softmax.
        gradient: Contiguous, of the shape of the logits, or ``None``.

    Returns:
        ``None`` where the kernel does not run; nothing is written then.
    """
    logits, maps = _rows(logits), _rows(maps)
    channels, voxels = logits.shape[1:]
    rows = 1 << (channels - 1).bit_length()
    columns = _BLOCK // rows
    sums = torch.empty(len(logits), -(-voxels // columns), dtype=torch.float32, device=logits.device)
    steps = (logits.stride(0), logits.stride(1), maps.stride(0), maps.stride(1))

    def launch() -> None:
        with torch.cuda.device_of(logits):  # Triton starts on the current device; nothing happens for CPU tensors
            _KERNEL[(sums.shape[1], sums.shape[0])](
                logits, maps, logits if gradient is None else gradient, sums, channels, first, voxels, *steps,
                rows=rows, columns=columns, sigmoid=sigmoid, write=gradient is not None,
            )  # fmt: skip

    return sums if _triton.launched(_KERNEL, "the boundary term", launch) else None


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return `(B, C, voxels)`, the voxels next to each other."""
    rows = tensor.flatten(2)
    return rows if rows.stride(2) == 1 or rows.shape[2] == 1 else rows.contiguous()
