"""The end of a signed map: normalised, balanced, and filled where all is farther than the clip.

The loops over one side of a mask are those of numpy, or for backend ``"numba"`` compiled ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monai_boundary.kernels.distance.engines import Backend, resolve_backend
from monai_boundary.kernels.distance.options import DistanceMapOptions

__all__ = ["diagonal", "fill_beyond", "finish_channel"]


def fill_beyond(values: np.ndarray, box: tuple[slice, ...], value: np.float32) -> None:
    """Write `value` everywhere but in the box, which most often is small: it is never written twice."""
    for axis, part in enumerate(box):
        before, behind = (*box[:axis], slice(0, part.start)), (*box[:axis], slice(part.stop, None))
        values[before] = values[behind] = value


def finish_channel(
    channel: np.ndarray,
    mask: np.ndarray,
    box: tuple[slice, ...] | None,
    spacing: tuple[float, ...],
    options: DistanceMapOptions,
    backend: Backend,
    inside: bool = True,
    sums: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """Normalise and balance the channel of `mask`, or with `inside` off that of ~mask, in place.

    Voxels that do not count are 0 by now. What lies beyond `box`, where one is given, is written here: the clip.

    Returns:
        What is balanced: the sum of the absolute values inside, and that of the values outside. Known `sums` are taken.
    """
    crop: Any = ... if box is None else box
    values, mask = channel[crop], mask[crop]
    count, edge = channel.size - values.size, 0.0 if box is None else options.clip or 0.0
    beyond = np.float32(edge if inside else -edge)
    if options.normalize is not None:
        largest = np.float32(_largest(values, options, channel.shape, spacing, edge if count else 0.0))
        if largest:  # an all-zero channel stays zero
            values /= largest
            beyond /= largest
    if options.balance > 0:
        engine = resolve_backend(backend)
        if sums is None:
            inner, outer = _side_sums(values, mask, inside, engine)
            rest = count * float(abs(beyond))
            sums = (inner, outer + rest) if inside else (inner + rest, outer)
        if min(sums) > 0:
            factor = np.float32(min((sums[1] / sums[0]) ** options.balance, options.balance_cap))
            _scale_side(values, mask, inside, factor, engine)
            beyond *= np.float32(1) if inside else factor
    if box is not None:
        fill_beyond(channel, box, beyond)
    return sums or (0.0, 0.0)


def _largest(
    values: np.ndarray, options: DistanceMapOptions, shape: Sequence[int], spacing: tuple[float, ...], edge: float
) -> float:
    """What a channel is divided by; `edge` is the largest value beyond `values`, which may be a part of it."""
    if options.normalize == "max":
        return float(max(values.max(), -values.min(), edge))
    return options.clip or 0.0 if options.normalize == "clip" else diagonal(shape, spacing)


def diagonal(shape: Sequence[int], spacing: tuple[float, ...]) -> float:
    """Length in mm of the diagonal of a volume."""
    return math.hypot(*(count * size for count, size in zip(shape, spacing, strict=True)))


def _side_sums(values: np.ndarray, mask: np.ndarray, inside: bool, engine: str) -> tuple[float, float]:
    """Sum of the absolute values on one side of `mask`, and sum of the values on the other, both in float64.

    Args:
        values: Float32 `(*S)`, any strides.
        mask: Bool `(*S)`.
        inside: The side whose absolute values are summed: where `mask` is this.
        engine: ``"numba"`` for the compiled loops, any other for numpy.
    """
    if engine == "numba":
        from monai_boundary.kernels.distance.finish_loops import sum_sides

        return sum_sides(*_rows(values, mask), inside)  # type: ignore[no-any-return]
    # One voxel less than 1 mm wide is not negative by convention "kervadec": the sign does not tell the sides apart.
    held = values[mask]
    total, own = float(values.sum(dtype=np.float64)), float(held.sum(dtype=np.float64))
    if inside:
        return float(np.abs(held).sum(dtype=np.float64)), total - own
    return float(np.abs(values[~mask]).sum(dtype=np.float64)), own


def _scale_side(values: np.ndarray, mask: np.ndarray, inside: bool, factor: np.float32, engine: str) -> None:
    """Multiply the values on one side of `mask` by `factor`, in place; arguments as of `_side_sums`."""
    if engine == "numba":
        from monai_boundary.kernels.distance.finish_loops import scale_rows

        scale_rows(*_rows(values, mask), inside, factor)
    else:
        np.multiply(values, factor, out=values, where=mask if inside else ~mask)


def _rows(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as three axes without a copy: an axis of length 1 is put in front, or two."""
    added = (None,) * (3 - values.ndim)
    return values[added], mask[added]
