"""``python -m experiments evidence NAME``."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click

from experiments.evidence.cases import Split
from experiments.evidence.figures import evidence_figure
from experiments.evidence.overview import overview
from experiments.evidence.series import SERIES
from experiments.evidence.settings import settings
from experiments.evidence.tables import tables
from experiments.evidence.training import KEYS, planned_runs, train_arm
from experiments.shared.commands import FILE, ListOf, Plan, experiment, seeds_option
from experiments.shared.journal import Run
from experiments.shared.tables import replace_between
from monai_boundary.reports.figures import save_figure

QUICK: dict[str, Any] = {"epochs": 2, "steps": 2, "score_every": 1, "features": (4, 8, 8)}


@click.group()
def evidence() -> None:
    """Train paired arms to convergence, and print what the pairs say: boundary term against the region loss alone."""


def _command(name: str) -> click.Command:
    folds = SERIES[name].folds
    arms = {f"{region}: {arm}": (region, arm) for tier in SERIES[name].tiers for region, arm in tier}

    @experiment(f"evidence-{name}", data="folder")
    @seeds_option()
    @click.option("--quick", is_flag=True, help="Two steps, whose figures say nothing.")
    @click.option("--arm", "chosen", type=click.Choice(list(arms)), multiple=True, help="May be repeated.  [all]")
    @click.option("--folds", type=ListOf(click.STRING if callable(folds) else folds), help="[default: all of the data]")
    @click.option("--docs", type=FILE, help="Replace the tables of this series in this Markdown file, too.")
    def command(
        data: Path,
        seeds: tuple[int, ...],
        quick: bool,
        chosen: tuple[str, ...],
        folds: tuple[str, ...] | None,
        docs: Path | None,
    ) -> Plan:
        """Train what the journal lacks, the most telling runs first, and print the paired differences."""
        kept = [arms[key] for key in chosen or arms]
        tiers = tuple(tuple(pair for pair in tier if pair in kept) for tier in SERIES[name].tiers)
        series = replace(SERIES[name], tiers=tiers)
        settings = replace(series.settings, **(QUICK if quick else {}))

        @cache
        def split(fold: str) -> Split:
            return series.split(data, fold)

        def report(rows: list[Run], figures: Path | None) -> str:
            rows = [row for row in rows if row["data"] == name]
            if figures is not None:
                save_figure(evidence_figure(rows, series), figures / f"evidence_{name}.png", dpi=110)
            text = tables(rows, series)
            if docs is not None:
                replace_between(docs, f"<!-- evidence {name} -->", "<!-- end of the evidence -->", text)
            return text

        runs = planned_runs(name, series, folds or series.folds_of(data), seeds, settings)
        return Plan(runs, lambda run, title: train_arm(run, split(run["fold"]), series, title), report, KEYS)

    return command


evidence.add_command(overview, "overview")
evidence.add_command(settings, "settings")
for _name in SERIES:
    evidence.add_command(_command(_name), _name)
