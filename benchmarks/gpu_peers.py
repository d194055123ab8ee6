"""Signed maps by the distance transforms of cupy and cuCIM, where they can be imported and there is a GPU."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["peer_calls"]

PEERS = {"cupy": "cupyx.scipy.ndimage", "cucim": "cucim.core.operations.morphology"}


def peer_calls(
    labels: torch.Tensor, num_classes: int, spacing: tuple[float, ...]
) -> dict[str, Callable[[], list[torch.Tensor]]]:
    """Return one call per library: outside minus inside distance of every foreground class of every sample."""
    calls: dict[str, Callable[[], list[torch.Tensor]]] = {}
    if labels.is_cuda:
        for name, module in PEERS.items():
            try:
                transform = importlib.import_module(module).distance_transform_edt
                cupy = importlib.import_module("cupy")
            except (ImportError, AttributeError):
                continue
            calls[name] = _call(cupy, transform, labels, num_classes, spacing)
    return calls


def _call(
    cupy: Any, transform: Callable[..., Any], labels: torch.Tensor, num_classes: int, spacing: tuple[float, ...]
) -> Callable[[], list[torch.Tensor]]:
    def signed(mask: torch.Tensor) -> torch.Tensor:
        inside = cupy.from_dlpack(mask.to(torch.uint8))
        settings = {"sampling": spacing, "float64_distances": False}
        outside = transform(1 - inside, **settings) - transform(inside, **settings)
        return torch.from_dlpack(outside)

    return lambda: [signed(sample[0] == index) for sample in labels for index in range(1, num_classes)]
