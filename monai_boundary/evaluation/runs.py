"""Results of `monai-boundary evaluate`, read again and brought to one set of cases."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from monai_boundary._files import unescaped
from monai_boundary.evaluation.tiles import SCORES as TILE_SCORES
from monai_boundary.evaluation.volumes import EvaluationSettings
from monai_boundary.metrics.score_sets import PROTOCOLS, Metric

__all__ = ["METRICS", "Run", "common_cases", "name_some", "read_runs", "run_notes"]

#: Every score that evaluations write, by the name of its column.
METRICS: dict[str, Metric] = {
    name: metric for protocol in (*PROTOCOLS.values(), TILE_SCORES) for name, metric in protocol.items()
}
_COUNTS = ("target_voxels", "predicted_voxels", "missed", "false_alarm", "intersection", "union")
_KEY = ["case", "label"]


@dataclass(frozen=True, eq=False)
class Run:
    """What one evaluation wrote.

    Args:
        name: What tells it from the others.
        path: Its ``cases.csv``.
        table: Scores and counts by case and class.
        settings: How it was scored; ``None`` where no ``summary.json`` says so.
        absent: Reason by case that has no row: not predicted, or not to be scored.
        unknown: Columns that are no score of any protocol.
    """

    name: str
    path: Path
    table: pd.DataFrame
    settings: dict[str, Any] | None
    absent: dict[str, str]
    unknown: list[str]

    @property
    def scores(self) -> list[str]:
        """Names of the scores, in the order of the table."""
        return [name for name in self.table.columns if name in METRICS]


def read_runs(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Read two or more results that were scored alike.

    Args:
        paths: Folders that `evaluate` wrote, or their ``cases.csv`` or ``summary.json``.

    Raises:
        ValueError: There is one run only, two are the same, one is no result of `evaluate`, or they were scored by
            different protocols, thresholds or other settings.
    """
    if isinstance(paths, str | os.PathLike) or len(paths) < 2:
        got = paths if isinstance(paths, str | os.PathLike) else ", ".join(map(str, paths)) or "none"
        raise ValueError(f"runs must be two or more results of evaluate, got {got}")
    files = [_cases_file(Path(path)) for path in paths]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise ValueError(f"runs must be different results, got {paths[number]} twice")
    runs = [_read_run(name, file) for name, file in zip(_names(files), files, strict=True)]
    _check_alike(runs)
    return runs


def common_cases(runs: Sequence[Run], common: bool = False) -> tuple[list[Run], dict[str, list[str]]]:
    """Bring runs to the same rows in the same order.

    Args:
        runs: As read.
        common: Keep what all runs have; otherwise runs over different cases are an error.

    Returns:
        The runs, and the names of what each lacks of the others' cases.

    Raises:
        ValueError: Cases or classes differ, or no run shares one with the others.
    """
    index = runs[0].table.index
    every, shared = index, index
    for run in runs[1:]:
        every, shared = every.union(run.table.index), shared.intersection(run.table.index)
    missing = {run.name: _describe(every.difference(run.table.index), run) for run in runs}
    missing = {name: lost for name, lost in missing.items() if lost}
    text = "; ".join(f"{name} lacks {name_some(lost)}" for name, lost in missing.items())
    if not len(shared):
        raise ValueError(f"runs must have cases in common, got none: {text}")
    if missing and not common:
        raise ValueError(
            f"runs must be over the same cases, got different ones: {text}; evaluate all on the same cases, or pass "
            f"--common (common=True) to compare the {shared.unique('case').size} that all have"
        )
    found = [replace(run, table=run.table.loc[shared.sort_values()]) for run in runs]
    _check_one_truth(found)
    return found, missing


def run_notes(runs: Sequence[Run], missing: dict[str, list[str]]) -> list[str]:
    """Say what a reader must know of the runs and their figures do not show; `missing` as from `common_cases`."""
    notes = [f"{name} lacks {name_some(lost)}: not compared" for name, lost in missing.items()]
    cases = set(runs[0].table.index.unique("case"))
    nowhere = [case for case in runs[0].absent if case not in cases and all(case in run.absent for run in runs)]
    if nowhere:
        notes.append(f"no run has a score of {name_some(nowhere)}")
    for run in runs:
        if run.settings is None:
            notes.append(f"{run.name} has no summary.json beside it: whether it was scored as the others is not known")
        if run.unknown:
            notes.append(f"{run.name} has columns that are no known score, not compared: {', '.join(run.unknown)}")
    for one, other in combinations(runs, 2):
        if one.table.equals(other.table):
            notes.append(f"{one.name} and {other.name} hold the same figures throughout: are they one model?")
    return notes


def name_some(names: Sequence[str], most: int = 20) -> str:
    """Join names; of more than `most` the others are counted."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _cases_file(path: Path) -> Path:
    file = path / "cases.csv" if path.is_dir() else path.with_name("cases.csv") if path.suffix == ".json" else path
    if file.suffix != ".csv" or not file.is_file():
        raise ValueError(
            f"runs must be folders that evaluate wrote, or their cases.csv or summary.json, got {path}"
            + ("" if file == path else f" and no file {file}")
        )
    return file.resolve()


def _names(files: Sequence[Path]) -> list[str]:
    """Name each run by the part of its path that differs from the others."""
    parts = [(file.parent if file.name == "cases.csv" else file.with_suffix("")).parts for file in files]
    if len(set(parts)) < len(parts):  # a.csv beside a/cases.csv
        parts = [file.parts for file in files]
    for end in (0, -1):  # what all begin with, then what all end with; one part stays
        while min(map(len, parts)) > 1 and len({part[end] for part in parts}) == 1:
            parts = [part[1:] if end == 0 else part[:-1] for part in parts]
    return ["/".join(part) for part in parts]


def _read_run(name: str, file: Path) -> Run:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)  # a case may be called NA, or 007
        table["label"] = table.get("label", "1")  # buildings have one class
        table = table.assign(**{key: table[key].map(unescaped) for key in _KEY})
        known = [column for column in table.columns if column in METRICS or column in _COUNTS]
        gaps = (table[[*_KEY, *known]].isin(["", None])).any(axis=1)
        if table.empty or gaps.any():
            raise ValueError(f"a row with gaps: {table['case'][gaps].iloc[0]}" if len(table) else "no case")
        if not isinstance(table.index, pd.RangeIndex):
            raise ValueError("rows that are longer than the header")
        numbers = table["label"].str.fullmatch("[0-9]+").all()  # else names of regions
        table = table.astype({"label": int if numbers else str} | dict.fromkeys(known, float)).set_index(_KEY)
        if table.index.has_duplicates:
            raise ValueError(f"case {table.index[table.index.duplicated()][0][0]} twice")
        if not set(known) & set(METRICS):
            raise ValueError("no score")
    except (ValueError, KeyError) as error:  # KeyError: no column "case"
        raise ValueError(f"{file} must be a table of cases that evaluate wrote, got {error}") from error
    settings, absent = _read_summary(file)
    return Run(name, file, table[known], settings, absent, [one for one in table.columns if one not in known])


def _read_summary(file: Path) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Settings of an evaluation, and the cases that it could not score."""
    beside = file.with_name("summary.json")
    if file.name != "cases.csv" or not beside.is_file():
        return None, {}
    try:
        summary = json.loads(beside.read_text(encoding="utf-8"))
        given = summary.get("settings")
        # what an earlier version did not write, it did not offer either
        settings = (
            {**asdict(EvaluationSettings()), **given} if given else {key: summary[key] for key in ("theta", "unit")}
        )
        settings = {key: value for key, value in settings.items() if key != "labels"}  # the table names the classes
        absent = dict.fromkeys(summary["without_prediction"], "no prediction")
        absent |= dict.fromkeys(summary["failed"], "not scored")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{beside} must be a summary that evaluate wrote, got {error!r}") from error
    return settings, absent


def _check_alike(runs: Sequence[Run]) -> None:
    known = [run for run in runs if run.settings is not None]
    for run in known[1:]:
        first, other = known[0].settings or {}, run.settings or {}
        wrong = [key for key in {**first, **other} if first.get(key) != other.get(key)]
        if wrong:
            found = ", ".join(f"{key} {first.get(key)!r} and {other.get(key)!r}" for key in wrong)
            raise ValueError(
                f"runs must be scored alike, got {found} in {known[0].name} and {run.name}; evaluate both with the "
                "same options"
            )
    for run in runs[1:]:
        kinds = [one.table.index.get_level_values("label").dtype.kind for one in (runs[0], run)]
        if kinds[0] != kinds[1]:
            named, counted = (runs[0], run) if kinds[1] == "i" else (run, runs[0])
            raise ValueError(
                f"runs must be scored alike, got classes by name in {named.name} and by number in {counted.name}; "
                "evaluate both beside one dataset.json, or both with --label"
            )
        if set(run.scores) != set(runs[0].scores):
            raise ValueError(
                f"runs must hold the same scores, got {', '.join(runs[0].scores)} in {runs[0].name} and "
                f"{', '.join(run.scores)} in {run.name}; evaluate both with one protocol"
            )


def _check_one_truth(runs: Sequence[Run]) -> None:
    """Raise where the ground truths of a case differ in size: figures of different labels say nothing of the models."""
    known = [run for run in runs if "target_voxels" in run.table]
    for run in known[1:]:
        sizes = [one.table["target_voxels"] for one in (known[0], run)]
        if (wrong := sizes[0] != sizes[1]).any():
            case, label = sizes[0].index[wrong][0]
            raise ValueError(
                f"runs must be scored on the same ground truth, got {sizes[0][wrong].iloc[0]:g} and "
                f"{sizes[1][wrong].iloc[0]:g} voxels of class {label} in case {case} of {known[0].name} and "
                f"{run.name}, and {int(wrong.sum()) - 1} more that differ; evaluate both against one folder"
            )


def _describe(lost: pd.MultiIndex, run: Run) -> list[str]:
    """Name what a run lacks: a case, with the reason where one is known, or a class of a case that it has."""
    present = set(run.table.index.unique("case"))
    names = [f"{case} class {label}" if case in present else case for case, label in lost]
    return [f"{name} ({run.absent[name]})" if name in run.absent else name for name in dict.fromkeys(names)]
