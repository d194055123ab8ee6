"""Paired differences between arms: interval, test, and the smallest effect that could have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from experiments.evidence.arms import ARMS, CONTROL
from experiments.evidence.scoring import POINTS
from experiments.shared.journal import Run
from monai_boundary.evaluation.paired_tests import ALPHA, bootstrap_interval, holm, paired_steps, wilcoxon_p

#: Pairs that differ from which a test can decide: of five, not even five differences of one sign have p < .05.
ENOUGH = 6
#: The arm as it is, beside the control with a size filter: which of the two does more.
BESIDE_FILTER = "beside the filter"
#: How each is called in the tables.
PREDICTIONS = {**POINTS, BESIDE_FILTER: "at .5, control with size filter"}
KEYS = ["loss", "arm", "point"]
_PAIR = ["fold", "seed", "group", "case", "kind"]


@dataclass(frozen=True)
class Comparison:
    """An arm against the control, both at the same point, on the same groups of cases.

    Args:
        control: Mean of the control.
        difference: Mean of arm minus control.
        low, high: 95 % bootstrap interval (BCa) of the difference, not corrected; NaN where no test can decide.
        p: Of Wilcoxon's signed-rank test, corrected by Holm; NaN where fewer than `ENOUGH` pairs differ.
        pairs: Groups that were compared.
        lower, higher: Pairs in which the arm has the lower, and the higher score.
        seeds: Seeds in the mean of each, or of that which has the fewest.
        detectable: Smallest difference that a t-test of as many pairs with this spread, at the first level of Holm's
            correction over all arms, finds in four of five trials; NaN where all pairs are equal.
    """

    control: float
    difference: float
    low: float
    high: float
    p: float
    pairs: int
    lower: int
    higher: int
    seeds: int
    detectable: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes zero, and the test agrees."""
        return (self.low > 0 or self.high < 0) and self.p < ALPHA


def score_table(rows: Sequence[Run]) -> pd.DataFrame:
    """Return one line per run, case and point, with a column per score."""
    lines = [
        {**{key: row[key] for key in ("loss", "arm", "fold", "seed")}, "group": case["group"], "case": case["case"],
         "kind": case["kind"], "point": point, **case[point]}
        for row in rows for case in row["cases"] for point in POINTS
    ]  # fmt: skip
    table = pd.DataFrame(lines)
    for key, order in (("arm", list(ARMS)), ("point", list(POINTS))):
        table[key] = pd.Categorical(table[key], [name for name in order if name in set(table[key])], ordered=True)
    return table


def differences(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return arm and control side by side: one line per loss, arm, point and case, means over the seeds of both.

    An arm is compared with the control at the same point, and at .5 with the control that has a size filter, too. The
    control at another point than .5 is compared with itself at .5: what a threshold or a size filter buys without any
    boundary term. Only what both have of a fold and seed counts.
    """
    known = table.dropna(subset=[score]).astype({"point": str})
    control = known[known["arm"] == CONTROL].drop(columns="arm")
    plain, filtered = (control[control["point"] == point].drop(columns="point") for point in ("plain", "filter"))
    arms, tuned = known[known["arm"] != CONTROL], known[(known["arm"] == CONTROL) & (known["point"] != "plain")]
    beside = arms[arms["point"] == "plain"].assign(point=BESIDE_FILTER)
    keys, suffixes = ["loss", *_PAIR], ("", "_control")
    both = pd.concat(
        [tuned.merge(plain, on=keys, suffixes=suffixes),
         arms.merge(control, on=[*keys, "point"], suffixes=suffixes),
         beside.merge(filtered, on=keys, suffixes=suffixes)]
    )  # fmt: skip
    both["point"] = pd.Categorical(both["point"], list(PREDICTIONS), ordered=True)
    both = both.assign(value=both[score], control=both[f"{score}_control"])
    found: pd.DataFrame = (
        both.groupby([*KEYS, "group", "case"], observed=True)
        .agg(value=("value", "mean"), control=("control", "mean"), seeds=("seed", "nunique"))
        .reset_index()
    )
    return found


def compare(table: pd.DataFrame, score: str) -> dict[tuple[str, str, str], Comparison]:
    """Compare in a score as `differences` says, by loss, arm and point; Holm's correction is over the arms."""
    pairs = differences(table, score)
    found: dict[tuple[str, str, str], Comparison] = {}
    added = pairs["arm"] != CONTROL
    for _, family in pairs.groupby([added, "loss", "point"], observed=True):
        parts = dict(iter(family.groupby(KEYS, observed=True)))
        arms = {key: _compare(part, len(parts)) for key, part in parts.items()}
        corrected = holm([each.p for each in arms.values()])
        for (key, each), p in zip(arms.items(), corrected, strict=True):
            found[key] = replace(each, p=p)
    return found


def _compare(part: pd.DataFrame, arms: int) -> Comparison:
    by_group = part.groupby("group")[["control", "value"]].mean()
    change = paired_steps(by_group.to_numpy())
    count = len(change)
    low = high = p = detectable = np.nan
    if count > 1 and change.any():
        detectable = stats.t.ppf([1 - ALPHA / 2 / arms, 0.8], count - 1).sum() * stats.sem(change)
    if np.count_nonzero(change) >= ENOUGH:
        p = wilcoxon_p(change)
        low, high = bootstrap_interval(change, seed=0)
    return Comparison(
        float(by_group["control"].mean()), float(change.mean()), float(low), float(high), float(p), count,
        int((change < 0).sum()), int((change > 0).sum()), int(part["seeds"].min()), float(detectable),
    )  # fmt: skip
