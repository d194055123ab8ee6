"""Picture of a part of an aerial tile: mask and prediction, and where they differ."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from monai_boundary.reports._panels import GROUND_TRUTH, PREDICTION

__all__ = ["tile_figure"]

_KINDS = {
    "background": "#ffffff",
    "right": "#bdbdbd",
    "missed": GROUND_TRUTH,
    "false": PREDICTION,
    "no label": "#555555",
}


def tile_figure(
    image: np.ndarray | None, target: np.ndarray, prediction: np.ndarray, ignore_index: int, title: str
) -> Figure:
    """Draw the image with both outlines, and the pixels that are right, missed and false.

    Args:
        image: `(H, W)` or `(H, W, 3)`; ``None`` draws the second panel alone.
        target: `(H, W)`, 1 is building.
        prediction: `(H, W)`, 1 is building.
        ignore_index: Value of `target` that is not counted.
        title: Above all.
    """
    true, found, valid = target == 1, prediction == 1, target != ignore_index
    kinds = np.select([~valid, true & found, true, found], [4, 1, 2, 3], 0)
    panels = 1 if image is None else 2
    figure = Figure(figsize=(4.6 * panels, 5.2), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    if image is not None:
        low, high = np.percentile(image, [0.5, 99.5])
        axes[0].imshow(np.clip((image - low) / max(high - low, 1e-6), 0, 1), cmap="gray")
        for mask, color in ((true & valid, GROUND_TRUTH), (found & valid, PREDICTION)):
            if mask.any() and not mask.all():
                axes[0].contour(mask, levels=[0.5], colors=[color], linewidths=1.2)
    axes[-1].imshow(kinds, cmap=ListedColormap(list(_KINDS.values())), vmin=0, vmax=4, interpolation="nearest")
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    handles = [Patch(facecolor=color, edgecolor="0.5", label=name) for name, color in list(_KINDS.items())[1:]]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure
