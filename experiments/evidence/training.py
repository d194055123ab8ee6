"""Train one arm of a fold and seed, and score the reported cases once."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from monai.utils import set_determinism

from experiments.evidence.arms import ARMS, Arm, make_loss, outputs
from experiments.evidence.cases import EvidenceSettings, Patches, Split
from experiments.evidence.scoring import choose_points, predict, score_case, validation_score
from experiments.evidence.series import Series
from experiments.shared.journal import Run, settings_of
from experiments.shared.training import Point, boundary_options, loss_terms, make_unet, train_network

#: By which a finished run is known again.
KEYS = ("data", "loss", "arm", "fold", "seed", "epochs", "steps", "features")


def planned_runs(
    name: str, series: Series, folds: tuple[str, ...], seeds: tuple[int, ...], settings: EvidenceSettings
) -> list[Run]:
    """Return all runs, seed by seed and the most telling ones first: each tier of arms in every fold."""
    return [
        {"data": name, "loss": region, "arm": arm, "fold": fold, "seed": seed, **asdict(settings)}
        for seed in seeds for tier in series.tiers for fold in folds for region, arm in tier
    ]  # fmt: skip


def train_arm(run: Run, split: Split, series: Series, title: str) -> dict[str, Any]:
    """Train a run of `planned_runs`.

    Returns:
        ``curve`` over the epochs: the score of the validation part, and the weights and terms of the loss; ``chosen``
        threshold and size; ``cases``: scores of each reported case.
    """
    torch.set_num_threads(1)
    settings = settings_of(EvidenceSettings, run)
    set_determinism(run["seed"])
    start = time.process_time()
    # batch norm: patches and whole images have other statistics of their own
    first = split.train[0]
    network = make_unet(
        first.ndim, first.image.shape[1], outputs(run["loss"]), settings.features, norm="batch", act="relu"
    )
    loss, arm = make_loss(run["loss"], run["arm"]), ARMS[run["arm"]]
    items = Patches(split.train, settings, run["seed"], arm.beside)

    def score(engine: Any) -> Point:
        valid = validation_score(series.agreement, [predict(network, case) for case in split.valid], split.valid)
        return {**(loss_terms(engine) if arm.schedule else {}), "valid": round(valid, 4)}

    curve = train_network(
        network, loss, items, settings, score, title, shown="valid", before_epoch=items.start, decay=True,
        **engine_options(loss, arm),
    )  # fmt: skip
    chosen = choose_points(series.agreement, [predict(network, case) for case in split.valid], split.valid)
    cases = [score_case(series.score, predict(network, case), case, chosen) for case in split.test]
    seconds = round(time.process_time() - start)
    return {"parameters": sum(each.numel() for each in network.parameters()), "cpu_seconds": seconds, "curve": curve,
            "chosen": chosen, "cases": cases}  # fmt: skip


def engine_options(loss: torch.nn.Module, arm: Arm) -> dict[str, Any]:
    """Return what the engine needs for an arm: nothing for the control, no map for a term that reads the label."""
    options = boundary_options(loss, arm.schedule) if arm.schedule else {}
    if arm.beside is None:
        options.pop("prepare_batch", None)
    return options
