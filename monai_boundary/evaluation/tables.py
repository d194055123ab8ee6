"""What all evaluations share: the run over the cases, statistics of a score, and the two files of figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from monai_boundary._files import is_full, together, write_csv, write_json

if TYPE_CHECKING:
    from monai_boundary.evaluation.tiles import TileEvaluation
    from monai_boundary.evaluation.volumes import Evaluation

__all__ = ["score_each", "statistics", "write_tables"]

# pandas' names and those in summary.json
_STATISTICS = {"mean": "mean", "std": "sd", "50%": "median", "25%": "q1", "75%": "q3", "min": "min", "max": "max"}

Score = TypeVar("Score")


def score_each(
    files: Mapping[str, tuple[Path, ...]],
    score: Callable[..., Score],
    failed: dict[str, str],
    unit: str,
    progress: bool,
    title: str = "evaluate",
) -> dict[str, Score]:
    """Score the files of each case; one that cannot be scored goes to `failed` with its reason and stops no other.

    Raises:
        OSError: The disk is full: no other case would be written either.
    """
    found = {}
    for case, paths in tqdm(files.items(), desc=title, unit=unit, disable=not progress):
        try:
            found[case] = score(case, *paths)
        except (ValueError, OSError, MemoryError) as error:
            if is_full(error):
                raise
            failed[case] = str(error) or "it does not fit into memory"  # what NumPy's MemoryError may not say
    return found


def statistics(values: pd.Series) -> dict[str, Any]:
    """Return count, mean, standard deviation, quartiles and range of the finite values; what there is not is ``None``.

    Values that are not finite, scores that a case does not have, are counted as ``undefined``.
    """
    numbers = values.astype(float)
    known = numbers[np.isfinite(numbers)]
    found = known.describe().rename(_STATISTICS)[list(_STATISTICS.values())]
    return {
        "n": known.size, "undefined": values.size - known.size,
        **{name: None if np.isnan(value) else float(value) for name, value in found.items()},
    }  # fmt: skip


def write_tables(result: Evaluation | TileEvaluation, folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Write ``cases.csv``, other tables of the result and ``summary.json``, all or none; return the paths by name."""
    with together(folder, "summary.json") as part:
        tables = result.tables()
        for name, table in tables.items():
            write_csv(part / f"{name}.csv", table)
        write_json(part / "summary.json", result.summary())
    return {**{name: Path(folder) / f"{name}.csv" for name in tables}, "summary": Path(folder) / "summary.json"}
