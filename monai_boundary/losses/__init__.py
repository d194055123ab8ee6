"""Losses with MONAI's interface, one file for each boundary term.

`contract` defines what every loss accepts, checks and masks; `map_target` is the base of those on a distance map,
`region_boundary` that of the combined losses; `map_agreement` checks the first distance map, `cell_sums` adds up what
lies in the cells of lesions. Targets are made by `monai_boundary.transforms`, weights over the epochs by
`monai_boundary.schedules`, and losses for nnU-Net's targets are in `nnunet_trainers`.
"""

from monai_boundary.losses.binary_cross_entropy import BinaryCrossEntropyLoss
from monai_boundary.losses.boundary import BoundaryLoss
from monai_boundary.losses.boundary_aware import BoundaryAwareLoss, CrossEntropyBoundaryAwareLoss
from monai_boundary.losses.boundary_f1 import BoundaryF1Loss
from monai_boundary.losses.boundary_f1_iou import BoundaryF1IoULoss
from monai_boundary.losses.collapse import CollapseGuard, CollapseWarning, foreground_shares
from monai_boundary.losses.deep_supervision import DeepSupervisionLoss
from monai_boundary.losses.generalized_dice import GeneralizedDiceBoundaryLoss, GeneralizedDiceLoss
from monai_boundary.losses.gradient_share import GradientShareWarning, Share
from monai_boundary.losses.lesions import BlobLoss, ComponentDiceLoss
from monai_boundary.losses.map_losses import GeneralizedSurfaceLoss, HausdorffDistanceLoss, RegionWiseLoss
from monai_boundary.losses.region_boundary import RegionBoundaryLoss
from monai_boundary.losses.sensitivity_specificity import SensitivitySpecificityLoss
from monai_boundary.losses.topology import TopologyLoss

__all__ = [
    "BinaryCrossEntropyLoss",
    "BlobLoss",
    "BoundaryAwareLoss",
    "BoundaryF1IoULoss",
    "BoundaryF1Loss",
    "BoundaryLoss",
    "CollapseGuard",
    "CollapseWarning",
    "ComponentDiceLoss",
    "CrossEntropyBoundaryAwareLoss",
    "DeepSupervisionLoss",
    "GeneralizedDiceBoundaryLoss",
    "GeneralizedDiceLoss",
    "GeneralizedSurfaceLoss",
    "GradientShareWarning",
    "HausdorffDistanceLoss",
    "RegionBoundaryLoss",
    "RegionWiseLoss",
    "SensitivitySpecificityLoss",
    "Share",
    "TopologyLoss",
    "foreground_shares",
]
