"""Scores of the losses for membranes beside the paper's, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from experiments.membranes.losses import LOSSES, PRETRAINED, title_of
from experiments.shared.tables import grouped, markdown, spread
from monai_boundary._words import counted

Row = dict[str, Any]
Measure = Callable[[Row], float]


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
        f"{smoke}{first['data']}, {folds} of {first['folds']} folds, {counted(seeds, 'seed')}, {epochs}, "
        f"{first['features'][0]} to {first['features'][-1]} features. Threshold chosen on the training images:"
    )
    parts = [head, _main(rows)]
    if pairs := pairs_of(rows):
        parts += ["Difference to the same loss without its boundary term, run by run (better in):", _differences(pairs)]
        parts += ["Of these the difference in CREMI score with one threshold for both:", _at_each_threshold(pairs)]
    return "\n\n".join(parts)


def _chosen(key: str) -> Measure:
    return lambda row: scores_at(row["cases"], chosen_threshold(row))[key]


def _at(threshold: str, key: str = "cremi") -> Measure:
    return lambda row: scores_at(row["cases"], threshold)[key]


#: What the columns show of a run.
_MEASURES: dict[str, Measure] = {
    "ARI": _chosen("ari"),
    "VOI": _chosen("voi"),
    "CREMI": _chosen("cremi"),
    "VOI split": _chosen("split"),
    "VOI merge": _chosen("merge"),
    "CREMI at 0.5": _at("0.5"),
    "ARI, mean over thresholds": lambda row: mean(_at(one, "ari")(row) for one in row["cases"][0]["sweep"]),
    "test BCE": lambda row: mean(case["bce"] for case in row["cases"]),
}


def _main(rows: Sequence[Row]) -> str:
    paper = [f"paper {name}" for name in ("ARI", "VOI", "CREMI")] if rows[0]["data"] == "isbi2012" else []
    by_loss = grouped(rows, lambda row: row["loss"])
    lines = []
    for name in (PRETRAINED, *LOSSES):
        if runs := by_loss.get(name):
            cells = [spread([measure(run) for run in runs], ".3f") for measure in _MEASURES.values()]
            lines.append([title_of(name), len(runs), *cells, *(_published(name) if paper else [])])
    return markdown(("loss", "runs", *_MEASURES, *paper), lines)


def _published(name: str) -> list[str]:
    figures = LOSSES[name].published if name in LOSSES else None
    return ["-"] * 3 if figures is None else [f"{value:.3f} ± {deviation:.3f}" for value, deviation in figures]


Pairs = dict[str, list[tuple[Row, Row]]]


def pairs_of(rows: Sequence[Row]) -> Pairs:
    """Return the runs with a boundary term and those of its base in the same fold with the same seed, by loss."""
    runs = {(row["loss"], row["fold"], row["seed"]): row for row in rows}
    found: Pairs = {}
    for (name, fold, seed), row in runs.items():
        base = runs.get((LOSSES[name].base, fold, seed)) if name in LOSSES else None
        if base is not None:
            found.setdefault(name, []).append((row, base))
    return found


def _differences(found: Pairs) -> str:
    lines = [
        [title_of(name), title_of(pairs[0][1]["loss"]), len(pairs),
         *(_difference(pairs, measure, "ARI" in column) for column, measure in _MEASURES.items())]
        for name, pairs in found.items()
    ]  # fmt: skip
    return markdown(("loss", "to", "runs", *_MEASURES), lines)


def _at_each_threshold(found: Pairs) -> str:
    thresholds = list(next(iter(found.values()))[0][0]["cases"][0]["sweep"])
    lines = [[title_of(name), *(_difference(pairs, _at(one)) for one in thresholds)] for name, pairs in found.items()]
    return markdown(("loss", *thresholds), lines)


def _difference(pairs: Sequence[tuple[Row, Row]], measure: Measure, higher_is_better: bool = False) -> str:
    values = [measure(one) - measure(other) for one, other in pairs]
    better = sum(value > 0 if higher_is_better else value < 0 for value in values)
    return f"{spread(values, '+.3f')} ({better}/{len(values)})"
