"""Backend ``"numba"``: signed distances of a mask of 1 to 3 axes in one sweep, LANES columns at a time."""

from __future__ import annotations

import math

import numpy as np

from monai_boundary.kernels.distance.envelope import scan_rows, sweep_columns, sweep_slices
from monai_boundary.kernels.distance.lanes import LANES

__all__ = ["signed_field"]


def signed_field(  # noqa: PLR0913 - one call for all that one sweep can do
    mask: np.ndarray,
    spacing: tuple[float, ...],
    out: np.ndarray,
    complement: np.ndarray | None = None,
    *,
    unit: float = 1.0,
    offsets: tuple[float, float] = (0.0, 0.0),
    sign: float = -1.0,
    clip: float = math.inf,
    limit: float = math.inf,
    inside: bool = True,
) -> None:
    """Write ``d - offsets[0]`` outside of `mask` and ``sign * (d - offsets[1])`` inside; d: distance to the other side.

    Args:
        mask: Bool, 1 to 3 axes, C order, with a voxel on each side.
        spacing: Voxel size in units of `unit`.
        out: Float32 of the shape of `mask`.
        complement: Gets the values of ~mask where `sign` is -1; of the same strides as `out`.
        unit: What the distances are multiplied by at the end.
        offsets: See above.
        sign: See above.
        clip: Values are limited to +-clip.
        limit: In units of `unit`: distances of at least this may come out as any value >= limit.
        inside: Whether the inside distances are wanted; without them d is 0 there.
    """
    if out.strides[-1] != out.itemsize:
        copies = [None if array is None else np.empty(array.shape, np.float32) for array in (out, complement)]
        settings = {"unit": unit, "offsets": offsets, "sign": sign, "clip": clip, "limit": limit, "inside": inside}
        signed_field(mask, spacing, *copies, **settings)  # type: ignore[arg-type, misc]
        for array, copy in zip((out, complement), copies, strict=True):
            if array is not None:
                array[...] = copy
        return
    shape = (1,) * (3 - mask.ndim) + mask.shape
    weights = np.array([1.0] * (3 - mask.ndim) + [size * size for size in spacing], np.float32)
    work = _Work(shape, 1 + inside)
    scan_rows(mask.reshape(shape).view(np.uint8), work.kind, work.line_of, work.lines)
    outs = (_flat(out), np.empty(0, np.float32) if complement is None else _flat(complement))
    strides = (0,) * (3 - mask.ndim) + tuple(stride // out.itemsize for stride in out.strides)
    shift = tuple(np.float32(value) for value in (unit, *offsets, sign, clip))
    for left in range(0, shape[2], LANES):
        sides = work.sweep_slices(left, weights, limit)
        sweep_columns(
            sides, work.boxes, left, work.counts, weights, limit, shift, work.scratch, work.planes, work.places,
            work.held, work.field, outs, (*strides[:2], shape[2]),
        )  # fmt: skip


class _Work:
    """The arrays that every group of LANES columns uses again.

    Args:
        shape: Shape of the mask.
        sides: 1 for the distances outside alone, 2 for both.
    """

    def __init__(self, shape: tuple[int, ...], sides: int) -> None:
        longest = max(shape[:2]) + 1
        self.shape, self.sides = shape, sides
        self.kind, self.line_of = np.empty(shape[:2], np.uint8), np.empty(shape[:2], np.int64)
        self.lines = np.empty((shape[0] * shape[1], -(-shape[2] // LANES) * LANES), np.int32)
        self.scratch = (
            np.empty((longest, LANES), np.float32),
            np.empty(longest, np.float32),
            *(np.empty(longest + 1, np.int64) for _ in range(3)),
            np.empty((2, longest), np.int64),
        )
        # One row more than there are: slices a multiple of 4096 bytes apart would share one cache set.
        self.planes = np.empty((sides, shape[0], shape[1] + 1, LANES), np.float32)
        self.places, self.field = np.empty((2, longest), np.int64), np.empty((2, longest, LANES), np.float32)
        self.held, self.counts = np.zeros((2, longest), bool), np.zeros(2, np.int64)
        self.boxes = np.zeros((2, 4), np.int64)

    def sweep_slices(self, left: int, weights: np.ndarray, limit: float) -> int:
        """Fill the planes of the columns from `left`; returns how many sides have any."""
        self.held[...] = False
        self.boxes[...] = (0, self.shape[0], 0, self.shape[1])
        for side in range(self.sides):
            if side == 1:
                if not self.held.any():
                    return 1
                self.boxes[1] = [*_margin(self.held[0], self.shape[0]), *_margin(self.held[1], self.shape[1])]
            self.counts[side] = sweep_slices(
                side, self.boxes[side], left, self.kind, self.line_of, self.lines, weights, limit, self.scratch,
                self.planes[side], self.places[side], self.held,
            )  # fmt: skip
        return self.sides


def _margin(held: np.ndarray, count: int) -> tuple[int, int]:
    """The range that holds mask and one place more: the inside distances end there."""
    occupied = np.flatnonzero(held)
    return max(int(occupied[0]) - 1, 0), min(int(occupied[-1]) + 2, count)


def _flat(array: np.ndarray) -> np.ndarray:
    """The memory of `array` from its first voxel to its last."""
    last = sum((count - 1) * stride for count, stride in zip(array.shape, array.strides, strict=True))
    return np.lib.stride_tricks.as_strided(array, (1 + last // array.itemsize,), (array.itemsize,))
