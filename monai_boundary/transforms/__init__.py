"""MONAI transforms: labels to distance maps."""

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
    "RescaleDistanceMap",
    "RescaleDistanceMapD",
    "RescaleDistanceMapDict",
    "RescaleDistanceMapd",
    "SignedDistanceMap",
    "SignedDistanceMapD",
    "SignedDistanceMapDict",
    "SignedDistanceMapd",
]
