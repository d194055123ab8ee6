"""Distance maps of whole batches, on the device that the batch is on."""

from __future__ import annotations

import torch

from monai_boundary._check import as_numpy, plain_tensor
from monai_boundary.kernels.distance.api import labels_distance_map, masks_distance_map
from monai_boundary.kernels.distance.engines import Backend, on_device
from monai_boundary.kernels.distance.options import DistanceMapOptions
from monai_boundary.kernels.distance.torch_signed import (
    DeviceMemoryWarning,
    device_labels_map,
    device_masks_map,
    labels_tensor,
)

__all__ = ["DeviceMemoryWarning", "batch_labels_map", "batch_masks_map"]


def batch_labels_map(
    labels: torch.Tensor,
    num_classes: int,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    include_background: bool = True,
    ignore_index: int | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`labels_distance_map` of a batch `(B, 1, *S)`, as `(B, C, *S)` on its device."""
    settings = (num_classes, spacing, options, include_background, ignore_index)
    if on_device(backend, labels):
        return device_labels_map(labels_tensor(labels, num_classes, ignore_index), *settings)
    return torch.stack([labels_distance_map(sample, *settings, backend) for sample in labels])


def batch_masks_map(
    masks: torch.Tensor,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    valid: torch.Tensor | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`masks_distance_map` of a batch of bool masks `(B, C, *S)` on its device; `valid` is `(B, 1, *S)`."""
    if on_device(backend, masks):
        counted = None if valid is None else plain_tensor("valid", valid)
        return device_masks_map(plain_tensor("masks", masks), spacing, options, counted)
    parts = [None] * len(masks) if valid is None else list(as_numpy("valid", valid)[:, 0])
    pairs = zip(as_numpy("masks", masks), parts, strict=True)
    maps = [masks_distance_map(sample, spacing, options, mask, backend) for sample, mask in pairs]
    return torch.stack([torch.from_numpy(sample) for sample in maps]).to(masks.device)
