"""Tables and pictures from the finished runs on membranes, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.membranes.data import DATA, MembraneImage
from experiments.membranes.losses import LOSSES
from experiments.membranes.settings import MembraneSettings
from experiments.membranes.table import chosen_threshold, membrane_tables, pairs_of, scores_at, title_of
from experiments.membranes.training import PRETRAINED
from experiments.shared.journal import finished_runs
from monai_boundary.reports.figures import save_figure
from monai_boundary.reports.leaks import MembranePair, leaks_figure
from monai_boundary.reports.thresholds import thresholds_figure

__all__ = ["write_membrane_report"]

_SCORES = {"adapted Rand index": "ari", "VOI": "voi", "CREMI score": "cremi"}
Row = dict[str, Any]


def write_membrane_report(results: Path, data: str, root: Path, shared: MembraneSettings, stem: str = "") -> str:
    """Draw `<stem>thresholds.png` and `<stem>leaks.png` beside `results`, and return the tables and the names of files.

    The second picture compares the first boundary-aware loss that was run with its base, in the first fold and seed, on
    two images chosen by their VOI: that of the largest gain, and that of the median one.

    Args:
        results: JSON lines file of `run_membranes`.
        data: One of `DATA`.
        root: Its folder.
        shared: The settings whose runs are shown.
        stem: Put before the names of the pictures.

    Raises:
        ValueError: There is no finished run of these settings.
    """
    described = json.loads(json.dumps({"data": data, **asdict(shared)}))
    rows = [row for row in finished_runs(results) if all(row.get(key) == value for key, value in described.items())]
    if not rows:
        raise ValueError(f"{results} must hold finished runs on {data} of these settings, got none; run them first")
    folder = results.parent
    curves = save_figure(_curves(rows), folder / f"{stem}thresholds.png", dpi=110)
    lines = [membrane_tables(rows), f"runs: {results}\nthresholds: {curves}"]
    first = next(iter(pairs_of(rows).values()), None)
    pair = None if first is None else first[0][::-1]
    if pair is not None and all((folder / row["maps"]).exists() for row in pair):
        images = DATA[data](root, pair[0]["fold"], shared)[1]
        lines[-1] += f"\nleaks: {save_figure(_leaks(*pair, images, folder), folder / f'{stem}leaks.png', dpi=110)}"
    return "\n" + "\n\n".join(lines)


def _curves(rows: Sequence[Row]) -> Any:
    thresholds = list(rows[0]["cases"][0]["sweep"])
    curves = {}
    for name in (PRETRAINED, *LOSSES):
        runs = [[scores_at(row["cases"], at) for at in thresholds] for row in rows if row["loss"] == name]
        if runs:
            curves[title_of(name)] = {
                score: np.array([[point[key] for point in run] for run in runs]) for score, key in _SCORES.items()
            }
    title = f"{rows[0]['data']}: mean over folds and seeds, and their range"
    return thresholds_figure(curves, np.array([float(at) for at in thresholds]), title)


def _leaks(base: Row, own: Row, images: Sequence[MembraneImage], folder: Path) -> Any:
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
