"""What is compared: a region loss alone, and beside it the boundary term by its share of the gradient or as published.

Arms of a fold and seed differ in the loss alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from monai.losses import DiceCELoss

from monai_boundary.kernels.distance import PUBLISHED, DistanceMapOptions
from monai_boundary.losses import BoundaryLoss, GeneralizedDiceLoss, RegionBoundaryLoss
from monai_boundary.schedules import GradientShare, Rebalance, Schedule

CONTROL = "control"
#: Map in [-1, 1], not balanced, with a cost on predictions where there is nothing.
CLIP = DistanceMapOptions(clip=10.0, absent="far", normalize="clip")


@dataclass(frozen=True)
class Arm:
    """What is added to the region loss.

    Args:
        options: Settings of the map; ``None`` adds nothing.
        schedule: Of the weights of both terms.
    """

    options: DistanceMapOptions | None = None
    schedule: Schedule | None = None


#: The order in which they are trained.
ARMS = {
    CONTROL: Arm(),
    "share .5": Arm(CLIP, GradientShare(end=0.5)),
    "share .2": Arm(CLIP, GradientShare(end=0.2)),
    "published": Arm(PUBLISHED, Rebalance()),
}
REGIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "Dice+CE": lambda: DiceCELoss(softmax=True, to_onehot_y=True, batch=True),
    "generalized Dice": lambda: GeneralizedDiceLoss(softmax=True, to_onehot_y=True),
}


def make_loss(region: str, arm: str) -> torch.nn.Module:
    """Return the loss of an arm, for logits `(B, 2, H, W)` and labels `(B, 1, H, W)`."""
    options = ARMS[arm].options
    if options is None:
        return REGIONS[region]()
    boundary = BoundaryLoss(softmax=True, to_onehot_y=True, include_background=False, options=options)
    return RegionBoundaryLoss(REGIONS[region](), boundary)
