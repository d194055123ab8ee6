"""What devices can do."""

from __future__ import annotations

import torch

__all__ = ["sum_dtype"]


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the type for long sums: float64, or float32 on Apple's devices, which have no other."""
    return torch.float32 if device.type == "mps" else torch.float64
