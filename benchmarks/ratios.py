"""Ratios from the JSON of ``pytest benchmarks``: printed, written to the docs, and compared with an earlier run.

    pytest benchmarks --benchmark-json=docs/results/speed.json
    python -m benchmarks.ratios docs/results/speed*.json --docs docs/benchmarks.md
    python -m benchmarks.ratios now.json --check docs/results/speed.json

A ratio is the time of a peer over ours, so more is better. --check never compares seconds. Where a ratio, or our share
of a peer's memory, is more than 25 % worse than it was, the case is measured once more; the exit code is 1 if it is
worse again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Comparison", "comparisons", "main", "worse", "write_docs"]

TOLERANCE = 0.25
SLACK_MB = 4.0  # what a peak may grow in any case: loaded code and the allocator move it by as much
HEADER = ("benchmark", "against", "ours, ms", "its ms", "ratio", "target", "ours / its memory", "differs by")
Run = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One call of ours and one of a peer; where a limit stands in the peer's place there are no times."""

    case: str
    entry: Mapping[str, Any]
    ours: Mapping[str, Any]
    its_ms: float

    @property
    def name(self) -> str:
        """Case and call."""
        return f"{self.case}, {self.entry['name']}"

    @property
    def ours_ms(self) -> float:
        """Our lowest time."""
        return _ms(self.ours)

    @property
    def ratio(self) -> float:
        """The peer's time over ours."""
        return self.its_ms / self.ours_ms

    @property
    def memory_share(self) -> float | None:
        """Our peak memory as a share of the peer's, where both were taken."""
        both = self.ours.get("peak_mb"), self.entry.get("peak_mb")
        return both[0] / both[1] if both[0] is not None and both[1] else None

    @property
    def missed(self) -> bool:
        """Whether it has a target that it does not reach."""
        slow = self.entry["at_least"] is not None and self.ratio < self.entry["at_least"]
        return slow or (self.memory_share is not None and self.memory_share > (self.entry["memory"] or 1e9))

    def as_text(self, ratio: float) -> str:
        """A ratio, or what ours adds to the peer's time."""
        return f"{100 / ratio - 100:+.0f} %" if self.entry["cost"] else f"{_short(ratio)}x"


def _ms(entry: Mapping[str, Any]) -> float:
    found: float = entry["ms"]["min"] * entry.get("scale", 1.0)
    return found


def comparisons(run: Run) -> list[Comparison]:
    """All comparisons of a run, those with stored seconds of other machines last in their case."""
    found = []
    cases = dict.fromkeys(one["group"] for one in run["benchmarks"])
    for case in cases:
        entries = {one["name"]: one for one in run["benchmarks"] if one["group"] == case}
        for entry in entries.values():
            if entry.get("ours") in entries:
                found.append(Comparison(case, entry, entries[entry["ours"]], _ms(entry)))
        for entry in entries.values():
            for name, seconds, at_least in entry.get("elsewhere", []):
                stored = {"name": name, "at_least": at_least, "cost": False, "memory": None}
                found.append(Comparison(case, stored, entry, 1e3 * seconds))
    return found


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rows(run: Run, section: str) -> list[tuple[str, ...]]:
    """The cells of a section, a title only where it changes."""
    rows: list[tuple[str, ...]] = []
    title = ""
    for one in comparisons(run):
        if one.ours["section"] == section:
            target = "-" if one.entry["at_least"] is None else one.as_text(one.entry["at_least"])
            share = one.memory_share
            memory = "-" if share is None else f"{share:.2f} (at most {one.entry['memory']:g})"
            ratio = f"**{one.as_text(one.ratio)}**" if one.missed else one.as_text(one.ratio)
            name = one.entry["name"] + (f" / {one.ours['name']}" if one.ours["name"] != "ours" else "")
            figures = ", ".join(f"{_short(value)} {unit}" for unit, value in one.entry.get("figures", {}).items())
            first = one.ours["title"] if one.ours["title"] != title else ""
            title = one.ours["title"]
            cells = (first, name, _short(one.ours_ms), _short(one.its_ms), ratio, target, memory, figures or "-")
            rows.append(cells)
    return rows


def _limits(run: Run, section: str) -> list[tuple[str, ...]]:
    """Rows whose peak memory is held against a limit."""
    return [
        (one["title"], f"{one['peak_mb']:.0f}", f"{one['limit_mb']:.0f}", _short(one["ms"]["min"] / 1e3))
        for one in run["benchmarks"]
        if one["section"] == section and "limit_mb" in one
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]


def section_text(runs: Sequence[Run], section: str) -> str:
    """The tables of a section; columns that no row fills are left out."""
    rows = [row for run in runs for row in _rows(run, section)]
    limits = [row for run in runs for row in _limits(run, section)]
    lines = []
    if rows:
        kept = [index for index in range(len(HEADER)) if any(row[index] != "-" for row in rows)]
        lines = _table([HEADER[index] for index in kept], [[row[index] for index in kept] for row in rows])
    if limits:
        lines += _table(("benchmark", "peak MB", "at most", "s, whole process"), limits)
    entries = [one for run in runs for one in run["benchmarks"] if one["section"] == section]
    missing = sorted({name for one in entries for name in one.get("missing", [])})
    return "\n".join(lines + (["", f"Not installed, so not measured: {', '.join(missing)}."] if missing else []))


def summary_text(runs: Sequence[Run]) -> str:
    """One row for each headline case: how many times faster than which peer; a missed target is bold."""
    cells: dict[str, list[str]] = {}
    for one in (one for run in runs for one in comparisons(run) if one.ours["headline"]):
        target = one.entry["at_least"]
        if target is not None or (one.ours["name"] == "ours" and not one.entry["name"].startswith("ours")):
            text = f"{one.as_text(one.ratio)} {one.entry['name']}"
            text += "" if target is None else f" (target {one.as_text(target)})"
            cells.setdefault(one.ours["title"], []).append(f"**{text}**" if one.missed else text)
    return "\n".join(_table(("what", "its time over ours"), [(title, ", ".join(row)) for title, row in cells.items()]))


def machines_text(runs: Sequence[Run]) -> str:
    """When and where each run was made."""
    lines = []
    for run in runs:
        host = run["machine_info"]
        sections = ", ".join(dict.fromkeys(one["section"] for one in run["benchmarks"]))
        versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
        small = " Small arrays, whose figures say nothing." if host["small"] else ""
        lines.append(
            f"{sections}: {host['cpu']}, {host['cores']} cores, {run['datetime'][:10]}, load average at the start "
            f"{host['load_average_at_start']:g}; Python {host['python']}, {versions}.{small}"
        )
    return "\n\n".join(lines)


def write_docs(path: Path, runs: Sequence[Run]) -> None:
    """Fill in every block between ``<!-- ratios: NAME -->`` and ``<!-- end -->`` for which there are results."""
    text = path.read_text(encoding="utf-8")
    blocks = {"summary": summary_text(runs), "machines": machines_text(runs)}
    blocks |= {one["section"]: section_text(runs, one["section"]) for run in runs for one in run["benchmarks"]}
    for name, block in blocks.items():
        begin, end = f"<!-- ratios: {name} -->", "<!-- end -->"
        if text.count(begin) != 1:
            raise ValueError(f"{path} must hold {begin!r} once, to write the tables after it; got {text.count(begin)}")
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{block}\n{end}{rest.split(end, 1)[1]}"
    path.write_text(text, encoding="utf-8")


def worse(now: Run, before: Run, tolerance: float = TOLERANCE) -> dict[str, str]:
    """By case: what got worse by more than `tolerance`, among all that both runs hold."""
    stored = {one.name: one for one in comparisons(before)}
    found: dict[str, str] = {}
    for one in comparisons(now):
        old = stored.get(one.name)
        if old is None:
            continue
        if one.ratio * (1 + tolerance) < old.ratio:
            found[one.case] = f"{one.name}: {_short(one.ratio)}x, was {_short(old.ratio)}x"
        if one.memory_share is not None and old.memory_share is not None:
            grown = one.ours["peak_mb"] - old.memory_share * one.entry["peak_mb"]
            if one.memory_share > (1 + tolerance) * old.memory_share and grown > SLACK_MB:
                found[one.case] = f"{one.name}: {one.memory_share:.2f} of its memory, was {old.memory_share:.2f}"
    return found


def measure_again(cases: Iterable[str]) -> Run:
    """Run some cases in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "again.json"
        wanted = " or ".join(f"{case}-" for case in cases)
        command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-k", wanted, f"--benchmark-json={target}"]
        subprocess.run(command, cwd=Path(__file__).resolve().parents[1], check=True)
        return load(target)


def load(path: Path) -> Run:
    """Read the JSON of a run."""
    run: Run = json.loads(path.read_text(encoding="utf-8"))
    if not all({"group", "name", "ms", "section"} <= one.keys() for one in run.get("benchmarks", [{}])):
        raise ValueError(f"{path} must be written by pytest benchmarks --benchmark-json={path.name}, got another JSON")
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Print, write and compare what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="JSON")
    parser.add_argument("--docs", type=Path, help="write the tables between the marks of this Markdown file")
    parser.add_argument("--check", type=Path, help="compare with the run in this file")
    options = parser.parse_args(arguments)
    runs = [load(path) for path in options.runs]
    print(summary_text(runs))
    for one in (one for run in runs for one in comparisons(run) if one.missed):
        print(f"target missed: {one.name}, {one.as_text(one.ratio)}")
    if options.docs:
        write_docs(options.docs, runs)
    if options.check is None:
        return 0
    stored = load(options.check)
    found = {case: text for run in runs for case, text in worse(run, stored).items()}
    if found:
        print("worse at first sight, so measured once more:", *found.values(), sep="\n")
        found = worse(measure_again(found), stored)
    print(*(f"worse: {text}" for text in found.values()), f"{len(found)} worse", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
