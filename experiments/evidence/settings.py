"""``python -m experiments evidence settings``: the share, map and ramp that the validation parts prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
import pandas as pd
from matplotlib.figure import Figure

from experiments.evidence.arms import ARMS, CONTROL
from experiments.evidence.cases import Split
from experiments.evidence.series import SERIES
from experiments.evidence.training import KEYS, train_arm
from experiments.shared.commands import ListOf, Plan, experiment, seeds_option
from experiments.shared.journal import Run, finished_runs
from experiments.shared.tables import markdown
from monai_boundary.reports.figures import save_figure
from monai_boundary.reports.scores import COLORS

REGION = "Dice+CE"
_DATA = ("slices", "synapses", "nuclei", "busi")
#: What is varied, the most telling first. Control and the shares of .2 and .5 are read from the journals of evidence.
TRIED = (
    "share .1", "share .7", "share .5, clip 5", "share .5, clip 20", "share .5, half balanced",
    "share .5, per lesion", "share .5, ramp .1", "share .5, late", "share .05",
)  # fmt: skip
_COMPARED = (CONTROL, "share .5", "share .2")
_SHARES = tuple(arm for arm in ARMS if arm.startswith("share") and "," not in arm)


@experiment("evidence-settings", data="folder", folder=True)
@seeds_option(1)
@click.option("--series", "names", type=ListOf(_DATA), default=",".join(_DATA), show_default=True)
@click.option("--arm", "arms", type=click.Choice(TRIED), multiple=True, help="May be repeated.  [all]")
def settings(data: Path, folder: Path, seeds: tuple[int, ...], names: tuple[str, ...], arms: tuple[str, ...]) -> Plan:
    """Train with other shares, maps and ramps, and compare the scores of the validation parts; nothing else is scored.

    The journals evidence_SERIES.jsonl beside the results hold what each is compared with.
    """

    @cache
    def split(name: str, fold: str) -> Split:
        return replace(SERIES[name].split(data, fold), test=[])

    # fold by fold, so that each setting is soon tried on all data sets
    folds = list(zip_longest(*([(name, fold) for fold in SERIES[name].folds_of(data)] for name in names)))
    runs = [
        {"data": name, "loss": REGION, "arm": arm, "fold": fold, "seed": seed, **asdict(SERIES[name].settings)}
        for seed in seeds for places in folds for arm in arms or TRIED for name, fold in filter(None, places)
    ]  # fmt: skip

    def train(run: Run, title: str) -> Run:
        return train_arm(run, split(run["data"], run["fold"]), SERIES[run["data"]], title)

    def report(rows: list[Run], figures: Path | None) -> str:
        beside = [row for name in names for row in finished_runs(folder / f"evidence_{name}.jsonl")]
        table = gains([*rows, *(row for row in beside if row["loss"] == REGION and row["arm"] in _COMPARED)])
        if figures is not None:
            save_figure(settings_figure(table), figures / "evidence_settings.png", dpi=110)
        return settings_table(table)

    return Plan(runs, train, report, KEYS)


def gains(rows: Sequence[Run]) -> pd.DataFrame:
    """Return a line per run with the validation score at .5 less that of the control of its fold and seed."""
    lines = [
        {**{key: row[key] for key in ("data", "arm", "fold", "seed")}, "score": row["chosen"]["thresholds"]["0.5"]}
        for row in rows
    ]  # fmt: skip
    table = pd.DataFrame(lines)
    of_run = ["data", "fold", "seed"]
    control = table[table["arm"] == CONTROL].drop(columns="arm")
    both = table[table["arm"] != CONTROL].merge(control, on=of_run, suffixes=("", "_control"))
    return both.assign(gain=both["score"] - both["score_control"])


def settings_table(table: pd.DataFrame) -> str:
    """Return a line per setting: the mean gain on each data set, and over all; the more pairs, the surer."""
    names = list(dict.fromkeys(table["data"]))
    lines = []
    for arm in sorted(set(table["arm"]), key=lambda arm: (arm not in _SHARES, arm)):
        of_arm = table[table["arm"] == arm]
        by_data = [of_arm["gain"][of_arm["data"] == name] for name in names]
        cells = [f"{part.mean():+.3f} ({part.size})" if part.size else "-" for part in by_data]
        lines.append([arm, *cells, f"{of_arm['gain'].gt(0).sum()} of {len(of_arm)}"])
    return markdown(("setting", *(f"{name}, gain (pairs)" for name in names), "higher than the control"), lines)


def settings_figure(table: pd.DataFrame) -> Figure:
    """Draw the gain over the share on each data set and, once one was tried, that of other maps and ramps."""
    names = list(dict.fromkeys(table["data"]))
    tried = [arm for arm in TRIED if arm not in _SHARES and arm in set(table["arm"])]
    rows_of_panels = 2 if tried else 1
    figure = Figure(figsize=(3.2 * len(names), 3.2 * rows_of_panels), layout="constrained")
    figure.supylabel("validation score, gain over the control", fontsize=10)
    panels = figure.subplots(rows_of_panels, len(names), squeeze=False, sharey="col")
    for axes, name in zip(panels.T, names, strict=True):
        rows = table[table["data"] == name]
        _shares(axes[0], rows)
        axes[0].set(title=name, xlabel="share of the gradient")
        if tried:
            _others(axes[1], rows, ["share .5", *tried])
        for axis in axes:
            axis.axhline(0, color="black", linewidth=0.8)
            axis.grid(axis="y", alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def _shares(axis: Any, rows: pd.DataFrame) -> None:
    shares = rows[rows["arm"].isin(_SHARES)]
    place = shares["arm"].str.removeprefix("share ").astype(float)
    axis.plot(place, shares["gain"], "o", color=COLORS[0], alpha=0.4, markersize=4)
    mean = shares["gain"].groupby(place).mean()
    axis.plot([0, *mean.index], [0, *mean], "o-", color=COLORS[0])


def _others(axis: Any, rows: pd.DataFrame, arms: Sequence[str]) -> None:
    for number, arm in enumerate(arms):
        part = rows["gain"][rows["arm"] == arm]
        axis.plot([number] * len(part), part, "o", color=COLORS[1], alpha=0.4, markersize=4)
        if len(part):
            axis.plot([number - 0.3, number + 0.3], [part.mean()] * 2, color=COLORS[1], linewidth=2)
    axis.set_xticks(range(len(arms)), [arm.removeprefix("share .5, ") for arm in arms], rotation=60, ha="right",
                    fontsize=8)  # fmt: skip
