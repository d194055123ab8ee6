"""Predictions of several methods side by side, with what each found, missed and made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from monai_boundary.reports._panels import GROUND_TRUTH, PREDICTION

_COLORS = {"right": "#FFFFFF", "missed": GROUND_TRUTH, "false alarm": PREDICTION}
_GROUND = "#1A1A1A"


@dataclass(frozen=True, eq=False)
class Example:
    """One image with what was predicted on it.

    Args:
        name: Shown beside the row.
        image: `(3, H, W)` or `(1, H, W)` in [0, 1].
        truth: Bool `(H, W)`.
        predictions: Bool `(H, W)` by method.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]


def error_picture(pred: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return float RGB `(H, W, 3)`: white where both masks are, blue what was missed, orange a false alarm."""
    picture: np.ndarray = np.full((*truth.shape, 3), to_rgb(_GROUND))
    for where, color in zip((pred & truth, truth & ~pred, pred & ~truth), _COLORS.values(), strict=True):
        picture[where] = to_rgb(color)
    return picture


def examples_figure(examples: Sequence[Example], title: str) -> Figure:
    """Draw a row per example: the image, the truth, and the errors of every method.

    Args:
        examples: At least one, all with the same methods.
        title: Above all.

    Raises:
        ValueError: There is no example, or their methods differ.
    """
    methods = list(examples[0].predictions) if examples else []
    if not examples or any(list(one.predictions) != methods for one in examples):
        raise ValueError("examples must be one or more with the same methods, got none or different ones")
    columns = 2 + len(methods)
    figure = Figure(figsize=(1.9 * columns, 1.9 * len(examples) + 0.9), layout="constrained")
    panels = figure.subplots(len(examples), columns, squeeze=False)
    for number, (axes, one) in enumerate(zip(panels, examples, strict=True)):
        pictures = {"image": np.broadcast_to(one.image, (3, *one.truth.shape)).transpose(1, 2, 0)}
        pictures["truth"] = error_picture(one.truth, one.truth)
        pictures |= {name: error_picture(mask, one.truth) for name, mask in one.predictions.items()}
        axes[0].set_ylabel(one.name, fontsize=8)
        for axis, (name, picture) in zip(axes, pictures.items(), strict=True):
            axis.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if number == 0:
                axis.set_title(name, fontsize=10)
    handles = [Patch(facecolor=color, edgecolor="0.6", label=name) for name, color in _COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
