"""The axes along which an image has an extent: all but those with one voxel.

A 2D image that is stored as a volume of one slice has a contour in its plane. In the slice every voxel would lie on the
surface, as there is nothing beyond: the scores would be those of the solid mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["extended_axes", "flat"]


def extended_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the axes with more than one voxel; the last one where there is none."""
    return tuple(axis for axis, count in enumerate(shape) if count > 1) or (len(shape) - 1,)


def flat(
    axes: Sequence[int], spacing: Sequence[float], *arrays: np.ndarray
) -> tuple[tuple[float, ...], list[np.ndarray]]:
    """Return spacing and arrays of some axes alone; the others must have one voxel."""
    sizes = tuple(spacing[axis] for axis in axes)
    return sizes, [array.reshape([array.shape[axis] for axis in axes]) for array in arrays]
