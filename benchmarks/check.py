"""The regression check: ratios, shares and floors of a run against stored ones. Seconds are never compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark import Record
from rich.console import Console
from rich.table import Table

__all__ = ["TOLERANCE", "Finding", "findings", "show_findings"]

# By how much a ratio may be worse. Runs beside other work on the machine differ by up to that.
TOLERANCE = 0.25
SLACK_MB = 4.0  # what a peak may grow in any case: loaded code and the allocator move it by as much


@dataclass(frozen=True)
class Finding:
    """One compared figure; `change` is above 1 where it got worse."""

    benchmark: str
    what: str
    before: float | None
    now: float | None
    change: float | None
    verdict: str

    @property
    def worse(self) -> bool:
        """Whether the check fails."""
        return self.verdict == "worse"


def findings(
    stored: Mapping[str, Record], measured: Mapping[str, Record], tolerance: float = TOLERANCE
) -> list[Finding]:
    """Compare all that both hold, and list what only one of them does."""
    found = []
    for name, record in measured.items():
        if name not in stored:
            found.append(Finding(name, "all", None, None, None, "not stored"))
            continue
        before, now = _figures(stored[name]), _figures(record)
        for what in dict.fromkeys([*before, *now]):
            found.append(_judge(name, what, before.get(what), now.get(what), tolerance))
    return found


def _figures(record: Record) -> dict[str, tuple[float, float]]:
    """By name: the figure in the sense that higher is worse, and what of it is noise."""
    found: dict[str, tuple[float, float]] = {}
    for result in record["results"]:
        pair = f"{result['ours']} / {result['peer']}"
        if "ratio" in result:
            found[f"time, {pair}"] = 1 / result["ratio"], 0.0
        if "memory_share" in result:
            found[f"peak memory, {pair}"] = result["memory_share"], SLACK_MB / record["peak_mb"][result["peer"]]
    floor: dict[str, Any] | None = record["floor"]
    if floor is not None and floor["target"] is not None:  # others are for information: bandwidth varies the most
        found["time in floors"] = floor["ratio"], 0.0
    return found


def _judge(
    name: str, what: str, before: tuple[float, float] | None, now: tuple[float, float] | None, tolerance: float
) -> Finding:
    if before is None or now is None:
        verdict = "not stored" if before is None else "not measured"
        return Finding(name, what, before and before[0], now and now[0], None, verdict)
    change = now[0] / before[0] if before[0] > 0 else 1.0
    noise = max(before[1], now[1])
    worse = change > 1 + tolerance and now[0] - before[0] > noise
    better = change < 1 / (1 + tolerance) and before[0] - now[0] > noise
    return Finding(name, what, before[0], now[0], change, "worse" if worse else "better" if better else "same")


def show_findings(found: Sequence[Finding], tolerance: float, console: Console) -> None:
    """Print every figure that is not the same, and how many are."""
    table = Table(title=f"Ours as a share of the peer's against the stored run; worse from +{100 * tolerance:.0f} % on")
    for name in ("benchmark", "what", "stored", "now", "change", "verdict"):
        table.add_column(name)
    styles = {"worse": "red", "better": "green"}
    for one in found:
        if one.verdict != "same":
            numbers = ["-" if value is None else f"{value:.3g}" for value in (one.before, one.now)]
            change = "-" if one.change is None else f"{100 * (one.change - 1):+.0f} %"
            table.add_row(one.benchmark, one.what, *numbers, change, one.verdict, style=styles.get(one.verdict))
    if table.row_count:
        console.print(table)
    same = sum(one.verdict == "same" for one in found)
    console.print(f"{same} of {len(found)} figures as stored, {sum(one.worse for one in found)} worse")
