"""Mean and spread over seeds of finished runs, as a Markdown table."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import Any

__all__ = ["mean_of", "protocol_table", "spread"]


def protocol_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return one line per data, preset and setting: mean over cases, then mean ± standard deviation over seeds.

    Args:
        rows: Lines of a results file.
    """
    groups: dict[tuple[str, str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        # without a boundary term the preset has no say
        preset = row["preset"] if "boundary" in row["setting"] else "-"
        groups[row["data"], row["setting"], preset, row["epochs"]].append(row)
    lines = [
        "| data | setting | map and weights | epochs | seeds | Dice | HD95 mm | empty predictions |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (data, setting, preset, epochs), runs in groups.items():
        cells = [
            spread([mean_of(case[key] for case in run["cases"]) for run in runs], form)
            for key, form in (("dice", ".3f"), ("hd95_mm", ".1f"))
        ]
        missed = sum(case["missed"] for run in runs for case in run["cases"])
        total = sum(len(run["cases"]) for run in runs)
        lines.append(
            f"| {data} | {setting} | {preset} | {epochs} | {len(runs)} | {' | '.join(cells)} | {missed}/{total} |"
        )
    return "\n".join(lines)


def mean_of(values: Iterable[float]) -> float:
    """Return the mean of what is no NaN; NaN where nothing is left."""
    numbers = [value for value in values if not math.isnan(value)]
    return mean(numbers) if numbers else math.nan


def spread(values: Sequence[float], form: str) -> str:
    """Return mean ± standard deviation of a sample, each formatted as `form`; the mean alone of a single value."""
    deviation = f" ± {format(stdev(values), form.lstrip('+'))}" if len(values) > 1 else ""
    return f"{format(mean(values), form)}{deviation}"
