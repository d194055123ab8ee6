"""Tables and pictures from the finished runs of the synthetic experiment, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.buildings.aicd import AicdSettings, unpack_mask
from experiments.buildings.aicd_table import NAMES, aicd_tables, group_runs, group_title
from experiments.buildings.examples import Example, examples_figure
from experiments.shared.curves import curves_figure
from experiments.shared.journal import finished_runs
from monai_boundary.datasets import BuildingPhantoms
from monai_boundary.reports.figures import save_figure

__all__ = ["write_aicd_report"]

_SCORES = {"iou": "IoU", "f1_3": "boundary F1, theta 3"}


def write_aicd_report(results: Path, folder: Path, stem: str = "") -> str:
    """Draw `<stem>curves.png` and `<stem>edge.png` into `folder`, and return the tables with the names of the files.

    The second picture is of the group of runs with the most losses, one seed.

    Args:
        results: JSON lines file of `run_aicd`.
        folder: Where the pictures go.
        stem: Put before their names.

    Raises:
        ValueError: There is no finished run.
    """
    rows = finished_runs(results)
    if not rows:
        raise ValueError(f"{results} must hold finished runs, got none; run python -m experiments aicd first")
    groups = group_runs(rows)
    named = [
        {**row, "setting": NAMES[row["loss"]], "data": group_title(row) if len(groups) > 1 else "AICD phantoms"}
        for group in groups
        for row in group
    ]
    curves = save_figure(curves_figure(named, _SCORES), folder / f"{stem}curves.png", dpi=110)
    widest = max(groups, key=lambda group: len({row["loss"] for row in group}))
    examples = save_figure(_examples(widest), folder / f"{stem}edge.png", dpi=110)
    return f"\n{aicd_tables(rows)}\n\nruns: {results}\ncurves: {curves}\nimage edge: {examples}"


def _examples(rows: Sequence[dict[str, Any]]) -> Any:
    """Predictions of the first seed of every loss on images that the edge cuts."""
    first = rows[0]
    seed = min(row["seed"] for row in rows)
    chosen = {NAMES[row["loss"]]: row["examples"] for row in rows if row["seed"] == seed}
    shape = (first["size"],) * 2
    phantoms = BuildingPhantoms(first["images"], 0, shape)
    start = first["images"] - AicdSettings(images=first["images"], size=first["size"]).scored
    examples = []
    for index in first["examples"]:
        phantom = phantoms.phantom(start + int(index))
        masks = {name: unpack_mask(packed[index], shape) for name, packed in chosen.items()}
        examples.append(Example(phantom.primitive, phantom.image, phantom.mask > 0, masks))
    return examples_figure(examples, f"Buildings cut by the image edge, seed {seed}, {first['epochs']} epochs")
