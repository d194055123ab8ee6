"""The boundary loss against MONAI's, and the boundary F1 loss against the same loss from torch's box max pooling.

Forward and backward from logits; of the boundary F1 loss both forms give one value and one gradient, bit by bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import monai.losses
import numpy as np
import torch
import torch.nn.functional as F
from benchmark import Cases
from phantoms_speed import ellipsoids

from monai_boundary.kernels.distance import signed_distance_map
from monai_boundary.losses import BoundaryF1Loss, BoundaryLoss

__all__ = ["boundary_f1_loss", "boundary_loss"]

SPACING = (3.0, 1.0, 1.0)
SMOOTH = 1e-5


def boundary_loss(size: int) -> Cases:
    """Forward and backward for B=2, C=4; ours get the map, as training gives it.

    The floor reads logits and maps and writes the gradient once.
    """
    labels = [ellipsoids((size,) * 3, 4, seed) for seed in range(2)]
    onehot = torch.from_numpy(np.stack([np.stack([one == index for index in range(4)]) for one in labels]))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(onehot.shape, generator=generator, requires_grad=True)
    maps = torch.from_numpy(np.stack([signed_distance_map(one[None], 4, SPACING) for one in labels]))
    half = maps.half()
    target = onehot.float()

    def run(loss: torch.nn.Module, **inputs: torch.Tensor) -> torch.Tensor | None:
        logits.grad = None
        loss(logits, **inputs).backward()
        return logits.grad

    fused, plain = BoundaryLoss(softmax=True), BoundaryLoss(softmax=True, fused=False)
    calls = {
        "ours": functools.partial(run, fused, distance_map=maps),
        "ours, float16 map": functools.partial(run, fused, distance_map=half),
        "ours, plain": functools.partial(run, plain, distance_map=maps),
        "monai": functools.partial(run, monai.losses.BoundaryLoss(softmax=True), target=target),
    }
    return Cases(calls, bytes_touched=3 * 4 * logits.numel(), voxels=2 * size**3)


def _box_pool(values: torch.Tensor, window: int) -> torch.Tensor:
    pool = F.max_pool3d if values.ndim == 5 else F.max_pool2d
    return pool(values, window, stride=1, padding=window // 2)


def _naive_boundary(probs: torch.Tensor, theta: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boundary and extended boundary, equations 1 and 2 of Bokhovkin and Burnaev as they stand."""
    boundary = _box_pool(1 - probs, 3) - (1 - probs)
    return boundary, _box_pool(boundary, theta)


def _naive(logits: torch.Tensor, of_target: tuple[torch.Tensor, torch.Tensor], theta: int) -> torch.Tensor:
    """Equations 3 and 4."""
    target_boundary, target_extended = of_target
    boundary, extended = _naive_boundary(torch.sigmoid(logits), theta)
    over = list(range(2, logits.ndim))
    precision = ((boundary * target_extended).sum(over) + SMOOTH) / (boundary.sum(over) + SMOOTH)
    recall = ((target_boundary * extended).sum(over) + SMOOTH) / (target_boundary.sum(over) + SMOOTH)
    return (1 - 2 * precision * recall / (precision + recall)).mean()


def boundary_f1_loss(shape: tuple[int, ...], theta: int) -> Cases:
    """The loss with and without the target's boundary given; `shape` is `(B, 1, *S)`.

    The floor reads logits and target and writes the gradient once.
    """
    masks = [ellipsoids((1,) * (5 - len(shape)) + shape[2:], 2, seed) > 0 for seed in range(shape[0])]
    target = torch.from_numpy(np.stack(masks).astype(np.float32)).view(shape)
    generator = torch.Generator().manual_seed(0)
    logits = (4 * target - 2 + torch.randn(shape, generator=generator)).requires_grad_(True)
    loss = BoundaryF1Loss(theta=theta, sigmoid=True, smooth=SMOOTH)
    band, naive_band = loss.compute_target_boundary(logits, target), _naive_boundary(target, theta)

    def run(forward: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        logits.grad = None
        value = forward()
        value.backward()
        return value.detach(), logits.grad

    calls = {
        "ours": lambda: run(lambda: loss(logits, target)),
        "ours, target given": lambda: run(lambda: loss(logits, None, band)),
        "naive": lambda: run(lambda: _naive(logits, _naive_boundary(target, theta), theta)),
        "naive, target given": lambda: run(lambda: _naive(logits, naive_band, theta)),
    }
    return Cases(calls, bytes_touched=3 * 4 * logits.numel(), voxels=logits.numel(), agree=_equal_to_the_bit)


def _equal_to_the_bit(results: dict[str, Any]) -> dict[str, float]:
    value, gradient = results["naive"]
    for name, (other_value, other_gradient) in results.items():
        if not (torch.equal(other_value, value) and torch.equal(other_gradient, gradient)):
            raise RuntimeError(f"{name} must have the value and gradient of the naive form, got others")
    return {}
