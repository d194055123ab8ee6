"""Scores over the epochs, one line per setting with the range of its seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.shared.training import score_of
from monai_boundary.reports.scores import COLORS

#: Score and its name on the axis.
_SURFACE = {"dice": "Dice", "hd95_mm": "HD95 (mm)"}
_SCALE_FREE = "scale-free "
#: By whether the map is the robust one, and whether the generalized Dice does not fade.
_STYLES = {(False, False): "-", (True, False): "--", (False, True): ":", (True, True): "-."}


def curves_figure(rows: Sequence[dict[str, Any]], scores: Mapping[str, str] = _SURFACE) -> Figure:
    """Draw scores over the epochs: a colour per setting, dashes for the robust map, dots for scale-free Dice.

    Args:
        rows: Lines of a results file, each with ``"data"``, ``"setting"`` and ``"curve"``; each data set gets a row of
            panels. A point of a curve holds the score itself, or the scores of its ``"cases"``.
        scores: Names of the axes of the panels, by score.
    """
    data = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(10, 3.2 * max(1, len(data)) + 0.5), layout="constrained")
    panels = figure.subplots(max(1, len(data)), len(scores), squeeze=False)
    settings = list(dict.fromkeys(_loss(row) for row in rows))
    for name, axes in zip(data, panels, strict=False):
        for axis, (key, title) in zip(axes, scores.items(), strict=True):
            chosen: dict[tuple[str, str], list] = defaultdict(list)
            for row in rows:
                if row["data"] == name:
                    chosen[_loss(row), _name(row)].append(row["curve"])
            for (loss, label), curves in chosen.items():
                style = _STYLES["robust" in label, label.startswith(_SCALE_FREE)]
                color = COLORS[settings.index(loss) % len(COLORS)]
                _band(axis, curves, key, label, {"color": color, "linestyle": style})
            axis.set(title=name, xlabel="epoch", ylabel=title)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _loss(row: dict[str, Any]) -> str:
    setting: str = row["setting"]
    return setting.removeprefix(_SCALE_FREE)


def _name(row: dict[str, Any]) -> str:
    return f"{row['setting']} ({row['preset']})" if "boundary" in row["setting"] else row["setting"]


def _band(axis: Any, curves: Sequence[Sequence[dict[str, Any]]], key: str, label: str, style: dict[str, str]) -> None:
    """Median over the seeds, and their range."""
    length = min(len(curve) for curve in curves)
    epochs = [point["epoch"] for point in curves[0][:length]]
    values = np.array([[score_of(point, key) for point in curve[:length]] for curve in curves])
    axis.plot(epochs, np.median(values, axis=0), label=label, **style, marker="o", markersize=3)
    axis.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.12, linewidth=0)
