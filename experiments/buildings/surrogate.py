"""How well the boundary F1 loss follows the exact boundary F1, over building masks that were moved, eroded and dilated.

The surrogate is 1 - `BoundaryF1Loss` of a hard mask, with windows theta of 3, 5 and 7; the metric is `boundary_f1`. A
window reaches (theta - 1) / 2 pixels, both ends included, and the metric counts distances below its threshold: it
matches at (theta + 1) / 2 pixels, where for 3 and 5 the disc holds the same pixels as the box. Also measured against
the threshold of the same number, as the paper writes both. Masks are those of `BuildingPhantoms`, and buildings of the
LoveDA tiles where the data folder has them. A margin around every image takes what a shift brings in; neither form
counts a boundary at the image edge. Blurred masks stand apart: soft for the surrogate, cut at 0.5 for the metric.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from tqdm import tqdm

from experiments.shared.commands import FILE
from experiments.shared.real_data import data_folder
from experiments.shared.tables import markdown
from monai_boundary._files import write_json
from monai_boundary.datasets import BuildingPhantoms
from monai_boundary.kernels.distance import distance_transform
from monai_boundary.losses import BoundaryF1Loss
from monai_boundary.metrics import boundary_f1
from monai_boundary.reports.figures import save_figure
from monai_boundary.reports.scores import COLORS

THETAS = (3, 5, 7)
REACH, SIZE = 10, 256  # largest change and side of an image, in pixels
HARD = ("shifted along rows", "shifted along columns", "shifted diagonally", "eroded", "dilated")
BLURRED = "blurred"
BUILDING, LEAST = 2, 200  # LoveDA's label, and the pixels of it that a window must have
COLUMNS = {
    "masks of": "source", "theta": "theta", "pairs": "pairs", "rank corr.": "rank_correlation",
    "lowest in a mask": "rank_correlation_within_mask_lowest", "between: pairs": "pairs_between",
    "rank corr. between": "rank_correlation_between", "mean diff": "mean_difference_between",
    "median abs. diff": "median_absolute_difference_between", "largest abs. diff": "largest_absolute_difference",
}  # fmt: skip


@click.command()
@click.option("--data", type=FILE, default=data_folder(), help="Folder of real data.  [$MONAI_BOUNDARY_DATA]")
@click.option("--phantoms", default=40, show_default=True, type=click.IntRange(min=1))
@click.option("--quick", is_flag=True, help="Five phantoms and no real masks.")
@click.option("--results", type=FILE, default=Path("runs/surrogate.json"), show_default=True)
@click.option("--table", type=FILE, help="Measure nothing; print the table of this results file.")
@click.option("--figures", type=FILE, help="Folder for the picture.  [that of the results]")
def surrogate(data: Path, phantoms: int, quick: bool, results: Path, table: Path | None, figures: Path | None) -> None:
    """Measure how well the boundary F1 loss follows the exact score, over masks that were moved and changed."""
    if table is None:
        sources = {"phantoms": phantom_masks(5 if quick else phantoms)}
        if not quick and (real := loveda_masks(data / "loveda")):
            sources["LoveDA"] = real
        frame = pd.DataFrame(row for source, masks in sources.items() for row in measure(source, masks))
        rows = agreement(frame)
        scores = ["surrogate", "metric", "metric_same_number"]
        means = frame.groupby(["source", "theta", "kind", "pixels"], sort=False)[scores].mean().round(4)
        results.parent.mkdir(parents=True, exist_ok=True)
        write_json(results, {"agreement": rows, "means": means.reset_index().to_dict("records")})
        save_figure(agreement_figure(frame, rows), (figures or results.parent) / "surrogate.png")
    else:
        rows = json.loads(table.read_text(encoding="utf-8"))["agreement"]
    click.echo(markdown(tuple(COLUMNS), [[_cell(row[key]) for key in COLUMNS.values()] for row in rows]))


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def phantom_masks(count: int) -> dict[str, np.ndarray]:
    """Masks `(H, W)` with the margin, of the first phantoms."""
    phantoms = BuildingPhantoms(count, shape=(SIZE + 2 * REACH,) * 2)
    return {phantoms[i]["case"]: phantoms[i]["label"][0] > 0 for i in range(count)}


def loveda_masks(folder: Path) -> dict[str, np.ndarray]:
    """Windows of the tiles in `folder` that hold buildings, with the margin; empty where there are no tiles."""
    windows = {}
    for file in sorted(folder.glob("label_*.png")):
        tile = np.pad(np.asarray(Image.open(file)) == BUILDING, REACH, mode="edge")
        for row in range(0, tile.shape[0] - 2 * REACH, SIZE):
            for column in range(0, tile.shape[1] - 2 * REACH, SIZE):
                window = tile[row : row + SIZE + 2 * REACH, column : column + SIZE + 2 * REACH]
                if crop(window).sum() >= LEAST:
                    windows[f"{file.stem} at {row}, {column}"] = window
    return windows


def crop(array: np.ndarray) -> np.ndarray:
    """Cut the margin off."""
    return array[REACH:-REACH, REACH:-REACH]


def change(mask: np.ndarray, kind: str, pixels: int) -> np.ndarray:
    """Return the mask, changed by so many pixels; blurred, it is a probability."""
    if kind == BLURRED:
        return np.asarray(gaussian_filter(mask.astype(np.float32), pixels))
    if kind == "eroded":
        return np.asarray(distance_transform(~mask)) > pixels
    if kind == "dilated":
        return np.asarray(distance_transform(mask)) <= pixels
    shift = {HARD[0]: (pixels, 0), HARD[1]: (0, pixels), HARD[2]: (pixels, pixels)}[kind]
    return np.roll(mask, shift, (0, 1))  # what comes in from the other side stays in the margin


def scores_of(probs: np.ndarray, target: np.ndarray, theta: int) -> dict[str, float]:
    """Surrogate, and metric at the matching threshold and at that of the same number."""
    pair = (torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None] for array in (probs, target))
    found = probs > 0.5
    return {
        "surrogate": 1 - float(BoundaryF1Loss(theta=theta)(*pair)),
        "metric": boundary_f1(found, target, (theta + 1) / 2, image_edge=False).f1,
        "metric_same_number": boundary_f1(found, target, theta, image_edge=False).f1,
    }


def measure(source: str, masks: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """Yield one row per mask, kind of change, pixels and theta."""
    for name, mask in tqdm(masks.items(), desc=source, unit="mask"):
        for kind in (*HARD, BLURRED):
            for pixels in range(REACH + 1):
                probs = crop(change(mask, kind, pixels))
                for theta in THETAS:
                    where = {"source": source, "mask": name, "kind": kind, "pixels": pixels, "theta": theta}
                    yield where | scores_of(probs, crop(mask), theta)


def rank_correlation(part: pd.DataFrame, metric: str = "metric") -> float:
    """Spearman's, over the rows of a table."""
    return round(float(spearmanr(part.surrogate, part[metric]).statistic), 4)


def agreement(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Agreement over the hard masks, per source and theta; `between` leaves out pairs all right or all wrong."""
    rows = []
    for (source, theta), part in table[table.kind != BLURRED].groupby(["source", "theta"], sort=False):
        between = part[(part.metric > 0.01) & (part.metric < 0.99)]
        difference = part.surrogate - part.metric
        worst = part.loc[difference.abs().idxmax()]
        row = {
            "source": source,
            "theta": int(theta),
            "metric_threshold": (theta + 1) / 2,
            "masks": int(part["mask"].nunique()),
            "pairs": len(part),
            "pairs_between": len(between),
            "rank_correlation": rank_correlation(part),
            "rank_correlation_between": rank_correlation(between),
            "rank_correlation_within_mask_lowest": min(rank_correlation(one) for _, one in part.groupby("mask")),
            "rank_correlation_by_kind": {kind: rank_correlation(one) for kind, one in part.groupby("kind", sort=False)},
            "rank_correlation_same_number": rank_correlation(part, "metric_same_number"),
            "mean_difference": difference.mean(),
            "mean_difference_between": difference[between.index].mean(),
            "median_absolute_difference_between": difference[between.index].abs().median(),
            "largest_absolute_difference": difference.abs().max(),
            "largest_at": f"{worst['mask']}, {worst.kind} by {worst.pixels}: {worst.surrogate:.3f}, {worst.metric:.3f}",
            "mean_difference_same_number": (part.surrogate - part.metric_same_number).mean(),
        }
        rows.append({key: round(float(v), 4) if isinstance(v, float) else v for key, v in row.items()})
    return rows


def agreement_figure(table: pd.DataFrame, rows: list[dict[str, Any]]) -> Figure:
    """Draw mean curves over the change, one row of panels per source, and all pairs below."""
    sources = list(table.source.unique())
    figure = Figure(figsize=(11, 3.2 * (len(sources) + 1)), layout="constrained")
    panels = figure.subplots(len(sources) + 1, len(THETAS), sharey=True)
    for column, theta in enumerate(THETAS):
        for kind, colour in zip(HARD, COLORS, strict=False):
            changed = table[(table.theta == theta) & (table.kind == kind)]
            for line, source in enumerate(sources):
                means = changed[changed.source == source].groupby("pixels")[["surrogate", "metric"]].mean()
                axes = panels[line][column]
                axes.plot(means.index, means.surrogate, color=colour, label=f"{kind}, surrogate")
                axes.plot(means.index, means.metric, color=colour, linestyle=":", marker=".", label=f"{kind}, metric")
                axes.set(title=f"{source}, theta {theta}, metric below {(theta + 1) // 2} px", xlabel="change, pixels")
            panels[-1][column].plot(changed.metric, changed.surrogate, ".", color=colour, markersize=2)
        panels[-1][column].axline((0, 0), slope=1, color="0.6", linewidth=0.8)
        found = ", ".join(f"{row['rank_correlation']:.3f}" for row in rows if row["theta"] == theta)
        panels[-1][column].set(title=f"every pair, rank correlation {found}", xlabel="metric", aspect="equal")
    for line, name in zip(panels, [*["boundary F1"] * len(sources), "surrogate"], strict=True):
        line[0].set_ylabel(name)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(HARD), fontsize=7)
    return figure
