"""N-D numerics: torch or NumPy in and out, no MONAI, no dictionaries, no files."""

from monai_boundary.kernels.distance import (
    PUBLISHED,
    ROBUST,
    DistanceMapOptions,
    distance_transform,
    signed_distance,
    signed_distance_map,
)
from monai_boundary.kernels.pooling import boundary_band, box_max_pool, box_min_pool, soft_boundary

__all__ = [
    "PUBLISHED",
    "ROBUST",
    "DistanceMapOptions",
    "boundary_band",
    "box_max_pool",
    "box_min_pool",
    "distance_transform",
    "signed_distance",
    "signed_distance_map",
    "soft_boundary",
]
