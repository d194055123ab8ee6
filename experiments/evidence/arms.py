"""What is compared: a region loss alone, and beside it a boundary term, or the mean over lesions.

Arms of a fold and seed differ in the loss alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from monai.losses import DiceCELoss

from experiments.membranes.losses import CLASS_BALANCE
from monai_boundary.kernels.distance import CLIPPED, PUBLISHED, DistanceMapOptions
from monai_boundary.losses import (
    BinaryCrossEntropyLoss,
    BlobLoss,
    BoundaryF1Loss,
    BoundaryLoss,
    ComponentDiceLoss,
    CrossEntropyBoundaryAwareLoss,
    GeneralizedDiceLoss,
    RegionBoundaryLoss,
)
from monai_boundary.schedules import Constant, GradientShare, Increase, Rebalance, Schedule, Warmup

CONTROL = "control"
#: What a boundary term wants beside the label: a map of these settings, or the seeds of the regions.
Beside = DistanceMapOptions | Literal["seeds"] | None
_TWO_CLASSES: dict[str, Any] = {"softmax": True, "to_onehot_y": True}


@dataclass(frozen=True)
class Arm:
    """What is added to the region loss.

    Args:
        schedule: Of the weights of both terms; ``None`` adds nothing.
        term: Makes the boundary term; that of a loss made as a whole is left out.
        beside: What it wants.
        region: Region loss that it stands beside, in place of the control's.
    """

    schedule: Schedule | None = None
    term: Callable[[], torch.nn.Module] | None = None
    beside: Beside = None
    region: str | None = None


def _boundary(schedule: Schedule, options: DistanceMapOptions = CLIPPED, region: str | None = None) -> Arm:
    term = partial(BoundaryLoss, include_background=False, options=options, **_TWO_CLASSES)
    return Arm(schedule, term, options, region)


def _f1(schedule: Schedule) -> Arm:
    return Arm(schedule, partial(BoundaryF1Loss, include_background=False, batch=True, **_TWO_CLASSES))


def _lesions(loss: Callable[..., torch.nn.Module]) -> Arm:
    return Arm(Constant(1.0), partial(loss, include_background=False, **_TWO_CLASSES))


_both_ways = partial(ComponentDiceLoss, include_background=False, bidirectional=True, **_TWO_CLASSES)


def _aware(schedule: Schedule) -> Arm:
    # regions of a prediction without membranes say nothing, and take long to cut
    return Arm(Warmup(0.3, schedule), beside="seeds")


#: In the order of tables and pictures.
ARMS = {
    CONTROL: Arm(),
    "share .5": _boundary(GradientShare(end=0.5)),
    "share .2": _boundary(GradientShare(end=0.2)),
    **{f"share {end:g}".replace("0.", "."): _boundary(GradientShare(end=end)) for end in (0.05, 0.1, 0.7)},
    "share .5, clip 5": _boundary(GradientShare(end=0.5), CLIPPED.replace(clip=5.0)),
    "share .5, clip 20": _boundary(GradientShare(end=0.5), CLIPPED.replace(clip=20.0)),
    "share .5, half balanced": _boundary(GradientShare(end=0.5), CLIPPED.replace(balance=0.5)),
    "share .5, per lesion": _boundary(GradientShare(end=0.5), CLIPPED.replace(balance_lesions=0.5)),
    "share .5, ramp .1": _boundary(GradientShare(end=0.5, ramp=0.1)),
    # where the network has found nothing by the end of the ramp, a share keeps it there
    "share .5, late": _boundary(Warmup(0.4, GradientShare(end=0.5))),
    "published": _boundary(Rebalance(), PUBLISHED),
    "lesions": _lesions(ComponentDiceLoss),
    "lesions both ways": Arm(Constant(1.0), _both_ways),
    "blob": _lesions(BlobLoss),
    "lesions both ways, share .5": _boundary(GradientShare(end=0.5), region="Dice+CE+lesions"),
    "BF1 share .5": _f1(GradientShare(end=0.5)),
    "BF1 share .2": _f1(GradientShare(end=0.2)),
    "BF1 to weight .5": _f1(Increase(0.0, 0.5)),
    "BAL share .5": _aware(GradientShare(end=0.5)),
    "BAL share .2": _aware(GradientShare(end=0.2)),
    "BAL, alpha 1": _aware(Constant(1.0)),
}
#: Region losses.
REGIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "Dice+CE": partial(DiceCELoss, batch=True, **_TWO_CLASSES),
    "Dice+CE+lesions": lambda: RegionBoundaryLoss(make_loss("Dice+CE", CONTROL), _both_ways(), 1.0, mode="increase"),
    "generalized Dice": partial(GeneralizedDiceLoss, **_TWO_CLASSES),
    "CE+IoU": partial(DiceCELoss, jaccard=True, batch=True, **_TWO_CLASSES),
    "BCE": BinaryCrossEntropyLoss,
    "weighted BCE": partial(BinaryCrossEntropyLoss, CLASS_BALANCE),
}


def outputs(region: str) -> int:
    """Return the number of channels that the loss wants."""
    return 1 if isinstance(REGIONS[region](), BinaryCrossEntropyLoss) else 2


def make_loss(region: str, arm: str) -> torch.nn.Module:
    """Return the loss of an arm, for logits `(B, outputs, H, W)` and labels `(B, 1, H, W)`."""
    if ARMS[arm].beside == "seeds":
        return CrossEntropyBoundaryAwareLoss(balanced=region == "weighted BCE")
    loss, term = REGIONS[ARMS[arm].region or region](), ARMS[arm].term
    return loss if term is None else RegionBoundaryLoss(loss, term())
