"""Paired dots: every case, control and arm joined by a line; and the validation curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.evidence.arms import ARMS, CONTROL
from experiments.evidence.pairs import differences, score_table
from experiments.evidence.scoring import POINTS
from experiments.evidence.series import Series
from experiments.shared.journal import Run
from monai_boundary.reports.scores import COLORS

_UPRIGHT = 3  # names of arms that fit side by side
#: Of the control, and of the other arms in turn.
_COLORS = (*COLORS, "#7F7F7F", "#8C564B", "#17BECF")


def evidence_figure(rows: Sequence[Run], series: Series) -> Figure:
    """Draw a row of panels per loss: the validation curves, then the main scores of every case."""
    losses = list(dict.fromkeys(row["loss"] for row in rows))
    table = score_table(rows)
    figure = Figure(figsize=(3.4 * (1 + len(series.main)), 3.4 * len(losses)), layout="constrained")
    panels = figure.subplots(len(losses), 1 + len(series.main), squeeze=False)
    pairs = {score: differences(table, score) for score in series.main}
    for loss, axes in zip(losses, panels, strict=True):
        _curves(axes[0], [row for row in rows if row["loss"] == loss], loss)
        for axis, score in zip(axes[1:], series.main, strict=True):
            both = pairs[score]
            shown = both[(both["loss"] == loss) & (both["point"] == series.point)]
            _dots(axis, shown, series.columns[score], POINTS[series.point])
    for axis in panels.ravel():
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _curves(axis: Any, rows: Sequence[Run], loss: str) -> None:
    known = [arm for arm in ARMS if any(row["arm"] == arm for row in rows)]
    for arm, color in zip(known, cycle(_COLORS), strict=False):
        curves = [row["curve"] for row in rows if row["arm"] == arm]
        epochs = [point["epoch"] for point in curves[0]]
        values = np.array([[point["valid"] for point in curve] for curve in curves])
        axis.plot(epochs, values.T, color=color, linewidth=0.6, alpha=0.25)
        axis.plot(epochs, values.mean(0), color=color, linewidth=2, label=arm)
    axis.set(title=f"{loss}: every run, and means", xlabel="epoch", ylabel="validation score")
    axis.legend(fontsize=7, framealpha=0.8)


def _dots(axis: Any, pairs: Any, name: str, point: str) -> None:
    arms = [arm for arm in ARMS if arm != CONTROL and arm in set(pairs["arm"])]
    for (place, arm), color in zip(enumerate(arms), cycle(_COLORS[1:]), strict=False):
        part = pairs[pairs["arm"] == arm]
        for before, after in zip(part["control"], part["value"], strict=True):
            axis.plot((place - 0.18, place + 0.18), (before, after), color="0.75", linewidth=0.8, zorder=1)
        axis.plot([place - 0.18] * len(part), part["control"], "o", color=_COLORS[0], markersize=3.5)
        axis.plot([place + 0.18] * len(part), part["value"], "o", color=color, markersize=3.5)
    axis.set(xticks=range(len(arms)))
    axis.set_title(f"{name}, {point}: control, arm", fontsize=10)
    turned = {"rotation": 40, "ha": "right"} if len(arms) > _UPRIGHT else {}
    axis.set_xticklabels(arms, fontsize=8, **turned)
