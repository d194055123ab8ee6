"""How well the boundary F1 loss follows the exact boundary F1, over building masks that were moved, eroded and dilated.

    python -m experiments.buildings.surrogate --json docs/results/boundary_f1_surrogate.json \
        --figure docs/results/boundary_f1_surrogate.png
    python -m experiments.buildings.surrogate --quick

The surrogate is 1 - `BoundaryF1Loss` of a hard mask, with windows theta of 3, 5 and 7; the metric is `boundary_f1`. A
window reaches (theta - 1) / 2 pixels, both ends included, and the metric counts distances below its threshold: it
matches at (theta + 1) / 2 pixels, where for 3 and 5 the disc holds the same pixels as the box. Also measured against
the threshold of the same number, as the paper writes both. Masks are those of `BuildingPhantoms`, and buildings of the
LoveDA tiles where the data folder has them. A margin around every image takes what a shift brings in; neither form
counts a boundary at the image edge. Blurred masks stand apart: soft for the surrogate, cut at 0.5 for the metric.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from experiments.shared.data import data_folder
from monai_boundary.datasets import BuildingPhantoms
from monai_boundary.kernels import distance_transform
from monai_boundary.losses import BoundaryF1Loss
from monai_boundary.metrics import boundary_f1

THETAS = (3, 5, 7)
REACH, SIZE = 10, 256  # largest change and side of an image, in pixels
HARD = ("shifted along rows", "shifted along columns", "shifted diagonally", "eroded", "dilated")
BLURRED = "blurred"
BUILDING, LEAST = 2, 200  # LoveDA's label, and the pixels of it that a window must have
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7")  # of Okabe and Ito


def phantom_masks(count: int) -> dict[str, np.ndarray]:
    """Masks `(H, W)` with the margin, of the first phantoms."""
    phantoms = BuildingPhantoms(count, shape=(SIZE + 2 * REACH,) * 2)
    return {phantoms[i]["case"]: phantoms[i]["label"][0] > 0 for i in range(count)}


def loveda_masks(folder: Path) -> dict[str, np.ndarray]:
    """Windows of the tiles in `folder` that hold buildings, with the margin; empty where there are no tiles."""
    from PIL import Image

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
        return gaussian_filter(mask.astype(np.float32), pixels)
    if kind == "eroded":
        return np.asarray(distance_transform(~mask)) > pixels
    if kind == "dilated":
        return np.asarray(distance_transform(mask)) <= pixels
    shift = {HARD[0]: (pixels, 0), HARD[1]: (0, pixels), HARD[2]: (pixels, pixels)}[kind]
    return np.roll(mask, shift, (0, 1))  # what comes in from the other side stays in the margin


def scores(probs: np.ndarray, target: np.ndarray, theta: int) -> dict[str, float]:
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
    for name, mask in track(masks.items(), description=source):
        target = crop(mask)
        for kind in (*HARD, BLURRED):
            for pixels in range(REACH + 1):
                probs = crop(change(mask, kind, pixels))
                for theta in THETAS:
                    where = {"source": source, "mask": name, "kind": kind, "pixels": pixels, "theta": theta}
                    yield where | scores(probs, target, theta)


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


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print the agreement as a table."""
    table = Table(title="Surrogate against metric, hard masks")
    columns = {
        "masks of": "source",
        "theta": "theta",
        "pairs": "pairs",
        "rank corr.": "rank_correlation",
        "lowest in a mask": "rank_correlation_within_mask_lowest",
        "between: pairs": "pairs_between",
        "rank corr. ": "rank_correlation_between",
        "mean diff": "mean_difference_between",
        "median |diff|": "median_absolute_difference_between",
        "largest |diff|": "largest_absolute_difference",
    }
    for name in columns:
        table.add_column(name)
    for row in rows:
        table.add_row(
            *(f"{row[key]:.3f}" if isinstance(row[key], float) else str(row[key]) for key in columns.values())
        )
    Console(width=120).print(table)


def draw(table: pd.DataFrame, rows: list[dict[str, Any]], path: Path) -> None:
    """Draw mean curves over the change, one row of panels per source, and all pairs below."""
    from matplotlib.figure import Figure

    from monai_boundary.reports.figures import save_figure

    sources = list(table.source.unique())
    figure = Figure(figsize=(11, 3.2 * (len(sources) + 1)), layout="constrained")
    panels = figure.subplots(len(sources) + 1, len(THETAS), sharey=True)
    for column, theta in enumerate(THETAS):
        for line, source in enumerate(sources):
            axes = panels[line][column]
            for kind, colour in zip(HARD, COLOURS, strict=True):
                part = table[(table.source == source) & (table.theta == theta) & (table.kind == kind)]
                means = part.groupby("pixels")[["surrogate", "metric"]].mean()
                axes.plot(means.index, means.surrogate, color=colour, label=f"{kind}, surrogate")
                axes.plot(means.index, means.metric, color=colour, linestyle=":", marker=".", label=f"{kind}, metric")
            axes.set(title=f"{source}, theta {theta}, metric below {(theta + 1) // 2} px", xlabel="change, pixels")
        axes = panels[-1][column]
        for kind, colour in zip(HARD, COLOURS, strict=True):
            part = table[(table.theta == theta) & (table.kind == kind)]
            axes.plot(part.metric, part.surrogate, ".", color=colour, markersize=2)
        axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8)
        found = ", ".join(f"{row['rank_correlation']:.3f}" for row in rows if row["theta"] == theta)
        axes.set(title=f"every pair, rank correlation {found}", xlabel="metric", aspect="equal")
    for line, name in zip(panels, [*["boundary F1"] * len(sources), "surrogate"], strict=True):
        line[0].set_ylabel(name)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(HARD), fontsize=7)
    save_figure(figure, path)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--phantoms", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="five phantoms and no real masks")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    sources = {"phantoms": phantom_masks(5 if arguments.quick else arguments.phantoms)}
    if not arguments.quick and (real := loveda_masks(arguments.data / "loveda")):
        sources["LoveDA"] = real
    table = pd.DataFrame(row for source, masks in sources.items() for row in measure(source, masks))
    rows = agreement(table)
    print_rows(rows)
    if arguments.figure:
        draw(table, rows, arguments.figure)
    if arguments.json:
        columns = ["surrogate", "metric", "metric_same_number"]
        means = table.groupby(["source", "theta", "kind", "pixels"], sort=False)[columns].mean().round(4)
        content = {"agreement": rows, "means": means.reset_index().to_dict("records")}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
