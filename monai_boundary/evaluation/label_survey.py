"""What the label maps of a data set hold: classes, lesions, empty cases, spacing. Images are not read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monai_boundary.datasets.label_maps import label_files, read_any_labels
from monai_boundary.evaluation.label_figures import FIGURES, CaseLabels, case_labels
from monai_boundary.evaluation.tables import score_each, statistics

__all__ = ["LabelSurvey", "survey_labels"]


@dataclass
class LabelSurvey:
    """The figures of a data set.

    Args:
        dataset: As it was given.
        classes: Values by name.
        cases: By name.
        ignore_index: Value of voxels that do not count.
        failed: Reason by the name of a case that could not be read.
    """

    dataset: Path
    classes: Mapping[str, tuple[int, ...]]
    cases: dict[str, CaseLabels]
    ignore_index: int | None = None
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def ndim(self) -> int:
        """2 for a set of images, 3 as soon as one case is a volume."""
        return max(case.ndim for case in self.cases.values())

    @property
    def size_unit(self) -> str:
        """Unit of the sizes: mm^3, mm^2, or px for images without spacing."""
        return f"mm^{self.ndim}" if all(case.unit == "mm" for case in self.cases.values()) else "px"

    @property
    def unnamed(self) -> dict[int, int]:
        """Number of cases by label that no class names."""
        known = {0, self.ignore_index, *(value for values in self.classes.values() for value in values)}
        values = pd.Series([value for case in self.cases.values() for value in case.values if value not in known])
        return {int(value): int(count) for value, count in values.value_counts().sort_index().items()}

    @property
    def spacings(self) -> pd.DataFrame:
        """Voxel size of every case along z, y and x, and the largest over the smallest."""
        table = pd.DataFrame([case.spacing for case in self.cases.values()], columns=["z", "y", "x"])
        return table.assign(anisotropy=[case.anisotropy for case in self.cases.values()])

    def without(self, name: str) -> list[str]:
        """Return the cases that do not hold the class."""
        return [case for case, labels in self.cases.items() if name not in labels.classes]

    def table(self, name: str) -> pd.DataFrame:
        """Return the `FIGURES` of the cases that hold the class, a line each."""
        held = {case: labels.classes[name] for case, labels in self.cases.items() if name in labels.classes}
        lines = [[getattr(found, figure) for figure in FIGURES] for found in held.values()]
        return pd.DataFrame(lines, index=list(held), columns=list(FIGURES), dtype=float)

    def sizes(self, name: str, in_voxels: bool = False) -> dict[str, np.ndarray]:
        """Return the sizes of the lesions of a class by case, in `size_unit` or in voxels."""
        return {
            case: labels.classes[name].sizes * (1.0 if in_voxels else labels.voxel_size)
            for case, labels in self.cases.items()
            if name in labels.classes
        }

    def figures(self, name: str) -> dict[str, float]:
        """Return what advice goes by: the medians of `table`, ``ndim``, and the % of cases without the class."""
        medians = {str(figure): float(value) for figure, value in self.table(name).median().items()}
        return {**medians, "ndim": self.ndim, "empty": 100 * len(self.without(name)) / len(self.cases)}

    def summary(self) -> dict[str, Any]:
        """Return all figures as JSON holds them."""
        return {
            "dataset": str(self.dataset),
            "cases": len(self.cases),
            "failed": self.failed,
            "unnamed_labels": {str(value): count for value, count in self.unnamed.items()},
            "spacing": {str(axis): statistics(values) for axis, values in self.spacings.items()},
            "classes": {name: self._class_summary(name) for name in self.classes},
        }

    def _class_summary(self, name: str) -> dict[str, Any]:
        table = self.table(name)
        sizes = {unit: self.sizes(name, unit == "voxels") for unit in ("voxels", self.size_unit)}
        return {
            "values": list(self.classes[name]),
            "cases": len(table),
            "without": self.without(name),
            **{figure: statistics(table[figure]) for figure in FIGURES},
            "lesion_size": {unit: statistics(pooled(values)) for unit, values in sizes.items()},
        }


def pooled(sizes: Mapping[str, np.ndarray]) -> pd.Series:
    """Return the sizes of all lesions of all cases."""
    return pd.Series(np.concatenate([np.empty(0), *sizes.values()]))


def survey_labels(dataset: str | os.PathLike[str], progress: bool = True) -> LabelSurvey:
    """Look at every label map of a data set.

    Args:
        dataset: Raw data set of nnU-Net or MONAI datalist, as `label_files` takes it.
        progress: Show a progress bar.

    Returns:
        The figures. Cases that cannot be read are named with the reason and do not stop the others.

    Raises:
        ValueError: There is no case, or none could be read.
        OSError: The data set does not exist.
    """
    listed, failed = label_files(dataset), dict[str, str]()

    def measure(case: str, file: Path) -> CaseLabels:  # noqa: ARG001 - the error has the name
        return case_labels(read_any_labels(file), listed.classes, listed.ignore_index)

    files = {case: (file,) for case, file in listed.files.items()}
    cases = score_each(files, measure, failed, "case", progress, "labels")
    if not cases:
        raise ValueError(f"{dataset} must hold label maps that can be read, got {next(iter(failed.values()))}")
    found = {value for case in cases.values() for value in case.values if value not in (0, listed.ignore_index)}
    classes = listed.classes or {str(value): (value,) for value in sorted(found)}
    return LabelSurvey(Path(dataset), classes, cases, listed.ignore_index, failed)
