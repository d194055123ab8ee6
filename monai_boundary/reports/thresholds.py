"""Scores of segmentations over the threshold that likelihood maps are cut at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["COLORS", "thresholds_figure"]

#: Okabe and Ito's colours, told apart without red-green vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def thresholds_figure(curves: Mapping[str, Mapping[str, np.ndarray]], thresholds: np.ndarray, title: str) -> Figure:
    """Draw a panel per score with a line per method: the mean over its runs, the range of the runs behind it.

    Args:
        curves: `(runs, thresholds)` by score, by method.
        thresholds: `(thresholds,)`.
        title: Above all.
    """
    scores = list(next(iter(curves.values())))
    figure = Figure(figsize=(4.2 * len(scores), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
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
