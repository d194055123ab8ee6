"""Exact Euclidean distances and signed distance maps: labels or masks in, float32 in mm out, on any device.

`api` checks the arguments, `plan` decides (engine, memory order, spacing, reach), an engine measures (`numba_engine`,
`edt_engine` or `torch_engine`), `finish` clips, normalises and balances. `nearest` finds which label is the nearest, by
`nearest_numba` or `nearest_torch`. Distances along paths over an image are in
`kernels.barrier`; surface distances between two masks are in `metrics`.
"""

from monai_boundary.kernels.distance.api import (
    DeviceMemoryWarning,
    batch_labels_map,
    batch_masks_map,
    distance_transform,
    labels_distance_map,
    masks_distance_map,
    signed_distance,
    signed_distance_map,
)
from monai_boundary.kernels.distance.edt_engine import label_distance
from monai_boundary.kernels.distance.finish import finish_distances
from monai_boundary.kernels.distance.nearest import batch_nearest_label, nearest_label
from monai_boundary.kernels.distance.options import (
    CLIPPED,
    CONVENTIONS,
    PUBLISHED,
    ROBUST,
    DistanceMapOptions,
    Preset,
    check_map_options,
    preset_options,
)
from monai_boundary.kernels.distance.plan import BACKENDS, Backend, EngineWarning, bounding_box, resolve_backend

__all__ = [
    "BACKENDS",
    "CLIPPED",
    "CONVENTIONS",
    "PUBLISHED",
    "ROBUST",
    "Backend",
    "DeviceMemoryWarning",
    "DistanceMapOptions",
    "EngineWarning",
    "Preset",
    "batch_labels_map",
    "batch_masks_map",
    "batch_nearest_label",
    "bounding_box",
    "check_map_options",
    "distance_transform",
    "finish_distances",
    "label_distance",
    "labels_distance_map",
    "masks_distance_map",
    "nearest_label",
    "preset_options",
    "resolve_backend",
    "signed_distance",
    "signed_distance_map",
]
