"""Voxel spacing from an affine: the one rule of all readers (transforms, losses, inspect, evaluate, precompute)."""

from __future__ import annotations

import warnings

import numpy as np

__all__ = ["ShearedAffineWarning", "affine_spacing", "is_sheared"]

#: Cosine of the angle between two axes up to which they pass for orthogonal: that of 0.06 degrees.
_ORTHOGONAL = 1e-3


class ShearedAffineWarning(UserWarning):
    """The voxel grid is sheared, so distances along its axes are not Euclidean distances."""


def affine_spacing(affine: np.ndarray, ndim: int, stacklevel: int = 2) -> tuple[float, ...]:
    """Return the length in mm of one voxel step along each of the first `ndim` axes; a sheared grid warns.

    Args:
        affine: Homogeneous `(n + 1, n + 1)`, from voxels to mm. Axes beyond the n-th have length 1.
        ndim: Number of spatial axes of the image.
        stacklevel: Of the warning, as seen from here.

    Raises:
        ValueError: A length is 0 or not finite.
    """
    steps = np.asarray(affine, dtype=np.float64)[:-1, :ndim]
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
