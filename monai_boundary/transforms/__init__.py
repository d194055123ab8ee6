"""MONAI transforms: labels to distance maps and to boundaries."""

from monai_boundary.transforms.boundary_band import BoundaryBand, BoundaryBandD, BoundaryBandd, BoundaryBandDict
from monai_boundary.transforms.distance_map import (
    SignedDistanceMap,
    SignedDistanceMapD,
    SignedDistanceMapd,
    SignedDistanceMapDict,
)
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
    "RescaleDistanceMap",
    "RescaleDistanceMapD",
    "RescaleDistanceMapDict",
    "RescaleDistanceMapd",
    "SignedDistanceMap",
    "SignedDistanceMapD",
    "SignedDistanceMapDict",
    "SignedDistanceMapd",
]
