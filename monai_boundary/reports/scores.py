"""Charts of scores: box plots over cases, every lesion, and curves over the threshold of likelihood maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from monai_boundary.reports.log_axis import label_sizes

__all__ = ["COLORS", "MOST_CLASSES", "lesions_figure", "scores_figure", "thresholds_figure"]

#: Okabe and Ito's colours, told apart without red-green vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Drawn beside each other; a picture of all 100 classes of a body is too wide to be read.
MOST_CLASSES = 6
_BOX, _POINT = COLORS[:2]
_KIND_COLORS = (COLORS[0], COLORS[1], "0.5")


def scores_figure(panels: Mapping[str, Mapping[str, Sequence[float]]], fractions: Sequence[str] = ()) -> Figure:
    """Draw one panel per score, one box per class, and every case as a point.

    Args:
        panels: Values by title of the score, then by name of the class; values that are not finite are left out.
        fractions: Titles of the scores that lie in [0, 1]: their axes show all of it.
    """
    columns = min(len(panels), 5)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.4 * columns + 0.4, 2.9 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    generator = np.random.default_rng(0)  # the same picture in every run
    for axis, (title, groups) in zip(axes, panels.items(), strict=False):
        known = {name: np.asarray(group)[np.isfinite(group)] for name, group in groups.items()}
        shown = {name: group for name, group in known.items() if group.size}
        for place, group in enumerate(shown.values(), start=1):
            line = {"color": _BOX, "linewidth": 1.5}
            axis.boxplot(
                group, positions=[place], widths=0.55, showfliers=False, boxprops=line, whiskerprops=line,
                capprops=line, medianprops={"color": _BOX, "linewidth": 2.5},
            )  # fmt: skip
            aside = generator.uniform(-0.16, 0.16, group.size)
            axis.plot(place + aside, group, "o", color=_POINT, markersize=5, alpha=0.7, zorder=3, markeredgewidth=0)
        axis.set_title(title, fontsize=10)
        if title in fractions:
            axis.set_ylim(-0.03, 1.03)
        axis.set_xlim(0.4, max(len(shown), 1) + 0.6)
        axis.set_xticks(range(1, len(shown) + 1), list(shown) if len(groups) > 1 else [""] * len(shown), fontsize=8)
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return figure


def lesions_figure(lesions: pd.DataFrame, unit: str = "mm") -> Figure:
    """Draw every lesion by its volume and Dice, one panel per class; false components lie below.

    Args:
        lesions: With the columns ``label``, ``kind``, ``volume_mm3`` and ``dice``. The first six classes are drawn.
        unit: Of the voxels' size, ``"mm"`` or ``"px"``.
    """
    every = list(lesions.groupby("label"))
    classes = every[:MOST_CLASSES]
    figure = Figure(figsize=(6.4 * len(classes), 3.6), layout="constrained")
    for axis, (label, rows) in zip(figure.subplots(1, len(classes), squeeze=False)[0], classes, strict=True):
        aside = np.random.default_rng(0).uniform(-0.03, 0.03, len(rows))  # many lie at one place
        for color, marker, kind in zip(_KIND_COLORS, "ox^", ("found", "missed", "false"), strict=True):
            of = (rows["kind"] == kind).to_numpy()
            height = rows["dice"] + {"found": 0, "missed": 0, "false": -0.12}[kind] + aside * (kind != "found")
            title = f"{kind}: {of.sum()}"
            axis.plot(rows["volume_mm3"][of], height[of], marker, color=color, markersize=5, alpha=0.7, label=title)
        axis.set(xscale="log", xlabel="volume (mm³)" if unit == "mm" else f"size ({unit})", ylabel="Dice of the lesion")
        axis.set_ylim(-0.2, 1.03)
        label_sizes(axis)
        axis.set_yticks(np.linspace(0, 1, 6))
        axis.axhline(-0.06, color="black", linewidth=0.8)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(title=f"class {label}" if len(classes) > 1 else None, loc="upper left", fontsize=9)
    if left := len(every) - len(classes):
        figure.suptitle(f"{left} more classes are not drawn", fontsize=11)
    return figure


def thresholds_figure(curves: Mapping[str, Mapping[str, np.ndarray]], thresholds: np.ndarray, title: str) -> Figure:
    """Draw a panel per score with a line per method: the mean over its runs, the range of the runs behind it.

    Args:
        curves: `(runs, thresholds)` by score, by method.
        thresholds: `(thresholds,)`.
        title: Above all.
    """
    scores = list(next(iter(curves.values())))
    figure = Figure(figsize=(4.2 * len(scores), 4.4), layout="constrained")
    panels = figure.subplots(1, len(scores), squeeze=False)[0]
    for axis, score in zip(panels, scores, strict=True):
        for number, (name, values) in enumerate(curves.items()):
            color = COLORS[number % len(COLORS)]
            runs = values[score]
            axis.plot(thresholds, runs.mean(axis=0), color=color, marker="o", markersize=3, label=name)
            axis.fill_between(thresholds, runs.min(axis=0), runs.max(axis=0), color=color, alpha=0.08, linewidth=0)
        axis.set(xlabel="threshold", ylabel=score)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
