"""Print the probe's results file as a Markdown table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

__all__ = ["print_table"]


def print_table(path: Path, patients: Sequence[str]) -> None:
    """Print, per length of run, the median and the range over the seeds of each setting."""
    groups: dict[int, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for line in path.read_text().splitlines():
        row = json.loads(line)
        groups[row["epochs"]][row["setting"]].append(row)
    for epochs, settings in sorted(groups.items()):
        head = " | ".join(f"{p} Dice | {p} HD95 mm | {p} lesion recall / precision" for p in patients)
        print(f"\n### {epochs} epochs\n\n| setting | seeds | empty | {head} | guard warned |")
        print("|---|---|---|" + "---|" * (3 * len(patients) + 1))
        for name, rows in settings.items():
            cells = " | ".join(_cells(rows, patient) for patient in patients)
            empty = sum(row["scores"][p]["hd95_mm"] is None for row in rows for p in patients)
            warned = sum(row["guard_warned"] for row in rows)
            print(f"| {name} | {len(rows)} | {empty}/{len(rows) * len(patients)} | {cells} | {warned}/{len(rows)} |")


def _cells(rows: list[dict], patient: str) -> str:
    values = {key: [row["scores"][patient][key] for row in rows] for key in rows[0]["scores"][patient]}
    return " | ".join(
        [
            _spread(values["dice"], ".3f"),
            _spread(values["hd95_mm"], ".1f"),
            f"{median(values['lesion_recall']):.2f} / {median(values['lesion_precision']):.2f}",
        ]
    )


def _spread(values: list[float | None], form: str) -> str:
    """Median and range; an empty prediction is larger than any distance."""
    numbers = sorted(float("inf") if value is None else value for value in values)
    low, middle, high = (
        "empty" if value == float("inf") else format(value, form)
        for value in (numbers[0], median(numbers), numbers[-1])
    )
    return f"{middle} ({low} to {high})"
