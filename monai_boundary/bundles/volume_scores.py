"""Tables of the scores of volumes of electron microscopy, for the bundle."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from monai_boundary._files import write_json
from monai_boundary.bundles.volumes import Items, LikelihoodPredictor, scope_of
from monai_boundary.metrics import INSTANCE_SCORES, LikelihoodSegmentation, ThresholdSweepMetric
from monai_boundary.metrics.likelihood import THRESHOLDS

__all__ = ["evaluate_volumes"]

_FIXED = 0.5  # the paper's threshold, which no data have chosen
_MEAN = "mean"
_SCORED = {"slice": "mean of slices", "volume": "volume"}
_PRINTED = ("voi_split", "voi_merge", "adapted_rand_error", "cremi_score")
Scores = tuple[float, ...]


@dataclass(frozen=True)
class _Row:
    """Scores of one item at one threshold."""

    volume: str
    first_slice: int
    threshold: float
    scores: Scores


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
) -> dict[str, Any]:
    """Score predictions at several thresholds, print a table and write it.

    Items are scored one by one: slices each by itself, and a volume gets the mean of its slices; the volumes of a 3D
    network as a whole. Written are ``scores.csv``, a line per volume and their mean at `threshold`;
    ``thresholds.csv``, the same at all thresholds; ``items.csv``, each item at all thresholds; and ``summary.json``.

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
    )
    rows: list[_Row] = []
    unit = scope_of(items)
    for item in tqdm(items, desc="evaluate", unit=unit, total=len(items), disable=not progress):
        found, truth = (torch.as_tensor(array)[None] for array in (predictor(item)[None], item[target]))
        for value, scores in zip(metric.thresholds, metric(found, truth, spacing=item["spacing"])[0], strict=True):
            rows.append(_Row(item["case"], item["slices"][0], value, tuple(scores.tolist())))
    curve = {value: _means([row for row in rows if row.threshold == value]) for value in metric.thresholds}
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _write_tables(folder, rows, curve, threshold, _SCORED[unit])
    summary = {
        "scored": _SCORED[unit], "items": len(items), "target": target, "border_nm": border, "threshold": threshold,
        "mean": _named(curve[threshold][_MEAN]), "mean_at_0.5": _named(curve[_FIXED][_MEAN]),
    }  # fmt: skip
    write_json(folder / "summary.json", summary)
    _print_table(curve[threshold], f"threshold {threshold:g}, {_SCORED[unit]}")
    print(f"wrote scores.csv, thresholds.csv, items.csv and summary.json to {folder}")
    return summary


def _means(rows: Sequence[_Row]) -> dict[str, Scores]:
    """Means over the items of each volume, and over volumes."""
    names = dict.fromkeys(row.volume for row in rows)
    volumes = {name: _mean([row.scores for row in rows if row.volume == name]) for name in names}
    return {**volumes, _MEAN: _mean(list(volumes.values()))}


def _mean(values: Sequence[Scores]) -> Scores:
    """Mean of each score without the items that lack it, whose target holds no object."""
    table = np.array(values)
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0).sum(axis=0), known.sum(axis=0)
    return tuple(float(total / count) if count else math.nan for total, count in zip(sums, counts, strict=True))


def _named(scores: Scores) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in zip(INSTANCE_SCORES, scores, strict=True)}


def _write_tables(
    folder: Path, rows: Sequence[_Row], curve: dict[float, dict[str, Scores]], threshold: float, scored: str
) -> None:
    head = ["volume", "scored", "threshold", *INSTANCE_SCORES]
    lines = {
        value: [[name, scored, value, *scores] for name, scores in means.items()] for value, means in curve.items()
    }
    _write(folder / "scores.csv", head, lines[threshold])
    _write(folder / "thresholds.csv", head, (line for part in lines.values() for line in part))
    head[1] = "first_slice"
    _write(folder / "items.csv", head, ([row.volume, row.first_slice, row.threshold, *row.scores] for row in rows))


def _write(path: Path, head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        writer.writerows(lines)


def _print_table(means: dict[str, Scores], title: str) -> None:
    width = max(map(len, (*means, title)))
    print(f"{title:<{width}}  {'  '.join(_PRINTED)}")
    for name, scores in means.items():
        values = dict(zip(INSTANCE_SCORES, scores, strict=True))
        print(f"{name:<{width}}  {'  '.join(f'{values[key]:>{len(key)}.4f}' for key in _PRINTED)}")
