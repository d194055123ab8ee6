"""N-D numerics: torch or NumPy in and out, no MONAI, no dictionaries, no files."""

from monai_boundary.kernels.distance import distance_transform, signed_distance, signed_distance_map
from monai_boundary.kernels.map_options import PUBLISHED, ROBUST, DistanceMapOptions

__all__ = [
    "PUBLISHED",
    "ROBUST",
    "DistanceMapOptions",
    "distance_transform",
    "signed_distance",
    "signed_distance_map",
]
