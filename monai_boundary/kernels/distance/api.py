"""Exact signed Euclidean distance maps for 1 to 3 spatial axes, anisotropic spacing, and K classes.

One engine pass per class gives both sides of the contour: the mask is handed over as labels 1 and 2, and every voxel
gets the distance to the nearest voxel of the other label. Two classes share one pass. Tensors on a CUDA device stay
there: backend ``"torch"`` computes all maps of a batch at once, without a value that the host has to wait for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch

from monai_boundary._check import (
    as_numpy,
    check_choice,
    check_labels,
    check_mask,
    check_spacing,
    check_spatial_ndim,
)
from monai_boundary.kernels.distance.engines import BACKENDS, Backend, on_device, seed_distance
from monai_boundary.kernels.distance.options import Absent, Convention, DistanceMapOptions, Normalize
from monai_boundary.kernels.distance.separable import seed_field
from monai_boundary.kernels.distance.signed import fill_map, finish_distances, masks_distance_map, two_class_map
from monai_boundary.kernels.distance.torch_signed import device_labels_map, device_masks_map, labels_tensor, mask_tensor

__all__ = [
    "distance_transform",
    "finish_distances",
    "labels_distance_map",
    "masks_distance_map",
    "signed_distance",
    "signed_distance_map",
]

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def distance_transform(
    mask: Array, spacing: Sequence[float] | None = None, backend: Backend = "auto", reach: float | None = None
) -> Array:
    """Euclidean distance of every voxel to the nearest True voxel.

    Args:
        mask: Bool `(*S)`, 1 to 3 axes, NumPy or torch, any strides.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        backend: See `signed_distance_map`.
        reach: Distances of at least `reach` mm may come out as any value >= `reach`, which is faster; ``None``: all are
            exact.

    Returns:
        Float32 `(*S)` in mm, of the kind and on the device of `mask`; 0 exactly on True voxels.

    Raises:
        ValueError: `mask` holds no True voxel (there is nothing to measure to), or has a wrong shape or values, or
            `spacing` is not one finite value > 0 per axis.

    Example:
        >>> distance_transform(np.array([False, True, False, False]), spacing=(2.0,)).tolist()
        [2.0, 0.0, 2.0, 4.0]
    """
    check_choice("backend", backend, BACKENDS)
    values = mask_tensor(mask) if on_device(backend, mask) else check_mask("mask", as_numpy("mask", mask))
    sizes = check_spacing(spacing, values.ndim)
    if not values.any():
        raise ValueError("mask must hold at least one True voxel, got none; test mask.any() first")
    if isinstance(values, torch.Tensor):
        return _like(mask, seed_field(values[None], sizes, math.inf if reach is None else reach)[0])
    return _like(mask, seed_distance(values, sizes, backend, limit=reach))


def signed_distance(
    mask: Array,
    spacing: Sequence[float] | None = None,
    convention: Convention = "half",
    backend: Backend = "auto",
) -> Array:
    """Signed Euclidean distance to the surface of one mask, negative inside.

    Args:
        mask: Bool `(*S)`, 1 to 3 axes, NumPy or torch, any strides.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        convention: See `DistanceMapOptions`.
        backend: See `signed_distance_map`.

    Returns:
        Float32 `(*S)` in mm. A mask without a surface (all False or all True) gives zeros.

    Raises:
        TypeError: `mask` is not bool or 0/1 integers.
        ValueError: Wrong shape or values of `mask`, `spacing` or `convention`.

    References:
        Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019, eq. 5.

    Example:
        >>> signed_distance(np.array([False, True, True, False])).tolist()
        [0.5, -0.5, -0.5, 0.5]
    """
    check_choice("backend", backend, BACKENDS)
    options = DistanceMapOptions(convention=convention)
    if on_device(backend, mask):
        values = mask_tensor(mask)
        return _like(mask, device_masks_map(values[None, None], check_spacing(spacing, values.ndim), options)[0, 0])
    array = check_mask("mask", as_numpy("mask", mask))
    sizes = check_spacing(spacing, array.ndim)
    return _like(mask, masks_distance_map(array[None], sizes, options, backend=backend)[0])


def signed_distance_map(  # noqa: PLR0913, D417 - the published signature; the options are documented in their class
    labels: Array,
    num_classes: int,
    spacing: Sequence[float] | None = None,
    convention: Convention = "half",
    include_background: bool = True,
    clip: float | None = None,
    absent: Absent = "zero",
    ignore_index: int | None = None,
    backend: Backend = "auto",
    normalize: Normalize | None = None,
    balance: float = 0.0,
    balance_cap: float = 1000.0,
) -> Array:
    """Signed distance map of every class of a label map, negative inside the class.

    Args:
        labels: Integers `(1, *S)` in [0, num_classes), 1 to 3 spatial axes, NumPy or torch, any strides. Floats
            are accepted when all values are integers.
        num_classes: Number of classes including the background, at least 2.
        spacing: Voxel size in mm, one per spatial axis in array order; ``None`` means 1 mm.
        convention, clip, absent, normalize, balance, balance_cap: See `DistanceMapOptions`.
        include_background: Whether class 0 has a channel.
        ignore_index: Label of voxels that are not counted: their map is 0, and no distance starts at them.
        backend: ``"edt"``, ``"numba"`` (extra `em`; the fastest on a CPU, once its first call has compiled
            for seconds), ``"scipy"``, ``"torch"``, or ``"auto"``: `torch` for tensors on a CUDA device, else `edt`
            where installed. On a CUDA device labels are not checked, because looking at them would stall every step:
            those out of range belong to no class.

    Returns:
        Float32 `(C, *S)` in mm (unitless when normalised), of the kind and on the device of `labels`; C is
        `num_classes`, less 1 without background.

    Raises:
        TypeError: `labels` or `spacing` is of a wrong kind.
        ValueError: Wrong shape, labels out of range or not integers, wrong spacing or option.

    Example:
        >>> signed_distance_map(np.array([[0, 0, 1, 1]]), num_classes=2, spacing=(2.0,)).tolist()
        [[-3.0, -1.0, 1.0, 3.0], [3.0, 1.0, -1.0, -3.0]]
    """
    options = DistanceMapOptions(convention, clip, absent, normalize, balance, balance_cap)
    return labels_distance_map(labels, num_classes, spacing, options, include_background, ignore_index, backend)


def labels_distance_map(
    labels: Array,
    num_classes: int,
    spacing: Sequence[float] | None,
    options: DistanceMapOptions,
    include_background: bool = True,
    ignore_index: int | None = None,
    backend: Backend = "auto",
) -> Array:
    """`signed_distance_map` with the settings as one object."""
    array = labels if on_device(backend, labels) else as_numpy("labels", labels)
    ndim = check_spatial_ndim("labels", array.shape, channels=1)
    if array.shape[0] != 1:
        raise ValueError(
            f"labels must have one channel, (1, *S), got shape {tuple(array.shape)}; use argmax on one-hot labels"
        )
    if isinstance(num_classes, bool) or not isinstance(num_classes, int | np.integer) or num_classes < 2:
        raise ValueError(f"num_classes must be an integer >= 2 (background counts), got {num_classes!r}")
    sizes = check_spacing(spacing, ndim)
    check_choice("backend", backend, BACKENDS)
    if on_device(backend, labels):
        tensor = labels_tensor(labels, num_classes, ignore_index)
        settings = (int(num_classes), sizes, options, include_background, ignore_index)
        return _like(labels, device_labels_map(tensor[None], *settings)[0])
    classes: np.ndarray = check_labels(np.asarray(array)[0], num_classes, ignore_index)
    # Readers of NIfTI give Fortran order. Work in the order of the memory, and return the maps in it: the passes then
    # come in another order, and the maps agree with those of C order to rounding (3e-7 of the distance).
    order = sorted(range(ndim), key=lambda axis: -abs(classes.strides[axis]))
    classes, sizes = classes.transpose(order), tuple(sizes[axis] for axis in order)
    valid = None if ignore_index is None else classes != ignore_index
    if num_classes == 2 and include_background:
        maps = two_class_map(classes == 1, sizes, options, valid, backend)
    else:
        first = 0 if include_background else 1
        maps = np.empty((num_classes - first, *classes.shape), np.float32)
        for channel, index in enumerate(range(first, num_classes)):
            fill_map(maps[channel], classes == index, sizes, options, valid, backend)
    return _like(labels, maps.transpose(0, *(order.index(axis) + 1 for axis in range(ndim))))


def _like(reference: Array, values: np.ndarray | torch.Tensor) -> Array:
    if isinstance(reference, torch.Tensor):
        tensor = values if isinstance(values, torch.Tensor) else torch.from_numpy(values)
        return tensor.to(reference.device)
    return values.numpy() if isinstance(values, torch.Tensor) else values
