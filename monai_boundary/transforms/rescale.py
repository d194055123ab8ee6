"""Bring a distance map back to the nominal spacing after a random zoom."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Transform
from monai.utils import TransformBackends

from monai_boundary._check import check_number, check_spatial_ndim, plain_tensor
from monai_boundary.transforms.distance_map import AFFINE_KEY, SPACING_KEY, record_grid, recorded_options
from monai_boundary.transforms.twins import DictionaryTwin

__all__ = [
    "RescaleDistanceMap", "RescaleDistanceMapD", "RescaleDistanceMapDict", "RescaleDistanceMapd", "recorded_spacing",
]  # fmt: skip

_ROUNDING = 1e-3  # of half precision, and of interpolation between equal values
_DEGENERATE = 1e9  # condition of an affine: voxels of 1 nm by 1 m; that of a slice that was cut badly is infinite


class RescaleDistanceMap(Transform):
    """Multiply a distance map by the zoom that was applied to it since it was computed.

    A random zoom resamples the map but leaves its values in the mm of the unzoomed object, while the network sees the
    object larger or smaller on the same grid. The factor comes from the affine at the making of the map, which the map
    records, and that of now: whatever `spacing` the map was measured with, crops, flips, turns by 90 degrees and other
    orientations leave it at 1, and so do rotations between axes of one spacing. Not for `Spacingd`: there the values
    stay right. A map with a clip is clipped again, and what the clip had cut stays there; with `balance` so outside of
    the objects alone.

    Args:
        tolerance: Largest relative difference of the factor between directions. One voxel of the shortest axis that
            has several is let pass, up to a tenth: MONAI zooms to whole voxels.

    Raises:
        TypeError: The map is not a `MetaTensor` and so carries no record.
        ValueError: The map was not made by `SignedDistanceMap`, or it was stretched: zoomed along some axes, sheared,
            or rotated by an angle between axes of different spacing. No factor mends that. Make the map after the
            augmentation, with the spacing from before it: ``SignedDistanceMapd(..., spacing=...)``.
    """

    backend: ClassVar = [TransformBackends.TORCH]

    def __init__(self, tolerance: float = 0.02) -> None:
        self.tolerance = check_number("tolerance", tolerance, strict=False)

    def __call__(self, distance_map: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the rescaled map `(C, *S)`, or batch of maps; its record is updated: a second call changes nothing."""
        if not isinstance(distance_map, MetaTensor):
            raise TypeError(
                f"distance_map must be a MetaTensor, got {type(distance_map).__name__}; turn on track_meta (on disk: "
                "VerifiedPersistentDataset, or PersistentDataset with track_meta=True, weights_only=False)"
            )
        plain_tensor("distance_map", distance_map)  # holds values
        if distance_map.affine.ndim == 3:  # collated: each map has a zoom of its own
            batch: NdarrayOrTensor = list_data_collate([self(one) for one in decollate_batch(distance_map)])
            return batch
        spacing, then = _record(distance_map)
        nominal, factors = _stretch(then, distance_map.affine.detach().cpu().double().numpy(), spacing)
        factor = float(factors.mean())
        shortest = min((size for size in distance_map.shape[1:] if size > 1), default=math.inf)
        limit = max(self.tolerance, min(0.1, 1 / shortest))
        if np.abs(factors / factor - 1).max() > limit:
            raise ValueError(
                f"the zoom must be the same along every axis to {limit:.3g}, got factors "
                f"{np.round(factors, 4).tolist()}; compute the map again after the augmentation, with the spacing from "
                f"before it: SignedDistanceMapd(..., spacing={np.round(nominal, 6).tolist()}), or pass a larger "
                "tolerance="
            )
        result = _scaled(distance_map, factor)
        record_grid(result, nominal.tolist())
        return result


def recorded_spacing(maps: object, ndim: int) -> list[tuple[float, ...]] | None:
    """Return the voxel size in mm that each map of a batch `(B, C, *S)` is in; ``None`` where they do not say.

    It is that of the grid as it is now, turned and cropped, before any zoom: what `SignedDistanceMap` was told counts,
    and not the affine.
    """
    if not isinstance(maps, MetaTensor) or not (maps.meta.get(SPACING_KEY) and maps.meta.get(AFFINE_KEY)):
        return None
    # collated, there is one tensor for each number
    spacing, then = (np.stack([np.atleast_1d(np.asarray(one, float)) for one in maps.meta[key]], -1)
                     for key in (SPACING_KEY, AFFINE_KEY))  # fmt: skip
    now, size = maps.affine.detach().cpu().double().numpy(), math.isqrt(then.shape[-1])
    if spacing.shape[-1] != ndim or now.shape[-1] != size:
        return None
    samples = zip(then.reshape(-1, size, size), now.reshape(-1, size, size), spacing, strict=False)
    try:
        return [tuple(_stretch(*one)[0].tolist()) for one in samples]
    except ValueError:
        return None


def _record(distance_map: MetaTensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the spacing that a map `(C, *S)` was measured with, and the affine that it had then."""
    for key in (SPACING_KEY, AFFINE_KEY):
        if distance_map.meta.get(key) is None:
            raise ValueError(
                f"distance_map must carry meta[{key!r}], got none; make it with SignedDistanceMapd (again, where an "
                "earlier version cached it), and cache it with VerifiedPersistentDataset or "
                "PersistentDataset(track_meta=True, weights_only=False)"
            )
    spacing = np.asarray(distance_map.meta[SPACING_KEY], dtype=float)
    if check_spatial_ndim("distance_map", distance_map.shape, channels=1) != len(spacing):
        raise ValueError(
            f"distance_map must be (C, *S) with {len(spacing)} spatial axes, as its record says, got shape "
            f"{tuple(distance_map.shape)}; rescale it before axes are dropped"
        )
    then = np.asarray(distance_map.meta[AFFINE_KEY], dtype=float)
    size, now = math.isqrt(len(then)), len(distance_map.affine)
    if size != now:
        raise ValueError(
            f"distance_map must have an affine of {size} x {size}, as when it was made, got {now} x {now}; rescale it "
            "before axes are dropped"
        )
    return spacing, then.reshape(size, size)


def _stretch(then: np.ndarray, now: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the spacing of the grid of now before any zoom `(n,)`, and the zoom along the main directions, ascending.

    The step from voxels of now to voxels of then says which axis became which. With both grids in mm, a turn of the
    grid is a rotation, of which every singular value is 1, and a zoom by z has 1 / z.
    """
    ndim, moved = len(spacing), np.eye(len(spacing))
    then, now = then[:-1, :-1], now[:-1, :-1]
    if not np.allclose(then, now, rtol=1e-6, atol=0):  # cropped alone, where the affine need not be of any use
        if not np.linalg.cond(then) < _DEGENERATE:
            raise ValueError(
                f"distance_map must have been made with an invertible affine, got {np.round(then, 3).tolist()}; make "
                "it before SqueezeDimd, or set an affine of the slice"
            )
        step = np.linalg.solve(then, now)[:ndim, :ndim]
        moved[: len(step), : len(step)] = step
    orders = itertools.permutations(range(ndim))
    order = max(orders, key=lambda axes: np.abs(moved[list(axes), range(ndim)]).sum())
    nominal = spacing[list(order)]
    return nominal, 1 / np.linalg.svd(spacing[:, None] * moved / nominal, compute_uv=False)


def _scaled(distance_map: MetaTensor, factor: float) -> MetaTensor:
    """Multiply, and leave what a clip has cut where it was: the distances behind it are not known."""
    result = distance_map * factor
    known = recorded_options(distance_map)
    options = known.pop() if len(known) == 1 else None
    if options is None or options.clip is None or options.normalize not in (None, "clip"):
        return result
    limit = options.clip if options.normalize is None else 1.0
    cut = distance_map >= (1 - _ROUNDING) * limit
    result = result.clamp(max=limit).masked_fill(cut, limit)
    if not (options.balance or options.balance_lesions):  # which weigh the inside by factors that are not known here
        cut = distance_map <= (_ROUNDING - 1) * limit
        result = result.clamp(min=-limit).masked_fill(cut, -limit)
    return result


class RescaleDistanceMapd(DictionaryTwin):
    """Dictionary twin of `RescaleDistanceMap`.

    Args:
        keys: Keys of the distance maps.
        tolerance: See `RescaleDistanceMap`.
        allow_missing_keys: Pass over absent keys.
    """

    backend = RescaleDistanceMap.backend

    def __init__(self, keys: KeysCollection, tolerance: float = 0.02, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, keys, allow_missing_keys, RescaleDistanceMap(tolerance), "distance_map")


RescaleDistanceMapD = RescaleDistanceMapDict = RescaleDistanceMapd
