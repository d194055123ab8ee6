"""The paper's rows of the synthetic experiment beside ours, in per cent, and what becomes of pinholes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_fill_holes, median_filter

from experiments.buildings.aicd import AicdSettings, scored_masks
from experiments.buildings.examples import Example, examples_figure
from experiments.buildings.losses import LOSSES, iou
from experiments.shared.curves import curves_figure
from experiments.shared.tables import grouped, markdown, mean_of, spread
from monai_boundary.metrics import boundary_f1
from monai_boundary.reports.figures import save_figure

#: IoU and BF1 of Tables 1 and 2 of the paper, column AICD, in per cent; it gives no spread.
PUBLISHED = {"bf1+iou": (86.91, 71.51), "iou": (85.66, 68.01), "ss+iou": (61.14, 20.74), "dice+iou": (85.13, 70.49)}
_SETTINGS = tuple(AicdSettings.__dataclass_fields__)
_SCORES = {"iou": "IoU", "f1_3": "boundary F1, theta 3"}

Row = dict[str, Any]
Measure = Callable[[Row], float]


def aicd_report(rows: Sequence[Row], figures: Path | None) -> str:
    """Return the tables, and draw learning curves, and predictions at the image edge of the group of most losses."""
    if figures is not None:
        groups = _by_settings(rows)
        named = [
            {**row, "setting": LOSSES[row["loss"]], "data": _words(row) if len(groups) > 1 else "AICD phantoms"}
            for group in groups for row in group
        ]  # fmt: skip
        save_figure(curves_figure(named, _SCORES), figures / "aicd_curves.png", dpi=110)
        widest = max(groups, key=lambda group: len({row["loss"] for row in group}))
        save_figure(_examples(widest), figures / "aicd_edge.png", dpi=110)
    return aicd_tables(rows)


def aicd_tables(rows: Sequence[Row]) -> str:
    """Return two tables for each group of runs of one set of settings: all scored images, and the image edge.

    Cells: mean over images, then mean ± standard deviation over seeds. The last line compares seed by seed.
    """
    return "\n\n".join(part for group in _by_settings(rows) for part in (_title(group), _main(group), _edge(group)))


def _by_settings(rows: Sequence[Row]) -> list[list[Row]]:
    return list(grouped(rows, lambda row: json.dumps([row[key] for key in _SETTINGS])).values())


def _words(row: Row) -> str:
    """Say in few words what sets a group of runs apart."""
    ramp = "0 to " if row["ramp"] else ""
    entropy = ", with cross-entropy" if row["cross_entropy"] else ""
    return (
        f"{row['images']} images of {row['size']} x {row['size']}, {row['epochs']} epochs, "
        f"{row['features'][0]} to {row['features'][-1]} features,\nweight of BF1 {ramp}{row['weight']}{entropy}"
    )


def _title(rows: Sequence[Row]) -> str:
    cases = rows[0]["cases"]
    cut = sum(case["at_edge"] for case in cases)
    smoke = "SMOKE RUN, too small to compare losses. " if rows[0]["smoke"] else ""
    words = _words(rows[0]).replace("\n", " ")
    return f"{smoke}{words}; {len(cases)} images scored, {cut} of them cut by the image edge. Per cent:"


def _main(rows: Sequence[Row]) -> str:
    columns: dict[str, Measure] = {
        "IoU": lambda row: _over(row, "iou"),
        "BF1, theta 3": lambda row: _over(row, "f1_3"),
        "BF1, theta 5": lambda row: _over(row, "f1_5"),
        "IoU after 1/4 of the epochs": lambda row: 100 * _early(row)["iou"],
    }
    return _table(rows, columns, ("paper IoU", "paper BF1"))


def _edge(rows: Sequence[Row]) -> str:
    columns: dict[str, Measure] = {
        "IoU, whole": lambda row: _over(row, "iou", False),
        "IoU, cut by the edge": lambda row: _over(row, "iou", True),
        f"IoU of cut ones in the outer {rows[0]['size'] // 16} pixels": lambda row: _over(row, "edge_iou", True),
        "BF1, whole": lambda row: _over(row, "f1_3", False),
        "BF1, cut by the edge": lambda row: _over(row, "f1_3", True),
    }
    return _table(rows, columns, ())


def _table(rows: Sequence[Row], columns: dict[str, Measure], published: Sequence[str]) -> str:
    by_loss = grouped(rows, lambda row: row["loss"])
    cells = []
    for loss, name in LOSSES.items():
        if runs := by_loss.get(loss):
            measured = [spread([measure(run) for run in runs], ".2f") for measure in columns.values()]
            paper = [f"{PUBLISHED[loss][place]:.2f}" for place in range(len(published))]
            cells.append([name, len(runs), *measured, *paper])
    own, other = ({row["seed"]: row for row in by_loss.get(loss, ())} for loss in ("bf1+iou", "iou"))
    pairs = [(own[seed], other[seed]) for seed in own if seed in other]  # each pair started from one network
    if pairs:
        measured = [spread([measure(a) - measure(b) for a, b in pairs], "+.2f") for measure in columns.values()]
        paper = [f"{PUBLISHED['bf1+iou'][i] - PUBLISHED['iou'][i]:+.2f}" for i in range(len(published))]
        cells.append(["difference of the first two", len(pairs), *measured, *paper])
    return markdown(("loss", "seeds", *columns, *published), cells)


def _over(row: Row, key: str, at_edge: bool | None = None) -> float:
    """Mean over the images in per cent; of those that the edge cuts, or of the others, where `at_edge` says so."""
    chosen = [case[key] for case in row["cases"] if at_edge is None or case["at_edge"] == at_edge]
    return 100 * mean_of(value for value in chosen if value is not None)


def _early(row: Row) -> Row:
    """Return the last point of the curve in the first quarter of the epochs, or the first of all."""
    points: list[Row] = row["curve"]
    early = [point for point in points if point["epoch"] <= row["epochs"] / 4]
    return early[-1] if early else points[0]


def _examples(rows: Sequence[Row]) -> Any:
    """Predictions of the first seed of every loss on images that the edge cuts."""
    seed = min(row["seed"] for row in rows)
    masks = {LOSSES[row["loss"]]: scored_masks(row) for row in rows if row["seed"] == seed}
    examples = [
        Example(phantom.primitive, phantom.image, phantom.mask > 0, {name: own[at][1] for name, own in masks.items()})
        for at, (phantom, _) in next(iter(masks.values())).items()
    ]
    title = f"Buildings cut by the image edge, seed {seed}, {rows[0]['epochs']} epochs"
    return examples_figure(examples, title)


def pinhole_table(rows: Sequence[Row]) -> str:
    """Score the kept predictions before and after a median of 5 x 5 pixels, which closes pinholes; in per cent."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for row in rows:
        for phantom, pred in scored_masks(row).values():
            smooth = median_filter(pred.astype(np.uint8), 5) > 0
            for mask, own in (("as predicted", pred), ("5 x 5 median", smooth)):
                found.setdefault((LOSSES[row["loss"]], mask), []).append(_with_holes(own, phantom.mask > 0))
    cells = [[*key, len(each), *(f"{100 * v:.1f}" for v in np.nanmean(each, axis=0))] for key, each in found.items()]
    header = ("loss", "mask", "images x seeds", "precision", "recall", "BF1, theta 3", "IoU", "share of holes")
    return markdown(header, cells)


def _with_holes(pred: np.ndarray, true: np.ndarray) -> list[float]:
    found = boundary_f1(pred, true, 3)
    holes = (binary_fill_holes(pred) & ~pred).sum() / max(1, pred.sum())
    return [found.precision, found.recall, found.f1, iou(pred, true), float(holes)]
