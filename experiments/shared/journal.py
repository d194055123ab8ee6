"""The journal of an experiment: one line of JSON per finished run, so that what was stopped goes on where it was."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

Run = dict[str, Any]
#: Takes what a run is and a title for its progress bar, and returns the rest of its line.
Train = Callable[[Run, str], Run]
Settings = TypeVar("Settings")
_TITLE = ("kind", "data", "setting", "preset", "loss", "trainer", "arm", "edge", "fold", "seed")


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


def run_missing(path: Path, runs: Iterable[Run], train: Train, keys: Sequence[str] | None = None) -> None:
    """Train what is missing, run after run, and append a line, with its seconds, as soon as one is finished."""
    missing = missing_runs(path, runs, keys)
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(missing, 1):
        title = " ".join(str(run[key]) for key in _TITLE if key in run)
        start = time.monotonic()
        row = {**run, "date": str(datetime.date.today()), **train(run, f"{title} ({number}/{len(missing)})")}
        row["seconds"] = round(time.monotonic() - start, 1)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def settings_of(kind: type[Settings], run: Run) -> Settings:
    """Return the settings dataclass that a run was made of, its tuples lists no more."""
    values = {field.name: run[field.name] for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
