"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from monai_boundary._files import write_text
from monai_boundary.datasets.nifti import Volume, read_image, same_grid
from monai_boundary.evaluation.matching import find_image, read_pair
from monai_boundary.evaluation.volumes import CaseRow, Evaluation
from monai_boundary.metrics.score_sets import PROTOCOLS, Metric
from monai_boundary.reports.figures import overlay_figure
from monai_boundary.reports.scores import scores_figure

__all__ = ["worst_rows", "write_report"]


def write_report(
    result: Evaluation,
    path: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    worst: int = 3,
    title: str = "Segmentation scores",
) -> Path:
    """Write the scores as HTML with box plots, counts of misses and pictures of the worst cases.

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
    panels = {
        metric.title: {f"class {label}": values for label, values in by_class[name]} for name, metric in metrics.items()
    }
    folder = None if images is None else Path(images)
    pictures = [
        (row, _base64(_overlay(result, row, folder), "png"))
        for label in result.labels
        for row in worst_rows([row for row in result.rows if row.label == label], worst)
    ]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["score"] = _score
    template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    text = template.render(
        title=title,
        version=version("monai-boundary"),
        settings=result.settings,
        summary=result.summary(),
        metrics=metrics,
        rows=result.rows,
        plots=_base64(scores_figure(panels), "svg") if result.rows else "",
        pictures=pictures,
        several=len(result.labels) > 1,
    )
    write_text(path, text)
    return Path(path)


def worst_rows(rows: list[CaseRow], count: int) -> list[CaseRow]:
    """Return the rows with the lowest Dice, those without any last; of equal ones the largest target first."""
    scored = [row for row in rows if math.isfinite(row.scores["dice"])]
    return sorted(scored, key=lambda row: (row.scores["dice"], -row.target_voxels, row.case))[:count]


def _score(value: float | None, metric: Metric) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{metric.places}f}"


def _overlay(result: Evaluation, row: CaseRow, images: Path | None) -> Figure:
    pred_file, target_file = result.files[row.case]
    pred, target = read_pair(pred_file, target_file)
    ground = _ground(find_image(row.case, target_file.parent, images), target)
    found = (pred.array == row.label) & (target.array != result.settings.ignore_index)
    name = row.case if len(result.labels) == 1 else f"{row.case}, class {row.label}"
    return overlay_figure(
        ground, target.array == row.label, found, target.spacing, name, row.scores["dice"], row.scores.get("hd95_mm")
    )


def _ground(file: Path | None, target: Volume) -> np.ndarray:
    """Return the image to draw on; an empty one where there is none of use: no picture is worth the report."""
    try:
        image = target if file is None else read_image(file)
    except (ValueError, OSError):  # several channels in one file, as the Medical Segmentation Decathlon has them
        image = target
    return image.array if image is not target and same_grid(image, target) else np.zeros(target.array.shape)


def _base64(figure: Figure, kind: str) -> str:
    buffer = io.BytesIO()
    write: Callable = figure.savefig
    write(buffer, format=kind, dpi=110, facecolor="white", metadata={"Date": None} if kind == "svg" else None)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
