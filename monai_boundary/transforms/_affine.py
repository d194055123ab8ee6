"""Voxel spacing from what an image carries with it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from monai.data import MetaTensor

from monai_boundary._check import check_spacing

__all__ = ["MissingSpacingWarning", "ShearedAffineWarning", "affine_spacing", "image_spacing"]


class ShearedAffineWarning(UserWarning):
    """The voxel grid is sheared, so distances along its axes are not Euclidean distances."""


class MissingSpacingWarning(UserWarning):
    """No spacing was given and the image carries none, so distances are in voxels."""


def affine_spacing(image: MetaTensor, ndim: int) -> tuple[float, ...]:
    """Return the length in mm of one voxel step along each of the first `ndim` axes; a sheared grid warns."""
    affine = np.asarray(image.affine.detach().cpu(), dtype=np.float64)
    steps = affine[:-1, : min(ndim, affine.shape[1] - 1)]
    lengths = np.linalg.norm(steps, axis=0)
    spacing = check_spacing([*lengths, *([1.0] * (ndim - len(lengths)))], ndim)
    cosines = (steps / lengths).T @ (steps / lengths)
    if np.abs(cosines - np.eye(len(lengths))).max() > 1e-3:
        warnings.warn(
            "the affine is sheared: distances are measured as if its axes were orthogonal; "
            "resample to an orthogonal grid (Spacingd, Orientationd) first",
            ShearedAffineWarning,
            stacklevel=3,
        )
    return spacing


def image_spacing(image: object, spacing: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Return `spacing` where given, else that of the image's affine, else 1 per axis with a warning."""
    if spacing is not None:
        return check_spacing(spacing, ndim)
    if isinstance(image, MetaTensor):
        return affine_spacing(image, ndim)
    warnings.warn(
        f"spacing must come from a MetaTensor or the argument spacing, got a {type(image).__name__}: distances are in "
        "voxels; load with LoadImaged, or pass spacing=(1, 1, 1) if voxels are what you want",
        MissingSpacingWarning,
        stacklevel=3,
    )
    return (1.0,) * ndim
