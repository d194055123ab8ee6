"""The two files of a comparison: all figures as JSON, and the picture of every case."""

from __future__ import annotations

import os
from pathlib import Path

from monai_boundary._files import together, write_json
from monai_boundary._words import counted
from monai_boundary.evaluation.compare import Comparison
from monai_boundary.evaluation.runs import METRICS
from monai_boundary.reports.figures import save_figure
from monai_boundary.reports.paired import PairedPanel, paired_figure

__all__ = ["comparison_panels", "write_comparison"]

_PANELS = 40  # what one picture holds


def write_comparison(result: Comparison, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``comparison.json`` and ``comparison.png``, both or neither; return their paths.

    The picture holds the first 40 scores, class by class, and says so where there are more.
    """
    summary, picture = Path(folder) / "comparison.json", Path(folder) / "comparison.png"
    panels, names = comparison_panels(result), [run.name for run in result.runs]
    title = f"{counted(len(result.runs[0].table.index.unique('case')), 'case')}, {len(names)} runs"
    if len(panels) > _PANELS:
        title += f"; the first {_PANELS} of {len(panels)} scores"
    with together(folder, summary.name) as part:
        write_json(part / summary.name, result.summary())
        save_figure(paired_figure(panels[:_PANELS], names, title), part / picture.name, dpi=120)
    return summary, picture


def comparison_panels(result: Comparison) -> list[PairedPanel]:
    """Return a panel for each score of each class; its differences are to the first run."""
    found = {(one.label, one.score, one.reference, one.run): one.interval for one in result.differences}
    first, panels = result.runs[0].name, []
    for label in result.labels:
        for score in result.scores:
            values, metric = result.values(label, score), METRICS[score]
            name = metric.title if len(result.labels) == 1 else f"class {label}: {metric.title}"
            intervals = [found[label, score, first, run.name] for run in result.runs[1:]]
            panels.append(PairedPanel(name, metric.better, values.index.tolist(), values.to_numpy(), intervals))
    return panels
