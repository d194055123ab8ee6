"""Boundary-aware training of segmentation networks for MONAI and nnU-Net."""

from monai_boundary.kernels import (
    DistanceMapOptions,
    distance_transform,
    signed_distance,
    signed_distance_map,
)
from monai_boundary.losses import (
    BoundaryLoss,
    CollapseGuard,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    RegionBoundaryLoss,
)
from monai_boundary.schedules import Constant, Increase, Rebalance, WaitForRegion, Warmup, suggest_alpha
from monai_boundary.transforms import RescaleDistanceMap, RescaleDistanceMapd, SignedDistanceMap, SignedDistanceMapd

__version__ = "0.1.0"

__all__ = [
    "BoundaryLoss",
    "CollapseGuard",
    "Constant",
    "DistanceMapOptions",
    "GeneralizedDiceBoundaryLoss",
    "GeneralizedDiceLoss",
    "Increase",
    "Rebalance",
    "RegionBoundaryLoss",
    "RescaleDistanceMap",
    "RescaleDistanceMapd",
    "SignedDistanceMap",
    "SignedDistanceMapd",
    "WaitForRegion",
    "Warmup",
    "distance_transform",
    "signed_distance",
    "signed_distance_map",
    "suggest_alpha",
]
