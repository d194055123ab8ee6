"""Train one setting with MONAI's engine, follow its scores, and keep one line per finished run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks import eval_mode
from monai.networks.nets import UNet
from monai.utils import set_determinism

from experiments.shared.journal import missing_runs, run_all
from experiments.shared.training import computing_device, train_network
from experiments.wmh_isles.settings import SETTINGS, make_loss, make_schedule
from experiments.wmh_isles.slices import SliceVolume, load_volumes, training_slices
from monai_boundary.datasets.datalist import CaseFiles
from monai_boundary.engines import (
    AlphaScheduleHandler,
    LossTermsHandler,
    PrepareBatchTarget,
    RestoreLabelHandler,
)
from monai_boundary.kernels.distance import Preset
from monai_boundary.metrics import score_pair

__all__ = ["RunSettings", "run_protocol"]


@dataclass(frozen=True)
class RunSettings:
    """What all runs of a table share; the defaults are the published ones.

    Args:
        preset: ``"published"`` or ``"robust"`` maps and weights.
        epochs: Number of epochs.
        batch: Slices per step.
        lr: Learning rate of Adam (betas 0.9 and 0.99).
        features: Channels of the UNet, one per resolution.
        size: Height and width that slices are resized to; ``None`` keeps theirs.
        empty_share: Share of the training slices without foreground to keep.
        score_every: Epochs between two points of the curve; the last epoch always has one.
    """

    preset: Preset = "published"
    epochs: int = 100
    batch: int = 8
    lr: float = 1e-3
    features: tuple[int, ...] = (32, 64, 128, 256)
    size: tuple[int, int] | None = (256, 256)
    empty_share: float = 1.0
    score_every: int = 10


def run_protocol(
    name: str,
    splits: dict[str, list[CaseFiles]],
    out: Path,
    settings: Sequence[str],
    seeds: Sequence[int],
    shared: RunSettings,
) -> None:
    """Train every setting with every seed, and append one line per finished run to `out`.

    Runs that are in the file are not repeated, so an interrupted series goes on where it stopped.

    Args:
        name: Of the data, kept in every line.
        splits: ``"training"`` and ``"validation"`` cases; the latter are scored.
        out: JSON lines file.
        settings: Names of `SETTINGS`.
        seeds: Of the network's start and the order of the slices.
        shared: What all runs share.
    """
    unknown = [setting for setting in settings if setting not in SETTINGS]
    if unknown:
        raise ValueError(f"settings must be among {', '.join(SETTINGS)}, got {', '.join(unknown)}")
    for split in ("training", "validation"):
        if not splits.get(split):
            raise ValueError(f"the datalist must hold {split} cases, got none")
    runs = [
        {"data": name, "setting": setting, "seed": seed, **asdict(shared)} for seed in seeds for setting in settings
    ]
    missing = missing_runs(out, runs, ("data", "setting", "preset", "seed", "epochs"))
    if not missing:
        return
    train = load_volumes(splits["training"], shared.size, f"{name}, training")
    test = load_volumes(splits["validation"], shared.size, f"{name}, validation")
    run_all(
        out,
        missing,
        lambda run, title: _train(run["setting"], run["seed"], train, test, shared, title),
        lambda run: f"{name} {run['setting']} seed {run['seed']}",
    )


def _train(
    setting: str, seed: int, train: list[SliceVolume], test: list[SliceVolume], shared: RunSettings, title: str
) -> dict[str, Any]:
    set_determinism(seed)
    start, chosen = time.monotonic(), SETTINGS[setting]
    items = training_slices(train, chosen, shared.preset, shared.empty_share, seed)
    device, depth = computing_device(), len(shared.features)
    network = UNet(2, items[0]["image"].shape[0], 2, shared.features, (2,) * (depth - 1), num_res_units=1).to(device)
    loss = make_loss(chosen, shared.preset).to(device)

    def score(engine: Any) -> dict[str, Any]:
        terms = {key: round(float(engine.state.metrics[key]), 5) for key in ("alpha", "region_term", "boundary_term")}
        return {**terms, "cases": score_volumes(network, test, device)}

    curve = train_network(
        network,
        loss,
        items,
        shared,
        score,
        _describe,
        title,
        betas=(0.9, 0.99),
        prepare_batch=PrepareBatchTarget(),
        train_handlers=[
            RestoreLabelHandler(),
            AlphaScheduleHandler(loss, make_schedule(chosen, shared.preset)),
            LossTermsHandler(loss),
        ],
    )
    return {
        "slices": len(items),
        "cases": curve[-1]["cases"],
        "curve": curve,
        "seconds": round(time.monotonic() - start),
    }


def _describe(point: dict[str, Any]) -> str:
    dice = float(np.nanmean([case["dice"] for case in point["cases"]]))
    return f"Dice {dice:.3f} region {point['region_term']:.3f} alpha {point['alpha']:.2f}"


def score_volumes(
    network: torch.nn.Module, volumes: Sequence[SliceVolume], device: torch.device
) -> list[dict[str, Any]]:
    """Dice and HD95 (mm, the diagonal for an empty prediction) of every volume on the network's grid."""
    rows = []
    for volume in volumes:
        slices = torch.from_numpy(volume.image).movedim(-1, 0)
        with eval_mode(network):
            parts = [network(part.to(device)).argmax(1).cpu() for part in slices.split(16)]
        pred = torch.cat(parts).numpy()
        target = np.moveaxis(volume.label, -1, 0)
        spacing = (volume.spacing[2], *volume.spacing[:2])
        ignore = 2 if (target == 2).any() else None
        scores = score_pair("surface", pred, target, spacing, ignore_index=ignore)
        missed = bool((target == 1).any() and not (pred == 1).any())
        rows.append({"case": volume.case, "dice": scores["dice"], "hd95_mm": scores["hd95_mm"], "missed": missed})
    return rows
