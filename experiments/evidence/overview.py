"""``python -m experiments evidence overview``: one line and one bar for each arm of each series."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
from matplotlib.figure import Figure

from experiments.evidence.arms import CONTROL
from experiments.evidence.pairs import Comparison, compare, score_table
from experiments.evidence.series import SERIES, Series
from experiments.evidence.tables import interval, number
from experiments.shared.commands import FILE
from experiments.shared.journal import finished_runs
from experiments.shared.tables import markdown, replace_between
from monai_boundary.reports.figures import save_figure
from monai_boundary.reports.scores import COLORS

_LOWER = ("false_objects", "false_area", "hd95", "voi", "cremi_score", "merges", "splits")
_WIDEST = 125  # % that the picture shows; intervals go on beyond it
#: Of the main scores of a series, those that its cases have.
_SHOWN = 2


@dataclass(frozen=True)
class Line:
    """An arm against its control, both predicted as the series says.

    Args:
        data: Series, and kind of cases.
        arm: What is added to which loss.
        scores: Names of the first main scores.
        lower: Whether less of each is better.
        found: The comparison in each of them.
    """

    data: str
    arm: str
    scores: list[str]
    lower: list[bool]
    found: list[Comparison]


def overview_lines(folder: Path) -> list[Line]:
    """Return the lines of all series of which `folder` holds a journal."""
    return [
        line for name, series in SERIES.items()
        if (rows := [row for row in finished_runs(folder / f"evidence_{name}.jsonl") if row["data"] == name])
        for kind, table in score_table(rows).groupby("kind", sort=False)
        for line in _lines(f"{name} {kind}".strip(), series, table)
    ]  # fmt: skip


def _lines(data: str, series: Series, table: pd.DataFrame) -> Iterator[Line]:
    scores = [one for one in series.main if one in table and table[one].notna().any()][:_SHOWN]
    found = [compare(table, score) for score in scores]
    names, lower = [series.columns[score] for score in scores], [score in _LOWER for score in scores]
    for loss, arm, point in found[0]:
        if point == series.point and arm != CONTROL:
            yield Line(data, f"{loss} + {arm}", names, lower, [each[loss, arm, point] for each in found])


def overview_table(lines: list[Line]) -> str:
    """Return the lines as a table, one for each score."""
    header = ("data", "loss", "score", "control", "difference, 95 %", "in %", "Holm p", "pairs", "seeds",
              "could have shown")  # fmt: skip
    cells = [
        [line.data, line.arm, name, number(found.control), interval(found), _whole(_percent(found, found.difference)),
         number(found.p), found.pairs, found.seeds, number(found.detectable)]
        for line in lines for name, found in zip(line.scores, line.found, strict=True)
    ]  # fmt: skip
    return markdown(header, cells)


def overview_figure(lines: list[Line]) -> Figure:
    """Draw the differences in % of the control, better to the right, with their intervals."""
    figure = Figure(figsize=(5 + 3.8 * _SHOWN, 0.3 * len(lines) + 1.4), layout="constrained")
    panels = figure.subplots(1, _SHOWN, sharey=True)
    for number_of, axis in enumerate(panels):
        for place, line in enumerate(lines):
            if number_of < len(line.found):
                _bar(axis, place, line.found[number_of], line.lower[number_of], line.scores[number_of])
        axis.set(xlabel="change in % of the control, better to the right", ylim=(len(lines) - 0.5, -0.5))
        axis.set_xlim(-_WIDEST, _WIDEST)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.grid(axis="x", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(lines)), [f"{line.data}: {line.arm}" for line in lines], fontsize=8)
    return figure


def _bar(axis: Any, place: int, found: Comparison, lower: bool, name: str) -> None:
    side = -1 if lower else 1
    color = COLORS[2 if found.difference * side > 0 else 1] if found.decided else "0.6"
    if not math.isnan(found.low):
        axis.plot([side * _percent(found, end) for end in (found.low, found.high)], [place] * 2, color=color, lw=2)
    axis.plot(side * _percent(found, found.difference), place, "o", color=color, markersize=5)
    axis.text(1.03 * _WIDEST, place, name, fontsize=7, va="center", color="0.35")


def _percent(found: Comparison, value: float) -> float:
    return 100 * value / found.control if found.control else math.nan


def _whole(percent: float) -> str:
    return "-" if math.isnan(percent) else f"{round(percent):+d}"


@click.command()
@click.option("--journals", type=FILE, default=Path("docs/results"), show_default=True, help="evidence_SERIES.jsonl.")
@click.option("--picture", type=FILE, help="File to draw to.")
@click.option("--docs", type=FILE, help="Replace the table in this Markdown file, too.")
def overview(journals: Path, picture: Path | None, docs: Path | None) -> None:
    """Print a line for each arm of each series, from the journals alone."""
    lines = overview_lines(journals)
    if not lines:
        raise ValueError(f"--journals must be a folder with evidence_SERIES.jsonl of pairs, got {journals}")
    text = overview_table(lines)
    if picture is not None:
        save_figure(overview_figure(lines), picture, dpi=110)
    if docs is not None:
        replace_between(docs, "<!-- overview -->", "<!-- end of the overview -->", text)
    click.echo(text)
