"""The boundary term of `gpu.py`: its calls, and the check of its value and gradient."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from phantoms_speed import ellipsoids

from monai_boundary import BoundaryLoss
from monai_boundary.kernels.distance import ROBUST, batch_labels_map

__all__ = ["BATCH", "NUM_CLASSES", "SPACING", "Calls", "batch_of_labels", "check_term", "loss_calls"]

SPACING = (3.0, 1.0, 1.0)
NUM_CLASSES, BATCH = 4, 2
TOLERANCE = 1e-6
Calls = Mapping[str, Callable[[], object]]


def batch_of_labels(size: int) -> torch.Tensor:
    """Labels `(B, 1, size, size, size)` of three foreground classes."""
    return torch.stack([torch.from_numpy(ellipsoids((size,) * 3, NUM_CLASSES, seed))[None] for seed in range(BATCH)])


def check_term(device: torch.device) -> dict[str, float]:
    """Return the largest difference of value and gradient to the plain form in float64; exit if it is too large."""
    generator = torch.Generator().manual_seed(0)
    logits, maps = (torch.randn(BATCH, NUM_CLASSES, 23, 24, 25, generator=generator).to(device) for _ in range(2))
    found = {}
    for activation in ("softmax", "sigmoid"):
        settings: dict[str, Any] = {activation: True, "reduction": "sum", "include_background": False}

        def term(
            given: torch.Tensor, of_map: torch.Tensor, settings: dict[str, Any] = settings, fused: bool = True
        ) -> tuple[torch.Tensor, torch.Tensor]:
            leaf = given.detach().requires_grad_()
            value = BoundaryLoss(**settings, fused=fused)(leaf, None, of_map) * leaf[0, 0].numel()
            return value.detach().double(), torch.autograd.grad(value, leaf)[0].double()

        value, gradient = term(logits.double(), maps.double(), fused=False)
        got = term(logits, maps)
        off = float((got[0] - value).abs() / maps.double().abs().sum())
        found[activation] = max(off, float((got[1] - gradient).abs().max() / gradient.abs().max()))
    wrong = {key: off for key, off in found.items() if not off <= TOLERANCE}
    if wrong:
        sys.exit(f"the boundary term differs from the plain form in float64, relatively: {wrong}; nothing is measured")
    return found


def loss_calls(size: int, device: torch.device) -> Calls:
    """The boundary term, forward and backward; and the maps and the term from labels, as in a step."""
    labels = batch_of_labels(size).to(device)
    logits = torch.randn(BATCH, NUM_CLASSES, *labels.shape[2:], device=device, requires_grad=True)
    maps = batch_labels_map(labels, NUM_CLASSES, SPACING, ROBUST)
    settings: dict[str, Any] = {"to_onehot_y": True, "options": ROBUST, "spacing": SPACING}

    def run(loss: BoundaryLoss, distance_map: torch.Tensor | None) -> None:
        logits.grad = None
        loss(logits, labels, distance_map).backward()

    found: dict[str, Callable[[], object]] = {}
    for activation, name in (("softmax", ""), ("sigmoid", ", sigmoid")):
        one_pass, plain = (BoundaryLoss(**settings, **{activation: True}, fused=fused) for fused in (True, False))
        calls = {
            f"one pass{name}": functools.partial(run, one_pass, maps),
            f"one pass, float16 map{name}": functools.partial(run, one_pass, maps.half()),
        }
        found |= calls | {f"plain{name}": functools.partial(run, plain, maps)}
    softmax = BoundaryLoss(**settings, softmax=True)
    return found | {"one pass, map from labels": functools.partial(run, softmax, None)}
