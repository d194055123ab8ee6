"""What a distance map says of itself: its settings and spacing, in the metadata of its MetaTensor.

MONAI's crops, flips, caches, collating and decollating carry metadata along. Collating knows no ``None`` and wants the
same keys and types in each sample, so the settings are plain values: no clip is infinity, no normalisation ``"none"``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from monai.data import MetaTensor

from monai_boundary.kernels.distance import DistanceMapOptions

__all__ = ["OPTIONS_KEY", "SPACING_KEY", "record_map", "recorded_options"]

OPTIONS_KEY = "distance_map_options"
SPACING_KEY = "distance_map_spacing"

_NONE = {"clip": math.inf, "normalize": "none"}


def record_map(maps: object, options: DistanceMapOptions, spacing: Sequence[float]) -> None:
    """Write the settings and the spacing of `maps` `(C, *S)` into its metadata, where it has any."""
    if isinstance(maps, MetaTensor):
        values = vars(options).items()
        maps.meta[OPTIONS_KEY] = {name: _NONE[name] if value is None else value for name, value in values}
        maps.meta[SPACING_KEY] = [float(size) for size in spacing]


def recorded_options(maps: object) -> set[DistanceMapOptions]:
    """Return the settings that a map or a batch of maps was made with; empty where it does not say."""
    record = maps.meta.get(OPTIONS_KEY) if isinstance(maps, MetaTensor) else None
    if not record:
        return set()
    if isinstance(record["convention"], str):
        return {_options(record)}
    columns = [column.tolist() if hasattr(column, "tolist") else column for column in record.values()]
    return {_options(dict(zip(record, row, strict=True))) for row in zip(*columns, strict=True)}


def _options(record: dict[str, Any]) -> DistanceMapOptions:
    values: dict[str, Any] = {name: None if _NONE.get(name) == value else value for name, value in record.items()}
    return DistanceMapOptions(**values)
