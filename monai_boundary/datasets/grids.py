"""What two volumes that should lie on one grid do not share, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monai_boundary.datasets.nifti import Volume, corner_shift

__all__ = ["GridDifference", "grid_difference"]

_TOLERANCE = 1e-2  # mm, of `same_grid`


@dataclass(frozen=True)
class GridDifference:
    """How two grids differ.

    Args:
        text: What differs, with both values and the largest distance between two voxels of one index.
        position: Shape and spacing are the same, and the voxels lie at other places.
    """

    text: str
    position: bool


def grid_difference(first: Volume, second: Volume) -> GridDifference:
    """Name what differs between two grids: shape, spacing, origin, direction."""
    shapes = first.array.shape, second.array.shape
    extent = max(*shapes[0], *shapes[1])
    moved = np.abs(np.subtract(first.spacing, second.spacing)).max() * extent > _TOLERANCE
    parts = []
    if shapes[0] != shapes[1]:
        parts.append(f"shapes {shapes[0]} and {shapes[1]}")
    if moved:
        parts.append(f"spacings {first.spacing} and {second.spacing} {first.unit}")
    origins = first.affine[:3, 3], second.affine[:3, 3]
    if np.abs(origins[0] - origins[1]).max() > _TOLERANCE:
        parts.append(f"origins (x, y, z) {_numbers(origins[0])} and {_numbers(origins[1])} {first.unit}")
    parts += _directions(first, second, extent * max(first.spacing))
    if shapes[0] == shapes[1]:
        shift = corner_shift(np.subtract(shapes[0][::-1], 1), first.affine, second.affine)
        parts.append(f"voxels up to {shift:.3g} {first.unit} apart")
    return GridDifference(", ".join(parts), shapes[0] == shapes[1] and not moved)


def _directions(first: Volume, second: Volume, reach: float) -> list[str]:
    """Name the angle between the axes, where it moves a voxel at all, and axes that the files store in another way."""
    axes = [volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0) for volume in (first, second)]
    sines = np.linalg.norm(axes[0] - axes[1], axis=0) / 2  # of half the angles
    parts = []
    if 2 * sines.max() * reach > _TOLERANCE:
        angle = np.degrees(2 * np.arcsin(min(sines.max(), 1.0)))
        parts.append(f"directions {angle:.3g} degrees apart")
    if first.axcodes != second.axcodes:
        parts.append(f"directions {first.axcodes} and {second.axcodes} in the files")
    return parts


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"
