"""What the boundary F1 paper compares: four losses for one mask of buildings, and their scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import nn

from monai_boundary._check import check_choice, check_fraction
from monai_boundary.losses import BoundaryF1IoULoss, BoundaryF1Loss, SensitivitySpecificityLoss
from monai_boundary.metrics import boundary_f1
from monai_boundary.schedules import Increase

#: Rows of the tables, by the paper's names.
LOSSES = {"bf1+iou": "L_BF1,IoU", "iou": "L_IoU", "ss+iou": "L_SS,IoU", "dice+iou": "L_Dice,IoU"}
#: Tolerances of the boundary F1 metric in pixels, both of the paper's.
THETAS = (3, 5)
_NEVER = -30.0  # logit whose sigmoid adds nothing to any sum


class BuildingLoss(nn.Module):
    """alpha * first + (1 - alpha) * IoU loss of logits `(B, 1, H, W)`, plus cross-entropy where asked for.

    The sum of section 2 of the paper; section 4.2 adds the cross-entropy. The IoU loss is MONAI's.

    Args:
        first: Loss of logits and mask beside the IoU loss; ``None`` for the IoU loss alone.
        alpha: Weight of `first`, in [0, 1].
        cross_entropy: Add binary cross-entropy.
        ignore_index: Value of pixels of the target that do not count; `first` must know it itself if it counts pixels
            of the background.
    """

    def __init__(
        self, first: nn.Module | None, alpha: float = 0.5, cross_entropy: bool = False, ignore_index: int | None = None
    ) -> None:
        super().__init__()
        self.alpha = check_fraction("alpha", alpha)
        self.first = first
        self.cross_entropy, self.ignore_index = cross_entropy, ignore_index
        self.iou = DiceLoss(sigmoid=True, jaccard=True)

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum; `target` is a mask `(B, 1, H, W)` of 0 and 1."""
        logits, mask, share = input, target, 1.0
        if self.ignore_index is not None:
            counted = target != self.ignore_index
            logits, mask = torch.where(counted, input, _NEVER), torch.where(counted, target, 0)
            share = float(counted.float().mean().clamp(min=1 / counted.numel()))
        total: torch.Tensor = self.iou(logits, mask)
        if self.first is not None:
            knows = getattr(self.first, "ignore_index", None) is not None
            other = self.first(input, target) if knows else self.first(logits, mask)
            total = self.alpha * other + (1 - self.alpha) * total
        if self.cross_entropy:
            total = total + F.binary_cross_entropy_with_logits(logits, mask.to(logits.dtype)) / share
        return total


def building_loss(
    name: str, alpha: float = 0.5, theta: int = 5, cross_entropy: bool = False, ignore_index: int | None = None
) -> BuildingLoss | BoundaryF1IoULoss:
    """Return the loss of a row for logits and masks `(B, 1, H, W)`.

    Args:
        name: One of `LOSSES`.
        alpha: Weight of the part beside the IoU loss.
        theta: Window of the boundary F1 loss in pixels.
        cross_entropy: Add binary cross-entropy to every row, as on the paper's real tiles; ``"bf1+iou"`` then is
            `BoundaryF1IoULoss`.
        ignore_index: Value of pixels of the target that do not count.

    Raises:
        ValueError: `name` is unknown or `alpha` outside [0, 1].
    """
    check_choice("name", name, tuple(LOSSES))
    if name == "bf1+iou" and cross_entropy:
        return BoundaryF1IoULoss(alpha, theta=theta, ignore_index=ignore_index)
    first = {
        "bf1+iou": lambda: BoundaryF1Loss(theta=theta, sigmoid=True, ignore_index=ignore_index),
        "iou": lambda: None,
        "ss+iou": lambda: SensitivitySpecificityLoss(sigmoid=True, ignore_index=ignore_index),
        "dice+iou": lambda: DiceLoss(sigmoid=True),
    }[name]()
    return BuildingLoss(first, alpha, cross_entropy, ignore_index)


def raise_alpha(loss: BuildingLoss | BoundaryF1IoULoss, alpha: float, epochs: int) -> Callable[[int], None]:
    """Return what sets the alpha of `loss` before an epoch: from 0 in the first linearly to `alpha` in the last."""
    schedule = Increase(0.0, alpha)
    return lambda epoch: setattr(loss, "alpha", schedule.weights(epoch, epochs)[1])


def iou(pred: np.ndarray, target: np.ndarray) -> float:
    """Intersection over union of two bool masks of one shape; NaN where both are empty."""
    union = int((pred | target).sum())
    return float((pred & target).sum() / union) if union else float("nan")


def score_building(pred: np.ndarray, target: np.ndarray, valid: np.ndarray | None = None) -> dict[str, float]:
    """Return ``iou``, and exact boundary F1 as ``f1_3`` and ``f1_5``, of a bool mask `(H, W)` against the truth.

    Pixels outside `valid` do not count. A prediction without a building scores 0 where there is one; where neither mask
    holds one, scores are NaN.
    """
    counted = np.ones(target.shape, bool) if valid is None else valid
    own, true = pred & counted, target & counted
    scores = {f"f1_{theta}": round(boundary_f1(own, true, theta, valid=valid).f1, 4) for theta in THETAS}
    return {"iou": round(iou(own, true), 4), **scores}
