"""What the losses share at their edge: activation, one-hot targets, and the checks on them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch

from monai_boundary._check import check_same_device

__all__ = [
    "TARGET_TRANSFORMS",
    "activate",
    "as_float32",
    "check_network_output",
    "check_target",
    "counted_channels",
    "first_counted_channel",
    "onehot_target",
    "probability_target",
    "reduce_loss",
    "split_target",
]

#: What a loss may want beside the label, and the transform that makes it.
TARGET_TRANSFORMS = {
    "distance_map": "SignedDistanceMapd", "target_boundary": "BoundaryBandd", "seeds": "RegionSeedsd"
}  # fmt: skip


def check_network_output(logits: torch.Tensor) -> None:
    """Raise ``ValueError`` unless `logits` is a floating `(B, C, *S)` with 1 to 3 spatial axes, none of them empty."""
    if not 3 <= logits.ndim <= 5 or logits.numel() == 0:
        raise ValueError(
            f"input must be (B, C, *S) with 1 to 3 spatial axes, none empty, got shape {tuple(logits.shape)}"
        )
    if not logits.is_floating_point():
        raise TypeError(f"input must be floating point logits or probabilities, got {logits.dtype}")


def as_float32(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision to float32: sums of probability times distance leave its range. float64 stays."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def activate(logits: torch.Tensor, sigmoid: bool, softmax: bool, other_act: Callable | None) -> torch.Tensor:
    """Return probabilities in float32 or better; on one channel softmax is passed over with MONAI's warning."""
    logits = as_float32(logits)
    if sigmoid:
        return torch.sigmoid(logits)
    if softmax and logits.shape[1] == 1:
        warnings.warn("single channel prediction, `softmax=True` ignored.", stacklevel=3)
    elif softmax:
        return torch.softmax(logits, dim=1)
    return logits if other_act is None else other_act(logits)


def first_counted_channel(channels: int, include_background: bool) -> int:
    """Return the index of the first channel that counts; a single channel always does, with MONAI's warning."""
    if include_background:
        return 0
    if channels == 1:
        warnings.warn("single channel prediction, `include_background=False` ignored.", stacklevel=4)
        return 0
    return 1


def counted_channels(
    name: str, values: torch.Tensor, logits: torch.Tensor, first: int, include_background: bool
) -> torch.Tensor:
    """Return the channels from `first` on of a precomputed target `(B, C, *S)` or, without background, `(B, C-1, *S)`.

    Raises:
        ValueError: Another shape, or another device than that of `logits`.
    """
    check_same_device(name, values, "input", logits)
    if first and values.ndim == logits.ndim and values.shape[1] == logits.shape[1]:
        values = values[:, first:]
    expected = (logits.shape[0], logits.shape[1] - first, *logits.shape[2:])
    if tuple(values.shape) != expected:
        raise ValueError(
            f"{name} must have shape {expected} to match input {tuple(logits.shape)} with "
            f"include_background={include_background}, got {tuple(values.shape)}"
        )
    return values


def reduce_loss(values: torch.Tensor, reduction: str) -> torch.Tensor:
    """Reduce one value per sample and channel as MONAI's ``reduction`` says."""
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


def check_target(target: torch.Tensor, logits: torch.Tensor, to_onehot_y: bool) -> tuple[torch.Tensor, bool]:
    """Return `target` with a channel axis, and whether it holds labels; on one channel a mask needs no one-hot form.

    Raises:
        ValueError: The shapes or devices differ.
    """
    check_same_device("target", target, "input", logits)
    channels = logits.shape[1]
    if to_onehot_y and channels == 1:
        warnings.warn("single channel prediction, `to_onehot_y=True` ignored.", stacklevel=4)
    if to_onehot_y and target.ndim == logits.ndim - 1:
        target = target.unsqueeze(1)
    expected = (logits.shape[0], 1 if to_onehot_y else channels, *logits.shape[2:])
    if tuple(target.shape) != expected:
        remedy = "" if to_onehot_y or target.shape[1] != 1 else "; for a label map pass to_onehot_y=True"
        raise ValueError(
            f"input and target shapes do not match: target must be {expected}, got {tuple(target.shape)}{remedy}"
        )
    return target, to_onehot_y and channels > 1


def split_target(
    target: torch.Tensor | Mapping[str, torch.Tensor], beside: torch.Tensor | None, name: str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the label and what the loss wants beside it, given apart or as the one target of a MONAI engine.

    Raises:
        ValueError: The target of an engine lacks one of them.
    """
    if not isinstance(target, Mapping):
        return target, beside
    missing = [key for key in ("label", name) if key not in target]
    if missing:
        raise ValueError(
            f"target must hold label and {name}, got no {', '.join(missing)} among {sorted(target)}; use "
            f"PrepareBatchTarget({name!r}), and put {TARGET_TRANSFORMS.get(name, 'what makes it')} into the transforms"
        )
    return target["label"], target[name]


def probability_target(target: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Return `target` in the type of `logits`, as a plain tensor.

    Raises:
        ValueError: Another shape or device, or values outside [0, 1].
    """
    check_same_device("target", target, "input", logits)
    if target.shape != logits.shape:
        raise ValueError(
            f"input and target shapes do not match: target must be {tuple(logits.shape)}, got {tuple(target.shape)}"
        )
    # Looking at values on a CUDA device would stall every step.
    if target.device.type == "cpu" and not (target.min() >= 0 and target.max() <= 1):
        raise ValueError(
            f"target must lie in [0, 1], got values in [{target.min().item():g}, {target.max().item():g}]; "
            "make a mask of it"
        )
    return target.detach().as_subclass(torch.Tensor).to(logits.dtype)


def onehot_target(
    target: torch.Tensor, logits: torch.Tensor, to_onehot_y: bool, ignore_index: int | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the target as `(B, C, *S)` and the counted voxels as bool `(B, 1, *S)`, or ``None`` where all count.

    Args:
        target: Labels `(B, 1, *S)` or `(B, *S)` with `to_onehot_y`, else channels `(B, C, *S)`.
        logits: Network output `(B, C, *S)`.
        to_onehot_y: Whether `target` holds labels.
        ignore_index: Label that is not counted.

    Raises:
        ValueError: The shapes or devices differ, or a label is out of range.
    """
    channels = logits.shape[1]
    target, labelled = check_target(target, logits, to_onehot_y)
    valid = None if ignore_index is None else target != ignore_index
    if labelled:
        _check_label_range(target, channels, ignore_index)
        classes = torch.arange(channels, device=target.device).view(1, -1, *[1] * (target.ndim - 2))
        target = target == classes
    return target, valid


def _check_label_range(labels: torch.Tensor, num_classes: int, ignore_index: int | None) -> None:
    # Looking at values on a CUDA device would stall every step, and cannot be traced: the transforms check there.
    if torch.compiler.is_compiling() or labels.device.type != "cpu":
        return
    counted = labels if ignore_index is None else labels[labels != ignore_index]
    if counted.numel() and (counted.min() < 0 or counted.max() >= num_classes):
        raise ValueError(
            f"target must hold labels in [0, {num_classes - 1}] or ignore_index={ignore_index}, got values in "
            f"[{counted.min().item():g}, {counted.max().item():g}]; check the label map or the network's channels"
        )
