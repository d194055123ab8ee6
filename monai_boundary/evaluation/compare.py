"""Compare the scores of two or more runs case by case. The statistics are those of scipy and pandas."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from monai_boundary.evaluation.paired_tests import (
    ALPHA,
    bootstrap_interval,
    certain_places,
    holm,
    least_p,
    paired_steps,
    undecided,
    wilcoxon_p,
)
from monai_boundary.evaluation.runs import METRICS, Run, common_cases, read_runs, run_notes

__all__ = ["Comparison", "PairedDifference", "compare_runs"]


@dataclass(frozen=True)
class PairedDifference:
    """One score of one class, of one run against another.

    Args:
        label: Class.
        score: Name of the score.
        reference: The run that is subtracted.
        run: The other one.
        pairs: Cases with a finite score in both.
        left_out: Why, by case without one.
        reference_mean: Mean over the pairs; ``None`` without any, as all means.
        run_mean: Of the other run.
        difference: Mean of the paired differences, `run` less `reference`.
        interval: Its 95 % bootstrap interval (BCa); ``None`` where too few pairs could decide anything.
        better: Pairs in which `run` is the better one.
        worse: In which it is the worse one; the remaining pairs are equal.
        p: Of Wilcoxon's signed-rank test, two-sided; ``None`` where no outcome of the test could decide.
        p_holm: The same after Holm's correction over every test of the comparison.
        undecided: Why there is no p; empty where there is one.
    """

    label: int | str
    score: str
    reference: str
    run: str
    pairs: int
    left_out: dict[str, str]
    reference_mean: float | None
    run_mean: float | None
    difference: float | None
    interval: tuple[float, float] | None
    better: int
    worse: int
    p: float | None
    p_holm: float | None
    undecided: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare_runs` found.

    Args:
        runs: With the cases that are compared.
        scores: Names of those that are compared.
        differences: One for each class, pair of runs and score.
        missing: What each run lacks of the cases of the others.
        notes: What a reader must know and the figures do not show.
    """

    runs: list[Run]
    scores: list[str]
    differences: list[PairedDifference]
    missing: dict[str, list[str]]
    notes: list[str]

    @property
    def labels(self) -> list[Any]:
        """The classes."""
        return sorted(set(self.runs[0].table.index.get_level_values("label")))

    def values(self, label: int | str, score: str) -> pd.DataFrame:
        """Return one score of one class: a row per case, a column per run."""
        return pd.DataFrame({run.name: run.table.xs(label, level="label")[score] for run in self.runs})

    def ranks(self) -> pd.DataFrame:
        """Return the mean rank of each run by class, score, and number of cases that have the score in every run.

        Runs are ranked within each case, 1 for the best; equal scores share the mean of their ranks.
        """
        lines = {}
        for label in self.labels:
            for score in self.scores:
                values = self.values(label, score)
                finite = values[np.isfinite(values).all(axis=1)]
                ranks = finite.round(certain_places(finite)).rank(axis=1, ascending=METRICS[score].better == "lower")
                lines[label, score, len(finite)] = ranks.mean()
        return pd.DataFrame(lines).T.rename_axis(["label", "score", "cases"])

    def summary(self) -> dict[str, Any]:
        """Return all of it for JSON; what there is not is ``None``."""
        ranks = [
            {"label": label, "score": score, "cases": cases, "mean_rank": means.to_dict() if cases else None}
            for (label, score, cases), means in self.ranks().iterrows()
        ]
        return {
            "runs": {run.name: str(run.path) for run in self.runs},
            "cases": self.runs[0].table.index.unique("case").tolist(),
            "settings": next((run.settings for run in self.runs if run.settings is not None), None),
            "missing": self.missing,
            "notes": self.notes,
            "level": 1 - ALPHA,
            "differences": [asdict(one) | {"better_is": METRICS[one.score].better} for one in self.differences],
            "ranks": ranks,
        }


def compare_runs(
    paths: Sequence[str | os.PathLike[str]],
    scores: Sequence[str] | None = None,
    common: bool = False,
    every_pair: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compare results of `evaluate` over the same cases.

    Args:
        paths: Folders that `evaluate` wrote, or their ``cases.csv`` or ``summary.json``. The first is the reference.
        scores: Names of the scores to compare, all by default. The fewer there are, the less Holm's correction costs.
        common: Compare the cases that all runs have, instead of refusing runs over different ones.
        every_pair: Compare every run with every other, instead of each with the first.
        seed: Of the bootstrap.

    Raises:
        ValueError: The runs are not comparable; see `read_runs` and `common_cases`.
    """
    runs, missing = common_cases(read_runs(paths), common)
    known = runs[0].scores
    if scores is not None and (isinstance(scores, str) or not scores or not set(scores) <= set(known)):
        raise ValueError(f"scores must be names of those in the runs, {', '.join(known)}, got {scores!r}")
    chosen = [name for name in known if scores is None or name in scores]
    pairs = list(combinations(runs, 2)) if every_pair else [(runs[0], run) for run in runs[1:]]
    found = [
        _difference(reference, run, label, score, seed)
        for label in sorted(set(runs[0].table.index.get_level_values("label")))
        for reference, run in pairs
        for score in chosen
    ]
    corrected = holm([one.p for one in found])
    differences = [one if one.p is None else replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)]
    return Comparison(runs, chosen, differences, missing, [*run_notes(runs, missing), *_test_notes(differences)])


def _difference(reference: Run, run: Run, label: int | str, score: str, seed: int) -> PairedDifference:
    columns = {one.name: one.table.xs(label, level="label")[score] for one in (reference, run)}
    both = pd.DataFrame(columns)
    finite = np.isfinite(both).all(axis=1)
    pairs = both[finite].to_numpy()
    first, second = pairs.T
    steps = paired_steps(pairs)
    gains = int((steps > 0).sum()), int((steps < 0).sum())
    better, worse = gains if METRICS[score].better == "higher" else gains[::-1]
    why = undecided(steps)
    return PairedDifference(
        label=label, score=score, reference=reference.name, run=run.name, pairs=len(steps),
        left_out={str(case): _why(row) for case, row in both[~finite].iterrows()},
        reference_mean=_mean(first), run_mean=_mean(second), difference=_mean(steps),
        interval=bootstrap_interval(steps, seed) if least_p(len(steps)) <= ALPHA else None,
        better=better, worse=worse,
        p=None if why else wilcoxon_p(steps), p_holm=None, undecided=why,
    )  # fmt: skip


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _why(row: pd.Series) -> str:
    """Say which scores of a pair are NaN or infinite."""
    if row.isna().all():
        return "NaN in both"
    return ", ".join(
        f"{'NaN' if math.isnan(value) else 'infinite'} in {name}"
        for name, value in row.items()
        if not np.isfinite(value)
    )


def _test_notes(differences: Sequence[PairedDifference]) -> list[str]:
    tests = [(one.p, least_p(one.better + one.worse)) for one in differences if one.p is not None]
    # Holm multiplies by the number of tests that are not smaller
    weak = [least for _, least in tests if least * sum(p >= least for p, _ in tests) > ALPHA]
    notes = []
    if weak:
        notes.append(
            f"after Holm's correction over {len(tests)} tests, {len(weak)} of them cannot come below "
            f"{ALPHA} with so few pairs that differ; choose scores beforehand (--score) or score more cases"
        )
    if any(why != "NaN in both" for one in differences for why in one.left_out.values()):
        notes.append(
            "a case without a finite score in one of two runs is left out, be it missed or a false alarm; evaluate "
            "with --empty diagonal, its default, counts it in distances"
        )
    return notes
