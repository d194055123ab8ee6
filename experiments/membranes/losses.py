"""What the boundary-aware loss paper compares: losses for one channel of membranes, and its figures for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from monai.losses import DiceLoss
from torch import nn

from monai_boundary.losses import (
    BinaryCrossEntropyLoss,
    CrossEntropyBoundaryAwareLoss,
    GeneralizedDiceBoundaryLoss,
)
from monai_boundary.schedules import Rebalance

__all__ = ["LOSSES", "MembraneLoss", "set_weights"]

_CLASS_BALANCE = 1.1  # of the published code
Figure = tuple[float, float]


@dataclass(frozen=True)
class MembraneLoss:
    """One row of the table.

    Args:
        title: In tables.
        make: Returns the loss of logits and membrane `(B, 1, *S)`.
        companion: What it takes beside the membrane: seeds of the regions, or a distance map.
        base: Row that the difference is taken to: the same loss without its boundary term.
        published: ARI, VOI and CREMI score of the paper's Table 1 on ISBI 2012, each with its spread over folds.
    """

    title: str
    make: Callable[[], nn.Module]
    companion: Literal["seeds", "distance_map"] | None = None
    base: str | None = None
    published: tuple[Figure, Figure, Figure] | None = None


def _boundary() -> nn.Module:
    return GeneralizedDiceBoundaryLoss(sigmoid=True, to_onehot_y=False)


LOSSES: dict[str, MembraneLoss] = {
    "bce": MembraneLoss("BCE", BinaryCrossEntropyLoss),
    "bce+bal": MembraneLoss("BCE + BAL, mean, alpha 1", CrossEntropyBoundaryAwareLoss, "seeds", "bce"),
    "wbce": MembraneLoss(
        "weighted BCE",
        lambda: BinaryCrossEntropyLoss(_CLASS_BALANCE),
        published=((0.7203, 0.0417), (1.5644, 0.0423), (0.6615, 0.0720)),
    ),
    "wbce+bal": MembraneLoss(
        "weighted BCE + BAL, published",
        lambda: CrossEntropyBoundaryAwareLoss("published"),
        "seeds",
        "wbce",
        ((0.8138, 0.0191), (1.0557, 0.0257), (0.4433, 0.0290)),
    ),
    "wbce+bal-mean": MembraneLoss(
        "weighted BCE + BAL, mean, alpha 1",
        lambda: CrossEntropyBoundaryAwareLoss(balanced=True),
        "seeds",
        "wbce",
    ),
    "dice": MembraneLoss(
        "Dice",
        lambda: DiceLoss(sigmoid=True),
        published=((0.7804, 0.0348), (1.1325, 0.0897), (0.4986, 0.0804)),
    ),
    "gdl+boundary": MembraneLoss(
        "generalized Dice + boundary",
        _boundary,
        "distance_map",
        published=((0.7621, 0.0336), (1.4576, 0.2064), (0.5888, 0.1649)),
    ),
}


def set_weights(loss: nn.Module, epochs: int) -> Callable[[int], None] | None:
    """Return what sets the weights of the boundary loss before an epoch; ``None`` for losses that keep theirs."""
    if not isinstance(loss, GeneralizedDiceBoundaryLoss):
        return None
    schedule = Rebalance()

    def set_epoch(epoch: int) -> None:
        loss.term_weights = schedule.weights(epoch, epochs)

    return set_epoch
