"""MONAI transforms: from labels to distance maps, cells of lesions, target boundaries and seeds.

Array transforms and their dictionary forms, and readers of stored maps. The numerics are in `monai_boundary.kernels`,
the files of stored maps in `monai_boundary.map_store`.
"""

from monai_boundary._geometry import MissingSpacingWarning, ShearedAffineWarning
from monai_boundary.transforms.boundary_band import BoundaryBand, BoundaryBandD, BoundaryBandd, BoundaryBandDict
from monai_boundary.transforms.distance_map import (
    SignedDistanceMap,
    SignedDistanceMapD,
    SignedDistanceMapd,
    SignedDistanceMapDict,
)
from monai_boundary.transforms.lesion_cells import LesionCells, LesionCellsD, LesionCellsd, LesionCellsDict
from monai_boundary.transforms.precomputed import (
    PrecomputedDistanceMapD,
    PrecomputedDistanceMapd,
    PrecomputedDistanceMapDict,
)
from monai_boundary.transforms.region_seeds import RegionSeeds, RegionSeedsD, RegionSeedsd, RegionSeedsDict
from monai_boundary.transforms.rescale import (
    RescaleDistanceMap,
    RescaleDistanceMapD,
    RescaleDistanceMapd,
    RescaleDistanceMapDict,
)

__all__ = [
    "BoundaryBand",
    "BoundaryBandD",
    "BoundaryBandDict",
    "BoundaryBandd",
    "LesionCells",
    "LesionCellsD",
    "LesionCellsDict",
    "LesionCellsd",
    "MissingSpacingWarning",
    "PrecomputedDistanceMapD",
    "PrecomputedDistanceMapDict",
    "PrecomputedDistanceMapd",
    "RegionSeeds",
    "RegionSeedsD",
    "RegionSeedsDict",
    "RegionSeedsd",
    "RescaleDistanceMap",
    "RescaleDistanceMapD",
    "RescaleDistanceMapDict",
    "RescaleDistanceMapd",
    "ShearedAffineWarning",
    "SignedDistanceMap",
    "SignedDistanceMapD",
    "SignedDistanceMapDict",
    "SignedDistanceMapd",
]
