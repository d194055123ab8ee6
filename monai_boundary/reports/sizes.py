"""The sizes of all lesions of a data set: a panel per class, a row per case, a dot per lesion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_boundary._words import counted
from monai_boundary.reports.log_axis import label_sizes
from monai_boundary.reports.scores import COLORS, MOST_CLASSES

__all__ = ["sizes_figure"]

_STYLE = style.context("default")
_MOST_NAMES = 40


@_STYLE
def sizes_figure(classes: Mapping[str, Mapping[str, np.ndarray]], unit: str, voxels: tuple[float, float]) -> Figure:
    """Draw the sizes on a log axis: for each class a histogram of all lesions, and below it a row of dots per case.

    Cases are in the order of the total size of the class in them. Those without it have a cross; of more than 40 cases
    they are counted instead, and nobody is named.

    Args:
        classes: Sizes of the lesions by class, by case; empty for a case without the class. The first six are drawn.
        unit: Of the sizes.
        voxels: Size of the smallest and the largest voxel among the cases, in `unit`, drawn as a grey band.
    """
    drawn = dict(list(classes.items())[:MOST_CLASSES])
    together = {name: np.concatenate([np.empty(0), *cases.values()]) for name, cases in drawn.items()}
    edges = _edges(voxels[0], max([voxels[1], *(sizes.max(initial=0) for sizes in together.values())]))
    rows = max([1, *map(len, drawn.values())])
    height = 4.0 if rows > _MOST_NAMES else max(1.2, 0.17 * rows)
    figure = Figure(figsize=(1.2 + 4.3 * max(1, len(drawn)), 2.3 + height), layout="constrained")
    axes = figure.subplots(2, max(1, len(drawn)), squeeze=False, sharex=True, height_ratios=[1.0, height])
    for number, (name, cases) in enumerate(drawn.items()):
        color = COLORS[number % len(COLORS)]
        _draw_histogram(axes[0, number], name, together[name], edges, color)
        _draw_cases(axes[1, number], cases, edges[0], color)
    for axis in axes.ravel():
        axis.set(xscale="log", xlim=(edges[0], edges[-1]))
        label_sizes(axis)
        axis.axvspan(voxels[0] / 1.02, voxels[1] * 1.02, color="0.6", alpha=0.6, linewidth=0, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.25)
    for axis in axes[1]:
        axis.set_xlabel(f"size of a lesion, {unit.replace('^3', '³').replace('^2', '²')} (grey: one voxel)")
    axes[0, 0].set_ylabel("lesions")
    left = len(classes) - len(drawn)
    figure.suptitle("Lesions by size" + (f"; {left} more classes are not drawn" if left else ""), fontsize=11)
    return figure


def _edges(low: float, high: float) -> np.ndarray:
    """Edges of the bins, eight per power of ten, the smallest voxel in the middle of one."""
    count = int(np.ceil(8 * np.log10(high / low))) + 3
    return np.asarray(low * 10 ** ((np.arange(-3, count) + 0.5) / 8))


def _draw_histogram(axis: Axes, name: str, sizes: np.ndarray, edges: np.ndarray, color: str) -> None:
    axis.hist(sizes, edges.tolist(), color=color, alpha=0.8)
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    middle = f", median {np.median(sizes):,.{0 if np.median(sizes) >= 100 else 1}f}" if sizes.size else ""
    axis.set_title(f"{name}: {counted(sizes.size, 'lesion')}{middle}", fontsize=10)


def _draw_cases(axis: Axes, cases: Mapping[str, np.ndarray], left: float, color: str) -> None:
    many = len(cases) > _MOST_NAMES
    order = sorted(cases, key=lambda case: (cases[case].sum(), case))
    shown = [case for case in order if cases[case].size or not many]
    for row, case in enumerate(shown):
        sizes = cases[case]
        if sizes.size:
            axis.plot(sizes, np.full(sizes.size, row), "o", color=color, markersize=4, alpha=0.5, markeredgewidth=0)
        else:
            axis.plot([left], [row], "x", color="black", markersize=4, clip_on=False)
    axis.set_ylim(-0.7, max(1, len(shown)) - 0.3)
    if many:
        lost = len(order) - len(shown)
        axis.set_yticks([])
        axis.set_ylabel(f"{counted(len(shown), 'case')} by total size" + (f"; {lost} without it" if lost else ""))
    else:
        names = [case if len(case) <= 24 else f"{case[:11]}..{case[-11:]}" for case in shown]
        axis.set_yticks(range(len(shown)), names, fontsize=7)
        axis.grid(axis="y", alpha=0.15)
