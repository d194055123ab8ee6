"""The blocks of a volume that does not fit into memory, and how the objects of blocks are joined."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from monai_boundary._check import check_count

__all__ = ["Blocks", "join_blocks"]

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Blocks:
    """The blocks of a volume, each with a margin that its neighbours share.

    Args:
        shape: Voxels of the volume (D, H, W).
        size: Voxels of a block; the last ones are smaller.
        halo: Voxels around a block that the network sees and whose prediction is dropped: half its receptive field.
    """

    shape: tuple[int, int, int]
    size: tuple[int, int, int] = (128, 128, 128)
    halo: tuple[int, int, int] = (16, 16, 16)

    def __post_init__(self) -> None:
        for name, values, low in (("size", self.size, 1), ("halo", self.halo, 0)):
            if len(values) != 3:
                raise ValueError(f"{name} must hold one number per axis (3), got {tuple(values)}")
            for value in values:
                check_count(name, value, low)

    @property
    def grid(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-length // step) for length, step in zip(self.shape, self.size, strict=True))

    def __len__(self) -> int:
        return int(np.prod(self.grid))

    def number(self, index: Sequence[int]) -> int:
        """Return the number of a block in raster order."""
        return int(np.ravel_multi_index(tuple(index), self.grid))

    def window(self, index: Sequence[int], halo: bool = False) -> Window:
        """Return the voxels of a block, or with its margin, as far as the volume reaches."""
        rows = zip(index, self.size, self.halo if halo else (0, 0, 0), self.shape, strict=True)
        z, y, x = (slice(max(0, at * step - rim), min((at + 1) * step + rim, end)) for at, step, rim, end in rows)
        return z, y, x

    def inner(self, index: Sequence[int]) -> Window:
        """Return where a block lies within its window with the margin."""
        pairs = zip(self.window(index), self.window(index, halo=True), strict=True)
        z, y, x = (slice(own.start - wide.start, own.stop - wide.start) for own, wide in pairs)
        return z, y, x

    def faces(self) -> Iterator[tuple[int, int, Window, Window]]:
        """Give all pairs of blocks that share a face: their numbers, and the last and first layer beside it."""
        for index in np.ndindex(*self.grid):
            own = self.window(index)
            for axis in range(3):
                other = tuple(at + (place == axis) for place, at in enumerate(index))
                if other[axis] < self.grid[axis]:
                    edge = own[axis].stop
                    last, first = (_with(own, axis, slice(at, at + 1)) for at in (edge - 1, edge))
                    yield self.number(index), self.number(other), last, first

    def overlapping(self, window: Window) -> Iterator[tuple[int, Window]]:
        """Give the number of each block that a window touches, and the voxels that they share."""
        grids = [range(part.start // step, -(-part.stop // step)) for part, step in zip(window, self.size, strict=True)]
        for index in itertools.product(*grids):
            pairs = zip(window, self.window(index), strict=True)
            z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs)
            yield self.number(index), (z, y, x)


def _with(window: Window, axis: int, part: slice) -> Window:
    z, y, x = (part if place == axis else one for place, one in enumerate(window))
    return z, y, x


def join_blocks(sizes: Sequence[np.ndarray], pairs: np.ndarray, min_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Number objects that are components of blocks joined at the faces, from 1 on in the order of their first block.

    Args:
        sizes: For each block, int64 `(K,)`: voxels of its components 1 to K.
        pairs: Int64 `(P, 2)`: components that touch, counted through all blocks from 0 on.
        min_size: Objects of fewer voxels get 0.

    Returns:
        Int64 offsets `(B,)` and ids: the object of component k of block b is ``ids[offsets[b] + k]``, and 0 for k = 0,
        no component.

    Example:
        >>> offsets, ids = join_blocks([np.array([5, 3]), np.array([4])], np.array([[1, 2]]))
        >>> ids[offsets[1] + np.array([0, 1])].tolist(), ids.tolist()
        ([0, 2], [0, 1, 2, 0, 2])
    """
    counts = np.array([len(one) for one in sizes], np.int64)
    total = int(counts.sum())
    graph = sparse.coo_array((np.ones(len(pairs), bool), np.reshape(pairs, (-1, 2)).T), shape=(total, total))
    found = sparse.csgraph.connected_components(graph, directed=False)[1] if total else np.zeros(0, int)
    voxels = np.bincount(found, np.concatenate([*sizes, np.zeros(0)])[:total])
    kept = voxels >= min_size
    numbers = np.where(kept, np.cumsum(kept), 0)  # components are found in the order of their first member
    offsets = np.cumsum(counts) - counts + np.arange(len(counts))
    ids = np.zeros(total + len(counts), np.int64)
    ids[np.setdiff1d(np.arange(len(ids)), offsets, assume_unique=True)] = numbers[found]
    return offsets, ids
