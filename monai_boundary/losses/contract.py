"""The contract between a loss, a network's output and its target: what is accepted, checked, counted and masked.

Values of targets are looked at on the CPU only: elsewhere that would stall every step, and in a compiled loss it cannot
be traced. The transforms check there, and so does a loss with ``validate=True``, which looks at the output, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from monai.data import MetaTensor

from monai_boundary._check import check_activation, check_dense, check_ignore_index
from monai_boundary.losses.values import (
    as_float32,
    check_finite,
    check_label_values,
    check_mask_values,
    check_output,
    check_same_device,
    counted_mask,
    label_numbers,
    without_unsigned,
)

__all__ = ["Counted", "Pair", "TargetContract"]


class Pair(NamedTuple):
    """Output and target of one call, checked, 0 where they do not count."""

    #: What the network returned, `(B, C, *S)` in float32 or better.
    logits: torch.Tensor
    #: One-hot, as it was given or bool made of labels, `(B, C, *S)`.
    target: torch.Tensor
    #: Bool `(B, 1, *S)` or, for channels that are ignored apart, `(B, C, *S)`; ``None`` where all count.
    valid: torch.Tensor | None


class Counted(NamedTuple):
    """What a `Pair` says of the channels that count."""

    #: Probabilities `(B, C', *S)`, 0 where they do not count.
    probs: torch.Tensor
    #: The same of the target, in the type of `probs`.
    target: torch.Tensor
    #: As of `Pair`, for these channels.
    valid: torch.Tensor | None
    #: Number of channels that do not count, 0 or 1.
    first: int


@dataclass(frozen=True)
class TargetContract:
    """What a loss makes of the output and the target it is called with: MONAI's settings, and voxels that do not count.

    Voxels that do not count are taken out before the activation, so that NaN or infinity there reaches neither the loss
    nor the gradient.

    Args:
        include_background: Whether channel 0 counts.
        to_onehot_y: Whether the target is a label map `(B, 1, *S)` or `(B, *S)`.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        ignore_index: Value of the target at voxels that do not count.
        validate: Look at the values of output, target and what is given beside it in every call, on any device: NaN and
            infinity that count are a ``ValueError`` with their place. On CUDA each call then waits for the device. Not
            in a compiled loss.
        quiet: Leave out MONAI's warnings on a single channel, which another contract gives in the same call.

    Raises:
        TypeError: `other_act` is not callable, or `ignore_index` no integer.
        ValueError: More than one activation.
    """

    include_background: bool = True
    to_onehot_y: bool = False
    sigmoid: bool = False
    softmax: bool = False
    other_act: Callable | None = None
    ignore_index: int | None = None
    validate: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        check_activation(self.sigmoid, self.softmax, self.other_act)
        check_ignore_index(self.ignore_index)

    def read(self, input: torch.Tensor, target: Any, valid: torch.Tensor | None = None) -> Pair:
        """Return output and target, checked and with what does not count at 0.

        Args:
            input: Floating `(B, C, *S)`.
            target: Channels `(B, C, *S)` in [0, 1], or labels.
            valid: Bool `(B, 1, *S)`, the voxels that count, for targets without a value to ignore.

        Raises:
            TypeError: One of them is no tensor, or holds another kind of numbers.
            ValueError: The shapes or devices differ, or a value is out of range.
        """
        check_output(input)
        values, labelled = self.labels(input, target)
        shared = (len(input), 1, *input.shape[2:])
        if valid is None:
            valid = self.counted(values)
        elif valid.dtype != torch.bool or valid.shape not in (shared, input.shape):
            raise ValueError(
                f"valid must be bool of shape {shared}, got {valid.dtype} of shape {tuple(valid.shape)}; it is true "
                "where voxels count"
            )
        if valid is not None:
            values = values.masked_fill(~valid, 0)
        if labelled:
            check_label_values("target", values, input.shape[1], self.ignore_index, anywhere=self.validate)
            classes = torch.arange(input.shape[1], device=values.device).view(1, -1, *[1] * (values.ndim - 2))
            values = values == classes if valid is None else (values == classes) & valid
        else:
            check_mask_values("target", values, self.ignore_index, anywhere=self.validate)
        return Pair(self.masked(as_float32(input), valid), values, valid)

    def labels(self, input: torch.Tensor, target: Any) -> tuple[torch.Tensor, bool]:
        """Return `target` as plain tensor with a channel axis, and whether it holds labels; its values are not checked.

        On one channel a mask needs no one-hot form: MONAI's warning says that `to_onehot_y` is ignored.
        """
        if not isinstance(target, torch.Tensor):
            raise TypeError(
                f"target must be a tensor, got {type(target).__name__}; make one with torch.as_tensor, of the shape "
                f"that fits input {tuple(input.shape)}"
            )
        check_dense("target", target)
        if target.is_complex():
            raise TypeError(f"target must hold real numbers, got {target.dtype}")
        check_same_device("target", target, "input", input)
        channels = input.shape[1]
        if self.to_onehot_y and channels == 1:
            self._warn("to_onehot_y=True")
        if self.to_onehot_y and target.ndim == input.ndim - 1:
            target = target.unsqueeze(1)
        expected = (input.shape[0], 1 if self.to_onehot_y else channels, *input.shape[2:])
        if tuple(target.shape) != expected:
            remedy = "" if self.to_onehot_y or target.ndim < 2 or target.shape[1] != 1 else (
                "; for a label map pass to_onehot_y=True"
            )  # fmt: skip
            raise ValueError(
                f"input and target shapes do not match: target must be {expected}, got {tuple(target.shape)}{remedy}"
            )
        if isinstance(target, MetaTensor):
            target = target.as_subclass(torch.Tensor)
        labelled = self.to_onehot_y and channels > 1
        return (label_numbers if labelled else without_unsigned)(target), labelled

    def counted(self, values: torch.Tensor) -> torch.Tensor | None:
        """Return which voxels of a target count, ``None`` for all; channels that softmax mixes count together."""
        if self.ignore_index is None:
            return None
        valid = counted_mask(values, self.ignore_index)
        return valid.all(1, keepdim=True) if valid is not None and self.softmax else valid

    def masked(self, logits: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Return `logits` with 0 where they do not count; `valid` may lack the background channel."""
        if valid is not None:
            if 1 < valid.shape[1] < logits.shape[1]:
                valid = torch.cat([torch.ones_like(valid[:, :1]), valid], 1)
            logits = torch.where(valid, logits, 0)
        if self.validate:
            check_finite("input", logits)
        return logits

    def first_channel(self, logits: torch.Tensor) -> int:
        """Return the index of the first channel that counts; a single channel always does, with MONAI's warning."""
        if self.include_background:
            return 0
        if logits.shape[1] == 1:
            self._warn("include_background=False")
            return 0
        return 1

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        """Return probabilities of logits; on one channel softmax is passed over with MONAI's warning."""
        logits = as_float32(logits)
        if self.sigmoid:
            return torch.sigmoid(logits)
        if self.softmax and logits.shape[1] > 1:
            return torch.softmax(logits, dim=1)
        if self.softmax:
            self._warn("softmax=True")
        if self.other_act is None:
            return logits
        probs: torch.Tensor = self.other_act(logits)
        if getattr(probs, "shape", None) != logits.shape:
            got = tuple(probs.shape) if isinstance(probs, torch.Tensor) else type(probs).__name__
            raise ValueError(
                f"other_act must keep the shape of input, {tuple(logits.shape)}, got {got}; leave channels out with "
                "include_background=False"
            )
        return probs

    def count(self, pair: Pair) -> Counted:
        """Return probabilities and target of the channels that count, 0 where voxels do not."""
        first = self.first_channel(pair.logits)
        probs, target, valid = self.activate(pair.logits)[:, first:], pair.target[:, first:], pair.valid
        if valid is not None:
            valid = valid[:, first:] if valid.shape[1] > 1 else valid
            probs = torch.where(valid, probs, 0)
        return Counted(probs, target.to(probs.dtype), valid, first)

    def beside(self, name: str, values: torch.Tensor, like: torch.Tensor, first: int) -> torch.Tensor:
        """Return what a transform made, `(B, C, *S)` or without the background, for the channels that count.

        These are the channels from `first` on; `like` is what the network says of them.
        """
        if not isinstance(values, torch.Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(values).__name__}")
        check_same_device(name, values, "input", like)
        if first and values.ndim == like.ndim and values.shape[1] == like.shape[1] + first:
            values = values[:, first:]
        if values.shape != like.shape:
            whole = (like.shape[0], like.shape[1] + first, *like.shape[2:])
            raise ValueError(
                f"{name} must have shape {tuple(like.shape)} to match input {whole} with "
                f"include_background={self.include_background}, got {tuple(values.shape)}"
            )
        if self.validate:
            check_finite(name, values)
        return values

    def _warn(self, setting: str) -> None:
        if not self.quiet:
            warnings.warn(f"single channel prediction, `{setting}` ignored.", stacklevel=5)
