"""What the values of outputs and targets must be, and which of them count.

Values are looked at on the CPU only: elsewhere that would stall every step, and in a compiled loss it cannot be traced.
"""

from __future__ import annotations

from typing import Any

import torch

from monai_boundary._check import check_dense
from monai_boundary._labels import WHOLE

__all__ = [
    "as_float32",
    "check_finite",
    "check_label_values",
    "check_mask_values",
    "check_output",
    "check_same_device",
    "counted_mask",
    "label_numbers",
    "without_unsigned",
]


def check_output(input: Any, name: str = "input") -> None:
    """Raise unless `input` is a floating tensor `(B, C, *S)` with 1 to 3 spatial axes, none of them empty."""
    if not isinstance(input, torch.Tensor):
        raise TypeError(f"{name} must be a tensor (B, C, *S), got {type(input).__name__}")
    check_dense(name, input)
    if not 3 <= input.ndim <= 5 or input.numel() == 0:
        raise ValueError(
            f"{name} must be (B, C, *S) with 1 to 3 spatial axes, none empty, got shape {tuple(input.shape)}"
        )
    if not input.is_floating_point():
        raise TypeError(f"{name} must be floating point logits or probabilities, got {input.dtype}")


def check_finite(name: str, values: torch.Tensor) -> None:
    """Raise ``ValueError`` where values `(B, C, *S)` are NaN or infinite; waits for the device, is not traced."""
    if torch.compiler.is_compiling() or values.isfinite().all():
        return
    nan, broken = values.isnan(), ~values.isfinite()
    counts = broken.flatten(2).sum(2)  # (B, C)
    places = counts.nonzero().tolist()
    where = "; ".join(
        f"{counts[sample, channel]} in sample {sample}, channel {channel}" for sample, channel in places[:5]
    )
    raise ValueError(
        f"{name} must be finite where it counts, got {int(nan.sum())} NaN and {int((broken & ~nan).sum())} infinite "
        f"values: {where}{'; ...' if len(places) > 5 else ''}; look at the images and maps of these samples, lower the "
        "learning rate, or clip the gradient"
    )


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


def check_label_values(
    name: str, labels: torch.Tensor, num_classes: int, ignore_index: int | None = None, *, anywhere: bool = False
) -> None:
    """Raise ``ValueError`` unless all labels that count, the others being 0, are whole numbers below `num_classes`.

    They are looked at on the CPU, or `anywhere`.
    """
    wrong = _outside(labels, num_classes - 1, anywhere=anywhere)
    if wrong is None:
        return
    remedy = "check the label map or the network's channels, or name a value to leave out as ignore_index"
    if labels.is_floating_point() and (labels[wrong] != labels[wrong].round()).any():
        remedy = "labels are whole numbers: resample label maps with mode='nearest'"
    raise ValueError(
        f"{name} must hold labels in [0, {num_classes - 1}] or ignore_index={ignore_index}, got "
        f"{_some(labels, wrong)}; {remedy}"
    )


def check_mask_values(
    name: str, masks: torch.Tensor, ignore_index: int | None = None, *, anywhere: bool = False
) -> None:
    """Raise ``ValueError`` unless all values that count, the others being 0, lie in [0, 1]; see above for the rest."""
    wrong = _outside(masks, 1, fractions=True, anywhere=anywhere)
    if wrong is not None:
        raise ValueError(
            f"{name} must lie in [0, 1] or equal ignore_index={ignore_index}, got {_some(masks, wrong)}; divide a mask "
            "of 0 and 255 by 255, or name a value to leave out as ignore_index"
        )


def _outside(
    values: torch.Tensor, highest: int, fractions: bool = False, *, anywhere: bool = False
) -> torch.Tensor | None:
    """Return where `values` are not in [0, highest], NaN among them, or are fractions; ``None`` if nowhere."""
    looked_at = anywhere or values.device.type == "cpu"
    if torch.compiler.is_compiling() or not looked_at or values.dtype == torch.bool:
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


def check_same_device(name: str, tensor: torch.Tensor, other_name: str, other: torch.Tensor) -> None:
    """Raise ``ValueError`` when two tensors are on different devices."""
    if tensor.device != other.device:
        raise ValueError(
            f"{name} and {other_name} must be on one device, got {tensor.device} and {other.device}; "
            f"move {name} with .to({other_name}.device)"
        )
