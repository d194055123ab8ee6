"""Score the NIfTI label maps of a folder and reduce the scores, without losing a failure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monai_boundary._check import check_ignore_index, check_number, is_integer
from monai_boundary.datasets.datalist import class_values, ignored_value
from monai_boundary.datasets.nifti import Volume
from monai_boundary.evaluation.held_values import check_classes, held_values, listed
from monai_boundary.evaluation.matching import find_pairs, read_pair
from monai_boundary.evaluation.tables import score_each, statistics
from monai_boundary.metrics.lesion_scores import LESION_COLUMNS, lesion_scores
from monai_boundary.metrics.lesions import LesionSettings
from monai_boundary.metrics.score_sets import PROTOCOLS, class_masks, protocol_defaults, score_pair, single_lesions
from monai_boundary.metrics.surface import Definition, Empty

__all__ = ["CaseRow", "Evaluation", "EvaluationSettings", "evaluate_folder"]

_IGNORED = {"wmh": 2}  # other pathology
_EVERY_CLASS = ("surface", "lesions")
#: Values by label; by name where there are regions.
Classes = dict[Any, tuple[int, ...]]


@dataclass(frozen=True)
class EvaluationSettings:
    """What to score and how.

    Args:
        protocol: Name in `PROTOCOLS`.
        labels: Classes to score; ``None`` for 1, and with ``"surface"`` and ``"lesions"`` for every class that the
            ``dataset.json`` of nnU-Net names, or its regions, or, without one, every class that a ground truth or a
            prediction holds.
        ignore_index: Label of the ground truth where predictions do not count; ``None`` for the protocol's own, or the
            one that nnU-Net's ``dataset.json`` beside the ground truth calls ``ignore``.
        empty: What distances are where only one side holds the class (the lesion), see `score_pair`.
        tolerance_mm: Of the surface Dice.
        definition: What surfaces are made of, see `score_pair`.
        lesions: Settings of the protocol ``"lesions"``.
    """

    protocol: str = "surface"
    labels: tuple[int, ...] | None = None
    ignore_index: int | None = None
    empty: Empty | None = None
    tolerance_mm: float = 1.0
    definition: Definition | None = None
    lesions: LesionSettings | None = None

    def __post_init__(self) -> None:
        chosen = protocol_defaults(self.protocol, self.empty, self.definition, self.lesions)
        for name, value in zip(("empty", "definition", "lesions"), chosen, strict=True):
            object.__setattr__(self, name, value)
        check_ignore_index(self.ignore_index)
        check_number("tolerance_mm", self.tolerance_mm, strict=False)
        if self.labels is not None and not (
            isinstance(self.labels, list | tuple) and all(map(is_integer, self.labels))
        ):
            raise TypeError(f"labels must be None or a tuple of integers, got {self.labels!r}")
        if self.ignore_index is None:
            object.__setattr__(self, "ignore_index", _IGNORED.get(self.protocol))
        if self.labels is None and self.protocol not in _EVERY_CLASS:
            object.__setattr__(self, "labels", (1,))
        if self.labels is not None and (not self.labels or min(self.labels) < 1 or self.ignore_index in self.labels):
            raise ValueError(f"labels must be classes >= 1 that are not ignored, got {self.labels}")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels must name each class once, got {self.labels}")


@dataclass(frozen=True)
class CaseRow:
    """Scores of one class in one case.

    Args:
        case: Name.
        label: Class, or the name of a region.
        scores: By name, as `PROTOCOLS` lists them.
        target_voxels: Voxels of the class in the ground truth.
        predicted_voxels: Voxels of the class in the prediction, ignored ones not counted.
        lesions: With the protocol ``"lesions"``, one line per lesion, see `LesionScores.rows`.
        unit: Of distances, ``"mm"`` or ``"px"``.
    """

    case: str
    label: int | str
    scores: dict[str, float]
    target_voxels: int
    predicted_voxels: int
    lesions: Sequence[dict[str, Any]] = ()
    unit: str = "mm"

    @property
    def missed(self) -> bool:
        """The ground truth holds the class and the prediction does not."""
        return self.target_voxels > 0 and self.predicted_voxels == 0

    @property
    def false_alarm(self) -> bool:
        """The prediction holds the class and the ground truth does not."""
        return self.target_voxels == 0 and self.predicted_voxels > 0


@dataclass
class Evaluation:
    """The scores of a folder.

    Args:
        settings: What was scored.
        rows: One per case and class.
        files: Prediction and ground truth by case.
        failed: Reason by case that could not be scored.
        without_prediction: Cases that have no prediction.
        without_target: Files that are no prediction of a known case.
        classes: Values of the classes by label, several for a region.
        unnamed: Number of cases by value that no class of ``dataset.json`` has.
    """

    settings: EvaluationSettings
    files: dict[str, tuple[Path, Path]]
    without_prediction: list[str]
    without_target: list[Path]
    rows: list[CaseRow] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    classes: Classes = field(default_factory=dict)
    unnamed: Counter[int] = field(default_factory=Counter)

    @property
    def unit(self) -> str:
        """Of distances: mm, or px where no case has a spacing in mm."""
        return "px" if self.rows and all(row.unit == "px" for row in self.rows) else "mm"

    @property
    def labels(self) -> list[Any]:
        """The classes that were scored, by number, or regions by name."""
        found: set[Any] = {row.label for row in self.rows}
        return sorted(found)

    def table(self) -> pd.DataFrame:
        """Return one line per case and class: its scores and its voxels."""
        counts = ("target_voxels", "predicted_voxels", "missed", "false_alarm")
        lines = [
            {"case": row.case, "label": row.label, **row.scores, **{name: int(getattr(row, name)) for name in counts}}
            for row in self.rows
        ]
        return pd.DataFrame(lines, columns=["case", "label", *PROTOCOLS[self.settings.protocol], *counts])

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return `table` as ``"cases"``; with the protocol ``"lesions"`` also one line per lesion, true or false."""
        if self.settings.lesions is None:
            return {"cases": self.table()}
        lines = [{"case": row.case, "label": row.label, **each} for row in self.rows for each in row.lesions]
        return {"cases": self.table(), "lesions": pd.DataFrame(lines, columns=["case", "label", *LESION_COLUMNS])}

    def summary(self) -> dict[str, Any]:
        """Return counts, and for each class the statistics of each score.

        A score that does not exist for a case, because neither side holds the class, is counted under ``undefined``
        and takes no part in the statistics. Misses do take part: distances have the value that `empty` gives them.
        """
        return {
            "settings": asdict(self.settings),
            "cases": len({row.case for row in self.rows}),
            "failed": self.failed,
            "unnamed_labels": {str(value): count for value, count in sorted(self.unnamed.items())},
            "without_prediction": self.without_prediction,
            "without_target": [file.name for file in self.without_target],
            "labels": {str(label): self._class_summary(table) for label, table in self.table().groupby("label")},
        }

    def _class_summary(self, table: pd.DataFrame) -> dict[str, Any]:
        return {
            "missed": table["case"][table["missed"] == 1].tolist(),
            "false_alarms": table["case"][table["false_alarm"] == 1].tolist(),
            "scores": {name: statistics(table[name]) for name in PROTOCOLS[self.settings.protocol]},
        }


def evaluate_folder(
    pred_dir: str | os.PathLike[str],
    gt_dir: str | os.PathLike[str],
    settings: EvaluationSettings | None = None,
    progress: bool = True,
    cases: Sequence[str] | None = None,
) -> Evaluation:
    """Score the predictions of a folder.

    Args:
        pred_dir: Predicted label maps, named as by nnU-Net or MONAI; see `find_pairs`.
        gt_dir: Ground truth, one label map per case.
        settings: What to score.
        progress: Show a progress bar.
        cases: Names of those to score; ``None`` for all.

    Returns:
        The scores. Cases that cannot be scored are named with the reason and do not stop the others.

    Raises:
        ValueError: The folders do not hold predictions of one set of cases, or one of them holds no class that is
            scored, but others.
    """
    settings = settings or EvaluationSettings()
    if settings.ignore_index is None:
        ignored = ignored_value(Path(gt_dir).absolute().parent / "dataset.json")
        settings = replace(settings, ignore_index=ignored)
    pairs = find_pairs(pred_dir, gt_dir)
    pairs = pairs if cases is None else pairs.only(cases)
    result = Evaluation(settings, pairs.cases, pairs.without_prediction, pairs.without_target)
    result.classes = _classes_of(Path(gt_dir), pairs.cases, settings)
    score = partial(_score_case, result)
    for rows in score_each(pairs.cases, score, result.failed, "case", progress).values():
        result.rows += rows
    _check_held(result)
    return result


def _check_held(result: Evaluation) -> None:
    """Raise where one side holds no class that is scored, in any case, but values that the other has not: 255 for 1."""
    done = {row.case for row in result.rows}
    files = [pair for case, pair in result.files.items() if case in done]
    counts = ("predicted_voxels", "target_voxels")
    bare = [side for side, count in enumerate(counts) if not any(getattr(row, count) for row in result.rows)]
    held = held_values(files) if bare else (set(), set())
    for side in bare:
        foreign = held[side] - held[1 - side] - {0, result.settings.ignore_index}
        if foreign:
            raise ValueError(
                f"{('pred_dir', 'gt_dir')[side]} must hold classes that are scored, {listed(result.labels)}, got "
                f"{listed(foreign)} alone; change the values of the files, or name the classes with labels"
            )


def _score_case(result: Evaluation, case: str, pred_file: Path, target_file: Path) -> list[CaseRow]:
    settings = result.settings
    pred, target = read_pair(pred_file, target_file)
    rows = []
    each: list[dict[str, Any]] = []
    for label, values in result.classes.items():
        labels, truth = _with_one_value(pred.array, values), _with_one_value(target.array, values)
        found, true = class_masks(labels, truth, values[0], settings.ignore_index)
        if settings.lesions is None:
            scores = score_pair(
                settings.protocol, found, true, target.spacing, empty=settings.empty,
                tolerance_mm=settings.tolerance_mm, definition=settings.definition,
            )  # fmt: skip
        else:
            scores, each = _score_lesions(settings, found, true, target)
        rows.append(CaseRow(case, label, scores, int(true.sum()), int(found.sum()), each, target.unit))
    if settings.labels is None:  # else it was asked for the others to be left out
        held = {int(value) for volume in (pred, target) for value in pd.unique(volume.array.ravel())}
        result.unnamed.update(held - {0, settings.ignore_index}.union(*result.classes.values()))
    return rows


def _with_one_value(labels: np.ndarray, values: tuple[int, ...]) -> np.ndarray:
    """Return a label map in which all values of a region are its first."""
    return labels if len(values) == 1 else np.where(np.isin(labels, values), values[0], labels)


def _score_lesions(
    settings: EvaluationSettings, found: np.ndarray, true: np.ndarray, target: Volume
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return the scores of a class, and those of each of its lesions."""
    chosen: Any = (settings.empty, settings.tolerance_mm, settings.definition)
    each = lesion_scores(found, true, target.spacing, settings.lesions, *chosen)
    return single_lesions(tuple(PROTOCOLS["lesions"]), found, true, each), each.rows(target.affine)


def _classes_of(gt_dir: Path, cases: dict[str, tuple[Path, Path]], settings: EvaluationSettings) -> Classes:
    """Return the classes to score: those of the settings, those that nnU-Net's ``dataset.json`` names, or those held.

    Where that file has regions all are scored by name, as a label alone is none of its classes.
    """
    none = {0, settings.ignore_index}
    named = class_values(gt_dir.absolute().parent / "dataset.json") if settings.labels is None else {}
    kept = {name: tuple(value for value in values if value not in none) for name, values in named.items()}
    if any(len(values) > 1 for values in kept.values()):
        return {name: values for name, values in kept.items() if values}
    labels = settings.labels or {value for values in kept.values() for value in values}
    return {label: (label,) for label in sorted(labels or _held_labels(cases, settings.ignore_index)) or [1]}


def _held_labels(cases: dict[str, tuple[Path, Path]], ignore_index: int | None) -> set[int]:
    """Return the classes that either side holds, one found where none is, too."""
    found, values = (held - {0, ignore_index} for held in held_values(cases.values()))
    if found and values and not found & values:
        raise ValueError(
            f"pred_dir must hold classes of the ground truth, {listed(values)}, got {listed(found)} alone; "
            "change the values of the files, or name the classes with labels"
        )
    if ignore_index == 1 and not values:
        raise ValueError("ignore_index must leave a class to score, got 1 and no other class in the ground truth")
    check_classes(values | found)
    return values | found
