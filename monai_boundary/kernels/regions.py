"""Regions of a label map: connected components, and one seed in the middle of each; needs the extra `em`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_boundary._check import (
    NEIGHBOURS,
    as_numpy,
    check_connectivity,
    check_ids,
    check_number,
    check_spacing,
)
from monai_boundary.kernels._engines import label_distance

__all__ = ["connected_regions", "region_distance", "region_seeds"]


def connected_regions(labels: Any, connectivity: int = 1) -> np.ndarray:
    """Number the connected components of equal labels from 1 on, in raster order of their first voxels.

    Args:
        labels: Bool or integers `(*S)` with 1 to 3 axes, 0 for no region; floats are accepted when all are integers.
        connectivity: Axes along which neighbours may differ, as for `minimum_barrier_cut`; use the same there.

    Returns:
        Int32 `(*S)`.

    Raises:
        TypeError: Labels that are no numbers.
        ValueError: Another number of axes, fractional labels, labels too large to be exact in their float type.
        ImportError: connected-components-3d is not installed.

    Example:
        >>> connected_regions(np.array([7, 7, 0, 7, 3])).tolist()
        [1, 1, 0, 2, 3]
    """
    try:
        import cc3d
    except ImportError as error:
        raise ImportError(
            'regions need connected-components-3d, which is not installed; pip install "monai-boundary[em]"'
        ) from error
    array = check_ids("labels", as_numpy("labels", labels))
    neighbours = NEIGHBOURS[array.ndim][check_connectivity(connectivity, array.ndim) - 1]
    plane = array[None] if array.ndim == 1 else array  # cc3d takes 2 or 3 axes
    found = cc3d.connected_components(np.ascontiguousarray(plane), connectivity=max(neighbours, 4))
    regions: np.ndarray = found.astype(np.int32).reshape(array.shape)
    return regions


def region_distance(regions: Any, spacing: Sequence[float] | None = None, image_edge: bool = True) -> np.ndarray:
    """Distance of every voxel to the nearest voxel that is not of its region.

    Args:
        regions: Integers `(*S)`, below 2**32, 0 for no region.
        spacing: Voxel size, one per axis in array order; ``None`` means 1.
        image_edge: Whether what lies outside the image is of no region. Along an axis of one voxel it never is.

    Returns:
        Float32 `(*S)` in the unit of `spacing`, 0 outside the regions; inf where nothing else than the region is.

    Example:
        >>> region_distance(np.array([1, 1, 1, 2, 2, 0])).tolist()
        [1.0, 2.0, 1.0, 1.0, 1.0, 0.0]
    """
    array = check_ids("regions", as_numpy("regions", regions))
    sizes = check_spacing(spacing, array.ndim)
    edge = [(int(image_edge and size > 1),) * 2 for size in array.shape]
    distance = label_distance(np.pad(array.astype(np.uint32), edge), sizes)
    inside = tuple(slice(width, width + size) for (width, _), size in zip(edge, array.shape, strict=True))
    return np.ascontiguousarray(distance[inside])


def region_seeds(
    regions: Any,
    spacing: Sequence[float] | None = None,
    min_region_size: int = 0,
    image_edge: bool = True,
) -> np.ndarray:
    """Put one seed into each region, at its voxel farthest from the boundary.

    Args:
        regions: Connected components as of `connected_regions`; a label of several components gets one seed.
        spacing: See `region_distance`.
        min_region_size: Regions of fewer voxels get no seed. Seeds of tiny regions often lie on a boundary of the
            prediction, from where they win the whole network of boundaries.
        image_edge: See `region_distance`; keeps seeds away from the edge of the image.

    Returns:
        Int32 `(*S)`: the region's label at its seed, 0 elsewhere. Of several farthest voxels the first in raster order.

    Raises:
        TypeError: Wrong kinds.
        ValueError: Wrong values; labels of 2**31 or more.

    References:
        Vu Ngoc et al., BMVC 2021, section 4.1.

    Example:
        >>> region_seeds(np.array([1, 1, 1, 1, 1, 2, 2, 2, 0, 3]), min_region_size=2).tolist()
        [0, 0, 1, 0, 0, 0, 2, 0, 0, 0]
    """
    array = check_ids("regions", as_numpy("regions", regions))
    smallest = check_number("min_region_size", min_region_size, strict=False)
    labels, sizes = np.unique(array, return_counts=True)
    if labels[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"regions must be below 2**31, got {labels[-1]}; number them with connected_regions")
    distance = region_distance(array, spacing, image_edge).ravel()
    places = np.searchsorted(labels, array.ravel())
    farthest = np.zeros(len(labels), np.float32)
    np.maximum.at(farthest, places, distance)
    candidates = np.flatnonzero(distance == farthest[places])
    found, first = np.unique(places[candidates], return_index=True)
    chosen = found[(labels[found] > 0) & (sizes[found] >= smallest)]
    seeds = np.zeros(array.size, np.int32)
    seeds[candidates[first[np.isin(found, chosen)]]] = labels[chosen]
    return seeds.reshape(array.shape)
