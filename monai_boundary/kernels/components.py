"""Lesions of a mask, and the cell of each: the voxels that are nearer to it than to any other lesion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from monai_boundary._check import (
    as_numpy,
    check_array,
    check_choice,
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
from monai_boundary.kernels.distance import BACKENDS, Backend, batch_nearest_label, nearest_label
from monai_boundary.kernels.regions import connected_components

__all__ = ["components", "lesion_cells"]

_INT16 = 2**15 - 1

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def components(mask: Array, connectivity: int | None = None) -> Array:
    """Number the connected components of a mask from 1 on, in raster order of their first voxels.

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
    dtype: torch.dtype | None = None,
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
        dtype: ``torch.int32`` or, for up to 32,767 lesions of a class, ``torch.int16``; ``None`` takes int16 where it
            suffices.
        backend: See `nearest_label`, which also says which lesion wins where two are equally far: the smaller number.

    Returns:
        `(K, *S)` of the kind and on the device of `labels`, K foreground classes: 1 to the number of lesions, 0
        everywhere where a class has none.

    Raises:
        TypeError: `labels` or `spacing` is of a wrong kind.
        ValueError: Wrong shape, labels out of range or no integers, no such connectivity, wrong spacing; more lesions
            than `dtype` holds.

    Example:
        >>> lesion_cells(np.array([[1, 0, 0, 0, 0, 1]]), num_classes=2).tolist()
        [[1, 1, 1, 2, 2, 2]]
    """
    check_array("labels", labels)
    check_choice("backend", backend, BACKENDS)
    ndim = check_spatial_ndim("labels", labels.shape, channels=1)
    reach = check_connectivity(ndim if connectivity is None else connectivity, ndim)
    spacing = check_spacing(spacing, ndim)
    check_onehot_ignore(num_classes, ignore_index)
    check_choice("dtype", dtype, (None, torch.int32, torch.int16))
    masks = _class_masks(as_numpy("labels", labels), num_classes, include_background, ignore_index)
    lesions = [connected_components(mask, reach) for mask in masks]
    counts = [int(ids.max()) for ids in lesions]
    if dtype == torch.int16 and max(counts) > _INT16:
        raise ValueError(
            f"dtype must be torch.int32 for more than {_INT16} lesions of a class, got torch.int16 and {max(counts)} "
            "lesions; so many mostly are noise"
        )
    kind = np.int16 if dtype != torch.int32 and max(counts) <= _INT16 else np.int32
    if isinstance(labels, torch.Tensor) and labels.device.type != "cpu":
        seeds = torch.from_numpy(np.stack(lesions)).to(labels.device)
        there = batch_nearest_label(seeds[None], spacing, backend)[0]
        return there.to(torch.int16 if kind == np.int16 else torch.int32)
    found = [  # one lesion has all voxels
        nearest_label(ids, spacing, backend=backend) if count > 1 else np.full_like(ids, count)
        for ids, count in zip(lesions, counts, strict=True)
    ]
    cells = (found[0][None] if len(found) == 1 else np.stack(found)).astype(kind, copy=False)
    return torch.from_numpy(cells) if isinstance(labels, torch.Tensor) else cells


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
