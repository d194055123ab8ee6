"""What all evaluations write: statistics of a score, and the table of cases as CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from monai_boundary._files import write_text

__all__ = ["statistics", "write_csv"]


def statistics(values: Sequence[float]) -> dict[str, Any]:
    """Return count, mean, standard deviation, quartiles and range of the finite values; what there is not is ``None``.

    Values that are not finite, scores that a case does not have, are counted as ``undefined``.
    """
    known = np.array(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    numbers: list[float | None] = [None] * 7
    if known.size:
        sd = float(known.std(ddof=1)) if known.size > 1 else None
        numbers = [float(known.mean()), sd, *np.percentile(known, [50, 25, 75, 0, 100]).tolist()]
    names = ("mean", "sd", "median", "q1", "q3", "min", "max")
    return {"n": known.size, "undefined": len(values) - known.size, **dict(zip(names, numbers, strict=True))}


def write_csv(path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table in one step; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell for cell in row])
    write_text(path, stream.getvalue())
