"""Minimum-barrier cut: every seed's region, and its contour, on a map of boundary likelihood.

The barrier of a path is the highest minus the lowest value on it, and the distance of two voxels the least barrier of
the paths between them. A region holds the voxels that are strictly nearer to its seed than to any other seed. The
distances come from one propagation of all fronts at once: like the propagation of the paper they are never below the
exact ones, and mostly equal to them. `barrier_fronts` grows the fronts, `barrier_contours` reads regions and contours
from them; here arguments are checked and both combined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from monai_boundary._check import (
    as_numpy,
    check_choice,
    check_connectivity,
    check_mask,
    check_per_axis,
    check_spatial_ndim,
)
from monai_boundary.kernels import barrier_contours as contours
from monai_boundary.kernels.barrier_fronts import (
    FLOAT_SLOT,
    LEVEL_SLOT,
    NUM_LEVELS,
    propagate_floats,
    propagate_levels,
)

__all__ = ["WEIGHTINGS", "BarrierCut", "barrier_weights", "minimum_barrier_cut"]

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


def minimum_barrier_cut(likelihood: Any, seeds: Any, connectivity: int = 1, *, valid: Any = None) -> BarrierCut:
    """Cut an image of boundary likelihood into the regions of its seeds.

    Args:
        likelihood: `(*S)` with 1 to 3 axes, high on boundaries. Uint8 takes the fast way through 256 levels; floating
            point is taken as float32 and costs about three times as much.
        seeds: Integers `(*S)`, 0 for no seed; a label may stand at several voxels.
        connectivity: Axes along which neighbours may differ: 1 for 4 (6 in 3D) neighbours, 2 for 8 (18), 3 for 26.
        valid: Bool `(*S)`, the voxels that count; ``None`` for all. The others are as what lies outside the image: no
            path goes through them, and they are of no region and on no contour, whatever they hold.

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
    values, marks = as_numpy("likelihood", likelihood), as_numpy("seeds", seeds)
    ndim = check_spatial_ndim("likelihood", values.shape)
    settings = cut_settings(ndim, connectivity=check_connectivity(connectivity, ndim))
    return _cut(values, marks, settings.steps, _check_valid(valid, values.shape))[0]


def barrier_weights(
    likelihood: Any,
    seeds: Any,
    membrane: Any,
    *,
    dilation: int | Sequence[int] = 3,
    weighting: Weighting = "mean",
    connectivity: int = 1,
    valid: Any = None,
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
        valid: See `minimum_barrier_cut`; elsewhere weights are 0, and nothing is counted.

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
    values, marks = as_numpy("likelihood", likelihood), as_numpy("seeds", seeds)
    target = check_mask("membrane", as_numpy("membrane", membrane))
    ndim = check_spatial_ndim("likelihood", values.shape)
    if target.shape != values.shape:
        raise ValueError(f"likelihood and membrane must share their shape, got {values.shape} and {target.shape}")
    kept = tuple(dilation) if isinstance(dilation, (list, np.ndarray)) else dilation
    counted = _check_valid(valid, values.shape)
    check_choice("weighting", weighting, WEIGHTINGS)
    reach = check_connectivity(connectivity, ndim)
    return weigh_contours(values, marks, target, counted, settings=cut_settings(ndim, kept, weighting, reach))


class CutSettings(NamedTuple):
    """What the arguments of `barrier_weights` say on images of one number of axes.

    Args:
        steps: Int64 `(M, ndim)`, from a voxel to its neighbours and itself.
        reach: Int64 `(ndim,)`, voxels that a contour is widened by.
        weighting: See `barrier_weights`.
    """

    steps: np.ndarray
    reach: np.ndarray
    weighting: Weighting


@lru_cache(typed=True)
def cut_settings(
    ndim: int, dilation: int | tuple[int, ...] = 3, weighting: Weighting = "mean", connectivity: int = 1
) -> CutSettings:
    """Check the arguments of `barrier_weights` once for all images of `ndim` axes."""
    check_choice("weighting", weighting, WEIGHTINGS)
    reach = np.array(check_per_axis("dilation", dilation, ndim), np.int64)
    steps = np.argwhere(ndimage.generate_binary_structure(ndim, check_connectivity(connectivity, ndim))) - 1
    return CutSettings(steps, reach, weighting)


def weigh_contours(
    values: np.ndarray,
    seeds: np.ndarray,
    membrane: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    settings: CutSettings,
) -> np.ndarray:
    """`barrier_weights` of arrays of one shape, the masks bool: what images of the same settings are cut with."""
    cut, bounds = _cut(values, seeds, settings.steps, valid)
    counted = np.ones(values.shape, bool) if valid is None else np.ascontiguousarray(valid)
    weights, num_regions, total = np.zeros(values.shape, np.float32), len(bounds) - 1, int(counted.sum())
    if len(cut.contour_voxels) == 0:
        return weights
    kinds = {"area": contours.EACH_REGION_ONE, "published": contours.PUBLISHED}
    contours.stamp_weights(
        cut.contour_voxels,
        bounds,
        np.array(values.shape, np.int64),
        settings.reach,
        membrane.ravel(),
        counted.ravel(),
        kinds.get(settings.weighting, contours.EACH_VOXEL_ONE),
        weights.ravel(),
    )
    scale = {
        "mean": weights.sum(dtype=np.float64),
        "count": total,
        "area": 1.0,
        "published": num_regions * total / 10,
    }[settings.weighting]
    weights /= np.float32(scale)
    return weights


def _check_valid(valid: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if valid is None:
        return None
    counted = check_mask("valid", as_numpy("valid", valid))
    if counted.shape != shape:
        raise ValueError(f"likelihood and valid must share their shape, got {shape} and {counted.shape}")
    return counted


def _cut(
    values: np.ndarray, seeds: np.ndarray, steps: np.ndarray, valid: np.ndarray | None
) -> tuple[BarrierCut, np.ndarray]:
    """Return the cut, and where each region begins and ends in its `contour_voxels`."""
    blocked = None if valid is None else ~valid
    if blocked is not None and seeds.shape == values.shape:
        values, seeds = np.where(blocked, values.dtype.type(0), values), np.where(blocked, seeds.dtype.type(0), seeds)
    values, (voxels, ids, starts) = _as_likelihood(values), _by_label(seeds, values.shape)
    levels, shape, inside = values.dtype == np.uint8, values.shape, (slice(1, -1),) * values.ndim
    framed = np.pad(values, 1)
    strides = np.array([math.prod(framed.shape[axis + 1 :]) for axis in range(values.ndim)], np.int64)
    offsets = np.sort(steps @ strides)
    offsets = offsets[offsets != 0]
    slots = np.zeros(2 * framed.size, LEVEL_SLOT if levels else FLOAT_SLOT)
    slots["barrier"] = -1
    empty = NUM_LEVELS if levels else np.inf
    slots["barrier"].reshape(*framed.shape, 2)[inside] = empty
    if blocked is not None:
        slots["barrier"].reshape(*framed.shape, 2)[inside][blocked] = -1
    places = (np.stack(np.unravel_index(voxels, shape), axis=-1) + 1) @ strides
    labels = np.repeat(np.arange(1, len(ids) + 1), np.diff(starts))
    if levels:
        propagate_levels(framed.ravel(), slots, places, labels, offsets, framed.size)
    else:
        propagate_floats(framed.ravel(), slots, places, labels, offsets)
    winners, *distances = contours.read_slots(slots, framed.size, float(empty))
    regions = np.full(framed.shape, contours.FRAME, np.int32)
    regions[inside] = 0 if blocked is None else np.where(blocked, contours.FRAME, 0)
    contour, bounds = contours.grow_regions(winners, places, starts, offsets, ids, regions.ravel())
    unframed = np.ravel_multi_index([place - 1 for place in np.unravel_index(contour, framed.shape)], shape)
    regions, nearest, second = (
        np.ascontiguousarray(array.reshape(framed.shape)[inside]) for array in (regions, *distances)
    )
    if blocked is not None:
        regions[blocked], nearest[blocked], second[blocked] = 0, np.inf, np.inf
    cut = BarrierCut(regions, nearest, second, unframed.astype(np.int64), np.repeat(ids, np.diff(bounds)))
    return cut, bounds


def _as_likelihood(values: np.ndarray) -> np.ndarray:
    """Return uint8 as it is, and other numbers as finite float32."""
    if values.size > _MAX_VOXELS:
        raise ValueError(f"likelihood must hold at most {_MAX_VOXELS} voxels, got {values.size}; cut it into blocks")
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f":
        raise TypeError(
            f"likelihood must be uint8 or floating point, got {values.dtype}; scale probabilities to 0 to 255"
        )
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("likelihood must be finite, got NaN or infinite values; check the network's output")
    return values


def _by_label(seeds: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the raster indices of the seeds by label, the labels, and where each begins and ends in the indices."""
    if seeds.shape != shape:
        raise ValueError(f"likelihood and seeds must share their shape, got {shape} and {seeds.shape}")
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
    return voxels[order], ids.astype(np.int32), np.append(first, len(found)).astype(np.int64)
