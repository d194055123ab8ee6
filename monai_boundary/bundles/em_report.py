"""The report of scores of electron microscopy: curves over the threshold, and the worst leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from monai_boundary.bundles.em_items import Items, LikelihoodPredictor, ignored_value
from monai_boundary.kernels.regions import compact_ids, connected_components
from monai_boundary.metrics import LikelihoodSegmentation
from monai_boundary.reports.leaks import merged_borders, mergers_figure
from monai_boundary.reports.page import data_uri, write_page
from monai_boundary.reports.scores import thresholds_figure

__all__ = ["write_em_report"]

_SHOWN = ["cremi_score", "voi_split", "voi_merge", "adapted_rand_error"]


def write_em_report(
    path: Path,
    table: pd.DataFrame,
    curve: pd.DataFrame,
    items: Items,
    predictor: LikelihoodPredictor,
    segmentation: LikelihoodSegmentation,
    target: str,
    worst: int = 3,
) -> Path:
    """Write the page; the worst items are predicted once more for their pictures.

    Args:
        path: File to write.
        table: A line per item and threshold, in the order of `items`.
        curve: A line per volume and threshold, and the means.
        items: What was scored.
        predictor: From an item to its likelihood.
        segmentation: With the threshold that validation chose.
        target: ``"membrane"`` or ``"ids"``.
        worst: Number of items to show: those of largest VOI merge.
    """
    chosen = table[table.threshold == segmentation.threshold].reset_index(drop=True)
    leaky = chosen[chosen.voi_merge > 0].sort_values("voi_merge", ascending=False, kind="stable").head(worst)
    pictures = []
    for number, row in zip(leaky.index, leaky.itertuples(), strict=True):
        name = f"{row.volume}, {row.first_slice}"
        pictures.append((row, data_uri(_picture(items[int(number)], predictor, segmentation, target, name))))
    thresholds = np.sort(curve.threshold.unique())
    curves = {
        str(volume): {score: lines.sort_values("threshold")[score].to_numpy()[None] for score in _SHOWN}
        for volume, lines in curve.groupby("volume", sort=False)
    }
    return write_page(
        path, __package__ or "", "em.html.j2", title="Membranes", threshold=segmentation.threshold, shown=_SHOWN,
        scored=curve.scored.iloc[0], target=target, pictures=pictures, rows=chosen.to_dict("records"),
        volumes=curve[curve.threshold == segmentation.threshold].to_dict("records"),
        plot=data_uri(thresholds_figure(curves, thresholds, "scores over the threshold, lower is better"), "svg"),
    )  # fmt: skip


def _picture(
    item: dict, predictor: LikelihoodPredictor, segmentation: LikelihoodSegmentation, target: str, title: str
) -> Figure:
    """Draw an item; of a volume the slice with the most leaks."""
    ids = replace(segmentation, membrane="keep")(predictor(item), item["spacing"])
    truth = np.asarray(item[target])[0]
    if target == "membrane":
        truth = connected_components(truth == 0)
    else:
        truth = compact_ids(np.where(truth == ignored_value(target), 0, truth))[0]
    image, ids = np.asarray(item["image"])[0], np.asarray(ids)
    if ids.ndim == 3:
        counts = [merged_borders(one, true).sum() for one, true in zip(ids, truth, strict=True)]
        at = int(np.argmax(counts))
        image, ids, truth, title = image[at], ids[at], truth[at], f"{title}, slice {at}"
    return mergers_figure(image, truth, ids, title)
