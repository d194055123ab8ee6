"""Objects of a label map: components, consecutive ids, overlaps with another map, distances and seeds.

Ids are names: no array here is indexed by them, so 64-bit ids of a proofreading database cost what small ones cost.
Components are those of connected-components-3d: those of a mask are `components.components`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import torch

from monai_boundary._check import (
    NEIGHBOURS,
    as_numpy,
    check_connectivity,
    check_count,
    check_ids,
    check_ignore_index,
    check_number,
    check_same_shape,
    check_spacing,
)
from monai_boundary.kernels.distance import distance_transform, label_distance

__all__ = [
    "RESERVED_IDS",
    "IdOverlaps",
    "compact_ids",
    "connected_components",
    "id_overlaps",
    "near_other_regions",
    "region_distance",
    "region_seeds",
    "unlabelled_voxels",
]

#: Ids that CREMI keeps for voxels that are of no object and of no membrane: nobody labelled them, invalid, outside.
RESERVED_IDS = (2**64 - 1, 2**64 - 2, 2**64 - 3)
_FIRST_RESERVED = np.uint64(min(RESERVED_IDS))
_BLOCK = 1 << 22  # voxels looked at together: bounds the memory beside the arrays


def connected_components(labels: Any, connectivity: int = 1) -> np.ndarray:
    """Number the connected components of equal labels from 1 on, in raster order of their first voxels.

    Args:
        labels: Bool or integers `(*S)` with 1 to 3 axes, 0 for no region; floats are accepted when all are integers.
        connectivity: Axes along which neighbours may differ, as for `minimum_barrier_cut`; use the same there.

    Returns:
        Int32 `(*S)`.

    Raises:
        TypeError: Labels that are no numbers.
        ValueError: Another number of axes, fractional labels, labels too large to be exact in their float type.

    Example:
        >>> connected_components(np.array([7, 7, 0, 7, 3])).tolist()
        [1, 1, 0, 2, 3]
    """
    array = check_ids("labels", as_numpy("labels", labels))
    reach = check_connectivity(connectivity, array.ndim)
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])  # cc3d takes no array that is read-only
    plane = array[None] if array.ndim == 1 else array  # cc3d takes 2 or 3 axes
    neighbours = max(NEIGHBOURS[array.ndim][reach - 1], 4)
    found = cc3d.connected_components(plane, connectivity=neighbours, out_dtype=np.uint32)
    regions: np.ndarray = found.view(np.int32).reshape(array.shape)
    return regions


def unlabelled_voxels(ids: np.ndarray | torch.Tensor, ignore_index: int | None = None) -> np.ndarray:
    """Find the voxels that hold one of `RESERVED_IDS`; only unsigned 64 bits can, whatever else there is.

    Args:
        ids: Ids `(*S)`.
        ignore_index: A number of one's own for such voxels.

    Returns:
        Bool `(*S)`.

    Example:
        >>> unlabelled_voxels(np.array([2**64 - 2, 0, 7], np.uint64)).tolist()
        [True, False, False]
    """
    array = as_numpy("ids", ids)
    check_ignore_index(ignore_index)
    reserved = array.dtype.kind == "u" and array.dtype.itemsize == 8
    unlabelled = np.asarray(array >= _FIRST_RESERVED) if reserved else np.zeros(array.shape, bool)
    return unlabelled if ignore_index is None else unlabelled | (array == ignore_index)


def compact_ids(ids: np.ndarray | torch.Tensor, background: Sequence[int] = (0,)) -> tuple[np.ndarray, int]:
    """Give objects the ids 1 to K in the order of their ids, which fit every tensor type.

    Args:
        ids: Ids `(*S)`, integers >= 0 of any width, 1 to 3 axes.
        background: Ids that mean no object and become 0; those of CREMI are 0 and `RESERVED_IDS`.

    Returns:
        Int32 ids `(*S)` and K, the number of objects.

    Raises:
        TypeError: `ids` does not hold integers.
        ValueError: An id is negative.

    Example:
        >>> compact_ids(np.array([7, 0, 2**40, 7], np.uint64))
        (array([1, 0, 2, 1], dtype=int32), 2)
    """
    array = check_ids("ids", as_numpy("ids", ids))
    known = np.unique(np.concatenate([np.unique(block[_starts(block)]) for (block,) in _blocks(array)]))
    objects = np.setdiff1d(known, np.array(sorted(background), np.uint64), assume_unique=True)
    numbers = np.zeros(len(known), np.int32)
    numbers[np.searchsorted(known, objects)] = np.arange(1, len(objects) + 1, dtype=np.int32)
    compact, done = np.empty(array.size, np.int32), 0
    for (block,) in _blocks(array):
        starts = _starts(block)
        values = numbers[np.searchsorted(known, block[starts])]
        compact[done : done + block.size] = np.repeat(values, np.diff(starts, append=block.size))
        done += block.size
    return compact.reshape(array.shape), len(objects)


@dataclass(frozen=True, eq=False)
class IdOverlaps:
    """Voxels of every pair of a target's and a prediction's id that occurs, sorted by the target's id.

    Args:
        target: Uint64 `(P,)`, ids of the target, none of them 0.
        pred: Uint64 `(P,)`, ids of the prediction, 0 among them.
        counts: Int64 `(P,)`, voxels of the pair.
        voxels: Voxels of the whole array, those where the target is 0 included.
    """

    target: np.ndarray
    pred: np.ndarray
    counts: np.ndarray
    voxels: int


def id_overlaps(pred: np.ndarray | torch.Tensor, target: np.ndarray | torch.Tensor) -> IdOverlaps:
    """Count the voxels of every pair of ids; voxels where `target` is 0 or one of `RESERVED_IDS` are left out.

    In `pred` reserved ids are 0, no object.

    Neighbouring voxels mostly hold one pair, so runs of equal pairs are counted, and only these are sorted. Memory
    beside the arrays depends on the number of pairs, not on the voxels or on the size of the ids.

    Args:
        pred: Ids `(*S)`, integers >= 0 of any width, 1 to 3 axes.
        target: The same of the ground truth.

    Raises:
        TypeError: An array does not hold integers.
        ValueError: Shapes differ, or an id is negative.

    Example:
        >>> table = id_overlaps(np.array([5, 5, 7, 0]), np.array([1, 1, 1, 0]))
        >>> table.target.tolist(), table.pred.tolist(), table.counts.tolist()
        ([1, 1], [5, 7], [2, 1])
    """
    found, true = as_numpy("pred", pred), as_numpy("target", target)
    check_same_shape("pred", found, "target", true)
    found, true = check_ids("pred", found), check_ids("target", true)
    parts = [_sum_pairs(*_runs(first, second)) for first, second in _blocks(true, found)]
    columns = (np.concatenate([part[index] for part in parts]) for index in range(3))
    return IdOverlaps(*_sum_pairs(*columns), true.size)


def _blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Equal parts of several arrays of one shape, each flat and uint64."""
    if all(array.flags.c_contiguous for array in arrays):
        arrays = tuple(array.reshape(-1) for array in arrays)  # parts even where the first axis is short
    step = max(1, _BLOCK * len(arrays[0]) // arrays[0].size)
    for start in range(0, len(arrays[0]), step):
        yield tuple(array[start : start + step].ravel().astype(np.uint64, copy=False) for array in arrays)


def _starts(*arrays: np.ndarray) -> np.ndarray:
    """Places where any of several flat arrays changes, and place 0."""
    changes = np.zeros(len(arrays[0]), bool)
    changes[0] = True
    for array in arrays:
        changes[1:] |= array[1:] != array[:-1]
    return np.flatnonzero(changes)


def _runs(target: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair and length of every run of equal pairs where the target is not 0."""
    starts = _starts(target, pred)
    lengths = np.diff(starts, append=target.size)
    first, second = target[starts], pred[starts]
    second[second >= _FIRST_RESERVED] = 0
    kept = (first > 0) & (first < _FIRST_RESERVED)
    return first[kept], second[kept], lengths[kept]


def _sum_pairs(target: np.ndarray, pred: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up the counts of equal pairs; pairs come out sorted by target, then prediction."""
    if not counts.size:
        return target, pred, counts
    order = np.lexsort((pred, target))
    target, pred, counts = target[order], pred[order], counts[order]
    starts = _starts(target, pred)
    return target[starts], pred[starts], np.add.reduceat(counts, starts)


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
    distance = label_distance(np.pad(array.astype(np.uint32, order="C"), edge), spacing)
    inside = tuple(slice(width, width + size) for (width, _), size in zip(edge, array.shape, strict=True))
    return np.ascontiguousarray(distance[inside])


def near_other_regions(
    regions: Any, width: float, spacing: Sequence[float] | None = None, unlabelled: np.ndarray | None = None
) -> np.ndarray:
    """Find the voxels at most `width` from a voxel of another region, or of none, whatever lies outside the image.

    Args:
        regions: See `region_distance`.
        width: In the unit of `spacing`.
        spacing: See `region_distance`.
        unlabelled: Bool `(*S)`, voxels of which nobody knows the region. They are as what lies outside the image: no
            voxel is near another region because of them, and none of them is.

    Returns:
        Bool `(*S)`.

    Example:
        >>> near_other_regions(np.array([1, 1, 2, 2, 2, 3]), 1, unlabelled=np.arange(6) == 5).tolist()
        [False, True, True, False, False, False]
    """
    array = check_ids("regions", as_numpy("regions", regions))
    spacing = check_spacing(spacing, array.ndim)
    limit = check_number("width", width, strict=False) * (1 + 1e-6)  # distances are float32
    if unlabelled is None or not unlabelled.any():
        return np.asarray(region_distance(array, spacing, image_edge=False) <= limit)
    known = ~unlabelled
    near = known & (region_distance(np.where(known, array, 0), spacing, image_edge=False) <= limit)
    # Beside unlabelled voxels the distance may be that to them: there each neighbour is looked at.
    unsure = near & (array > 0) & (distance_transform(unlabelled, spacing, reach=2 * limit) <= limit)
    places = np.argwhere(unsure)
    reach = [int(limit // size) for size in spacing]
    steps = np.indices([2 * one + 1 for one in reach]).reshape(array.ndim, -1).T - reach
    found = np.zeros(len(places), bool)
    for step in steps[np.linalg.norm(steps * spacing, axis=1) <= limit]:
        others = places + step
        inside = ((others >= 0) & (others < array.shape)).all(1)
        here, there = tuple(places[inside].T), tuple(others[inside].T)
        found[inside] |= known[there] & (array[there] != array[here])
    near[unsure] = found
    return near


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
    smallest = check_count("min_region_size", min_region_size, 0)
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
