"""Finished signed maps on the device of the masks: what `_signed` does, without a value that the host has to read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_labels, check_mask, check_spatial_ndim, plain_tensor
from monai_boundary.kernels._devices import sum_dtype
from monai_boundary.kernels.distance.finish import diagonal
from monai_boundary.kernels.distance.options import DistanceMapOptions
from monai_boundary.kernels.distance.separable import seed_field, signed_field
from monai_boundary.kernels.distance.signed import clip_reach, inside_offset, masks_distance_map

__all__ = ["DeviceMemoryWarning", "device_labels_map", "device_masks_map", "labels_tensor", "mask_tensor"]


Engine = Callable[[torch.Tensor, tuple[float, ...], DistanceMapOptions, torch.Tensor | None], torch.Tensor]


class DeviceMemoryWarning(RuntimeWarning):
    """The memory of the device did not suffice for distance maps, which the CPU therefore computed."""


@torch.no_grad()
def device_labels_map(
    labels: torch.Tensor,
    num_classes: int,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    include_background: bool = True,
    ignore_index: int | None = None,
) -> torch.Tensor:
    """Signed distance maps `(B, C, *S)` of a batch of label maps `(B, 1, *S)`; labels out of range are no class's.

    Args:
        labels: Integers of any type.
        num_classes: Number of classes including the background.
        spacing: Voxel size in mm.
        options: Settings of the maps.
        include_background: Whether class 0 has a channel.
        ignore_index: Label that is not counted.
    """
    first = 0 if include_background else 1

    def compute(labels: torch.Tensor, engine: Engine) -> torch.Tensor:
        classes = torch.arange(first, num_classes, device=labels.device).view(-1, *[1] * (labels.ndim - 2))
        masks = labels == classes
        valid: torch.Tensor | None = None
        if ignore_index is not None:
            valid = labels != ignore_index
            masks &= valid
        return engine(masks, spacing, options, valid)

    shape = (len(labels), num_classes - first, *labels.shape[2:])
    return _device_or_cpu(lambda: compute(labels, _on_device), lambda: compute(labels.cpu(), _on_cpu), shape, labels)


@torch.no_grad()
def device_masks_map(
    masks: torch.Tensor, spacing: tuple[float, ...], options: DistanceMapOptions, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """The same of bool `masks` `(B, C, *S)`, which may overlap; `valid` `(B, 1, *S)` is False on ignored voxels."""

    def on_cpu() -> torch.Tensor:
        return _on_cpu(masks.cpu(), spacing, options, None if valid is None else valid.cpu())

    def compute() -> torch.Tensor:
        return _on_device(masks if valid is None else masks & valid, spacing, options, valid)

    return _device_or_cpu(compute, on_cpu, masks.shape, masks)


def _device_or_cpu(
    compute: Callable[[], torch.Tensor], on_cpu: Callable[[], torch.Tensor], shape: Sequence[int], like: torch.Tensor
) -> torch.Tensor:
    if torch.compiler.is_compiling():
        return compute()
    try:
        return compute()
    except torch.cuda.OutOfMemoryError as error:
        reason = str(error).split(". ")[0]
    # Beyond the except clause nothing holds the buffers any more.
    warnings.warn(
        f"distance maps of shape {tuple(shape)} ({4 * math.prod(shape) / 2**20:.0f} MiB, and as much again to compute "
        f"them) did not fit on {like.device}: the CPU computes them; take smaller patches or batches ({reason})",
        DeviceMemoryWarning,
        stacklevel=3,
    )
    return on_cpu().to(like.device)


def _on_cpu(
    masks: torch.Tensor, spacing: tuple[float, ...], options: DistanceMapOptions, valid: torch.Tensor | None
) -> torch.Tensor:
    maps = [
        masks_distance_map(sample.numpy(), spacing, options, None if valid is None else valid[index, 0].numpy())
        for index, sample in enumerate(masks)
    ]
    return torch.stack([torch.from_numpy(sample) for sample in maps])


def _on_device(
    inside: torch.Tensor, spacing: tuple[float, ...], options: DistanceMapOptions, valid: torch.Tensor | None
) -> torch.Tensor:
    # `inside` is False where `valid` is. Beside the maps, masks and less than twice their size are asked for.
    reach = math.inf if options.clip is None else clip_reach(spacing, options)
    if valid is None:
        other = ~inside.flatten(2).all(2)
        maps: torch.Tensor = signed_field(inside.flatten(0, 1), spacing, reach).view(inside.shape)
    else:
        outside = valid & ~inside
        other = outside.flatten(2).any(2)
        # Distances start only at counted voxels, so each side needs passes of its own.
        negative = seed_field(outside.flatten(0, 1), spacing, reach).neg_().view(inside.shape)
        del outside
        maps = seed_field(inside.flatten(0, 1), spacing, reach).view(inside.shape)
        torch.where(inside, negative, maps, out=maps)
        del negative
    _offset(maps, inside, spacing, options)
    present = inside.flatten(2).any(2)
    far = (options.clip or diagonal(maps.shape[2:], spacing)) if options.absent == "far" else 0.0
    no_surface = _per_channel(torch.where(present, -far, far).to(maps.dtype), maps)
    torch.where(_per_channel(present & other, maps), maps, no_surface, out=maps)
    if valid is not None:
        maps.masked_fill_(~valid, 0.0)
    _normalize(maps, spacing, options)
    if options.balance > 0:
        _balance(maps, inside, options)
    return maps


def _per_channel(values: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    return values.view(*values.shape, *[1] * (maps.ndim - 2))


def _offset(maps: torch.Tensor, inside: torch.Tensor, spacing: tuple[float, ...], options: DistanceMapOptions) -> None:
    """Move the zero level to where the convention has it, and clip."""
    if options.convention == "half":
        maps.sub_(min(spacing) / 2).add_(inside, alpha=min(spacing))
    elif options.convention != "centre":
        maps.add_(inside, alpha=inside_offset(spacing, options.convention))
    if options.clip is not None:
        maps.clamp_(-options.clip, options.clip)


def _normalize(maps: torch.Tensor, spacing: tuple[float, ...], options: DistanceMapOptions) -> None:
    if options.normalize == "max":
        low, high = maps.flatten(2).amin(2), maps.flatten(2).amax(2)
        largest = torch.maximum(high, -low)
        maps.div_(_per_channel(torch.where(largest > 0, largest, 1.0), maps))  # an all-zero channel stays zero
    elif options.normalize is not None:
        maps.div_((options.clip if options.normalize == "clip" else None) or diagonal(maps.shape[2:], spacing))


def _balance(maps: torch.Tensor, inside: torch.Tensor, options: DistanceMapOptions) -> None:
    # One voxel less than 1 mm wide is not negative by convention "kervadec": the mask says what is inside.
    inner = _sum(maps.masked_fill(~inside, 0.0).abs_())
    outer = _sum(maps.masked_fill(inside, 0.0))
    both = (inner > 0) & (outer > 0)
    factor = (outer / torch.where(both, inner, 1.0)).clamp(min=0.0).pow(options.balance)
    factor = torch.where(both, factor.clamp(max=options.balance_cap), 1.0)
    maps.mul_(torch.where(inside, _per_channel(factor.to(maps.dtype), maps), 1.0))


def _sum(values: torch.Tensor) -> torch.Tensor:
    """Sum of each channel in float64; rows first, whose short sums lose nothing, as torch would copy all to float64."""
    dtype = sum_dtype(values.device)
    return values.sum(-1).flatten(2).sum(2, dtype=dtype) if values.ndim > 3 else values.sum(2)


def labels_tensor(labels: Any, num_classes: int, ignore_index: int | None) -> torch.Tensor:
    """Return labels as a plain tensor where they are, checked where looking at them costs no wait."""
    if isinstance(labels, torch.Tensor) and (labels.device.type != "cpu" or torch.compiler.is_compiling()):
        # A negative `ignore_index` would wrap in unsigned integers.
        wider = {torch.uint8: torch.int16, torch.uint16: torch.int32, torch.uint32: torch.int64}
        return plain_tensor("labels", labels).to(wider.get(labels.dtype, labels.dtype))
    checked = check_labels(as_numpy("labels", labels), num_classes, ignore_index)
    return torch.from_numpy(np.ascontiguousarray(checked, np.int64))


def mask_tensor(mask: Any) -> torch.Tensor:
    """Return a mask as a plain bool tensor where it is, checked alike."""
    if not isinstance(mask, torch.Tensor) or (mask.device.type == "cpu" and not torch.compiler.is_compiling()):
        return torch.from_numpy(np.ascontiguousarray(check_mask("mask", as_numpy("mask", mask))))
    check_spatial_ndim("mask", mask.shape)
    if mask.is_floating_point():
        raise TypeError(f"mask must be bool (or integers 0 and 1), got dtype {mask.dtype}; threshold it first")
    return plain_tensor("mask", mask).bool()
