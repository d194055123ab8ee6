"""Train one setting on axial slices, follow its scores on whole volumes, and print the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks import eval_mode
from monai.utils import set_determinism

from experiments.shared.commands import Plan
from experiments.shared.curves import curves_figure
from experiments.shared.journal import Run, settings_of
from experiments.shared.tables import grouped, markdown, mean_of, spread
from experiments.shared.training import DEVICE, Point, boundary_options, loss_terms, make_unet, train_network
from experiments.wmh_isles.settings import SETTINGS, RunSettings, make_loss, make_schedule
from experiments.wmh_isles.slices import SliceVolume, training_slices
from monai_boundary.metrics import score_pair
from monai_boundary.reports.figures import save_figure

Row = dict[str, Any]
#: Volumes that train, and volumes that are scored.
Split = tuple[Sequence[SliceVolume], Sequence[SliceVolume]]


def planned_runs(data: Iterable[str], settings: Iterable[str], seeds: Sequence[int], shared: RunSettings) -> list[Run]:
    """Return every setting with every seed on all of `data`."""
    return [
        {"data": name, "setting": setting, "seed": seed, **asdict(shared)}
        for seed in seeds for name in data for setting in settings
    ]  # fmt: skip


def protocol_plan(name: str, runs: Sequence[Run], split_of: Callable[[Run], Split]) -> Plan:
    """Return the experiment of these runs.

    Args:
        name: Before the names of the pictures.
        runs: `planned_runs`.
        split_of: Reads the volumes of a run.
    """

    def report(rows: list[Row], figures: Path | None) -> str:
        if figures is not None:
            save_figure(curves_figure(rows), figures / f"{name}_curves.png", dpi=110)
        return protocol_table(rows)

    return Plan(
        runs,
        lambda run, title: train_setting(run, *split_of(run), title),
        report,
        ("data", "setting", "preset", "seed", "epochs"),
    )


def train_setting(run: Run, train: Sequence[SliceVolume], test: Sequence[SliceVolume], title: str) -> Row:
    """Train a run of `planned_runs`, and score the test volumes over the epochs; the last point is the result."""
    shared, setting = settings_of(RunSettings, run), SETTINGS[run["setting"]]
    set_determinism(run["seed"])
    items = training_slices(train, setting, shared.preset, shared.empty_share, run["seed"])
    network = make_unet(2, len(items[0]["image"]), 2, shared.features)
    loss = make_loss(setting, shared.preset)

    def score(engine: Any) -> Point:
        return {**loss_terms(engine), "cases": score_volumes(network, test)}

    curve = train_network(
        network, loss, items, shared, score, title, shown="dice", betas=(0.9, 0.99),
        **boundary_options(loss, make_schedule(setting, shared.preset)),
    )  # fmt: skip
    return {"slices": len(items), "cases": curve[-1]["cases"], "curve": curve}


def score_volumes(network: torch.nn.Module, volumes: Sequence[SliceVolume]) -> list[Row]:
    """Dice and HD95 (mm, the diagonal for an empty prediction) of every volume on the network's grid."""
    rows = []
    for volume in volumes:
        slices = torch.from_numpy(volume.image).movedim(-1, 0)
        with eval_mode(network):
            parts = [network(part.to(DEVICE)).argmax(1).cpu() for part in slices.split(16)]
        pred = torch.cat(parts).numpy()
        target = np.moveaxis(volume.label, -1, 0)
        spacing = (volume.spacing[2], *volume.spacing[:2])
        ignore = 2 if (target == 2).any() else None
        scores = score_pair("surface", pred, target, spacing, ignore_index=ignore)
        missed = bool((target == 1).any() and not (pred == 1).any())
        rows.append({"case": volume.case, "dice": scores["dice"], "hd95_mm": scores["hd95_mm"], "missed": missed})
    return rows


def protocol_table(rows: Sequence[Row]) -> str:
    """Return one line per data, preset and setting: mean over cases, then mean ± standard deviation over seeds."""

    def line(row: Row) -> tuple[str, str, str, int]:
        # without a boundary term the preset has no say
        preset = row["preset"] if "boundary" in row["setting"] else "-"
        return row["data"], row["setting"], preset, row["epochs"]

    cells = []
    for key, runs in grouped(rows, line).items():
        scores = [
            spread([mean_of(case[name] for case in run["cases"]) for run in runs], form)
            for name, form in (("dice", ".3f"), ("hd95_mm", ".1f"))
        ]
        cases = [case for run in runs for case in run["cases"]]
        cells.append([*key, len(runs), *scores, f"{sum(case['missed'] for case in cases)}/{len(cases)}"])
    header = ("data", "setting", "map and weights", "epochs", "seeds", "Dice", "HD95 mm", "empty predictions")
    return markdown(header, cells)
