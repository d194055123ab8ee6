"""Train one arm of a fold and seed, and score the reported cases once."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import torch
from monai.utils import set_determinism

from experiments.evidence.arms import ARMS, make_loss
from experiments.evidence.cases import EvidenceSettings, Patches, Split
from experiments.evidence.scoring import choose_points, predict, score_case, validation_scores
from experiments.evidence.series import Series
from experiments.shared.journal import Run, settings_of
from experiments.shared.training import Point, boundary_options, loss_terms, make_unet, train_network

#: By which a finished run is known again.
KEYS = ("data", "loss", "arm", "fold", "seed")


def planned_runs(name: str, series: Series, seeds: tuple[int, ...], settings: EvidenceSettings) -> list[Run]:
    """Return all runs, seed by seed and the most telling ones first: each tier of arms in every fold."""
    return [
        {"data": name, "loss": region, "arm": arm, "fold": fold, "seed": seed, **asdict(settings)}
        for seed in seeds for tier in series.tiers for fold in series.folds for region, arm in tier
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
    network = make_unet(2, split.train[0].image.shape[1], 2, settings.features)
    loss = make_loss(run["loss"], run["arm"])
    arm = ARMS[run["arm"]]
    items = Patches(split.train, settings, run["seed"], arm.options)

    def score(engine: Any) -> Point:
        valid = validation_scores([predict(network, case) for case in split.valid], split.valid, 0.5)
        return {**(loss_terms(engine) if arm.options else {}), "valid": round(valid, 4)}

    curve = train_network(
        network, loss, items, settings, score, title, shown="valid", before_epoch=items.start, decay=True,
        **(boundary_options(loss, arm.schedule) if arm.options else {}),
    )  # fmt: skip
    chosen = choose_points([predict(network, case) for case in split.valid], split.valid)
    cases = [score_case(series.score, predict(network, case), case, chosen) for case in split.test]
    seconds = round(time.process_time() - start)
    return {"parameters": sum(each.numel() for each in network.parameters()), "cpu_seconds": seconds, "curve": curve,
            "chosen": chosen, "cases": cases}  # fmt: skip
