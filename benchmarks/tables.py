"""Runs and their records as tables on the console, as Markdown in the docs, and as JSON.

A file holds ``{"runs": [...]}``; a run is what one machine measured at one time:
``{"machine": ..., "quick": bool, "benchmarks": {name: record}}``. A benchmark is in one run of a file only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark import Record, seconds
from measure import machine, replace_between
from rich.console import Console
from rich.table import Table

__all__ = ["load_runs", "markdown", "merged", "new_run", "show", "write_docs", "write_runs"]

HEADER = ("benchmark", "against", "ours, ms", "its ms", "ratio", "target", "peak memory, share of its", "met")
CASE_HEADER = ("benchmark", "case", "CPU ms", "wall ms", "ns per voxel", "peak MB")
CLOCKS = ("cpu_s", "wall_s")
DASH = "-"
Run = dict[str, Any]


def new_run(quick: bool, benchmarks: Mapping[str, Record]) -> Run:
    """A run on this machine."""
    return {"machine": machine(), "quick": quick, "benchmarks": dict(benchmarks)}


def load_runs(path: Path) -> list[Run]:
    """Read a file of results."""
    runs = json.loads(path.read_text(encoding="utf-8")).get("runs")
    if not isinstance(runs, list):
        raise ValueError(f"{path} must hold the runs of benchmarks/run.py, got a JSON without 'runs'; write it anew")
    return runs


def merged(stored: Sequence[Run], run: Run) -> list[Run]:
    """All runs, with those benchmarks of the stored ones that `run` has not measured anew."""
    kept = []
    for old in stored:
        left = {name: record for name, record in old["benchmarks"].items() if name not in run["benchmarks"]}
        if left:
            kept.append({**old, "benchmarks": left})
    return [*kept, run] if run["benchmarks"] else kept


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """Write a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")


def result_rows(record: Record) -> list[tuple[str, ...]]:
    """The cells of a record: one row for each comparison, and one for the floor."""
    rows = []
    for result in record["results"]:
        peer = result["peer"] if result["ours"] == "ours" else f"{result['ours']} / {result['peer']}"
        times = [_number(result[key]) if key in result else DASH for key in ("ours_ms", "peer_ms")]
        ratio = f"{_number(result['ratio'])}x" if "ratio" in result else DASH
        target = DASH if result["target"] is None else f"at least {result['target']:g}x"
        memory = f"{result['memory_share']:.2f}" if "memory_share" in result else DASH
        if result["memory_target"] is not None:
            memory += f" (at most {result['memory_target']:g})"
        rows.append((record["title"], peer, *times, ratio, target, memory, _met(result["met"])))
    floor = record["floor"]
    if floor is not None:
        case = "" if floor["case"] == "ours" else f"{floor['case']} / "
        name = f"{case}memory floor: {_number(floor['bytes'] / 1e6)} MB at {floor['copy_gb_per_s']:.1f} GB/s"
        times = [_number(1e3 * seconds(record, floor["case"])), _number(floor["ms"])]
        target = DASH if floor["target"] is None else f"at most {floor['target']:g} floors"
        ratio = f"{_number(floor['ratio'])} floors"
        rows.append((record["title"], name, *times, ratio, target, DASH, _met(floor["met"])))
    return rows


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _met(met: bool | None) -> str:
    return {True: "yes", False: "no", None: DASH}[met]


def show(run: Run, console: Console) -> None:
    """Print one table for all benchmarks of a run."""
    table = Table(title="One thread" + (", quick run: small arrays, whose figures say nothing" * run["quick"]))
    for name in HEADER:
        table.add_column(name)
    for record in run["benchmarks"].values():
        for cells in _once(result_rows(record)):
            table.add_row(*cells, style={"yes": "green", "no": "red"}.get(cells[-1]))
        for name in record["missing"]:
            table.add_row("", name, *[DASH] * 5, "not installed", style="yellow")
    console.print(table)


def markdown(runs: Sequence[Run], group: str) -> str:
    """The tables of one section of the docs."""
    parts = [run for run in runs if any(record["group"] == group for record in run["benchmarks"].values())]
    lines, records = [], []
    for run in parts:
        own = [record for record in run["benchmarks"].values() if record["group"] == group]
        lines.append(_about(run, [record["title"] for record in own] if len(parts) > 1 else []))
        records += own
    lines += ["", *_table(HEADER, [row for record in records for row in result_rows(record)])]
    cases = [row for record in records for row in _case_rows(record)]
    lines += ["", "All cases:", "", *_table(CASE_HEADER, cases)]
    missing = sorted({name for record in records for name in record["missing"]})
    if missing:
        lines += ["", f"Not installed, so not measured: {', '.join(missing)}."]
    return "\n".join(lines + _figure_tables(records))


def _about(run: Run, titles: Sequence[str]) -> str:
    host = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    return (
        (f"{'; '.join(titles)}: " if titles else "")
        + f"{host['cpu']}, {host['cores']} cores, one used unless said otherwise; {host['date']}; load average at the "
        + f"start {host['load_average_at_start'][0]:g}; Python {host['python']}, {versions}."
        + (" Quick run: small arrays, whose figures say nothing." if run["quick"] else "")
    )


def _case_rows(record: Record) -> list[tuple[str, ...]]:
    rows = []
    for name, times in (record["times"] or {"ours": {}}).items():
        spent = [_number(1e3 * seconds(record, name, clock)) if clock in times else DASH for clock in CLOCKS]
        voxels, peak = record["voxels"], record["peak_mb"].get(name)
        each = _number(1e9 * seconds(record, name) / voxels) if voxels and times else DASH
        rows.append((record["title"], name, *spent, each, DASH if peak is None else f"{peak:.0f}"))
    return rows


def _figure_tables(records: Sequence[Record]) -> list[str]:
    """One table for all records that have the same figures; the longer list goes down the page."""
    kinds: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record["figures"]:
            kinds.setdefault(tuple(record["figures"]), []).append(record)
    lines = []
    for names, alike in kinds.items():
        cells = [["figure", *names]]
        cells += [[one["title"], *(_number(one["figures"][name]) for name in names)] for one in alike]
        if len(names) > len(alike):
            cells = [list(column) for column in zip(*cells, strict=True)]
        else:
            cells[0][0] = HEADER[0]
        lines += ["", *_table(cells[0], cells[1:])]
    return lines


def _once(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The rows, with a title only where it changes."""
    titles = ["", *(row[0] for row in rows)]
    return [("" if row[0] == before else row[0], *row[1:]) for before, row in zip(titles, rows, strict=False)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *_once(rows))]


def marks(group: str) -> tuple[str, str]:
    """The comments in the docs between which the tables of a group stand."""
    return f"<!-- run.py writes from here: {group} -->", f"<!-- to here: {group} -->"


def write_docs(path: Path, runs: Sequence[Run]) -> None:
    """Replace the tables of every group that the runs hold, where the file has its marks."""
    text = path.read_text(encoding="utf-8")
    for group in dict.fromkeys(record["group"] for run in runs for record in run["benchmarks"].values()):
        begin, end = marks(group)
        if (text.count(begin), text.count(end)) != (1, 1):
            raise ValueError(f"{path} must hold {begin!r} and {end!r} once each, to write the table between them")
        replace_between(path, begin, end, markdown(runs, group))
