"""boundary.png: weights, terms and foreground shares over the epochs of a training, of nnU-Net or of a bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from monai_boundary._files import replacing

__all__ = ["GRADIENT_KEYS", "LOG_KEYS", "plot_boundary_log"]

#: Share of the gradient that was asked for, the moving averages that it came from, and the part of the foreground that
#: was found; NaN without a share.
GRADIENT_KEYS = ("gradient_share", "region_gradient", "boundary_gradient", "foreground_found")
#: One value per epoch of each (the last two: one per class).
LOG_KEYS = (
    "alpha", "region_weight", "alpha_paused", "region_term", "boundary_term", *GRADIENT_KEYS,
    "foreground_predicted", "foreground_true",
)  # fmt: skip

# Okabe and Ito's colours, told apart without red-green vision.
_BLUE, _ORANGE, _GREEN, _PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_DASHES = ("solid", "dashed", "dotted", "dashdot")


def plot_boundary_log(
    log: Mapping[str, Sequence], path: str | Path, title: str = "", patches: str = "validation"
) -> None:
    """Write the weights, both loss terms, predicted against true foreground and, under a share, both gradients.

    Args:
        log: Lists with one value per epoch under each of `LOG_KEYS`; NaN leaves a gap.
        path: PNG file to write.
        title: Line above the panels.
        patches: Which patches the foreground is that of.
    """
    with style.context("default"):  # nnU-Net's progress.png leaves a font scale of 2.5 behind
        _draw(log, path, title, patches)


def _draw(log: Mapping[str, Sequence], path: str | Path, title: str, patches: str) -> None:
    shared = any(share > 0 for share in log["gradient_share"])
    figure = Figure(figsize=(8, 12 if shared else 9), layout="constrained", dpi=120)
    weights, terms, shares, *more = figure.subplots(3 + shared, 1, sharex=True)
    figure.suptitle(title, fontsize=11)
    if shared:
        _draw_share(weights, log)
    else:
        _lines(weights, log, {"alpha": ("boundary weight alpha", _ORANGE), "region_weight": ("region weight", _BLUE)})
        weights.set_ylabel("weight")
        _mark_pauses(weights, log)
        _legend(weights)
    _lines(terms, log, {"region_term": ("region term", _BLUE)})
    right = terms.twinx()
    _lines(right, log, {"boundary_term": ("boundary term", _ORANGE)})
    _colour(terms, "region term", _BLUE)
    _colour(right, "boundary term", _ORANGE)
    _legend(terms, right)
    classes = {**_per_class(log["foreground_true"], "true"), **_per_class(log["foreground_predicted"], "predicted")}
    names = {key: (key, _GREEN if key.startswith("true") else _PINK) for key in classes}
    _lines(shares, classes, names)
    for line in shares.lines:  # classes are told apart by their dashes
        line.set_linestyle(_DASHES[int(str(line.get_label()).rpartition(" ")[2]) % len(_DASHES) - 1])
    _legend(shares)
    if any(value > 0 for values in classes.values() for value in values):
        _logarithmic(shares)
    shares.set_ylabel(f"foreground share\nof the {patches} patches")
    last = more[0] if shared else shares
    if shared:
        pulls = _weighted_gradients(log)
        names = {"region": ("region weight x gradient", _BLUE), "boundary": ("alpha x gradient", _ORANGE)}
        _lines(last, pulls, names)
        _logarithmic(last)
        last.set_ylabel("gradient norm at the logits")
        _legend(last)
    last.set_xlabel("epoch")
    last.xaxis.get_major_locator().set_params(integer=True)
    with replacing(path) as part:
        figure.savefig(part, format="png")


def _draw_share(axes: Any, log: Mapping[str, Sequence]) -> None:
    """Draw alpha, which rises over orders of magnitude, and on an axis of its own the share that it gives."""
    _lines(axes, log, {"alpha": ("boundary weight alpha", _ORANGE)})
    _logarithmic(axes)
    _colour(axes, "alpha", _ORANGE)
    pulls = _weighted_gradients(log)
    had = [
        boundary / (region + boundary) if region + boundary > 0 else math.nan
        for region, boundary in zip(pulls["region"], pulls["boundary"], strict=True)
    ]
    right = axes.twinx()
    right.plot(range(len(had)), log["gradient_share"], color=_GREEN, linestyle="dashed", label="share asked for")
    _lines(right, {"had": had}, {"had": ("share it had, estimated", _GREEN)})
    _colour(right, "share of the boundary term", _GREEN)
    right.set_ylim(0, 1.3 * max(share for share in [*had, *log["gradient_share"]] if share > 0))
    _mark_pauses(axes, log)
    _legend(axes, right)


def _weighted_gradients(log: Mapping[str, Sequence]) -> dict[str, list[float]]:
    """Both gradient norms, times the weights of their terms; NaN where there was no share."""
    shared = [share > 0 for share in log["gradient_share"]]
    pairs = {"region": ("region_weight", "region_gradient"), "boundary": ("alpha", "boundary_gradient")}
    return {
        name: [w * g if kept else math.nan for w, g, kept in zip(log[weight], log[norm], shared, strict=True)]
        for name, (weight, norm) in pairs.items()
    }


def _mark_pauses(axes: Any, log: Mapping[str, Sequence]) -> None:
    for epoch, paused in enumerate(log["alpha_paused"]):
        if paused == 1:
            axes.axvspan(epoch - 0.5, epoch + 0.5, color=_PINK, alpha=0.25, linewidth=0, label="paused")


def _logarithmic(axes: Any) -> None:
    """Take a logarithmic axis with plain numbers at 1, 2 and 5."""
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}" if high < 300 * low else NullFormatter())


def _colour(axes: Any, label: str, color: str) -> None:
    axes.set_ylabel(label, color=color)
    axes.tick_params(axis="y", which="both", colors=color)


def _legend(axes: Any, *others: Any) -> None:
    """Name the lines and areas of the panel above it, each once."""
    drawn = [handle for one in (axes, *others) for handle in (*one.lines, *one.patches)]
    handles = {handle.get_label(): handle for handle in drawn}
    axes.legend(handles=list(handles.values()), fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0, 1),
                ncols=min(4, len(handles)), borderaxespad=0.2)  # fmt: skip


def _per_class(epochs: Sequence[Sequence[float] | float], name: str) -> dict[str, list[float]]:
    """Turn one list per epoch into one list per class; an epoch that was not logged is NaN."""
    count = max((len(epoch) for epoch in epochs if isinstance(epoch, Sequence)), default=1)
    rows = [epoch if isinstance(epoch, Sequence) else [math.nan] * count for epoch in epochs]
    return {f"{name}, class {k + 1}": [row[k] for row in rows] for k in range(count)}


def _lines(axes: Any, log: Mapping[str, Sequence], names: Mapping[str, tuple[str, str]]) -> None:
    for key, (label, color) in names.items():
        marker = "o" if len(log[key]) <= 100 else None  # a short run is seen, a long one stays a line
        axes.plot(range(len(log[key])), log[key], color=color, label=label, marker=marker, markersize=3)
    axes.grid(alpha=0.25)
