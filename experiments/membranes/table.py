"""Scores of the losses for membranes beside the paper's, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from experiments.membranes.losses import LOSSES
from experiments.membranes.training import PRETRAINED
from experiments.wmh_isles.table import spread

__all__ = ["chosen_threshold", "membrane_tables", "pairs_of", "scores_at", "title_of"]

Row = dict[str, Any]
Measure = Callable[[Row], float]


def title_of(name: str) -> str:
    """Return what a table calls a loss, or the pretrained weights."""
    return "pretrained, BCE" if name == PRETRAINED else LOSSES[name].title


def scores_at(cases: Sequence[Row], threshold: str) -> dict[str, float]:
    """Return the means over images of adapted Rand index, VOI, its split and merge, and CREMI score.

    Args:
        cases: Of a line of the results.
        threshold: As it is written there.
    """
    rows = []
    for case in cases:
        split, merge, index = case["sweep"][threshold]
        voi = split + merge
        rows.append({"ari": index, "voi": voi, "split": split, "merge": merge, "cremi": math.sqrt(voi * (1 - index))})
    return {key: mean(row[key] for row in rows) for key in rows[0]}


def chosen_threshold(row: Row) -> str:
    """Return the threshold of the best mean CREMI score on the images that the network was trained with."""
    known: list[str] = list(row["train_cases"][0]["sweep"])
    return min(known, key=lambda threshold: scores_at(row["train_cases"], threshold)["cremi"])


def membrane_tables(rows: Sequence[Row]) -> str:
    """Return the table of all losses, and that of each boundary-aware loss against its base.

    Cells: mean over the images of a fold, then mean ± standard deviation over folds and seeds.

    Args:
        rows: Lines of one set of settings.
    """
    first = rows[0]
    smoke = "SMOKE RUN, too small to compare losses. " if first["smoke"] else ""
    epochs = f"{first['pretrain']['epochs']} + {first['further']['epochs']} epochs"
    folds, seeds = (len({row[key] for row in rows}) for key in ("fold", "seed"))
    head = (
        f"{smoke}{first['data']}, {folds} of {first['folds']} folds, {seeds} seed{'s' if seeds > 1 else ''}, {epochs}, "
        f"{first['features'][0]} to {first['features'][-1]} features. Threshold chosen on the training images:"
    )
    compared = _differences(rows)
    tail = (
        f"\n\nDifference to the same loss without its boundary term, run by run (better in):\n\n{compared}\n\n"
        f"Of these the difference in CREMI score with one threshold for both:\n\n{_at_each_threshold(rows)}"
    )
    return f"{head}\n\n{_main(rows)}{tail if compared else ''}"


def _measures() -> dict[str, Measure]:
    """Return what the columns show of a run."""

    def chosen(key: str) -> Measure:
        return lambda row: scores_at(row["cases"], chosen_threshold(row))[key]

    def over_thresholds(row: Row) -> float:
        return mean(scores_at(row["cases"], threshold)["ari"] for threshold in row["cases"][0]["sweep"])

    return {
        "ARI": chosen("ari"),
        "VOI": chosen("voi"),
        "CREMI": chosen("cremi"),
        "VOI split": chosen("split"),
        "VOI merge": chosen("merge"),
        "CREMI at 0.5": lambda row: scores_at(row["cases"], "0.5")["cremi"],
        "ARI, mean over thresholds": over_thresholds,
        "test BCE": lambda row: mean(case["bce"] for case in row["cases"]),
    }


def _main(rows: Sequence[Row]) -> str:
    columns = _measures()
    paper = [f"paper {name}" for name in ("ARI", "VOI", "CREMI")] if rows[0]["data"] == "isbi2012" else []
    lines = [f"| loss | runs | {' | '.join([*columns, *paper])} |", "|---" * (2 + len(columns) + len(paper)) + "|"]
    for name in (PRETRAINED, *LOSSES):
        runs = [row for row in rows if row["loss"] == name]
        if runs:
            cells = [spread([measure(run) for run in runs], ".3f") for measure in columns.values()]
            cells += _published(name) if paper else []
            lines.append(f"| {title_of(name)} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _published(name: str) -> list[str]:
    figures = LOSSES[name].published if name in LOSSES else None
    return ["-"] * 3 if figures is None else [f"{value:.3f} ± {deviation:.3f}" for value, deviation in figures]


def _differences(rows: Sequence[Row]) -> str:
    columns = _measures()
    lines = [f"| loss | to | runs | {' | '.join(columns)} |", "|---" * (3 + len(columns)) + "|"]
    for name, pairs in pairs_of(rows).items():
        cells = [_difference(pairs, measure, "ARI" in column) for column, measure in columns.items()]
        names = f"{title_of(name)} | {title_of(pairs[0][1]['loss'])}"
        lines.append(f"| {names} | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _at_each_threshold(rows: Sequence[Row]) -> str:
    thresholds = list(rows[0]["cases"][0]["sweep"])
    lines = [f"| loss | {' | '.join(thresholds)} |", "|---" * (1 + len(thresholds)) + "|"]
    for name, pairs in pairs_of(rows).items():
        cells = [
            _difference(pairs, lambda row, at=at: scores_at(row["cases"], at)["cremi"], False)  # type: ignore[misc]
            for at in thresholds
        ]
        lines.append(f"| {title_of(name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def pairs_of(rows: Sequence[Row]) -> dict[str, list[tuple[Row, Row]]]:
    """Return the runs with a boundary term and those of its base in the same fold with the same seed, by loss."""
    runs = {(row["loss"], row["fold"], row["seed"]): row for row in rows}
    found: dict[str, list[tuple[Row, Row]]] = {}
    for (name, fold, seed), row in runs.items():
        base = runs.get((LOSSES[name].base, fold, seed)) if name in LOSSES else None
        if base is not None:
            found.setdefault(name, []).append((row, base))
    return found


def _difference(pairs: Sequence[tuple[Row, Row]], measure: Measure, higher_is_better: bool) -> str:
    values = [measure(one) - measure(other) for one, other in pairs]
    better = sum(value > 0 if higher_is_better else value < 0 for value in values)
    return f"{spread(values, '+.3f')} ({better}/{len(values)})"
