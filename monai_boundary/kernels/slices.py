"""Objects of slices joined to objects of the volume, for sections that are much thicker than pixels."""

from __future__ import annotations

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_fraction, check_ids
from monai_boundary.kernels.regions import RESERVED_IDS, compact_ids, id_overlaps

__all__ = ["link_slices"]


def link_slices(ids: np.ndarray | torch.Tensor, min_overlap: float = 0.5) -> np.ndarray:
    """Join the objects of neighbouring slices that overlap, so that an object has one id in the whole volume.

    Two objects are joined when each shares more pixels with the other than with any other object of that slice, and
    they share at least `min_overlap` of the smaller one. An object that branches goes on in its larger branch, and the
    other begins a new object: one that may go on in several would join most of a volume (docs/em.md has the numbers).

    Args:
        ids: Ids of the objects of each slice `(Z, Y, X)`, integers >= 0; equal ids in two slices mean nothing. 0 and
            the ids that CREMI reserves mean no object.
        min_overlap: Share of the smaller object, in (0, 1].

    Returns:
        Int64 ids `(Z, Y, X)`, from 1 on in the order of slices; 0 for no object.

    Raises:
        TypeError: `ids` does not hold integers.
        ValueError: `ids` has other than three axes, an id is negative, or `min_overlap` is not in (0, 1].

    Example:
        >>> link_slices(np.array([[[1, 1, 0, 2, 2]], [[5, 5, 0, 0, 0]], [[3, 3, 0, 4, 4]]]))[:, 0].tolist()
        [[1, 1, 0, 2, 2], [1, 1, 0, 0, 0], [1, 1, 0, 3, 3]]
    """
    array = check_ids("ids", as_numpy("ids", ids))
    if array.ndim != 3:
        raise ValueError(f"ids must be a volume (Z, Y, X), got shape {array.shape}")
    linked, last = np.zeros(array.shape, np.int64), 0
    for z, one in enumerate(array):
        linked[z], last = continue_objects(linked[max(0, z - 1)], one, min_overlap, last)
    return linked


def continue_objects(before: np.ndarray, ids: np.ndarray, min_overlap: float, last: int) -> tuple[np.ndarray, int]:
    """Give the objects of a slice the ids of those of the slice before that they go on from.

    Args:
        before: Ids of the slice before `(Y, X)`, as this function returned them.
        ids: Ids of a slice `(Y, X)`.
        min_overlap: See `link_slices`.
        last: The largest id so far; new objects get the following ones.

    Returns:
        Int64 ids `(Y, X)`, and the largest id by now.
    """
    if check_fraction("min_overlap", min_overlap) == 0:
        raise ValueError(
            f"min_overlap must lie in (0, 1], got {min_overlap}; objects that share nothing are not joined"
        )
    own, count = compact_ids(ids, (0, *RESERVED_IDS))
    old, _ = compact_ids(before)
    names = np.unique(before[old > 0])
    table = id_overlaps(own, old)
    pair = table.pred > 0
    first, second, shared = (column[pair].astype(np.int64) for column in (table.target, table.pred, table.counts))
    smaller = np.minimum(np.bincount(old.ravel())[first], np.bincount(own.ravel())[second])
    same = (shared >= min_overlap * smaller) & _largest(first, shared) & _largest(second, shared)
    numbers = np.zeros(count + 1, np.int64)
    numbers[second[same]] = names[first[same] - 1]
    new = np.flatnonzero(numbers[1:] == 0) + 1
    numbers[new] = last + np.arange(1, len(new) + 1)
    return numbers[own], last + len(new)


def _largest(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where a value is the first of the largest in its group."""
    order = np.lexsort((-values, group))
    best = np.zeros(len(group), bool)
    best[order[np.unique(group[order], return_index=True)[1]]] = True
    return best
