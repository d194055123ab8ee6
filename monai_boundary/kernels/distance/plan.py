"""What a distance map needs, decided once: the engine, the order of the axes, spacing, reach and all that finishes it.

Every engine reads the same plan, so that none has to look at arguments, options or memory again.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from monai_boundary._check import (
    check_array,
    check_choice,
    check_dense,
    check_number,
    check_spacing,
    check_spatial_ndim,
)
from monai_boundary.kernels.distance.options import DistanceMapOptions

__all__ = ["BACKENDS", "Backend", "EngineWarning", "Plan", "bounding_box", "make_plan", "resolve_backend"]

Backend = Literal["auto", "edt", "numba", "scipy", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "edt", "numba", "scipy", "torch")

# Squares of distances are kept in float32: up to this ratio of spacings their sum cannot leave its range.
_SAFE_RATIO = 1e12


class EngineWarning(RuntimeWarning):
    """The fastest engine does not work here, so that a slower one takes its place: the maps are the same."""


class Plan(NamedTuple):
    """How the maps of arrays of one shape are made.

    Args:
        engine: ``"numba"``, ``"edt"``, ``"scipy"`` or ``"torch"``.
        order: Spatial axes in the order of the memory, the contiguous one last. All below is in this order.
        spacing: Voxel size in mm.
        kept: Axes of more than one voxel; the others add nothing to a distance.
        unit: What engines measure in, in mm: their squares then stay in the range of float32.
        unit_spacing: Spacing of the kept axes in units.
        volume: Voxels along three axes, the kept ones last.
        volume_spacing: Spacing of these in units.
        reach: Distances in mm from here on may come out as anything as large.
        shifts: What is added to signed distances outside and inside, in mm: where the zero level lies.
        clip: Limit of the values in mm; inf for none.
        divisor: What clipped values are divided by; 0 for the largest of each channel.
        far: Value in mm of a mask without a surface, + where it is empty, - where it is full.
        balance: Exponent of the balance of both sides.
        balance_cap: Limit of its factor.
        balance_lesions: Exponent of the balance of lesions.
    """

    engine: str
    order: tuple[int, ...]
    spacing: tuple[float, ...]
    kept: tuple[int, ...]
    unit: float
    unit_spacing: tuple[float, ...]
    volume: tuple[int, ...]
    volume_spacing: tuple[float, ...]
    reach: float
    shifts: tuple[float, float]
    clip: float
    divisor: float
    far: float
    balance: float
    balance_cap: float
    balance_lesions: float


def make_plan(
    name: str,
    array: np.ndarray | torch.Tensor,
    spacing: Sequence[float] | None,
    options: DistanceMapOptions,
    backend: Backend,
    channels: int,
    reach: float | None = None,
) -> Plan:
    """Check what all engines need, and decide.

    Args:
        name: Argument that `array` is, for error texts.
        array: Labels or masks, with `channels` leading axes that are not spatial.
        spacing: Voxel size in mm, one per spatial axis in array order; ``None`` means 1 mm.
        options: Settings of the maps.
        backend: Engine that was asked for.
        channels: See `array`.
        reach: Of plain distances, whose options have no clip: from where on they need not be exact, in mm.
    """
    check_array(name, array)
    engine = resolve_backend(backend, array)
    ndim = check_spatial_ndim(name, array.shape, channels)
    voxel = check_spacing(spacing, ndim)
    if reach is not None:
        check_number("reach", reach)
    order = tuple(range(ndim))
    if engine != "torch":
        # Readers of NIfTI give Fortran order. Maps are made and returned in the order of the memory: the passes then
        # come in another order, and the maps agree with those of C order to rounding (3e-7 of the distance).
        if isinstance(array, torch.Tensor):
            check_dense(name, array)
        strides = (array.strides if isinstance(array, np.ndarray) else array.stride())[channels:]
        order = tuple(sorted(order, key=lambda axis: -abs(strides[axis])))
        voxel = tuple(voxel[axis] for axis in order)
    counts = [array.shape[channels + axis] for axis in order]
    kept = tuple(axis for axis in range(ndim) if counts[axis] > 1) or (0,)
    smallest, clip = min(voxel), options.clip or math.inf
    inside = {"half": smallest / 2, "centre": 0.0, "kervadec": 1.0, "kervadec_mm": smallest}[options.convention]
    outside = -smallest / 2 if options.convention == "half" else 0.0
    diagonal = 0.0
    if options.normalize == "diagonal" or (options.absent == "far" and options.clip is None):
        diagonal = math.hypot(*(count * width for count, width in zip(counts, voxel, strict=True)))
    # With the contiguous axis for the unit the first pass adds up ones, not a spacing with its rounding errors, which
    # would pass 1e-4 mm on 256 voxels.
    widths = [voxel[axis] for axis in kept]
    unit = widths[-1] if max(widths) <= _SAFE_RATIO * widths[-1] else max(widths)
    unit_spacing, others = tuple(width / unit for width in widths), (1,) * (3 - len(kept))
    return Plan(
        engine=engine,
        order=order,
        spacing=voxel,
        kept=kept,
        unit=unit,
        unit_spacing=unit_spacing,
        volume=others + tuple(counts[axis] for axis in kept),
        volume_spacing=others + unit_spacing,
        # what is farther than the clip, the largest shift and a margin for rounding ends at the clip
        reach=1.001 * (clip + max(1.0, smallest)) if reach is None else reach,
        shifts=(outside, inside),
        clip=clip,
        divisor={None: 1.0, "clip": clip, "diagonal": diagonal, "max": 0.0}[options.normalize],
        far=0.0 if options.absent == "zero" else options.clip or diagonal,
        balance=options.balance,
        balance_cap=options.balance_cap,
        balance_lesions=options.balance_lesions,
    )


def bounding_box(mask: np.ndarray, spacing: tuple[float, ...], reach: float) -> tuple[slice, ...]:
    """Return the smallest box around the True voxels, grown by `reach` and cut at the border.

    Args:
        mask: Bool `(*S)` with a True voxel.
        spacing: Voxel size, one per axis.
        reach: In the unit of `spacing`; inf for the whole array.
    """
    slices = []
    for width in spacing:
        count = len(mask)
        occupied = np.flatnonzero(mask.reshape(count, -1).any(axis=1))
        margin = math.ceil(min(reach / width, count))
        slices.append(slice(max(0, int(occupied[0]) - margin), min(int(occupied[-1]) + margin + 1, count)))
        mask = np.logical_or.reduce(mask, axis=0)
    return tuple(slices)


def resolve_backend(backend: Backend, array: object = None) -> str:
    """Return the engine: ``"auto"`` is torch for tensors on CUDA, else numba where it works, else `edt`.

    Raises:
        ValueError: Another name.
    """
    if backend == "auto":
        if isinstance(array, torch.Tensor) and array.is_cuda:
            return "torch"
        return "numba" if _numba_works() else "edt"
    check_choice("backend", backend, BACKENDS)
    return backend


@functools.cache
def _numba_works() -> bool:
    """Compile or load the engine, and let it measure one small mask whose distances are known."""
    try:
        from monai_boundary.kernels.distance import numba_engine

        reason = numba_engine.self_check()
    except Exception as error:  # whatever another version of numba or LLVM may raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    if reason:
        warnings.warn(
            f"the numba engine of distance maps does not work here, edt takes its place, 2 to 10 times slower "
            f"({reason}); install a tested numba, for example pip install 'numba>=0.60,<0.70'",
            EngineWarning,
            stacklevel=4,
        )
    return not reason
