"""Box plots of scores over cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["scores_figure"]

_BOX, _POINT = "#0072B2", "#D55E00"


def scores_figure(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw one panel per score, one box per class, and every case as a point.

    Args:
        panels: Values by title of the score, then by name of the class; values that are not finite are left out.
    """
    columns = min(len(panels), 5)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.4 * columns + 0.4, 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    generator = np.random.default_rng(0)  # the same picture in every run
    for axis, (title, groups) in zip(axes, panels.items(), strict=False):
        values = {name: np.array([value for value in group if np.isfinite(value)]) for name, group in groups.items()}
        shown = {name: group for name, group in values.items() if group.size}
        for place, group in enumerate(shown.values(), start=1):
            line = {"color": _BOX, "linewidth": 1.5}
            axis.boxplot(
                group, positions=[place], widths=0.55, showfliers=False, boxprops=line, whiskerprops=line,
                capprops=line, medianprops={"color": _BOX, "linewidth": 2.5},
            )  # fmt: skip
            aside = generator.uniform(-0.16, 0.16, group.size)
            axis.plot(place + aside, group, "o", color=_POINT, markersize=5, alpha=0.7, zorder=3, markeredgewidth=0)
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0.4, max(len(shown), 1) + 0.6)
        axis.set_xticks(range(1, len(shown) + 1), list(shown) if len(groups) > 1 else [""] * len(shown), fontsize=8)
        axis.grid(axis="y", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return figure
