"""N-D numerics for 1 to 3 axes: torch or NumPy in and out.

`distance` makes distance maps and finds nearest labels, `components` lesions and their cells, `barrier` the
minimum-barrier cut, `pooling` soft boundaries; `regions` is about the objects of a label map: connected components,
ids, seeds. Nothing here knows MONAI, dictionaries or files: transforms are in `monai_boundary.transforms`, losses in
`monai_boundary.losses`.
"""

from monai_boundary.kernels.distance import (
    CLIPPED,
    PUBLISHED,
    ROBUST,
    DistanceMapOptions,
    distance_transform,
    nearest_label,
    signed_distance,
    signed_distance_map,
)
from monai_boundary.kernels.pooling import boundary_band, box_max_pool, box_min_pool, soft_boundary

__all__ = [
    "CLIPPED",
    "PUBLISHED",
    "ROBUST",
    "DistanceMapOptions",
    "boundary_band",
    "box_max_pool",
    "box_min_pool",
    "distance_transform",
    "nearest_label",
    "signed_distance",
    "signed_distance_map",
    "soft_boundary",
]
