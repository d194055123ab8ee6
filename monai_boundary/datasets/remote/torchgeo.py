"""Samples of torchgeo for transforms and losses of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["torchgeo_item"]


def torchgeo_item(sample: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return a sample of torchgeo as MONAI-style item; it may be the first of the transforms of a torchgeo data set.

    Args:
        sample: With ``"image"``, a floating tensor `(C, H, W)`, and ``"mask"``, an integer tensor `(H, W)` or
            `(1, H, W)`, on one grid. Reference system, bounds and the rest are left out, as a DataLoader of torch or
            MONAI cannot put them together.

    Returns:
        ``"image"`` as it is, and ``"label"`` `(1, H, W)`.

    Raises:
        ValueError: One of the two is missing, or has another shape or kind of numbers, such as a series of images.

    Example:
        >>> item = torchgeo_item({"image": torch.rand(3, 8, 9), "mask": torch.zeros(8, 9).long(), "crs": "EPSG:32633"})
        >>> {name: tuple(value.shape) for name, value in item.items()}
        {'image': (3, 8, 9), 'label': (1, 8, 9)}
    """
    image, label = (_tensor(sample, name) for name in ("image", "mask"))
    if label.ndim == 2:
        label = label[None]
    if image.ndim != 3 or label.shape != (1, *image.shape[1:]):
        raise ValueError("image must be (C, H, W) and mask (H, W) or (1, H, W) of its size, got "
                         f"{tuple(image.shape)} and {tuple(sample['mask'].shape)}")  # fmt: skip
    if not image.is_floating_point() or label.is_floating_point():
        raise ValueError(f"image must be of floating point and mask of integers, got {image.dtype} and {label.dtype}")
    return {"image": image, "label": label}


def _tensor(sample: Mapping[str, Any], name: str) -> torch.Tensor:
    value = sample.get(name)
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"sample must have a tensor {name!r}, got {type(value).__name__} among {sorted(sample)}; "
                         "join images and masks, as in dataset = images & masks")  # fmt: skip
    return value
