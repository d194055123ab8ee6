"""The reports of volumes and of tiles: one HTML file each, that needs nothing beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from monai_boundary.datasets.label_maps import read_any_image
from monai_boundary.datasets.nifti import Volume, same_grid
from monai_boundary.evaluation.matching import find_image, read_pair
from monai_boundary.evaluation.tile_pictures import worst_part
from monai_boundary.evaluation.tiles import SCORES, TileEvaluation
from monai_boundary.evaluation.volumes import CaseRow, Evaluation
from monai_boundary.metrics.score_sets import PROTOCOLS, Protocol
from monai_boundary.reports.figures import overlay_figure
from monai_boundary.reports.page import data_uri, write_page
from monai_boundary.reports.scores import MOST_CLASSES, lesions_figure, scores_figure

__all__ = ["worst_rows", "write_report", "write_tiles_report"]


def write_report(
    result: Evaluation,
    path: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    worst: int = 3,
    title: str = "Segmentation scores",
) -> Path:
    """Write the scores as HTML with box plots, counts of misses and pictures of the worst cases.

    Of more than six classes the six with the lowest mean Dice are drawn.

    Args:
        result: The scores.
        path: File to write; its pictures are inside.
        images: Folder of the images, for the pictures; by default ``imagesTr`` beside ``labelsTr`` and so on. Without
            images the contours stand on an empty ground.
        worst: Number of cases to show per class.
        title: Heading.

    Returns:
        The path.
    """
    metrics = PROTOCOLS[result.settings.protocol]
    by_class = result.table().groupby("label")
    drawn = _lowest(by_class["dice"].mean().to_dict())
    panels = {
        metric.title: {f"class {label}": values for label, values in by_class[name] if label in drawn}
        for name, metric in metrics.items()
    }
    lesions = result.tables().get("lesions")
    folder = None if images is None else Path(images)
    pictures = [
        (row, data_uri(_overlay(result, row, folder)))
        for label in result.labels
        if label in drawn
        for row in worst_rows([row for row in result.rows if row.label == label], worst)
    ]
    return write_page(
        path,
        __package__,
        "report.html.j2",
        title=title,
        settings=result.settings,
        unit=result.unit,
        summary=result.summary(),
        metrics=metrics,
        rows=result.rows,
        plots=data_uri(scores_figure(panels, _fractions(metrics)), "svg") if result.rows else "",
        lesions="" if lesions is None or lesions.empty else data_uri(lesions_figure(lesions, result.unit)),
        pictures=pictures,
        several=len(result.labels) > 1,
        not_drawn=by_class.ngroups - len(drawn),
    )


def _lowest(dice: Mapping[Any, float]) -> set[Any]:
    """Return the classes to draw: all, or those with the lowest Dice of very many, of which none would be seen."""
    return set(sorted(dice, key=lambda label: (math.isnan(dice[label]), dice[label]))[:MOST_CLASSES])


def write_tiles_report(
    result: TileEvaluation,
    path: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    worst: int = 3,
    title: str = "Buildings",
) -> Path:
    """Write the scores of tiles as HTML, with the worst part of the worst tiles.

    Args:
        result: The scores.
        path: File to write.
        images: Folder of the images; by default ``images`` beside the masks, as INRIA has them. Without images the
            masks stand alone.
        worst: Number of tiles to show.
        title: Heading.

    Returns:
        The path.
    """
    table = result.table()
    panels = {metric.title: {"tiles": table[name]} for name, metric in SCORES.items()}
    rows = table.sort_values(["iou", "case"], kind="stable").to_dict("records")
    folder = None if images is None else Path(images)
    pictures = [(row, data_uri(worst_part(result, row["case"], folder))) for row in rows if row["iou"] < 1][:worst]
    return write_page(
        path,
        __package__,
        "tiles.html.j2",
        title=title,
        summary=result.summary(),
        metrics=SCORES,
        rows=rows,
        plots=data_uri(scores_figure(panels, _fractions(SCORES)), "svg") if rows else "",
        pictures=pictures,
    )


def _fractions(metrics: Protocol) -> list[str]:
    """Titles of the scores that lie in [0, 1]: all that are better when they are higher."""
    return [metric.title for metric in metrics.values() if metric.better == "higher"]


def worst_rows(rows: list[CaseRow], count: int) -> list[CaseRow]:
    """Return the rows with the lowest Dice, those without any last; of equal ones the largest target first."""
    scored = [row for row in rows if math.isfinite(row.scores["dice"])]
    return sorted(scored, key=lambda row: (row.scores["dice"], -row.target_voxels, row.case))[:count]


def _overlay(result: Evaluation, row: CaseRow, images: Path | None) -> Figure:
    pred_file, target_file = result.files[row.case]
    pred, target = read_pair(pred_file, target_file)
    ground = _ground(find_image(row.case, target_file.parent, images), target)
    values = result.classes[row.label]
    found = np.isin(pred.array, values) & (target.array != result.settings.ignore_index)
    name = row.case if len(result.labels) == 1 else f"{row.case}, class {row.label}"
    scores = row.scores["dice"], row.scores.get("hd95_mm")
    true = np.isin(target.array, values)
    return overlay_figure(ground, true, found, target.spacing, name, *scores, unit=target.unit)


def _ground(file: Path | None, target: Volume) -> np.ndarray:
    """Return the image to draw on; an empty one where there is none of use: no picture is worth the report."""
    try:
        image = target if file is None else read_any_image(file)
    except (ValueError, OSError):  # several channels in one file, as the Medical Segmentation Decathlon has them
        image = target
    return image.array if image is not target and same_grid(image, target) else np.zeros(target.array.shape)
