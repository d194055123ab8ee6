"""Softmax, product with the map, sum and gradient in one pass over the voxels.

The plain form keeps probabilities, products and their gradients of the whole batch; this one keeps the gradient
only, known in closed form: with p = softmax(z) and m the map, d(sum p m)/dz_k = p_k (m_k - sum_j p_j m_j).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

__all__ = ["softmax_map_sum"]

# Voxels per thread: smaller chunks spend their time entering threads; larger ones leave the cache, and lose the memory
# that the pass is for.
_CPU_CHUNK = 1 << 16
_ROWS = torch.contiguous_format


class _SoftmaxMapSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, maps: torch.Tensor, first: int) -> torch.Tensor:  # type: ignore[override]
        ctx.first = first
        ctx.save_for_backward(logits, maps)
        ctx.gradient = torch.empty_like(logits, memory_format=_ROWS) if ctx.needs_input_grad[0] else None
        return _one_pass(logits, maps, first, ctx.gradient)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # a second backward through a retained graph: the first one took the buffer
            logits, maps = ctx.saved_tensors
            gradient = torch.empty_like(logits, memory_format=_ROWS)
            _one_pass(logits, maps, ctx.first, gradient)
        if gradient.dtype == grad_output.dtype:
            return gradient.mul_(grad_output), None, None
        # In float32: alone, the scale of a mean over millions of voxels is below what half precision resolves.
        return (gradient.to(grad_output.dtype) * grad_output).to(gradient.dtype), None, None


def _one_pass(logits: torch.Tensor, maps: torch.Tensor, first: int, gradient: torch.Tensor | None) -> torch.Tensor:
    """Return the sum, and write its gradient into `gradient` where one is given."""
    batch, channels = logits.shape[:2]
    flat = logits.reshape(batch, channels, -1)
    flat_maps = maps.reshape(batch, channels - first, -1)
    flat_gradient = None if gradient is None else gradient.view(batch, channels, -1)
    step = _CPU_CHUNK * torch.get_num_threads() if logits.device.type == "cpu" else flat.shape[2]
    work_dtype = torch.promote_types(torch.float32, logits.dtype)
    total = torch.zeros((), dtype=torch.float64, device=logits.device)
    for sample in range(batch):
        for start in range(0, flat.shape[2], step):
            piece = slice(start, start + step)
            probs = torch.softmax(flat[sample, :, piece].to(work_dtype), dim=0)
            counted = flat_maps[sample, :, piece]
            products = probs[first:] * counted
            voxel_sums = products.sum(dim=0)
            total += voxel_sums.sum(dtype=torch.float64)
            if flat_gradient is not None:
                torch.sub(counted, voxel_sums, out=products)
                torch.mul(probs[first:], products, out=flat_gradient[sample, first:, piece])
                torch.mul(probs[:first], -voxel_sums, out=flat_gradient[sample, :first, piece])
    return total.to(work_dtype)


def softmax_map_sum(logits: torch.Tensor, maps: torch.Tensor, first: int = 0) -> torch.Tensor:
    """Sum of softmax(logits) times maps over everything.

    Args:
        logits: Floating `(B, C, *S)`.
        maps: Floating `(B, C - first, *S)`, taken as constants.
        first: Number of leading channels without a map.

    Returns:
        A scalar in float32, or float64 for float64 logits, accumulated in float64. Differentiable once: a second
        derivative raises, or is 0 where the upstream gradient is a constant.
    """
    total: torch.Tensor = _SoftmaxMapSum.apply(logits, maps, first)
    return total
