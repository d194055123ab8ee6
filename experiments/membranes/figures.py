"""Scores over the threshold, and the gaps in membranes that a boundary-aware loss closes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.membranes.data import MembraneImage
from experiments.membranes.losses import LOSSES, PRETRAINED, title_of
from experiments.membranes.tables import chosen_threshold, scores_at
from experiments.shared.tables import grouped
from monai_boundary.reports.leaks import MembranePair, leaks_figure
from monai_boundary.reports.scores import thresholds_figure

_SCORES = {"adapted Rand index": "ari", "VOI": "voi", "CREMI score": "cremi"}
Row = dict[str, Any]


def scores_figure(rows: Sequence[Row]) -> Figure:
    """Draw the scores of every loss over the threshold."""
    thresholds = list(rows[0]["cases"][0]["sweep"])
    by_loss = grouped(rows, lambda row: row["loss"])
    curves = {}
    for name in (PRETRAINED, *LOSSES):
        if runs := [[scores_at(row["cases"], at) for at in thresholds] for row in by_loss.get(name, ())]:
            curves[title_of(name)] = {
                score: np.array([[point[key] for point in run] for run in runs]) for score, key in _SCORES.items()
            }
    title = f"{rows[0]['data']}: mean over folds and seeds, and their range"
    return thresholds_figure(curves, np.array([float(at) for at in thresholds]), title)


def gaps_figure(base: Row, own: Row, images: Sequence[MembraneImage], folder: Path) -> Figure:
    """Compare a loss with its base on two images chosen by their VOI: that of the largest gain, and the median one.

    Args:
        base: Line of the base.
        own: Line of the loss, of the same fold and seed.
        images: The scored images of that fold.
        folder: Where the maps of both are.
    """
    thresholds = chosen_threshold(base), chosen_threshold(own)
    gains = [
        scores_at([before], thresholds[0])["voi"] - scores_at([after], thresholds[1])["voi"]
        for before, after in zip(base["cases"], own["cases"], strict=True)
    ]
    order = np.argsort(gains)[::-1]
    chosen = dict.fromkeys([int(order[0]), int(order[len(order) // 2])])
    maps = [np.load(folder / row["maps"]) for row in (base, own)]
    pairs = [_pair(images[index], maps, (float(thresholds[0]), float(thresholds[1]))) for index in chosen]
    title = (
        f"{base['data']}, fold {base['fold']}, seed {base['seed']}: the image with the largest gain in VOI"
        f"{' and that with the median one' if len(pairs) > 1 else ''}"
    )
    return leaks_figure(pairs, (title_of(base["loss"]), title_of(own["loss"])), title)


def _pair(image: MembraneImage, maps: Sequence[Any], thresholds: tuple[float, float]) -> MembranePair:
    """Both maps of an image; of a volume, its middle slice, whose regions are joined within the slice alone."""
    before, after = (one[image.case].astype(np.float32) / 255 for one in maps)
    middle = image.ids.shape[0] // 2 if image.ids.ndim == 3 else ...
    return MembranePair(
        image.case, image.image[0][middle], image.ids[middle], before[middle], after[middle], thresholds
    )
