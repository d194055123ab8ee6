"""Lesions of a mask, and the cell of each: the voxels that are nearer to it than to any other lesion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from monai_boundary._check import (
    as_numpy,
    check_connectivity,
    check_count,
    check_labels,
    check_mask,
    check_onehot,
    check_onehot_ignore,
    check_spacing,
    check_spatial_ndim,
    counted_channels,
)
from monai_boundary.kernels.distance import Backend, nearest_label
from monai_boundary.kernels.regions import connected_components

__all__ = ["components", "lesion_cells"]

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def components(mask: Array, connectivity: int | None = None) -> Array:
    """Number the connected components of a mask from 1 on, in raster order of their first voxels.

    connected-components-3d counts them, or scipy where that is missing: the same numbers, three times slower.

    Args:
        mask: Bool, or integers 0 and 1, `(*S)` with 1 to 3 axes, NumPy or torch.
        connectivity: Axes along which neighbours may differ: 1 for faces, up to the number of axes, which is the
            default (26 neighbours in 3D).

    Returns:
        Int32 `(*S)`, of the kind and on the device of `mask`; 0 outside.

    Raises:
        TypeError: `mask` is not bool or integers.
        ValueError: Other values than 0 and 1, another number of axes, or no such connectivity.

    Example:
        >>> components(np.array([1, 1, 0, 1], bool)).tolist()
        [1, 1, 0, 2]
    """
    array = check_mask("mask", as_numpy("mask", mask))
    rank = check_connectivity(array.ndim if connectivity is None else connectivity, array.ndim)
    ids = connected_components(array, rank)
    return torch.from_numpy(ids).to(mask.device) if isinstance(mask, torch.Tensor) else ids


def lesion_cells(
    labels: Array,
    num_classes: int | None = None,
    spacing: Sequence[float] | None = None,
    *,
    connectivity: int | None = None,
    include_background: bool = False,
    ignore_index: int | None = None,
    backend: Backend = "auto",
) -> Array:
    """Give every voxel the number of the nearest lesion, for each class: the Voronoi cells of its lesions.

    Lesions of a class are its `components`, and their numbers are those of `components`: ``cells * mask`` are the ids
    of the lesions, so that the cells alone need be kept.

    Args:
        labels: Integers `(1, *S)` in [0, num_classes); or, without `num_classes`, one mask per class `(C, *S)`, which
            may overlap. 1 to 3 spatial axes, NumPy or torch. Floats are accepted when all values are integers.
        num_classes: Number of classes including the background, at least 2.
        spacing: Voxel size in mm, one per spatial axis in array order; ``None`` means 1 mm.
        connectivity: See `components`.
        include_background: Whether channel 0 has cells; regions, which have no background, need ``True``.
        ignore_index: Label of voxels that are not counted (label maps only): of no lesion, but in a cell.
        backend: See `nearest_label`, which also says which lesion wins where two are equally far: the smaller number.

    Returns:
        `(K, *S)` of the kind and on the device of `labels`, K foreground classes: 1 to the number of lesions, 0
        everywhere where a class has none. Int16 where all numbers fit, else int32.

    Raises:
        TypeError: `labels` or `spacing` is of a wrong kind.
        ValueError: Wrong shape, labels out of range or no integers, no such connectivity, wrong spacing.

    Example:
        >>> lesion_cells(np.array([[1, 0, 0, 0, 0, 1]]), num_classes=2).tolist()
        [[[1, 1, 1, 2, 2, 2]]]
    """
    ndim = check_spatial_ndim("labels", labels.shape, channels=1)
    reach = check_connectivity(ndim if connectivity is None else connectivity, ndim)
    spacing = check_spacing(spacing, ndim)
    check_onehot_ignore(num_classes, ignore_index)
    device = labels.device if isinstance(labels, torch.Tensor) else None
    cells: list[Any] = []
    for mask in _class_masks(as_numpy("labels", labels), num_classes, include_background, ignore_index):
        ids = connected_components(mask, reach)
        if ids.max() > 1:  # a single lesion has all voxels
            seeds: Any = ids if device is None else torch.from_numpy(ids).to(device)
            cells.append(nearest_label(seeds, spacing, backend=backend))
        else:
            whole = np.full(ids.shape, ids.max())
            cells.append(whole if device is None else torch.from_numpy(whole).to(device))
    narrow = max(int(one.max()) for one in cells) < 1 << 15
    if device is None:
        return np.stack(cells, dtype=np.int16 if narrow else np.int32, casting="unsafe")
    return torch.stack([one.to(torch.int16 if narrow else torch.int32) for one in cells])


def _class_masks(
    array: np.ndarray, num_classes: int | None, include_background: bool, ignore_index: int | None
) -> Iterator[np.ndarray]:
    if num_classes is None:
        yield from check_onehot(counted_channels(array, include_background))
        return
    count = check_count("num_classes", num_classes, 2)
    if len(array) != 1:
        raise ValueError(
            f"labels must have one channel, (1, *S), got shape {array.shape}; leave num_classes out for masks"
        )
    values = check_labels(array[0], count, ignore_index)
    for index in range(0 if include_background else 1, count):
        yield (values == index) & (index != ignore_index)
