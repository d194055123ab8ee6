"""Softmax or sigmoid, product with the map, sum and gradient in one pass over the voxels.

The plain form keeps probabilities, products and their gradients of the whole batch; this one keeps the gradient
only, known in closed form. With m the map,

    p = softmax(z):   d(sum p m)/dz_k = p_k (m_k - sum_j p_j m_j)
    p = sigmoid(z):   d(sum p m)/dz_k = p_k (1 - p_k) m_k

Second derivatives come from the same formulas in differentiable operations, which keep what the plain form keeps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import forward_ad
from torch.nn import functional as F

from monai_boundary.kernels.distance.finish import sum_dtype
from monai_boundary.losses.values import as_float32

__all__ = ["chunk_size", "fusible", "map_sum"]

# Voxels of a chunk on the CPU. On one thread chunks of 32k to 512k take the same time (2 x 4 x 128^3: 155 to 165 ms),
# and small ones less memory (64k: 68 MB, 512k: 84 MB, whole samples: 144 MB; plain: 192 MB). Several threads meet after
# each operation, and on a busy machine one waits for the other: on 2 threads, chunks of 64k for each took 5 times as
# long as the plain form, of 256k 1.6 times, of 512k 1.2 times, in CPU time (wall time of 512k: the same).
_CPU_CHUNK, _CPU_CHUNK_PER_THREAD = 1 << 16, 1 << 19
_ROWS = torch.contiguous_format


class _MapSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, maps: torch.Tensor, first: int, sigmoid: bool) -> torch.Tensor:  # type: ignore[override]
        ctx.first, ctx.sigmoid = first, sigmoid
        ctx.save_for_backward(logits, maps)
        ctx.gradient = torch.empty_like(logits, memory_format=_ROWS) if ctx.needs_input_grad[0] else None
        return _one_pass(logits, maps, first, sigmoid, ctx.gradient)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:  # type: ignore[override]
        if torch.is_grad_enabled():  # create_graph=True: somebody differentiates the gradient
            logits, maps = ctx.saved_tensors
            gradient = _plain_gradient(logits, maps, ctx.first, ctx.sigmoid)
            return (gradient * grad_output).to(logits.dtype), None, None, None
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # a second backward through a retained graph: the first one took the buffer
            logits, maps = ctx.saved_tensors
            gradient = torch.empty_like(logits, memory_format=_ROWS)
            _one_pass(logits, maps, ctx.first, ctx.sigmoid, gradient)
        return _scale(gradient, grad_output), None, None, None


def _scale(gradient: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply in place."""
    if gradient.dtype == factor.dtype:
        return gradient.mul_(factor)
    # In float32: alone, the scale of a mean over millions of voxels is below what half precision resolves.
    for sample in gradient:
        sample.copy_(sample.to(factor.dtype) * factor)
    return gradient


def _plain_gradient(logits: torch.Tensor, maps: torch.Tensor, first: int, sigmoid: bool) -> torch.Tensor:
    """The gradient of the sum, differentiable, in float32 or float64."""
    logits = as_float32(logits)
    probs = torch.sigmoid(logits) if sigmoid else torch.softmax(logits, dim=1)
    full = F.pad(maps.to(probs.dtype), (0, 0) * (maps.ndim - 2) + (first, 0))
    if sigmoid:
        return probs * (1 - probs) * full
    return probs * (full - (probs * full).sum(dim=1, keepdim=True))


def _one_pass(
    logits: torch.Tensor, maps: torch.Tensor, first: int, sigmoid: bool, gradient: torch.Tensor | None
) -> torch.Tensor:
    """Return the sum, and write its gradient into `gradient` where one is given."""
    work_dtype = torch.promote_types(torch.float32, logits.dtype)
    voxels = logits[0, 0].numel()
    step = chunk_size() if logits.device.type == "cpu" else voxels
    total = torch.zeros((), dtype=sum_dtype(logits.device), device=logits.device)
    one_chunk = _sigmoid_chunk if sigmoid else _softmax_chunk
    for sample in range(logits.shape[0]):
        flat, flat_maps = logits[sample].flatten(1), maps[sample].flatten(1)
        flat_gradient = None if gradient is None else gradient[sample].flatten(1)
        for start in range(0, voxels, step):
            piece = slice(start, start + step)
            target = None if flat_gradient is None else flat_gradient[:, piece]
            counted = flat_maps[:, piece].to(work_dtype)
            total += one_chunk(flat[:, piece].to(work_dtype), counted, first, target).sum(dtype=total.dtype)
    return total.to(work_dtype)


def chunk_size() -> int:
    """Return the voxels of a piece on the CPU."""
    threads = torch.get_num_threads()
    return _CPU_CHUNK if threads == 1 else _CPU_CHUNK_PER_THREAD * threads


def _softmax_chunk(logits: torch.Tensor, maps: torch.Tensor, first: int, gradient: torch.Tensor | None) -> torch.Tensor:
    """Return the sum of each voxel of `(C, voxels)`, and write the gradient."""
    probs = torch.softmax(logits, dim=0)
    products = probs[first:] * maps
    voxel_sums = products.sum(dim=0)
    if gradient is not None:
        torch.sub(maps, voxel_sums, out=products)
        torch.mul(probs[first:], products, out=gradient[first:])
        torch.mul(probs[:first], -voxel_sums, out=gradient[:first])
    return voxel_sums


def _sigmoid_chunk(logits: torch.Tensor, maps: torch.Tensor, first: int, gradient: torch.Tensor | None) -> torch.Tensor:
    """The same, each channel on its own."""
    probs = torch.sigmoid(logits[first:])
    products = probs * maps
    voxel_sums = products.sum(dim=0)
    if gradient is not None:
        torch.mul(products, probs.neg_().add_(1), out=gradient[first:])
        gradient[:first] = 0
    return voxel_sums


def fusible(logits: torch.Tensor) -> bool:
    """Whether the one pass knows the derivatives that may be asked for: those of reverse mode, outside of a graph."""
    if torch.compiler.is_compiling():
        return False
    # torch has no public name for: inside of a transform of torch.func
    transformed: bool = torch._C._are_functorch_transforms_active()
    return not transformed and forward_ad.unpack_dual(logits).tangent is None


def map_sum(logits: torch.Tensor, maps: torch.Tensor, first: int = 0, sigmoid: bool = False) -> torch.Tensor:
    """Sum of softmax(logits), or sigmoid(logits), times maps over everything.

    Args:
        logits: Floating `(B, C, *S)`.
        maps: Floating `(B, C - first, *S)`, taken as constants.
        first: Number of leading channels without a map.
        sigmoid: Take the sigmoid of each channel instead of the softmax over all.

    Returns:
        A scalar in float32, or float64 for float64 logits, accumulated in float64 (float32 on a device without it).
        Second and further derivatives with ``create_graph=True`` take the memory of the plain form.
    """
    total: torch.Tensor = _MapSum.apply(logits, maps, first, sigmoid)
    return total
