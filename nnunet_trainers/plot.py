"""Draw boundary.png: weights, terms and foreground shares over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_boundary._files import replacing

__all__ = ["plot_boundary_log"]

# Okabe and Ito's colours, told apart without red-green vision.
_BLUE, _ORANGE, _GREEN, _PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_DASHES = ("solid", "dashed", "dotted", "dashdot")


def plot_boundary_log(log: Mapping[str, Sequence], path: str | Path, title: str = "") -> None:
    """Write the weights, both loss terms, predicted against true foreground and, under a share, both gradients.

    Args:
        log: Lists with one value per epoch: alpha, region_weight, alpha_paused, region_term, boundary_term,
            gradient_share, region_gradient, boundary_gradient, and foreground_predicted and foreground_true with a list
            of one value per class. NaN leaves a gap.
        path: PNG file to write.
        title: Line above the panels.
    """
    with style.context("default"):  # nnU-Net's progress.png leaves a font scale of 2.5 behind
        _draw(log, path, title)


def _draw(log: Mapping[str, Sequence], path: str | Path, title: str) -> None:
    shared = any(share > 0 for share in log["gradient_share"])
    figure = Figure(figsize=(8, 12 if shared else 9), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    weights, terms, shares, *more = figure.subplots(3 + shared, 1, sharex=True)
    figure.suptitle(title, fontsize=11)
    _lines(weights, log, {"alpha": ("boundary weight alpha", _ORANGE), "region_weight": ("region weight", _BLUE)})
    for epoch, paused in enumerate(log["alpha_paused"]):
        if paused == 1:
            weights.axvspan(epoch - 0.5, epoch + 0.5, color=_PINK, alpha=0.25, linewidth=0, label="paused")
    weights.set_ylabel("weight")
    if shared:  # alpha rises over orders of magnitude while the map's gradient falls
        weights.set_yscale("log", nonpositive="mask")
    handles = {handle.get_label(): handle for handle in [*weights.lines, *weights.patches]}  # "paused" once
    weights.legend(handles=list(handles.values()), fontsize=9, frameon=False)
    _lines(terms, log, {"region_term": ("region term", _BLUE)})
    terms.set_ylabel("region term")
    right = terms.twinx()
    _lines(right, log, {"boundary_term": ("boundary term", _ORANGE)})
    right.set_ylabel("boundary term")
    right.grid(visible=False)
    for axis, color in ((terms, _BLUE), (right, _ORANGE)):
        axis.yaxis.label.set_color(color)
        axis.tick_params(axis="y", colors=color)
    terms.legend(handles=[*terms.lines, *right.lines], fontsize=9, frameon=False)
    right.get_legend().remove()
    classes = {**_per_class(log["foreground_true"], "true"), **_per_class(log["foreground_predicted"], "predicted")}
    names = {key: (key, _GREEN if key.startswith("true") else _PINK) for key in classes}
    _lines(shares, classes, names)
    for line in shares.lines:  # classes are told apart by their dashes
        line.set_linestyle(_DASHES[int(str(line.get_label()).rpartition(" ")[2]) % len(_DASHES) - 1])
    shares.legend(fontsize=9, frameon=False, ncols=2)
    if any(value > 0 for values in classes.values() for value in values):
        shares.set_yscale("log", nonpositive="mask")
    shares.set_ylabel("foreground share\nof the validation patches")
    last = shares
    for last in more:
        _draw_gradients(last, log)
    last.set_xlabel("epoch")
    last.xaxis.get_major_locator().set_params(integer=True)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _draw_gradients(axes: Any, log: Mapping[str, Sequence]) -> None:
    """Draw both gradient norms as they are weighted, and the share that was asked for on an axis of its own."""
    pulls = {
        "region": [weight * norm for weight, norm in zip(log["region_weight"], log["region_gradient"], strict=True)],
        "boundary": [alpha * norm for alpha, norm in zip(log["alpha"], log["boundary_gradient"], strict=True)],
    }
    _lines(axes, pulls, {"region": ("region weight x gradient", _BLUE), "boundary": ("alpha x gradient", _ORANGE)})
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylabel("gradient norm at the logits")
    right = axes.twinx()
    _lines(right, log, {"gradient_share": ("share asked for", _GREEN)})
    right.set(ylim=(0, 1), ylabel="share of the boundary term")
    right.grid(visible=False)
    right.get_legend().remove()
    axes.legend(handles=[*axes.lines, *right.lines], fontsize=9, frameon=False)


def _per_class(epochs: Sequence[Sequence[float] | float], name: str) -> dict[str, list[float]]:
    """Turn one list per epoch into one list per class; an epoch that was not logged is NaN."""
    count = max((len(epoch) for epoch in epochs if isinstance(epoch, Sequence)), default=1)
    rows = [epoch if isinstance(epoch, Sequence) else [math.nan] * count for epoch in epochs]
    return {f"{name}, class {k + 1}": [row[k] for row in rows] for k in range(count)}


def _lines(axes: object, log: Mapping[str, Sequence], names: Mapping[str, tuple[str, str]]) -> None:
    for key, (label, color) in names.items():
        marker = "o" if len(log[key]) <= 100 else None  # a short run is seen, a long one stays a line
        axes.plot(range(len(log[key])), log[key], color=color, label=label, marker=marker, markersize=3)  # type: ignore[attr-defined]
    axes.legend(fontsize=9, frameon=False)  # type: ignore[attr-defined]
    axes.grid(alpha=0.25)  # type: ignore[attr-defined]
