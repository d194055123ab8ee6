"""Voxel spacing of images and batches, from the metadata that they carry."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from monai.data import MetaTensor

from monai_boundary._check import check_spacing
from monai_boundary._geometry import ShearedAffineWarning, affine_spacing

__all__ = ["MissingSpacingWarning", "ShearedAffineWarning", "batch_spacing", "image_spacing"]


class MissingSpacingWarning(UserWarning):
    """No spacing was given and the image carries none, so distances are in voxels."""


def image_spacing(image: object, spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Return `spacing` where given, else that of the image's affine, else 1 per axis with a warning.

    Raises:
        ValueError: `spacing` or the affine is not usable, or the image is a slice squeezed from an oblique volume.
    """
    if spacing is not None:
        return check_spacing(spacing, ndim)
    if isinstance(image, MetaTensor):
        return _spacing_of(_array(image.affine), image.meta.get("original_affine"), ndim)
    warnings.warn(
        f"spacing must come from a MetaTensor or the argument spacing, got a {type(image).__name__}: distances are in "
        "voxels; load with LoadImaged, or pass spacing=(1, 1, 1) if voxels are what you want",
        MissingSpacingWarning,
        stacklevel=3,
    )
    return (1.0,) * ndim


def batch_spacing(images: torch.Tensor, ndim: int) -> list[tuple[float, ...]] | None:
    """Return the spacing of each sample of a batch `(B, C, *S)`, or ``None`` where it carries no affine."""
    if not isinstance(images, MetaTensor):
        return None
    affine, original = _array(images.affine), images.meta.get("original_affine")
    if affine.ndim == 2:  # stacked rather than collated: the first sample's metadata
        return [_spacing_of(affine, original, ndim)] * len(images)
    originals = [None] * len(affine) if original is None else _array(original)
    return [_spacing_of(one, first, ndim) for one, first in zip(affine, originals, strict=True)]


def _spacing_of(affine: np.ndarray, original: object, ndim: int) -> tuple[float, ...]:
    """Spacing by the present affine; `original` is that of the file."""
    # SqueezeDim drops a row of the affine with the column: the lengths are right only where that row held zeros.
    if len(affine) - 1 < 3 and original is not None and _is_oblique(_array(original)):
        raise ValueError(
            "the spacing of a slice that was squeezed from an oblique volume must be given, got none: SqueezeDimd cut "
            f"its affine to {np.round(affine, 3).tolist()}; put this transform before SqueezeDimd, or pass spacing="
        )
    return affine_spacing(affine, ndim, stacklevel=4)


def _is_oblique(affine: np.ndarray) -> bool:
    steps = affine[:-1, :-1] / np.linalg.norm(affine[:-1, :-1], axis=0)
    return len(steps) == 3 and bool(np.abs(np.abs(steps).max(axis=0) - 1).max() > 1e-3)


def _array(affine: object) -> np.ndarray:
    values = affine.detach().cpu() if isinstance(affine, torch.Tensor) else affine
    return np.asarray(values, dtype=np.float64)
