"""Instance ids of any width and number: consecutive ids, the borders between objects, and how two maps overlap.

Ids are names: no array here is indexed by them, so 64-bit ids of a proofreading database cost what small ones cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_ids, check_number, check_spacing
from monai_boundary.kernels.distance import bounding_box, distance_transform

__all__ = ["IdOverlaps", "compact_ids", "id_borders", "id_overlaps"]

_BLOCK = 1 << 22  # voxels looked at together: bounds the memory beside the arrays


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
    """Count the voxels of every pair of ids; voxels where `target` is 0 are left out.

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
    if found.shape != true.shape:
        raise ValueError(f"pred and target must have the same shape, got {found.shape} and {true.shape}")
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
    kept = target[starts] > 0
    starts = starts[kept]
    return target[starts], pred[starts], lengths[kept]


def _sum_pairs(target: np.ndarray, pred: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add up the counts of equal pairs; pairs come out sorted by target, then prediction."""
    if not counts.size:
        return target, pred, counts
    order = np.lexsort((pred, target))
    target, pred, counts = target[order], pred[order], counts[order]
    starts = _starts(target, pred)
    return target[starts], pred[starts], np.add.reduceat(counts, starts)


def compact_ids(ids: np.ndarray | torch.Tensor, background: Sequence[int] = (0,)) -> tuple[np.ndarray, int]:
    """Give objects the ids 1 to K in the order of their ids, which fit every tensor type.

    Args:
        ids: Ids `(*S)`, integers >= 0 of any width, 1 to 3 axes.
        background: Ids that mean no object and become 0; CREMI's is 2**64 - 1.

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


def id_borders(
    ids: np.ndarray | torch.Tensor,
    width: float = 0.0,
    spacing: Sequence[float] | None = None,
    per_slice: bool = False,
) -> np.ndarray:
    """Find the voxels at the borders between objects, and those not farther than `width` from them.

    A voxel with a face neighbour of another id is at a border: on both sides, so that a border of width 0 is two voxels
    thick. Voxels without object have the id 0 here as any other. The edge of the array is no border.

    Args:
        ids: Ids `(*S)`, integers >= 0 of any width, 1 to 3 axes.
        width: Euclidean distance in the unit of `spacing` up to which voxels belong to the border they are nearest to.
        spacing: Voxel size, one per axis in array order; ``None`` measures in voxels.
        per_slice: Look for borders and measure within each slice of the first axis, as CREMI does: its sections are
            ten times thicker than its pixels, and objects that pass one another between two sections share no membrane.

    Returns:
        Bool `(*S)`.

    Raises:
        TypeError: `ids` does not hold integers; `width` is no number.
        ValueError: An id is negative, `width` is < 0, `spacing` is wrong, or one axis is to be cut in slices.

    References:
        Border mask of the CREMI challenge, cremi.org.

    Example:
        >>> id_borders(np.array([3, 3, 3, 8, 8, 8]), width=1).tolist()
        [False, True, True, True, True, False]
    """
    array = check_ids("ids", as_numpy("ids", ids))
    spacing = check_spacing(spacing, array.ndim)
    width = check_number("width", width, strict=False)
    if not per_slice:
        return _widened(_changes(array), width, spacing)
    if array.ndim < 2:
        raise ValueError(f"ids must have a slice axis and others with per_slice=True, got shape {array.shape}")
    return np.stack([_widened(_changes(part), width, spacing[1:]) for part in array])


def _changes(array: np.ndarray) -> np.ndarray:
    """Voxels with a face neighbour of another value."""
    at_border = np.zeros(array.shape, bool)
    for axis in range(array.ndim):
        values, marks = np.moveaxis(array, axis, 0), np.moveaxis(at_border, axis, 0)
        differs = values[1:] != values[:-1]
        marks[1:] |= differs
        marks[:-1] |= differs
    return at_border


def _widened(borders: np.ndarray, width: float, spacing: tuple[float, ...]) -> np.ndarray:
    if width < min(spacing) or not borders.any():
        return borders
    box = bounding_box(borders, spacing, width)
    limit = width * (1 + 1e-6)  # distances are float32
    near = np.zeros_like(borders)
    near[box] = distance_transform(borders[box], spacing, reach=2 * limit) <= limit
    return near
