"""Regions of a label map: the distance to what bounds each, and one seed in its middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_boundary._check import as_numpy, check_ids, check_number, check_spacing
from monai_boundary.kernels.distance import label_distance

__all__ = ["region_distance", "region_seeds"]


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
    spacing = check_spacing(spacing, array.ndim)
    edge = [(int(image_edge and size > 1),) * 2 for size in array.shape]
    distance = label_distance(np.pad(array.astype(np.uint32), edge), spacing)
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
        regions: Connected components as of `connected_components`; a label of several components gets one seed.
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
        raise ValueError(f"regions must be below 2**31, got {labels[-1]}; number them with connected_components")
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
