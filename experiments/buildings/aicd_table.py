"""The paper's rows of the synthetic experiment beside ours, as Markdown, in per cent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from experiments.buildings.aicd import AicdSettings
from experiments.wmh_isles.table import mean_of, spread

__all__ = ["NAMES", "PUBLISHED", "aicd_tables", "group_runs", "group_title"]

#: IoU and BF1 of Tables 1 and 2 of the paper, column AICD, in per cent; it gives no spread.
PUBLISHED = {"bf1+iou": (86.91, 71.51), "iou": (85.66, 68.01), "ss+iou": (61.14, 20.74), "dice+iou": (85.13, 70.49)}
NAMES = {"bf1+iou": "L_BF1,IoU", "iou": "L_IoU", "ss+iou": "L_SS,IoU", "dice+iou": "L_Dice,IoU"}
_SETTINGS = tuple(AicdSettings.__dataclass_fields__)

Row = dict[str, Any]
Measure = Callable[[Row], float]


def aicd_tables(rows: Sequence[Row]) -> str:
    """Return two tables for each group of runs of one set of settings: all scored images, and the image edge.

    Cells: mean over images, then mean ± standard deviation over seeds. The last line compares seed by seed.

    Args:
        rows: Lines of a results file of `run_aicd`.
    """
    return "\n\n".join(part for group in group_runs(rows) for part in (_title(group), _main(group), _edge(group)))


def group_runs(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the runs of one set of settings together, in the order in which these first occur."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[json.dumps([row[key] for key in _SETTINGS])].append(row)
    return list(groups.values())


def group_title(row: Row) -> str:
    """Say in few words what sets a group of runs apart."""
    ramp = "0 to " if row["ramp"] else ""
    entropy = ", with cross-entropy" if row["cross_entropy"] else ""
    return (
        f"{row['images']} images of {row['size']} x {row['size']}, {row['epochs']} epochs, "
        f"{row['features'][0]} to {row['features'][-1]} features,\nweight of BF1 {ramp}{row['weight']}{entropy}"
    )


def _title(rows: Sequence[Row]) -> str:
    cases = rows[0]["cases"]
    cut = sum(case["at_edge"] for case in cases)
    smoke = "SMOKE RUN, too small to compare losses. " if rows[0]["smoke"] else ""
    words = group_title(rows[0]).replace("\n", " ")
    return f"{smoke}{words}; {len(cases)} images scored, {cut} of them cut by the image edge. Per cent:"


def _main(rows: Sequence[Row]) -> str:
    columns: dict[str, Measure] = {
        "IoU": lambda row: _over(row, "iou"),
        "BF1, theta 3": lambda row: _over(row, "f1_3"),
        "BF1, theta 5": lambda row: _over(row, "f1_5"),
        "IoU after 1/4 of the epochs": lambda row: 100 * _early(row)["iou"],
    }
    return _table(rows, columns, {"paper IoU": 0, "paper BF1": 1})


def _edge(rows: Sequence[Row]) -> str:
    band = rows[0]["size"] // 16
    columns: dict[str, Measure] = {
        "IoU, whole": lambda row: _over(row, "iou", False),
        "IoU, cut by the edge": lambda row: _over(row, "iou", True),
        f"IoU of cut ones in the outer {band} pixels": lambda row: _over(row, "edge_iou", True),
        "BF1, whole": lambda row: _over(row, "f1_3", False),
        "BF1, cut by the edge": lambda row: _over(row, "f1_3", True),
    }
    return _table(rows, columns, {})


def _table(rows: Sequence[Row], columns: dict[str, Measure], published: dict[str, int]) -> str:
    lines = [
        f"| loss | seeds | {' | '.join([*columns, *published])} |",
        "|---" * (2 + len(columns) + len(published)) + "|",
    ]
    for loss, name in NAMES.items():
        runs = [row for row in rows if row["loss"] == loss]
        if runs:
            cells = [spread([measure(run) for run in runs], ".2f") for measure in columns.values()]
            cells += [f"{PUBLISHED[loss][place]:.2f}" for place in published.values()]
            lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")
    pairs = _pairs(rows)
    if pairs:
        cells = [
            spread([measure(one) - measure(other) for one, other in pairs], "+.2f") for measure in columns.values()
        ]
        cells += [f"{PUBLISHED['bf1+iou'][place] - PUBLISHED['iou'][place]:+.2f}" for place in published.values()]
        lines.append(f"| difference of the first two | {len(pairs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Runs with and without the boundary F1 loss that started from one network."""
    own, other = ({row["seed"]: row for row in rows if row["loss"] == loss} for loss in ("bf1+iou", "iou"))
    return [(own[seed], other[seed]) for seed in own if seed in other]


def _over(row: Row, key: str, at_edge: bool | None = None) -> float:
    """Mean over the images in per cent; of those that the edge cuts, or of the others, where `at_edge` says so."""
    chosen = [case[key] for case in row["cases"] if at_edge is None or case["at_edge"] == at_edge]
    return 100 * mean_of(value for value in chosen if value is not None)


def _early(row: Row) -> Row:
    """Return the last point of the curve in the first quarter of the epochs, or the first of all."""
    points: list[Row] = row["curve"]
    early = [point for point in points if point["epoch"] <= row["epochs"] / 4]
    return early[-1] if early else points[0]
