"""The peer of the one-pass cut: a pair of propagations per region, as the paper words it, compiled by numba."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["RegionPairs"]

compiled = numba.njit(nogil=True, cache=True)
RECORD = np.dtype([("next", "i4"), ("previous", "i4"), ("barrier", "i2"), ("low", "u1"), ("high", "u1")])


@compiled
def _append(records, voxel, ring):
    last = records[ring].previous
    records[voxel].previous, records[voxel].next = last, ring
    records[last].next = records[ring].previous = voxel


@compiled
def _remove(records, voxel):
    before, after = records[voxel].previous, records[voxel].next
    records[before].next, records[after].previous = after, before


@compiled
def _distances(values, seeds, offsets, frame, records):
    """Distance of every voxel to the nearest of `seeds`, by front propagation over 256 queues; into `records`."""
    size = len(values)
    for voxel in range(size):
        records[voxel].barrier = -1 if frame[voxel] else 256
    for level in range(256):
        records[size + level].next = records[size + level].previous = size + level
    for seed in seeds:
        records[seed].barrier, records[seed].low, records[seed].high = 0, values[seed], values[seed]
        _append(records, seed, size)
    for level in range(256):
        while records[size + level].next != size + level:
            voxel = records[size + level].next
            _remove(records, voxel)
            low, high = np.int64(records[voxel].low), np.int64(records[voxel].high)
            for offset in offsets:
                near = numba.uintp(voxel + offset)
                value = np.int64(values[near])
                lowest, highest = min(low, value), max(high, value)
                if highest - lowest < records[near].barrier:
                    if records[near].barrier < 256:
                        _remove(records, near)
                    records[near].barrier, records[near].low, records[near].high = highest - lowest, lowest, highest
                    _append(records, near, size + highest - lowest)


@compiled
def _region(inner, outer, seed, offsets, mark, label, stack):
    """Flood one region from its seed and return the number of voxels on its outer contour."""
    mark[seed], stack[0], size, contour = label, seed, 1, 0
    while size > 0:
        size -= 1
        voxel = stack[size]
        for offset in offsets:
            near = numba.uintp(voxel + offset)
            if mark[near] != label and mark[near] != -label and inner[near].barrier >= 0:
                if inner[near].barrier < outer[near].barrier:
                    mark[near], stack[size] = label, near
                    size += 1
                else:
                    mark[near] = -label
                    contour += 1
    return contour


class RegionPairs:
    """The cut as the paper words it: for each region a map of distances to its seed and one to all other seeds.

    Args:
        likelihood: Uint8 `(*S)`.
        seeds: Int32 `(*S)`, labels 1 to K.
    """

    def __init__(self, likelihood: np.ndarray, seeds: np.ndarray) -> None:
        framed = np.pad(likelihood, 1)
        frame = np.pad(np.zeros(likelihood.shape, bool), 1, constant_values=True)
        strides = [stride // framed.itemsize for stride in framed.strides]
        self.offsets = np.array(sorted([*strides, *(-stride for stride in strides)]))
        self.values, self.frame = framed.ravel(), frame.ravel()
        padded = np.pad(seeds, 1).ravel()
        places = np.flatnonzero(padded)
        self.seeds = places[np.argsort(padded[places])]

    def __call__(self, number: int | None = None) -> list[int]:
        """Return the length of the contours of the first `number` regions."""
        size = len(self.values)
        inner, outer = np.empty(size + 256, RECORD), np.empty(size + 256, RECORD)
        mark, stack, lengths = np.zeros(size, np.int32), np.empty(size, np.int64), []
        for label, seed in enumerate(self.seeds[:number], start=1):
            _distances(self.values, self.seeds[label - 1 : label], self.offsets, self.frame, inner)
            _distances(self.values, np.delete(self.seeds, label - 1), self.offsets, self.frame, outer)
            lengths.append(_region(inner, outer, seed, self.offsets, mark, label, stack))
        return lengths
