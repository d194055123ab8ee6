"""A series of training runs, kept as one JSON line each, so that a series that was stopped goes on where it was."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["finished_runs", "missing_runs", "run_all"]

Run = dict[str, Any]


def finished_runs(path: Path) -> list[Run]:
    """Read the lines of `path`; none where there is no file.

    Raises:
        ValueError: A line is no JSON, as when the process was killed while writing it.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path} must hold one finished run per line, got a damaged line {number}; delete that line"
            ) from error
    return rows


def missing_runs(path: Path, runs: Iterable[Run], keys: Sequence[str] | None = None) -> list[Run]:
    """Return those of `runs` that `path` does not hold.

    Args:
        path: JSON lines file.
        runs: What each run is: names, seeds and settings.
        keys: Entries by which a run is known again; all of its own by default.
    """
    done = finished_runs(path)
    plain: list[Run] = [json.loads(json.dumps(run)) for run in runs]  # a tuple is a list in the file
    return [run for run in plain if not any(all(row.get(key) == run[key] for key in keys or run) for row in done)]


def run_all(path: Path, runs: Sequence[Run], train: Callable[[Run, str], Run], name: Callable[[Run], str]) -> None:
    """Train run after run, and append a line as soon as one is finished.

    Args:
        path: JSON lines file, made with its folder where it is missing.
        runs: What `missing_runs` returned.
        train: Takes a run and a title for its progress bar, and returns the rest of the line.
        name: Of a run, for the title.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs, 1):
        row = {**run, "date": str(datetime.date.today())}
        row |= train(run, f"{name(run)} ({number}/{len(runs)})")
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
