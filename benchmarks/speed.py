"""Time and peak memory of the maps and the loss against their peers, on one thread.

    python benchmarks/speed.py --json docs/results/speed.json --docs docs/benchmarks.md
    python benchmarks/speed.py --quick

Ratios are medians of CPU time of interleaved repeats in one process; peak memory is that of a fresh process per case.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import cProfile
import functools
import json
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from measure import fresh_peak_mb, interleaved, machine, peak_growth_mb, replace_between
from rich.console import Console
from rich.progress import track
from rich.table import Table
from speed_cases import Calls, lesion_cases, lesion_file, loss_cases, map_cases

BEGIN, END = "<!-- speed.py writes from here -->", "<!-- to here -->"
STEPS = {  # functions of the package whose time, callees included, the profile shows
    "_slice_squared": "2-D transforms of occupied slices",
    "_winning_range": "which slices can be nearest",
    "_merge_slices": "minimum over slices, root",
    "_edt": "3-D transform (inside, or whole)",
    "labels_distance_map": "whole call",
}


@dataclass(frozen=True)
class Row:
    """One measurement: its cases, the repeats, and the least ratio of peer time to ours (and the most memory share)."""

    key: str
    title: str
    cases: Callable[[], Calls]
    targets: dict[str, float]
    repeats: int
    memory_share: float | None = None


def rows(quick: bool) -> list[Row]:
    """The table of targets; `quick` takes small arrays, whose ratios say nothing about the targets."""
    size, repeats, step = (48, 3, 4) if quick else (128, 7, 1)
    found = [
        Row(
            "map_k2",
            f"signed map, {size}^3, K=2, both channels",
            functools.partial(map_cases, size, 2, True),
            {"monai": 22, "scipy": 20, "edt.sdf": 4},
            repeats,
        ),
        Row(
            "map_k4",
            f"signed map, {size}^3, K=4, foreground only",
            functools.partial(map_cases, size, 4, False),
            {"monai": 14, "scipy": 11, "edt.sdf": 2.2},
            repeats,
        ),
        Row(
            "loss",
            f"loss forward + backward, B=2 C=4 {size}^3",
            functools.partial(loss_cases, size),
            {"monai": 40},
            repeats if quick else 5,
            0.25,
        ),
    ]
    if lesion_file() is not None:
        lesions = functools.partial(lesion_cases, step)
        title = "signed map of an MS lesion mask, clip 20 mm" + (f", every {step}th voxel" if step > 1 else "")
        found.append(Row("lesions", title, lesions, {"scipy": 25}, 3, 0.25))
    return found


def _peak(key: str, cases: Callable[[], Calls], name: str) -> float:
    torch.set_num_threads(1)
    small = next(row for row in rows(quick=True) if row.key == key)
    small.cases()[name]()  # what the libraries load at their first call is no part of any case
    return peak_growth_mb(cases()[name])


def measure_row(row: Row) -> dict[str, Any]:
    """Time all cases of a row in turn, then take each one's peak memory in a fresh process."""
    calls = row.cases()
    names = [name for name in calls if name != "read"]
    for name in names if row.key != "lesions" else ["ours"]:  # a peer of a minute per call needs no warm-up
        calls[name]()
    record: dict[str, Any] = {"title": row.title, "times": interleaved(calls, row.repeats)}
    if row.key.startswith("map"):
        record["largest_difference_to_scipy_mm"] = float(np.abs(calls["ours"]() - calls["scipy"]()).max())
        record["profile_ms"] = _profile(calls["ours"])
    record["peak_mb"] = {name: fresh_peak_mb(_peak, row.key, row.cases, name) for name in names}
    record["results"] = [_compare(record, row, peer, target) for peer, target in row.targets.items()]
    return record


def _compare(record: dict[str, Any], row: Row, peer: str, target: float) -> dict[str, Any]:
    cpu = {name: median(times["cpu_s"]) for name, times in record["times"].items()}
    wall = {name: median(times["wall_s"]) for name, times in record["times"].items()}
    share = record["peak_mb"]["ours"] / record["peak_mb"][peer]
    return {
        "peer": peer,
        "ours_ms": 1e3 * cpu["ours"],
        "peer_ms": 1e3 * cpu[peer],
        "ratio": cpu[peer] / cpu["ours"],
        "wall_ratio": wall[peer] / wall["ours"],
        "target": target,
        "memory_share": share,
        "memory_target": row.memory_share,
        "pass": cpu[peer] / cpu["ours"] >= target and (row.memory_share is None or share <= row.memory_share),
    }


def _profile(call: Callable[[], object]) -> dict[str, float]:
    profile = cProfile.Profile(time.process_time)
    profile.runcall(call)
    stats: dict[tuple[str, int, str], tuple] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return {name: 1e3 * row[3] for (_, _, name), row in stats.items() if name in STEPS}


def table_rows(report: dict[str, Any]) -> list[list[str]]:
    """The cells of the table, the same on the console and in the docs."""
    cells = []
    for record in report["rows"].values():
        for result in record["results"]:
            memory = f"{result['memory_share']:.2f}"
            if result["memory_target"] is not None:
                memory += f" (at most {result['memory_target']:g})"
            cells.append(
                [
                    record["title"],
                    result["peer"],
                    f"{result['ours_ms']:.0f}",
                    f"{result['peer_ms']:.0f}",
                    f"{result['target']:g}x",
                    f"{result['ratio']:.1f}x",
                    memory,
                    "yes" if result["pass"] else "no",
                ]
            )
    return cells


HEADER = ["what", "peer", "ours, ms", "peer, ms", "at least", "measured", "peak memory, share of the peer's", "met"]


def show(report: dict[str, Any], console: Console) -> None:
    """Print the table."""
    table = Table(title="Median CPU time, one thread" + (", quick run" if report["quick"] else ""))
    for name in HEADER:
        table.add_column(name)
    title = ""
    for cells in table_rows(report):
        first, title = ("" if cells[0] == title else cells[0]), cells[0]
        table.add_row(first, *cells[1:], style="green" if cells[-1] == "yes" else "red")
    console.print(table)


def markdown(report: dict[str, Any]) -> str:
    """The part of docs/benchmarks.md that comes from a run."""
    host = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    lines = [
        f"{host['cpu']}, {host['cores']} cores, one used; {host['date']}; load average at the start "
        f"{host['load_average_at_start'][0]:g}; Python {host['python']}, {versions}.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---" * len(HEADER) + "|",
        *("| " + " | ".join(cells) + " |" for cells in table_rows(report)),
        "",
        "All cases, medians:",
        "",
        "| what | case | CPU ms | wall ms | peak MB |",
        "|---|---|---|---|---|",
    ]
    for record in report["rows"].values():
        for name, times in record["times"].items():
            peak = record["peak_mb"].get(name)
            cpu, wall = (f"{1e3 * median(times[kind]):.0f}" for kind in ("cpu_s", "wall_s"))
            lines.append(f"| {record['title']} | {name} | {cpu} | {wall} | {'-' if peak is None else f'{peak:.0f}'} |")
    lines += ["", "Where the time of the signed map goes, ms (one run under a profiler):", ""]
    profiled = [record for record in report["rows"].values() if "profile_ms" in record]
    lines += [
        "| step | " + " | ".join(record["title"] for record in profiled) + " |",
        "|---" * (len(profiled) + 1) + "|",
    ]
    for name, text in STEPS.items():
        values = (f"{record['profile_ms'].get(name, 0):.1f}" for record in profiled)
        lines.append(f"| {text} | " + " | ".join(values) + " |")
    differences = [record["largest_difference_to_scipy_mm"] for record in profiled]
    return "\n".join([*lines, "", f"Largest difference to scipy rounded to float32: {max(differences):.1e} mm."])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small arrays, under a minute")
    parser.add_argument("--json", type=Path, help="write all raw times here")
    parser.add_argument("--docs", type=Path, help="replace the tables in this Markdown file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    wanted = {row.key: row for row in rows(options.quick)}
    report: dict[str, Any] = {"machine": machine(), "quick": options.quick, "rows": {}}
    console = Console(width=None if sys.stdout.isatty() else 150)
    if "lesions" not in wanted:
        console.print("ms_lesions is not in the data folder (MONAI_BOUNDARY_DATA): its row is left out")
    for row in track(wanted.values(), description="measuring", console=console):
        report["rows"][row.key] = measure_row(row)
    show(report, console)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        replace_between(options.docs, BEGIN, END, markdown(report))


if __name__ == "__main__":
    main()
