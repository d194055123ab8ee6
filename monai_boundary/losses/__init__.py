"""Losses with MONAI's interface."""

from monai_boundary.losses.boundary import BoundaryLoss
from monai_boundary.losses.collapse import CollapseGuard, CollapseWarning, foreground_shares
from monai_boundary.losses.deep_supervision import DeepSupervisionBoundary, DeepSupervisionLoss
from monai_boundary.losses.generalized_dice import GeneralizedDiceLoss
from monai_boundary.losses.region_boundary import GeneralizedDiceBoundaryLoss, RegionBoundaryLoss

__all__ = [
    "BoundaryLoss",
    "CollapseGuard",
    "CollapseWarning",
    "DeepSupervisionBoundary",
    "DeepSupervisionLoss",
    "GeneralizedDiceBoundaryLoss",
    "GeneralizedDiceLoss",
    "RegionBoundaryLoss",
    "foreground_shares",
]
