"""Tables of the scores of volumes of electron microscopy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from monai_boundary._files import only_writer, together, write_csv, write_json
from monai_boundary.bundles.em_items import Items, LikelihoodPredictor, ignored_value, scope_of
from monai_boundary.bundles.em_report import write_em_report
from monai_boundary.metrics import INSTANCE_SCORES, LikelihoodSegmentation, ThresholdSweepMetric
from monai_boundary.metrics.likelihood import THRESHOLDS

__all__ = ["evaluate_volumes"]

_FIXED = 0.5  # the paper's threshold, which no data have chosen
_SCORES = list(INSTANCE_SCORES)
_PRINTED = ["volume", "voi_split", "voi_merge", "adapted_rand_error", "cremi_score"]


def evaluate_volumes(  # noqa: PLR0913 - all but the first by keyword, in JSON
    items: Items,
    predictor: LikelihoodPredictor,
    threshold: float,
    output_dir: str | os.PathLike[str],
    target: str = "membrane",
    border: float | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    segmentation: LikelihoodSegmentation | None = None,
    progress: bool = True,
    worst: int = 3,
) -> dict[str, Any]:
    """Score predictions at several thresholds, print a table and write it.

    Items are scored one by one: slices each by itself, and a volume gets the mean of its slices; the volumes of a 3D
    network as a whole. Written are ``scores.csv``, a line per volume and their mean at `threshold`;
    ``thresholds.csv``, the same at all thresholds; ``items.csv``, each item at all thresholds; ``summary.json``; and
    ``report.html``, with the curves over the threshold and the worst leaks.

    Args:
        items: With labels.
        predictor: From an item to its likelihood.
        threshold: The one that validation chose.
        output_dir: Folder of the tables; made where it does not exist. Tables of an earlier run are replaced.
        target: ``"membrane"``: against the components between the membranes; ``"ids"``: against the ids.
        border: Of the ids, see `InstanceMetric`.
        thresholds: Of the sweep; `threshold` and 0.5 are added.
        segmentation: All settings but the threshold.
        progress: Show a progress bar.
        worst: Number of items whose leaks are shown.

    Returns:
        What ``summary.json`` holds.

    Raises:
        ValueError: An argument is wrong, or an item cannot be scored.
        OSError: A file cannot be written.
    """
    metric = ThresholdSweepMetric(
        sorted({*thresholds, threshold, _FIXED}),
        segmentation=segmentation,
        target_is_membrane=target == "membrane",
        border=border,
        ignore_index=ignored_value(target),
    )
    rows, unit = [], scope_of(items)
    for item in tqdm(items, desc="evaluate", unit=unit, total=len(items), disable=not progress):
        found, truth = (torch.as_tensor(array)[None] for array in (predictor(item)[None], item[target]))
        for value, scores in zip(metric.thresholds, metric(found, truth, spacing=item["spacing"])[0], strict=True):
            rows.append([item["case"], item["slices"][0], value, *scores.tolist()])
    table = pd.DataFrame(rows, columns=["volume", "first_slice", "threshold", *_SCORES])
    scored = "mean of slices" if unit == "slice" else "volume"
    curve = _means(table, scored)
    folder, chosen = Path(output_dir), curve[curve.threshold == threshold]
    summary = {
        "scored": scored, "items": len(items), "target": target, "border_nm": border, "threshold": threshold,
        "mean": _last(chosen), "mean_at_0.5": _last(curve[curve.threshold == _FIXED]),
    }  # fmt: skip
    cut = replace(segmentation or LikelihoodSegmentation(), threshold=threshold)
    with only_writer(folder), together(folder, "summary.json") as part:
        for name, lines in (("items", table), ("thresholds", curve), ("scores", chosen)):
            write_csv(part / f"{name}.csv", lines)
        write_em_report(part / "report.html", table, curve, items, predictor, cut, target, worst)
        write_json(part / "summary.json", summary)
    print(f"threshold {threshold:g}, {scored}")
    print(chosen[_PRINTED].to_string(index=False, float_format="{:.4f}".format))
    print(f"wrote report.html, scores.csv, thresholds.csv, items.csv and summary.json to {folder}")
    return summary


def _means(table: pd.DataFrame, scored: str) -> pd.DataFrame:
    """Scores at each threshold: means over the items of each volume, and over volumes.

    Items that lack a score, because their target holds no object, do not count in its means.
    """
    volumes = table.groupby(["threshold", "volume"], sort=False)[_SCORES].mean().reset_index()
    means = volumes.groupby("threshold")[_SCORES].mean().reset_index().assign(volume="mean")
    curve = pd.concat([volumes, means]).sort_values("threshold", kind="stable").assign(scored=scored)
    return curve[["volume", "scored", "threshold", *_SCORES]]


def _last(lines: pd.DataFrame) -> dict[str, float | None]:
    """Scores of the last line, the mean; ``None`` where there is none."""
    return {name: None if pd.isna(value) else float(value) for name, value in lines.iloc[-1][_SCORES].items()}
