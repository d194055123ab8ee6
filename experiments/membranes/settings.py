"""Sizes and lengths of the experiment on membranes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from experiments.shared.training import Budget
from monai_boundary._check import check_choice
from monai_boundary.metrics.likelihood import THRESHOLDS, Membrane, check_thresholds


@dataclass(frozen=True)
class Stage(Budget):
    """A training; the learning rate falls to 0 along half a cosine.

    Args:
        crop: Size of a random crop; empty for whole images.
    """

    crop: tuple[int, ...] = ()


@dataclass(frozen=True)
class MembraneSettings:
    """What all runs of a table share; the defaults are of ISBI 2012 on two CPU cores.

    Args:
        folds: Number of folds; each is scored once.
        features: Channels of the U-Net, one per resolution.
        pretrain: On cross-entropy alone, once per fold and seed.
        further: From these weights, once per loss.
        min_region_size: Regions of fewer voxels have no seed.
        membrane_width: How far the membranes to learn reach into the cells, in nm. Scores are against the true cells.
        filled: What becomes of predicted membranes before the scores, see `LikelihoodSegmentation`.
        thresholds: Of the scores.
        smoke: Whether this is a trial of the command and says nothing about losses.
    """

    folds: int = 3
    features: tuple[int, ...] = (12, 24, 48, 96)
    pretrain: Stage = Stage(80, 4, 1e-3, 80, (160, 160))
    further: Stage = Stage(12, 1, 5e-4, 3)
    min_region_size: int = 20
    membrane_width: float = 0.0
    filled: Membrane = "keep"
    thresholds: tuple[float, ...] = THRESHOLDS
    smoke: bool = False

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds must be at least 2, got {self.folds}")
        if len(self.features) < 3:
            raise ValueError(f"features must hold at least 3 numbers, got {self.features}")
        check_thresholds(self.thresholds)


_DEFAULTS = {
    "isbi2012": MembraneSettings(),
    # A surface of one voxel leaks where it is half a voxel off, and one leak joins two cells; surfaces of three voxels
    # close sooner. What they cover of the cells comes back by the watershed.
    "gala": MembraneSettings(
        2,
        (8, 16, 32),
        Stage(500, 1, 2e-3, 500, (24, 64, 64)),
        Stage(200, 1, 1e-3, 100, (24, 64, 64)),
        membrane_width=10.0,
        filled="watershed",
        thresholds=(0.01, 0.02, 0.05, *THRESHOLDS),
    ),
}


def settings_for(
    data: str,
    quick: bool = False,
    folds: int | None = None,
    epochs: int | None = None,
    pretrain_epochs: int | None = None,
    width: int | None = None,
) -> MembraneSettings:
    """Return the settings for `data`, some of them replaced.

    Args:
        data: ``"isbi2012"`` or ``"gala"``.
        quick: Those of a smoke run.
        folds: Number of folds.
        epochs: After the pretraining.
        pretrain_epochs: On cross-entropy alone.
        width: Channels of the first layer, doubled by each of the next.
    """
    base = _DEFAULTS[check_choice("data", data, tuple(_DEFAULTS))]
    if quick:
        crop = (64, 64) if data == "isbi2012" else (16, 32, 32)
        first, second = Stage(1, 4, 1e-3, 3, crop), Stage(1, 1, 5e-4, 3, crop)
        base = replace(base, folds=2, features=(4, 8, 8), pretrain=first, further=second, smoke=True)
    pretrain, further = base.pretrain, base.further
    if pretrain_epochs is not None:
        pretrain = replace(pretrain, epochs=pretrain_epochs, score_every=pretrain_epochs)
    if epochs is not None:
        further = replace(further, epochs=epochs, score_every=max(1, epochs // 4))
    features = base.features if width is None else tuple(width * 2**depth for depth in range(len(base.features)))
    return replace(base, folds=folds or base.folds, features=features, pretrain=pretrain, further=further)
