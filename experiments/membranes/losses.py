"""What the boundary-aware loss paper compares: losses for one channel of membranes, and its figures for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from monai.losses import DiceLoss
from torch import nn

from monai_boundary.losses import (
    BinaryCrossEntropyLoss,
    CrossEntropyBoundaryAwareLoss,
    GeneralizedDiceBoundaryLoss,
)
from monai_boundary.schedules import Rebalance, Schedule

#: Name of the row of the weights that all others start from.
PRETRAINED = "pretrained"
#: Rows that are not trained unless named.
ON_REQUEST = ("wbce+bal-mean",)
#: Of the published code.
CLASS_BALANCE = 1.1
Figure = tuple[float, float]


@dataclass(frozen=True)
class MembraneLoss:
    """One row of the table.

    Args:
        title: In tables.
        make: Returns the loss of logits and membrane `(B, 1, *S)`.
        base: Row that the difference is taken to: the same loss without its boundary term.
        schedule: Of the weights of its terms; ``None`` where they stay.
        published: ARI, VOI and CREMI score of the paper's Table 1 on ISBI 2012, each with its spread over folds.
    """

    title: str
    make: Callable[[], nn.Module]
    base: str | None = None
    schedule: Schedule | None = None
    published: tuple[Figure, Figure, Figure] | None = None


def _monai_dice_and_boundary() -> GeneralizedDiceBoundaryLoss:
    loss = GeneralizedDiceBoundaryLoss("robust", sigmoid=True, to_onehot_y=False)
    loss.region.scale_free = False
    return loss


LOSSES: dict[str, MembraneLoss] = {
    "bce": MembraneLoss("BCE", BinaryCrossEntropyLoss),
    "bce+bal": MembraneLoss("BCE + BAL, mean, alpha 1", CrossEntropyBoundaryAwareLoss, "bce"),
    "wbce": MembraneLoss(
        "weighted BCE",
        partial(BinaryCrossEntropyLoss, CLASS_BALANCE),
        published=((0.7203, 0.0417), (1.5644, 0.0423), (0.6615, 0.0720)),
    ),
    "wbce+bal": MembraneLoss(
        "weighted BCE + BAL, published",
        partial(CrossEntropyBoundaryAwareLoss, "published"),
        "wbce",
        published=((0.8138, 0.0191), (1.0557, 0.0257), (0.4433, 0.0290)),
    ),
    "wbce+bal-mean": MembraneLoss(
        "weighted BCE + BAL, mean, alpha 1", partial(CrossEntropyBoundaryAwareLoss, balanced=True), "wbce"
    ),
    "dice": MembraneLoss(
        "Dice", partial(DiceLoss, sigmoid=True), published=((0.7804, 0.0348), (1.1325, 0.0897), (0.4986, 0.0804))
    ),
    "gdl+boundary": MembraneLoss(
        "generalized Dice + boundary",
        _monai_dice_and_boundary,
        schedule=Rebalance(),
        published=((0.7621, 0.0336), (1.4576, 0.2064), (0.5888, 0.1649)),
    ),
}


def title_of(name: str) -> str:
    """Return what a table calls a loss, or the pretrained weights."""
    return "pretrained, BCE" if name == PRETRAINED else LOSSES[name].title
