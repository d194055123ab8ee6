"""What a journal of paired runs says: a verdict, means by arm, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.evidence.arms import ARMS, CONTROL
from experiments.evidence.pairs import ENOUGH, PREDICTIONS, Comparison, compare, score_table
from experiments.evidence.scoring import POINTS
from experiments.evidence.series import Series
from experiments.shared.journal import Run
from experiments.shared.tables import markdown
from monai_boundary._words import counted

_ROUNDING = 1e-9  # of a difference of means that are equal


def tables(rows: Sequence[Run], series: Series) -> str:
    """Return the verdict and the tables of a series, the parts of each kind of cases apart."""
    whole = score_table(rows)
    parts: list[str] = []
    for kind, table in whole.groupby("kind", sort=False):
        columns = {
            score: name for score, name in series.columns.items() if score in table and table[score].notna().any()
        }
        found = {score: compare(table, score) for score in series.main if score in columns}
        parts += [f"### {str(kind)[0].upper()}{str(kind)[1:]}"] if kind else []
        parts.append("\n".join(f"- {verdict(columns[score], each, series.point)}" for score, each in found.items()))
        parts += [means(table, columns), changes(found, columns)]
    return "\n\n".join([*parts, validation(rows)])


def verdict(name: str, found: dict[tuple[str, str, str], Comparison], point: str) -> str:
    """Return a sentence on a score, predicted in one way: which arms differ from their control, and which do not."""
    arms = {key: each for key, each in found.items() if key[1] != CONTROL and key[2] == point}
    if not arms:
        return f"**{name}**: no pair yet."
    ways: dict[str, list[str]] = {"lower": [], "higher": [], "no effect shown": []}
    for (loss, arm, _), each in arms.items():
        way = ("lower" if each.difference < 0 else "higher") if each.decided else "no effect shown"
        p = f", p {number(each.p)}" if each.decided else ""
        ways[way].append(f"{arm} beside {loss} ({number(each.difference, True)} of {number(each.control)}{p})")
    pairs = max(each.pairs for each in arms.values())
    few = f"; fewer than {ENOUGH} decide nothing" if pairs < ENOUGH else ""
    said = "; ".join(f"{way} with {', '.join(members)}" for way, members in ways.items() if members)
    return f"**{name}** ({POINTS[point]}, {counted(pairs, 'pair')}{few}): {said}."


def interval(each: Comparison) -> str:
    """Return the difference, and its interval where there is one."""
    if math.isnan(each.low):
        return number(each.difference, True)
    return f"{number(each.difference, True)} [{number(each.low, True)}, {number(each.high, True)}]"


def means(table: pd.DataFrame, columns: dict[str, str]) -> str:
    """Return the mean scores of every arm at every point, over the cases of each group first."""
    lines = []
    for (loss, arm, point), part in table.groupby(["loss", "arm", "point"], observed=True):
        values = part.groupby("group")[list(columns)].mean().mean()
        seeds = part.groupby(["group", "case"])["seed"].nunique().min()
        lines.append([loss, arm, POINTS[point], part["group"].nunique(), seeds, *map(number, values)])
    return markdown(("loss", "arm", "prediction", "groups", "seeds", *columns.values()), lines)


def changes(found: dict[str, dict[tuple[str, str, str], Comparison]], columns: dict[str, str]) -> str:
    """Return a line per score, arm and point: the paired difference that `differences` explains."""
    header = ("score", "loss", "arm", "prediction", "compared with", "difference, 95 %", "lower, higher", "Holm p",
              "pairs", "seeds", "could have shown")  # fmt: skip
    lines = [
        [columns[score], loss, arm, PREDICTIONS[point], number(each.control), interval(each),
         f"{each.lower}, {each.higher}", number(each.p), each.pairs, each.seeds, number(each.detectable)]
        for score, arms in found.items() for (loss, arm, point), each in arms.items()
    ]  # fmt: skip
    return markdown(header, lines)


def validation(rows: Sequence[Run]) -> str:
    """Return what the validation parts say of each arm, which is where settings are chosen, and of convergence."""
    lines = []
    table = pd.DataFrame(
        [
            {"loss": row["loss"], "arm": row["arm"], "last": row["curve"][-1]["valid"], "rising": late_rise(row) > 0,
             "alpha": row["curve"][-1].get("alpha", math.nan), "threshold": row["chosen"]["threshold"],
             "size": row["chosen"]["size"], "seconds": row["cpu_seconds"]}
            for row in rows
        ]
    )  # fmt: skip
    for loss in dict.fromkeys(table["loss"]):
        for arm in ARMS:
            part = table[(table["loss"] == loss) & (table["arm"] == arm)]
            if len(part):
                last, *others = map(number, part.drop(columns=["loss", "arm", "rising"]).mean())
                lines.append([loss, arm, len(part), last, f"{part['rising'].sum()} of {len(part)}", *others])
    header = ("loss", "arm", "runs", "validation score", "still rising in the last fifth", "last alpha", "threshold",
              "size of the filter", "CPU s per run")  # fmt: skip
    return markdown(header, lines)


def late_rise(row: Run) -> float:
    """Return by how much the best validation score of the last fifth of a run exceeds the best before it."""
    epochs = [point["epoch"] for point in row["curve"]]
    late = np.asarray(epochs) > 0.8 * row["epochs"]
    values = np.asarray([point["valid"] for point in row["curve"]])
    return float(values[late].max() - values[~late].max()) if late.any() and not late.all() else math.nan


def number(value: float, signed: bool = False) -> str:
    """Return three significant digits or so, ``-`` for NaN."""
    if math.isnan(value):
        return "-"
    if signed and abs(value) < _ROUNDING:
        value = 0.0
    if 0 < abs(value) < 0.01:
        return f"{value:{'+' if signed else ''}.1g}"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:{'+' if signed else ''}.{digits}f}"
