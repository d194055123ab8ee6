"""For every voxel the nearest label: which it is, how far it is, and where.

Squared distances are whole numbers of a small step, so that "equally far" has one meaning: equal as numbers, on every
engine, in any order of the axes. The step is 2^-20 of the square of the smallest spacing, which moves a distance by at
most 2.4e-7 of itself, as float32 does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
import torch
from scipy import ndimage

from monai_boundary._check import as_numpy, check_ids
from monai_boundary.kernels.distance.nearest_torch import FAR, nearest_keys
from monai_boundary.kernels.distance.options import DistanceMapOptions
from monai_boundary.kernels.distance.plan import Backend, Plan, make_plan
from monai_boundary.kernels.distance.torch_engine import as_given

__all__ = ["batch_nearest_label", "nearest_label"]

Array = TypeVar("Array", np.ndarray, torch.Tensor)
_STEPS = 1 << 20  # of the square of the smallest spacing
_LARGEST_RATIO = 1e12  # of two spacings; leaves no room for a label
_KEY_BITS = 61  # of a squared distance and a rank together; a distance added to "no label" then still fits int64
_DIRECT = 1 << 20  # labels below are their own ranks


def nearest_label(
    labels: Array,
    spacing: Sequence[float] | None = None,
    *,
    return_distance: bool = False,
    return_index: bool = False,
    backend: Backend = "auto",
) -> Any:
    """Label of the nearest labelled voxel, for every voxel.

    Of labels that are equally far the smallest is taken, and where the index is asked for, of its voxels the first in
    raster order. Equally far are voxels whose squared distances are equal in steps of 2^-20 of the square of the
    smallest spacing; so mirrored places are, and places across axes of one spacing, whatever the engine.

    Args:
        labels: Integers >= 0 of any width, or bool, `(*S)`, 1 to 3 axes, NumPy or torch, any strides; 0 for no label.
            Floats are accepted when all values are integers.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        return_distance: Whether to return the distance, too.
        return_index: Whether to return the place of the nearest voxel, too.
        backend: ``"auto"``: `torch` for tensors on a CUDA device, else `numba` where it works, else `scipy`; or one of
            these by name (``"edt"``, which knows distances only, stands for scipy). scipy takes any of the labels that
            are equally far. It also steps in where spacings of a ratio beyond some thousands, or millions of labels,
            leave too few bits.

    Returns:
        The labels `(*S)`, of the kind, device and integer type of `labels` (bool gives uint8, floats int64). With
        `return_distance` or `return_index` a tuple, in this order: the labels; float32 `(*S)`, distance in mm, 0 on
        labelled voxels; int32 `(D, *S)`, index along each of the D axes. Where nothing is labelled the labels are 0,
        the distance is inf and the index -1.

    Raises:
        TypeError: `labels` holds no numbers.
        ValueError: Negative or fractional labels, NaN, a wrong shape, or a wrong spacing.

    References:
        Felzenszwalb & Huttenlocher, Distance transforms of sampled functions, Theory of Computing 2012, section 3: one
        pass per axis. The label rides along as the lower bits of what is minimised.

    Example:
        >>> nearest_label(np.array([0, 7, 0, 0, 3, 0]), return_distance=True)
        (array([7, 7, 7, 3, 3, 3]), array([1., 0., 1., 1., 0., 1.], dtype=float32))
    """
    return _nearest(labels, spacing, 0, return_distance, return_index, backend)


def batch_nearest_label(
    labels: torch.Tensor, spacing: Sequence[float] | None = None, backend: Backend = "auto"
) -> torch.Tensor:
    """`nearest_label` of every channel of a batch `(B, C, *S)`."""
    nearest: torch.Tensor = _nearest(labels, spacing, 2, False, False, backend)
    return nearest


def _nearest(
    labels: Array, spacing: Sequence[float] | None, channels: int, measured: bool, indexed: bool, backend: Backend
) -> Any:
    plan = make_plan("labels", labels, spacing, DistanceMapOptions(), backend, channels)
    given = as_numpy("labels", labels)
    lead, shape = given.shape[:channels], given.shape[channels:]
    ids = check_ids("labels", given.reshape(-1)).reshape(-1, *shape) if channels else check_ids("labels", given)[None]
    ranks, names, places, highest = _by_voxel(ids) if indexed else _by_label(ids)
    bits = max(1, highest.bit_length())
    scale = _whole_weights(plan, bits)
    distance: Any
    if scale is None or plan.engine in ("edt", "scipy"):
        rank, distance = _by_scipy(ranks, plan)
    elif plan.engine == "torch":
        rank, distance = _by_torch(ranks, labels, plan, bits, *scale)
    else:
        rank, distance = _by_numba(ranks, plan, bits, *scale, measured)
    found = [_named(rank, names, ids.dtype)]
    if measured:
        found.append(distance)
    if indexed:
        index = _named(rank, places, places.dtype)
        found.append(index.reshape(len(shape), len(rank), *shape).swapaxes(0, 1))
    whole = [as_given(labels, one.reshape(*lead, *one.shape[1:])) for one in found]
    return whole[0] if len(whole) == 1 else tuple(whole)


def _by_label(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, Any, int]:
    """Ranks of labels, int32; labels by rank, ``None`` where they are the ranks; no places; highest rank."""
    highest = int(ids.max())
    if highest < _DIRECT:
        return ids.astype(np.int32, copy=False), None, None, highest
    ranks, labelled = np.zeros(ids.shape, np.int32), ids > 0
    names, numbers = np.unique(ids[labelled], return_inverse=True)
    ranks[labelled] = numbers.ravel() + 1
    return ranks, np.concatenate([np.zeros(1, ids.dtype), names]), None, len(names)


def _by_voxel(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Ranks of labelled voxels, by label and then in raster order; labels, places `(D, ranks)`, highest rank."""
    flat, shape = np.flatnonzero(ids), ids.shape[1:]
    values = ids.ravel()[flat]
    order = np.argsort(values, kind="stable")
    flat = flat[order]
    ranks = np.zeros(ids.size, np.int32)
    ranks[flat] = np.arange(1, len(flat) + 1, dtype=np.int32)
    places = np.stack(np.unravel_index(flat % math.prod(shape), shape)).astype(np.int32)
    nowhere = np.full((len(shape), 1), -1, np.int32)
    names = np.concatenate([np.zeros(1, ids.dtype), values[order]])
    return ranks.reshape(ids.shape), names, np.concatenate([nowhere, places], axis=1), len(flat)


def _whole_weights(plan: Plan, bits: int) -> tuple[list[int], float] | None:
    """Squared spacings of `plan.volume` as whole numbers, and the distance of the square 1; ``None`` without room."""
    sizes = list(zip(plan.volume, plan.volume_spacing, strict=True))
    smallest = min((width for count, width in sizes if count > 1), default=1.0)
    ratios = [min(width / smallest, _LARGEST_RATIO) if count > 1 else 1.0 for count, width in sizes]
    weights = [round(ratio**2 * _STEPS) for ratio in ratios]
    common = math.gcd(*weights)
    weights = [weight // common for weight in weights]
    largest = sum(weight * (count - 1) ** 2 for weight, count in zip(weights, plan.volume, strict=True))
    if bits + largest.bit_length() > _KEY_BITS:
        return None
    return weights, smallest * plan.unit * math.sqrt(common / _STEPS)


def _by_scipy(ranks: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    nearest, distance = np.zeros_like(ranks), np.full(ranks.shape, np.inf, np.float32)
    spacing = [plan.spacing[axis] for axis in np.argsort(plan.order)]
    for index, volume in enumerate(ranks):
        if volume.any():
            distance[index], places = ndimage.distance_transform_edt(volume == 0, spacing, return_indices=True)
            nearest[index] = volume[tuple(places)]
    return nearest, distance


def _by_torch(
    ranks: np.ndarray, labels: Any, plan: Plan, bits: int, weights: list[int], unit: float
) -> tuple[Any, Any]:
    """Tensors where `labels` is one on another device than the CPU."""
    there = torch.from_numpy(ranks).to(labels.device if isinstance(labels, torch.Tensor) else "cpu")
    kept = there.reshape(len(ranks), *(ranks.shape[1 + axis] for axis in plan.kept))
    keys = nearest_keys(kept, weights[-len(plan.kept) :], bits).view(there.shape)
    distance = (keys >> bits).double().sqrt_().mul_(unit).float().masked_fill_(keys >= FAR, math.inf)
    rank = (keys & ((1 << bits) - 1)).int()
    return (rank.numpy(), distance.numpy()) if rank.device.type == "cpu" else (rank, distance)


def _by_numba(
    ranks: np.ndarray, plan: Plan, bits: int, weights: list[int], unit: float, measured: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    fill = import_module("monai_boundary.kernels.distance.nearest_numba").fill_nearest
    ordered = ranks.transpose(0, *(1 + axis for axis in plan.order))
    nearest = np.zeros(ordered.shape, np.int32)
    distance = np.full(ordered.shape, np.inf, np.float32) if measured else None
    for index, volume in enumerate(ordered):
        if volume.any():
            target = None if distance is None else distance[index].reshape(plan.volume)
            given = np.ascontiguousarray(volume).reshape(plan.volume)
            fill(given, weights, bits, unit, nearest[index].reshape(plan.volume), target)
    back = (0, *(1 + np.argsort(plan.order)))
    return nearest.transpose(back), None if distance is None else distance.transpose(back)


def _named(rank: Any, table: np.ndarray | None, kind: Any) -> Any:
    """What ranks stand for, `table[..., rank]`."""
    if isinstance(rank, np.ndarray):
        return (rank if table is None else table[..., rank]).astype(kind, copy=False)
    values = rank if table is None else torch.from_numpy(table.astype(np.int64)).to(rank.device)[..., rank]
    return values.to(getattr(torch, kind.name))
