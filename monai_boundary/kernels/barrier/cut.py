"""Minimum-barrier cut: every seed's region, and its contour, on a map of boundary likelihood; needs numba.

The barrier of a path is the highest minus the lowest value on it, and the distance of two voxels the least barrier of
the paths between them. A region holds the voxels that are strictly nearer to its seed than to any other seed. The
distances come from one propagation of all fronts at once: like the propagation of the paper they are never below the
exact ones, and mostly equal to them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monai_boundary._check import (
    as_numpy,
    check_choice,
    check_connectivity,
    check_mask,
    check_per_axis,
    check_spatial_ndim,
)
from monai_boundary.kernels.barrier import contours
from monai_boundary.kernels.barrier.propagation import (
    FLOAT_SLOT,
    LEVEL_SLOT,
    NUM_LEVELS,
    propagate_floats,
    propagate_levels,
)

__all__ = ["BarrierCut", "barrier_weights", "minimum_barrier_cut"]

Weighting = Literal["mean", "count", "area", "published"]
WEIGHTINGS = ("mean", "count", "area", "published")
_MAX_VOXELS = 2**29  # slots are counted in int32


@dataclass(frozen=True)
class BarrierCut:
    """Regions of the seeds, distances, and contours.

    Args:
        regions: Int32 `(*S)`: the seed's label in its region, 0 where distances tie or a region was cut off its seed.
        distance: Float32 `(*S)`: distance to the nearest seed, in the unit of the likelihood; inf without seeds.
        second_distance: Float32 `(*S)`: distance to the nearest seed of another label; inf with fewer than two labels.
        contour_voxels: Int64 `(P,)`, raster indices: voxels outside a region with a neighbour in it, region by region.
        contour_regions: Int32 `(P,)`, the label of that region. A voxel between two regions is listed for both.
    """

    regions: np.ndarray
    distance: np.ndarray
    second_distance: np.ndarray
    contour_voxels: np.ndarray
    contour_regions: np.ndarray


@dataclass(frozen=True)
class _Fronts:
    """What the compiled parts hand on; regions count from 1.

    `contour` holds raster indices, those of region k from ``bounds[k - 1]`` up to ``bounds[k]``.
    """

    regions: np.ndarray
    distance: np.ndarray
    second_distance: np.ndarray
    ids: np.ndarray
    contour: np.ndarray
    bounds: np.ndarray


def minimum_barrier_cut(likelihood: Any, seeds: Any, connectivity: int = 1) -> BarrierCut:
    """Cut an image of boundary likelihood into the regions of its seeds.

    Args:
        likelihood: `(*S)` with 1 to 3 axes, high on boundaries. Uint8 takes the fast way through 256 levels; floating
            point is taken as float32 and costs about three times as much.
        seeds: Integers `(*S)`, 0 for no seed; a label may stand at several voxels.
        connectivity: Axes along which neighbours may differ: 1 for 4 (6 in 3D) neighbours, 2 for 8 (18), 3 for 26.

    Returns:
        NumPy arrays, also for tensors. The same input gives the same output on every machine.

    Raises:
        TypeError: Values of a wrong kind.
        ValueError: Shapes that differ, negative seeds, likelihoods that are not finite, too many voxels.

    References:
        Vu Ngoc et al., Introducing the boundary-aware loss for deep image segmentation, BMVC 2021, section 4.2;
        Strand et al., The minimum barrier distance, CVIU 2013.

    Example:
        >>> cut = minimum_barrier_cut(np.array([0, 9, 0], np.uint8), np.array([1, 0, 2]))
        >>> cut.regions.tolist(), cut.contour_voxels.tolist(), cut.contour_regions.tolist()
        ([1, 0, 2], [1, 1], [1, 2])
    """
    fronts = _cut(likelihood, seeds, connectivity)
    labels = np.concatenate([[0], fronts.ids]).astype(np.int32)
    return BarrierCut(
        labels[fronts.regions],
        fronts.distance,
        fronts.second_distance,
        fronts.contour,
        np.repeat(labels[1:], np.diff(fronts.bounds)),
    )


def barrier_weights(
    likelihood: Any,
    seeds: Any,
    membrane: Any,
    *,
    dilation: int | Sequence[int] = 3,
    weighting: Weighting = "mean",
    connectivity: int = 1,
) -> np.ndarray:
    """Return the weight of every voxel in the boundary-aware loss, which is the sum of weight times cross-entropy.

    Args:
        likelihood: See `minimum_barrier_cut`.
        seeds: See `minimum_barrier_cut`.
        membrane: Bool, or integers 0 and 1, `(*S)`: the boundary to learn. Only ``"published"`` looks at it.
        dilation: Voxels that a contour is widened by to each side, all axes or one each; 3 in the published code, 0 in
            the paper.
        weighting: With n the number of dilated contours that hold a voxel: ``"mean"`` n / sum of n; ``"count"`` n /
            number of voxels (equation 4); ``"area"`` the mean over the regions of the mean over their contour;
            ``"published"`` as in the published code, without the constant that it adds.
        connectivity: See `minimum_barrier_cut`.

    Returns:
        Float32 `(*S)`; all 0 with fewer than two labels among the seeds, since then there is nothing to cut.

    Raises:
        TypeError: Values of a wrong kind.
        ValueError: As of `minimum_barrier_cut`; an unknown weighting; a negative dilation.

    References:
        Vu Ngoc et al., BMVC 2021, equation 4.

    Example:
        >>> line, seeds = np.array([0, 9, 0], np.uint8), np.array([1, 0, 2])
        >>> barrier_weights(line, seeds, line > 0, dilation=0).tolist()
        [0.0, 1.0, 0.0]
    """
    check_choice("weighting", weighting, WEIGHTINGS)
    fronts = _cut(likelihood, seeds, connectivity)
    shape = fronts.regions.shape
    target = _check_membrane(membrane, shape)
    reach = np.array(check_per_axis("dilation", dilation, len(shape)), np.int64)
    weights, num_regions = np.zeros(shape, np.float32), len(fronts.ids)
    if len(fronts.contour) == 0:
        return weights
    kinds = {"area": contours.EACH_REGION_ONE, "published": contours.PUBLISHED}
    kind = kinds.get(weighting, contours.EACH_VOXEL_ONE)
    contours.stamp_weights(
        fronts.contour, fronts.bounds, np.array(shape, np.int64), reach, target.ravel(), kind, weights.ravel()
    )
    scale = {
        "mean": lambda: weights.sum(dtype=np.float64),
        "count": lambda: weights.size,
        "area": lambda: 1.0,
        "published": lambda: num_regions * weights.size / 10,
    }[weighting]()
    weights /= np.float32(scale)
    return weights


def _cut(likelihood: Any, seeds: Any, connectivity: int) -> _Fronts:
    values, voxels, ids, starts = _check_input(as_numpy("likelihood", likelihood), as_numpy("seeds", seeds))
    shape, ndim = values.shape, values.ndim
    steps = _neighbours(ndim, check_connectivity(connectivity, ndim))
    framed = np.pad(values, 1)
    strides = np.array([math.prod(framed.shape[axis + 1 :]) for axis in range(ndim)], np.int64)
    inside = (slice(1, -1),) * ndim
    slots = _empty_slots(framed, inside)
    places = (np.stack(np.unravel_index(voxels, shape), axis=-1) + 1) @ strides
    labels = np.repeat(np.arange(1, len(ids) + 1), np.diff(starts))
    offsets = np.sort(steps @ strides)
    levels = values.dtype == np.uint8
    (propagate_levels if levels else propagate_floats)(framed.ravel(), slots, places, labels, offsets)
    winners, *distances = contours.read_slots(slots, framed.size, float(NUM_LEVELS) if levels else np.inf)
    regions = np.full(framed.shape, contours.FRAME, np.int32)
    regions[inside] = 0
    contour, bounds = contours.grow_regions(winners, places, starts, offsets, regions.ravel())
    unframed = np.ravel_multi_index([place - 1 for place in np.unravel_index(contour, framed.shape)], shape)
    nearest, second = (np.ascontiguousarray(distance.reshape(framed.shape)[inside]) for distance in distances)
    return _Fronts(regions[inside], nearest, second, ids, unframed.astype(np.int64), bounds)


def _empty_slots(framed: np.ndarray, inside: tuple[slice, ...]) -> np.ndarray:
    levels = framed.dtype == np.uint8
    slots = np.zeros(2 * framed.size, LEVEL_SLOT if levels else FLOAT_SLOT)
    barriers = slots["barrier"].reshape(*framed.shape, 2)
    barriers[...] = -1
    barriers[inside] = NUM_LEVELS if levels else np.inf
    return slots


def _neighbours(ndim: int, connectivity: int) -> np.ndarray:
    """Steps to the neighbours, int64 `(number, ndim)`."""
    steps = [step for step in itertools.product((-1, 0, 1), repeat=ndim) if 0 < sum(map(abs, step)) <= connectivity]
    return np.array(steps, np.int64)


def _check_input(values: np.ndarray, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the likelihood, the raster indices of the seeds by label, the labels, and their bounds in the indices."""
    check_spatial_ndim("likelihood", values.shape)
    if seeds.shape != values.shape:
        raise ValueError(f"likelihood and seeds must share their shape, got {values.shape} and {seeds.shape}")
    if values.size > _MAX_VOXELS:
        raise ValueError(f"likelihood must hold at most {_MAX_VOXELS} voxels, got {values.size}; cut it into blocks")
    if values.dtype != np.uint8:
        if values.dtype.kind != "f":
            raise TypeError(
                f"likelihood must be uint8 or floating point, got {values.dtype}; scale probabilities to 0 to 255"
            )
        values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise ValueError("likelihood must be finite, got NaN or infinite values; check the network's output")
    if seeds.dtype.kind not in "iu":
        raise TypeError(f"seeds must hold integers, got {seeds.dtype}; make them with RegionSeeds")
    voxels = np.flatnonzero(seeds)
    found = seeds.ravel()[voxels]
    if found.size and (found.min() < 0 or found.max() > np.iinfo(np.int32).max):
        raise ValueError(
            f"seeds must lie in [0, 2**31 - 1], got values in [{found.min()}, {found.max()}]; number them from 1"
        )
    order = np.argsort(found, kind="stable")
    ids, first = np.unique(found[order], return_index=True)
    return np.ascontiguousarray(values), voxels[order], ids, np.append(first, len(found)).astype(np.int64)


def _check_membrane(membrane: Any, shape: tuple[int, ...]) -> np.ndarray:
    mask = check_mask("membrane", as_numpy("membrane", membrane))
    if mask.shape != shape:
        raise ValueError(f"likelihood and membrane must share their shape, got {shape} and {mask.shape}")
    return np.ascontiguousarray(mask)
