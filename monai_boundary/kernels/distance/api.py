"""The public functions: arguments checked, a plan made, the maps of its engine handed back as they came.

Every class gets both sides of its contour from one sweep, and two classes share one. Tensors on a CUDA device stay
there: backend ``"torch"`` computes all maps of a batch at once, without a value that the host has to wait for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_labels, check_mask, plain_tensor
from monai_boundary.kernels.distance.options import Absent, Convention, DistanceMapOptions, Normalize
from monai_boundary.kernels.distance.plan import Backend, Plan, make_plan
from monai_boundary.kernels.distance.torch_engine import (
    as_given,
    device_labels_map,
    device_masks_map,
    device_seed_distance,
    labels_tensor,
    mask_tensor,
)

__all__ = [
    "DeviceMemoryWarning",
    "batch_labels_map",
    "batch_masks_map",
    "distance_transform",
    "labels_distance_map",
    "masks_distance_map",
    "signed_distance",
    "signed_distance_map",
]

Array = TypeVar("Array", np.ndarray, torch.Tensor)
# Imported where they are used: numba compiles at its first import.
_FOLDER = "monai_boundary.kernels.distance"
_ENGINES = {"numba": f"{_FOLDER}.numba_engine", "edt": f"{_FOLDER}.edt_engine", "scipy": f"{_FOLDER}.edt_engine"}


class DeviceMemoryWarning(RuntimeWarning):
    """The memory of the device did not suffice for distance maps, which the CPU therefore computed."""


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
    plan = make_plan("mask", mask, spacing, DistanceMapOptions(), backend, 0, reach)
    values = mask_tensor(mask) if plan.engine == "torch" else check_mask("mask", as_numpy("mask", mask))
    if not values.any():
        raise ValueError("mask must hold at least one True voxel, got none; test mask.any() first")
    if isinstance(values, torch.Tensor):
        return as_given(mask, device_seed_distance(values[None, None], plan)[0, 0])
    seeds = np.ascontiguousarray(values.transpose(plan.order))
    distance = import_module(_ENGINES[plan.engine]).seed_distance(seeds, plan)
    return as_given(mask, distance.transpose(np.argsort(plan.order)))


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
    plan = make_plan("mask", mask, spacing, DistanceMapOptions(convention=convention), backend, 0)
    if plan.engine == "torch":
        return as_given(mask, device_masks_map(mask_tensor(mask)[None, None], plan)[0, 0])
    return as_given(mask, _maps_of_masks(check_mask("mask", as_numpy("mask", mask))[None], None, plan)[0])


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
    balance_lesions: float = 0.0,
) -> Array:
    """Signed distance map of every class of a label map, negative inside the class.

    Args:
        labels: Integers `(1, *S)` in [0, num_classes), 1 to 3 spatial axes, NumPy or torch, any strides. Floats
            are accepted when all values are integers.
        num_classes: Number of classes including the background, at least 2.
        spacing: Voxel size in mm, one per spatial axis in array order; ``None`` means 1 mm.
        convention, clip, absent, normalize, balance, balance_cap, balance_lesions: See `DistanceMapOptions`.
        include_background: Whether class 0 has a channel.
        ignore_index: Label of voxels that are not counted: their map is 0, and no distance starts at them.
        backend: ``"auto"``: `torch` for tensors on a CUDA device, else `numba` where it works (it compiles once per
            environment, for some seconds), else `edt`; or one of these by name. On a CUDA device labels
            are not checked, because looking at them would stall every step: those out of range belong to no class.

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
    options = DistanceMapOptions(convention, clip, absent, normalize, balance, balance_cap, balance_lesions)
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
    """`signed_distance_map` with its settings as one object."""
    classes, plan = _classes(num_classes, include_background), make_plan("labels", labels, spacing, options, backend, 1)
    if labels.shape[0] != 1:
        raise ValueError(
            f"labels must have one channel, (1, *S), got shape {tuple(labels.shape)}; use argmax on one-hot labels"
        )
    if plan.engine == "torch":
        tensor = labels_tensor(labels, num_classes, ignore_index)
        return as_given(labels, device_labels_map(tensor[None], classes, ignore_index, plan)[0])
    values = check_labels(as_numpy("labels", labels)[0], num_classes, ignore_index).transpose(plan.order)
    valid = None if ignore_index is None else np.ascontiguousarray(values != ignore_index)
    if num_classes < 256:
        values = values.astype(np.uint8, copy=False)  # compared ten times faster; what wraps here is not valid
    values = np.ascontiguousarray(values)
    paired = len(classes) == num_classes == 2
    masks = (values == index for index in (classes[1:] if paired else classes))
    return as_given(labels, _write_maps(len(classes), values.shape, masks, valid, plan, paired))


def masks_distance_map(
    masks: np.ndarray,
    spacing: Sequence[float] | None,
    options: DistanceMapOptions,
    valid: np.ndarray | None = None,
    backend: Backend = "auto",
) -> np.ndarray:
    """Signed distance map of each channel of masks, which may overlap.

    Args:
        masks: Bool `(C, *S)`, any strides.
        spacing: See `signed_distance_map`, as `backend`.
        options: Settings of the maps.
        valid: Bool `(*S)`, the voxels that count; ``None`` for all.
        backend: See `spacing`.

    Returns:
        Float32 `(C, *S)`.
    """
    plan = make_plan("masks", masks, spacing, options, backend, 1)
    if plan.engine == "torch":
        counted = None if valid is None else torch.from_numpy(np.array(valid))[None, None]
        return device_masks_map(torch.from_numpy(np.array(masks))[None], plan, counted)[0].numpy()
    return _maps_of_masks(masks, valid, plan)


def batch_labels_map(
    labels: torch.Tensor,
    num_classes: int,
    spacing: Sequence[float] | None,
    options: DistanceMapOptions,
    include_background: bool = True,
    ignore_index: int | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`labels_distance_map` of a batch `(B, 1, *S)`: float32 `(B, C, *S)` on its device."""
    plan = make_plan("labels", labels, spacing, options, backend, 2)
    settings = (num_classes, spacing, options, include_background, ignore_index)
    if plan.engine != "torch":
        return torch.stack([labels_distance_map(sample, *settings, backend) for sample in labels])
    classes, tensor = _classes(num_classes, include_background), labels_tensor(labels, num_classes, ignore_index)
    return _device_or_cpu(
        lambda: device_labels_map(tensor, classes, ignore_index, plan),
        lambda: batch_labels_map(tensor.cpu(), *settings),
        (len(labels), len(classes), *labels.shape[2:]),
        labels.device,
    )


def batch_masks_map(
    masks: torch.Tensor,
    spacing: Sequence[float] | None,
    options: DistanceMapOptions,
    valid: torch.Tensor | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`masks_distance_map` of a batch `(B, C, *S)`, with `valid` `(B, 1, *S)`: float32, on its device."""
    plan = make_plan("masks", masks, spacing, options, backend, 2)
    given, counted = plain_tensor("masks", masks), None if valid is None else plain_tensor("valid", valid)
    if plan.engine != "torch":
        parts = [None] * len(given) if counted is None else counted[:, 0].cpu().numpy()
        samples = zip(given.cpu().numpy(), parts, strict=True)
        maps = [masks_distance_map(sample, spacing, options, part, backend) for sample, part in samples]
        return torch.from_numpy(np.stack(maps)).to(masks.device)
    return _device_or_cpu(
        lambda: device_masks_map(given, plan, counted),
        lambda: batch_masks_map(given.cpu(), spacing, options, None if counted is None else counted.cpu()),
        masks.shape,
        masks.device,
    )


def _classes(num_classes: Any, include_background: bool) -> range:
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)) or num_classes < 2:
        raise ValueError(f"num_classes must be an integer >= 2 (background counts), got {num_classes!r}")
    return range(0 if include_background else 1, int(num_classes))


def _maps_of_masks(masks: np.ndarray, valid: np.ndarray | None, plan: Plan) -> np.ndarray:
    ordered = masks.transpose(0, *(1 + axis for axis in plan.order))
    counted = None if valid is None else np.require(valid.transpose(plan.order), requirements=["C", "W"])
    return _write_maps(len(masks), ordered.shape[1:], map(np.ascontiguousarray, ordered), counted, plan)


def _write_maps(
    count: int,
    shape: Sequence[int],
    masks: Iterable[np.ndarray],
    valid: np.ndarray | None,
    plan: Plan,
    paired: bool = False,
) -> np.ndarray:
    """Maps of masks in the order of the plan, seen in the order of the array."""
    maps = np.empty((count, *shape), np.float32)
    import_module(_ENGINES[plan.engine]).write_maps(maps, masks, valid, plan, paired)
    in_order: np.ndarray = maps.transpose(0, *(1 + np.argsort(plan.order)))
    return in_order


def _device_or_cpu(
    compute: Callable[[], torch.Tensor], on_cpu: Callable[[], torch.Tensor], shape: Sequence[int], device: torch.device
) -> torch.Tensor:
    if torch.compiler.is_compiling():
        return compute()
    try:
        return compute()
    except torch.cuda.OutOfMemoryError as error:
        reason = str(error).split(". ")[0]
    # Beyond the except clause nothing holds the buffers any more.
    size = 4 * torch.Size(shape).numel() / 2**20
    warnings.warn(
        f"distance maps of shape {tuple(shape)} ({size:.0f} MiB, and as much again to compute them) did not fit on "
        f"{device}: the CPU computes them; take smaller patches or batches ({reason})",
        DeviceMemoryWarning,
        stacklevel=3,
    )
    return on_cpu().to(device)
