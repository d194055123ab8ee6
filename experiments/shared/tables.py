"""Markdown tables: rows in groups, and mean and spread over seeds or folds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeVar

Row = dict[str, Any]
Key = TypeVar("Key", bound=Hashable)


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Return the rows by `key`, groups and rows in the order in which they come."""
    groups: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def mean_of(values: Iterable[float]) -> float:
    """Return the mean of what is no NaN; NaN where nothing is left."""
    numbers = [value for value in values if not math.isnan(value)]
    return mean(numbers) if numbers else math.nan


def spread(values: Sequence[float], form: str) -> str:
    """Return mean ± standard deviation of a sample, each formatted as `form`; the mean alone of a single value."""
    deviation = f" ± {format(stdev(values), form.lstrip('+'))}" if len(values) > 1 else ""
    return f"{format(mean(values), form)}{deviation}"


def replace_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between two marks of a Markdown file, in the place of what is there."""
    head, rest = path.read_text(encoding="utf-8").split(begin)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
