"""Checks of what networks and targets hold, and which of their voxels count.

Values on the CPU only: looking at those on another device would stall every step, and cannot be traced when compiled.
"""

from __future__ import annotations

from typing import Any

import torch

from monai_boundary._labels import WHOLE

__all__ = [
    "as_float32",
    "check_label_values",
    "check_mask_values",
    "check_output",
    "counted_mask",
    "label_numbers",
    "without_unsigned",
]


def check_output(input: Any) -> None:
    """Raise unless `input` is a floating tensor `(B, C, *S)` with 1 to 3 spatial axes, none of them empty."""
    if not isinstance(input, torch.Tensor):
        raise TypeError(f"input must be a tensor (B, C, *S), got {type(input).__name__}")
    if not 3 <= input.ndim <= 5 or input.numel() == 0:
        raise ValueError(
            f"input must be (B, C, *S) with 1 to 3 spatial axes, none empty, got shape {tuple(input.shape)}"
        )
    if not input.is_floating_point():
        raise TypeError(f"input must be floating point logits or probabilities, got {input.dtype}")


def as_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision to float32: sums of probability times distance leave its range. float64 stays."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_unsigned(values: torch.Tensor) -> torch.Tensor:
    """Return 16, 32 and 64 unsigned bits, which torch can hardly compare, as int64, and any other type as it is."""
    return values.long() if values.dtype in (torch.uint16, torch.uint32, torch.uint64) else values


def label_numbers(labels: torch.Tensor) -> torch.Tensor:
    """Return labels in a type that can be compared; floats that scaling has moved off a whole number are put back."""
    if not labels.is_floating_point():
        return without_unsigned(labels)
    whole = labels.round()
    return torch.where((labels - whole).abs() < WHOLE, whole, labels)


def counted_mask(values: torch.Tensor, ignore_index: int | None) -> torch.Tensor | None:
    """Return where `values` are not `ignore_index`, or ``None`` where their type cannot hold it, so that all count."""
    if ignore_index is None:
        return None
    if values.dtype == torch.bool:
        holds = ignore_index in (0, 1)
    else:
        limits = (torch.finfo if values.is_floating_point() else torch.iinfo)(values.dtype)
        holds = limits.min <= ignore_index <= limits.max
    return values != ignore_index if holds else None


def check_label_values(name: str, labels: torch.Tensor, num_classes: int, ignore_index: int | None = None) -> None:
    """Raise ``ValueError`` unless all labels that count, the others being 0, are whole numbers below `num_classes`."""
    wrong = _outside(labels, num_classes - 1)
    if wrong is None:
        return
    remedy = "check the label map or the network's channels, or name a value to leave out as ignore_index"
    if labels.is_floating_point() and (labels[wrong] != labels[wrong].round()).any():
        remedy = "labels are whole numbers: resample label maps with mode='nearest'"
    raise ValueError(
        f"{name} must hold labels in [0, {num_classes - 1}] or ignore_index={ignore_index}, got "
        f"{_some(labels, wrong)}; {remedy}"
    )


def check_mask_values(name: str, masks: torch.Tensor, ignore_index: int | None = None) -> None:
    """Raise ``ValueError`` unless all values that count, the others being 0, lie in [0, 1]."""
    wrong = _outside(masks, 1, fractions=True)
    if wrong is not None:
        raise ValueError(
            f"{name} must lie in [0, 1] or equal ignore_index={ignore_index}, got {_some(masks, wrong)}; divide a mask "
            "of 0 and 255 by 255, or name a value to leave out as ignore_index"
        )


def _outside(values: torch.Tensor, highest: int, fractions: bool = False) -> torch.Tensor | None:
    """Return where `values` are not in [0, highest], NaN among them, or are fractions; ``None`` if nowhere."""
    if torch.compiler.is_compiling() or values.device.type != "cpu" or values.dtype == torch.bool:
        return None
    low, high = torch.aminmax(values)  # the usual case, in one pass
    broken = None if fractions or not values.is_floating_point() else values != values.round()
    slack = WHOLE if fractions and values.is_floating_point() else 0
    if low >= -slack and high <= highest + slack:
        return broken if broken is not None and broken.any() else None
    outside = ~((values >= -slack) & (values <= highest + slack))
    return outside if broken is None else outside | broken


def _some(values: torch.Tensor, wrong: torch.Tensor) -> str:
    found = torch.unique(values[wrong])[:5].tolist()
    return f"{', '.join(f'{value:g}' for value in found)} among its values, at {int(wrong.sum())} voxels"
