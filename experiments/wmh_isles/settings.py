"""What is compared: region loss, with or without the boundary term, and whose map that takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from monai.losses import DiceCELoss

from experiments.shared.training import Budget
from monai_boundary.kernels.distance import Preset, preset_options
from monai_boundary.losses import BoundaryLoss, GeneralizedDiceLoss, RegionBoundaryLoss
from monai_boundary.schedules import Constant, Increase, Rebalance, Schedule

#: Epochs over which the published weights move.
PUBLISHED_EPOCHS = 100


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Args:
        region: ``"gdl"`` (generalized Dice as published and in MONAI), ``"scale-free"`` (the same without its fading on
            large patches, this package's default) or ``"dicece"`` (Dice + cross-entropy).
        maps: ``"2d"``: one map per slice; ``"3d"``: slices of the map of the volume; ``None``: no boundary term.
    """

    region: Literal["gdl", "scale-free", "dicece"]
    maps: Literal["2d", "3d"] | None


SETTINGS: dict[str, Setting] = {
    "gdl": Setting("gdl", None),
    "gdl+boundary2d": Setting("gdl", "2d"),
    "gdl+boundary3d": Setting("gdl", "3d"),
    "scale-free gdl": Setting("scale-free", None),
    "scale-free gdl+boundary2d": Setting("scale-free", "2d"),
    "scale-free gdl+boundary3d": Setting("scale-free", "3d"),
    "dicece": Setting("dicece", None),
    "dicece+boundary3d": Setting("dicece", "3d"),
}


@dataclass(frozen=True)
class RunSettings(Budget):
    """What all runs of a table share; the defaults are the published ones.

    Args:
        preset: ``"published"`` or ``"robust"`` maps and weights.
        features: Channels of the UNet, one per resolution.
        size: Height and width that slices are resized to; ``None`` keeps theirs.
        empty_share: Share of the training slices without foreground to keep.
    """

    preset: Preset = "published"
    features: tuple[int, ...] = (32, 64, 128, 256)
    size: tuple[int, int] | None = (256, 256)
    empty_share: float = 1.0


def make_loss(setting: Setting, preset: Preset) -> RegionBoundaryLoss:
    """Return the loss for logits `(B, 2, H, W)` and labels `(B, 1, H, W)`."""
    kind = {
        "gdl": partial(GeneralizedDiceLoss, scale_free=False),
        "scale-free": GeneralizedDiceLoss,
        "dicece": DiceCELoss,
    }[setting.region]
    boundary = BoundaryLoss(include_background=False, softmax=True, to_onehot_y=True, options=preset_options(preset))
    return RegionBoundaryLoss(kind(softmax=True, to_onehot_y=True), boundary)


def make_schedule(setting: Setting, preset: Preset) -> Schedule:
    """Return the published weights and pace, or those that the nnU-Net trainers had with the robust map."""
    if setting.maps is None:
        return Constant(0.0)
    if setting.region != "dicece":
        return Rebalance(pace=PUBLISHED_EPOCHS if preset == "published" else None)
    return Increase(pace=PUBLISHED_EPOCHS) if preset == "published" else Increase(end=0.3)
