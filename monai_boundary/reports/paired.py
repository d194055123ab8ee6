"""The picture of a comparison: every case of every run, and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from monai_boundary._words import counted
from monai_boundary.reports.scores import COLORS

__all__ = ["PairedPanel", "paired_figure"]

_NAMED = 40  # cases that find room for their names
_MARKERS = "os^Dv<>"
_LINE = "0.6"


@dataclass(frozen=True, eq=False)
class PairedPanel:
    """One score of one class.

    Args:
        title: Score and class.
        better: Whether ``"higher"`` or ``"lower"`` values are better.
        cases: Names.
        values: `(cases, runs)`; what is not finite is marked as having no score.
        intervals: Of the mean difference of each run but the first to the first; ``None`` where there is none.
    """

    title: str
    better: Literal["higher", "lower"]
    cases: Sequence[str]
    values: np.ndarray
    intervals: Sequence[tuple[float, float] | None]


@style.context("default")
def paired_figure(panels: Sequence[PairedPanel], runs: Sequence[str], title: str) -> Figure:
    """Draw a row per panel: on the left a dot per case and run, on the right a dot per case and difference.

    On the left the dots of a case stand on one line, and the cases are sorted by the first run. On the right is every
    paired difference to the first run, with the mean and its interval.

    Args:
        panels: At least one.
        runs: Names, the reference first.
        title: Above all.
    """
    longest = max(len(panel.cases) for panel in panels)
    widths = [float(np.clip((0.045 + 0.01 * len(runs)) * longest, 6, 20)), 1.4 + 0.9 * (len(runs) - 1)]
    names = max(len(case) for panel in panels for case in panel.cases) * 0.07 if longest <= _NAMED else 0.15
    height = 2.4 + min(names, 1.5)
    figure = Figure(figsize=(sum(widths) + 0.8, height * len(panels) + 0.9), layout="constrained")
    axes = figure.subplots(len(panels), 2, squeeze=False, width_ratios=widths)
    for (left, right), panel in zip(axes, panels, strict=True):
        _draw_cases(left, panel, runs[0], longest)
        _draw_differences(right, panel, runs, longest)
    handles = [_handle(number, name) for number, name in enumerate(runs)]
    handles.append(Line2D([], [], color="black", marker="_", linewidth=2, label="mean difference, 95 % interval"))
    if any(not np.isfinite(panel.values).all() for panel in panels):
        handles.append(
            Line2D([], [], color="0.3", marker="x", linestyle="", label="no score in the run of this colour")
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 3), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def _handle(number: int, name: str) -> Line2D:
    return Line2D([], [], linestyle="", label=name, **_dot(number))


def _dot(number: int, size: float = 6.0) -> dict:
    marker = _MARKERS[(number + number // len(COLORS)) % len(_MARKERS)]  # the eighth run has the first one's colour
    return {"color": COLORS[number % len(COLORS)], "marker": marker, "markersize": size, "markeredgewidth": 0}


def _draw_cases(axis: Axes, panel: PairedPanel, first: str, longest: int) -> None:
    """Draw the cases side by side, sorted by the first run; those that have no score there come last."""
    known = np.isfinite(panel.values)
    order = np.argsort(np.where(known[:, 0], panel.values[:, 0], np.inf), kind="stable")
    values, known = np.where(known, panel.values, np.nan)[order], known[order]
    places = np.arange(len(order))
    some = known.any(axis=1)
    axis.vlines(places[some], np.nanmin(values[some], axis=1), np.nanmax(values[some], axis=1), _LINE, linewidth=1)
    size = 8.0 if longest <= _NAMED else 4.5
    for number, column in enumerate(values.T):  # ever smaller, so that equal scores do not hide each other
        axis.plot(places, column, linestyle="", **_dot(number, size * max(0.5, 1 - 0.18 * number)))
        for place in places[~known[:, number]]:  # at the bottom, above one another
            axis.plot(place, 0.03 + 0.05 * number, "x", color=_dot(number)["color"], markersize=5,
                      transform=axis.get_xaxis_transform())  # fmt: skip
    _scale(axis, values)
    axis.set_xlim(-0.7, max(len(order), 1) - 0.3)
    if longest <= _NAMED:
        axis.set_xticks(places, [panel.cases[number][:22] for number in order], rotation=90, fontsize=7)
    else:
        axis.set_xticks([])
        axis.set_xlabel(f"{counted(len(order), 'case')}, sorted by {first}", fontsize=8)
    axis.set_title(f"{panel.title}, {panel.better} is better", fontsize=10, loc="left")


def _draw_differences(axis: Axes, panel: PairedPanel, runs: Sequence[str], longest: int) -> None:
    generator = np.random.default_rng(0)  # the same picture in every run
    axis.axhline(0, color="0.4", linewidth=1)
    every = []
    for number, interval in enumerate(panel.intervals, start=1):
        pairs = panel.values[np.isfinite(panel.values[:, [0, number]]).all(axis=1)]
        steps = pairs[:, number] - pairs[:, 0]
        every.append(steps)
        aside = generator.uniform(-0.25, 0.25, len(steps))
        axis.plot(number + aside, steps, linestyle="", alpha=0.6, **_dot(number, 5.0 if longest <= _NAMED else 3.5))
        if len(steps):
            axis.plot([number - 0.32, number + 0.32], [steps.mean()] * 2, color="black", linewidth=2, zorder=4)
        if interval is not None:
            axis.plot([number] * 2, interval, color="black", linewidth=2, zorder=4)
    _scale(axis, np.concatenate(every))
    axis.set_xlim(0.4, len(panel.intervals) + 0.6)
    long = max(map(len, runs)) > 10
    axis.set_xticks(range(1, len(runs)), list(runs[1:]), rotation=25 if long else 0, ha="right" if long else "center")
    side = "above" if panel.better == "higher" else "below"
    axis.set_title(f"difference to {runs[0]}\n{side} 0 is better", fontsize=8)


def _scale(axis: Axes, values: np.ndarray) -> None:
    """Show far outliers, a miss that scores the diagonal for instance, on a scale that leaves the others apart."""
    sizes = np.abs(values[np.isfinite(values)])
    typical = float(np.percentile(sizes, 75)) if sizes.size else 0.0
    if typical > 0 and sizes.max() > 8 * typical:
        axis.set_yscale("symlog", linthresh=2 * typical)
        axis.yaxis.set_major_formatter("{x:g}")
    axis.grid(axis="y", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
