"""Bring a distance map back to the nominal spacing after a random zoom."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import TransformBackends

from monai_boundary._check import check_number, check_spatial_ndim, plain_tensor
from monai_boundary._geometry import image_spacing
from monai_boundary.transforms.distance_map import SPACING_KEY, DictionaryTwin, recorded_options

__all__ = ["RescaleDistanceMap", "RescaleDistanceMapD", "RescaleDistanceMapDict", "RescaleDistanceMapd"]

_ROUNDING = 1e-3  # of half precision, and of interpolation between equal values


class RescaleDistanceMap(Transform):
    """Multiply a distance map by the zoom that was applied to it since it was computed.

    A random zoom resamples the map but leaves its values in the mm of the unzoomed object, while the network sees the
    object larger or smaller on the same grid. The factor is the recorded spacing over the present one of the affine,
    so crops, flips and rotations leave it at 1. Not for `Spacingd`: there the values stay right. A map with a clip
    is clipped again, and what the clip had cut stays there; with `balance` so outside of the objects alone.

    Args:
        tolerance: Largest relative difference of the factor between axes.

    Raises:
        TypeError: The map is not a `MetaTensor` and so carries no record.
        ValueError: The map was not made by `SignedDistanceMap`, or the zoom was anisotropic: compute the map again.
    """

    backend: ClassVar = [TransformBackends.TORCH]

    def __init__(self, tolerance: float = 0.02) -> None:
        self.tolerance = check_number("tolerance", tolerance, strict=False)

    def __call__(self, distance_map: NdarrayOrTensor) -> NdarrayOrTensor:
        """Return the rescaled map `(C, *S)`; its record is updated, so a second call changes nothing."""
        if not isinstance(distance_map, MetaTensor):
            raise TypeError(
                f"distance_map must be a MetaTensor, got {type(distance_map).__name__}; turn on track_meta (on disk: "
                "VerifiedPersistentDataset, or PersistentDataset with track_meta=True, weights_only=False)"
            )
        recorded = distance_map.meta.get(SPACING_KEY)
        if recorded is None:
            raise ValueError(
                f"distance_map must carry meta[{SPACING_KEY!r}], got none; make it with SignedDistanceMapd, and "
                "cache it with VerifiedPersistentDataset or PersistentDataset(track_meta=True, weights_only=False)"
            )
        plain_tensor("distance_map", distance_map)  # holds values
        if check_spatial_ndim("distance_map", distance_map.shape, channels=1) != len(recorded):
            raise ValueError(
                f"distance_map must be (C, *S) with {len(recorded)} spatial axes, as its record says, got shape "
                f"{tuple(distance_map.shape)}; rescale it before axes are dropped"
            )
        present = image_spacing(distance_map, len(recorded))
        factors = np.asarray(recorded, dtype=float) / present
        factor = float(factors.mean())
        if np.abs(factors / factor - 1).max() > self.tolerance:
            raise ValueError(
                f"the zoom must be the same along every axis, got factors {np.round(factors, 4).tolist()}; "
                "compute the map again after the zoom"
            )
        result = _scaled(distance_map, factor)
        result.meta[SPACING_KEY] = list(present)
        return result


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
