"""Voxel spacing of affines, and of images and batches that carry one: the one rule of all readers. Imports no torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

__all__ = [
    "MissingSpacingWarning", "ShearedAffineWarning", "affine_spacing", "batch_spacing", "image_spacing", "is_sheared",
]  # fmt: skip

#: Cosine of the angle between two axes up to which they pass for orthogonal: that of 0.06 degrees.
_ORTHOGONAL = 1e-3


class ShearedAffineWarning(UserWarning):
    """The voxel grid is sheared, so distances along its axes are not Euclidean distances."""


class MissingSpacingWarning(UserWarning):
    """No spacing was given and the image carries none, so distances are in voxels."""


def image_spacing(image: Any, ndim: int) -> tuple[float, ...]:
    """Return the spacing of an image by its affine, or 1 per axis with a warning where it carries none.

    Raises:
        ValueError: The affine is not usable, or the image is a slice squeezed from an oblique volume.
    """
    if hasattr(image, "affine"):  # a MetaTensor
        return affine_spacing(image.affine, ndim, 3, image.meta.get("original_affine"))
    warnings.warn(
        f"spacing must come from a MetaTensor or the argument spacing, got a {type(image).__name__}: distances are in "
        "voxels; load with LoadImaged, or pass spacing=(1, 1, 1) if voxels are what you want",
        MissingSpacingWarning,
        stacklevel=3,
    )
    return (1.0,) * ndim


def batch_spacing(images: Any, ndim: int) -> list[tuple[float, ...]] | None:
    """Return the spacing of each sample of a batch `(B, C, *S)`, or ``None`` where it carries no affine."""
    if not hasattr(images, "affine"):
        return None
    affine, original = images.affine, images.meta.get("original_affine")
    if affine.ndim == 2:  # stacked rather than collated: the first sample's metadata
        return [affine_spacing(affine, ndim, 3, original)] * len(images)
    originals = [None] * len(affine) if original is None else original
    return [affine_spacing(one, ndim, 3, first) for one, first in zip(affine, originals, strict=True)]


def affine_spacing(affine: Any, ndim: int, stacklevel: int = 2, original: Any = None) -> tuple[float, ...]:
    """Return the length in mm of one voxel step along each of the first `ndim` axes; a sheared grid warns.

    Args:
        affine: Homogeneous `(n + 1, n + 1)`, from voxels to mm, an array or a tensor. Axes beyond the n-th have
            length 1.
        ndim: Number of spatial axes of the image.
        stacklevel: Of the warning, as seen from here.
        original: Affine of the file that the image comes from, where it is known.

    Raises:
        ValueError: A length is 0 or not finite, or the image is a slice squeezed from an oblique volume.
    """
    affine = np.asarray(affine.detach().cpu() if hasattr(affine, "detach") else affine, dtype=np.float64)
    # SqueezeDim drops a row of the affine with the column: the lengths are right only where that row held zeros.
    if len(affine) - 1 < 3 and original is not None and _is_oblique(original):
        raise ValueError(
            "the spacing of a slice that was squeezed from an oblique volume must be given, got none: SqueezeDimd cut "
            f"its affine to {np.round(affine, 3).tolist()}; put this transform before SqueezeDimd, or pass spacing="
        )
    steps = affine[:-1, :ndim]
    lengths = np.linalg.norm(steps[:, : len(steps)], axis=0)
    spacing = (*(float(length) for length in lengths), *[1.0] * (ndim - len(lengths)))
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError(f"spacing must hold one finite value > 0 per spatial axis ({ndim}), got {spacing}")
    if is_sheared(affine, ndim):
        warnings.warn(
            "the affine is sheared: distances are measured as if its axes were orthogonal; "
            "resample to an orthogonal grid (Spacingd, Orientationd) first",
            ShearedAffineWarning,
            stacklevel=stacklevel + 1,
        )
    return spacing


def is_sheared(affine: np.ndarray, ndim: int = 3) -> bool:
    """Whether two of the first `ndim` axes of a homogeneous affine are not orthogonal."""
    steps = np.asarray(affine, dtype=np.float64)[:-1, :-1][:, :ndim]
    steps = steps / np.linalg.norm(steps, axis=0)
    return bool(np.abs(steps.T @ steps - np.eye(steps.shape[1])).max() > _ORTHOGONAL)


def _is_oblique(affine: Any) -> bool:
    steps = np.asarray(affine.detach().cpu() if hasattr(affine, "detach") else affine, dtype=np.float64)[:-1, :-1]
    steps = steps / np.linalg.norm(steps, axis=0)
    return len(steps) == 3 and bool(np.abs(np.abs(steps).max(axis=0) - 1).max() > 1e-3)
