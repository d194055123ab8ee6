"""The statistics of paired differences. They are scipy's; here is what it needs to be told, and Holm's correction."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from monai_boundary._words import counted

__all__ = [
    "ALPHA",
    "bootstrap_interval",
    "certain_places",
    "holm",
    "least_p",
    "paired_steps",
    "undecided",
    "wilcoxon_p",
]

#: Level of the tests; intervals have the level 1 - ALPHA.
ALPHA = 0.05


def holm(p_values: Sequence[float | None]) -> list[float]:
    """Return p values after Holm's step-down correction (Scandinavian Journal of Statistics 6, 1979), in their order.

    What is NaN or ``None`` is no test: it stays NaN and counts for nothing.

    Example:
        >>> holm([0.01, 0.04, 0.03, 0.005, None])
        [0.03, 0.06, 0.06, 0.02, nan]
    """
    values = pd.Series(p_values, dtype=float)
    ordered = values.dropna().sort_values()
    stepped = (ordered * np.arange(len(ordered), 0, -1)).cummax().clip(upper=1)
    corrected: list[float] = stepped.reindex(values.index).tolist()
    return corrected


def certain_places(scores: np.ndarray | pd.DataFrame) -> int:
    """Return the decimal places of finite scores, and of their differences, that are not left to rounding.

    1 - .8 and .6 - .4 differ in the last bit, and so does one distance that is measured at two places; a test by ranks
    would take that for an order.
    """
    return 12 - math.ceil(math.log10(np.abs(np.asarray(scores)).max(initial=1.0)))


def paired_steps(pairs: np.ndarray) -> np.ndarray:
    """Return by how much the second of each pair `(N, 2)` exceeds the first, to `certain_places`."""
    steps: np.ndarray = np.round(pairs[:, 1] - pairs[:, 0], certain_places(pairs))
    return steps


def wilcoxon_p(steps: np.ndarray) -> float:
    """Return p of the signed-rank test, two-sided, over the steps that are not 0: beside these scipy is not exact."""
    return float(stats.wilcoxon(steps[steps != 0]).pvalue)


def bootstrap_interval(steps: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the interval of the mean of `steps`, resampled over the cases."""
    low = high = math.nan
    for method in ("BCa", "percentile"):  # BCa has no interval for differences that are all the same
        if math.isnan(low):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it has none
                low, high = stats.bootstrap(
                    (steps,), np.mean, confidence_level=1 - ALPHA, method=method, batch=1000,
                    random_state=np.random.default_rng(seed),
                ).confidence_interval  # fmt: skip
    return float(low), float(high)


def least_p(pairs: int) -> float:
    """Return the smallest p that the test can give for so many pairs that differ."""
    return wilcoxon_p(np.arange(1.0, pairs + 1)) if pairs else 1.0


def undecided(steps: np.ndarray) -> str:
    """Say why the test cannot decide, whatever its outcome; nothing where it can. Equal pairs have no say in it."""
    differ = int(np.count_nonzero(steps))
    if least_p(differ) <= ALPHA:
        return ""
    if not len(steps):
        return "no pair with a score in both"
    if not differ:
        return f"none of {counted(len(steps), 'pair')} differs"
    pairs = counted(len(steps), "pair")
    of = pairs if differ == len(steps) else f"{differ} of {pairs} that differ"
    return f"no test can decide with {of}: the smallest possible p is {least_p(differ):g}"
