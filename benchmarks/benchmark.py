"""One benchmark: its cases, what each is compared with, and how a run of it becomes a record.

A record is what the JSON holds, the same for every benchmark: raw times of each case, peak memory of each, the floor,
figures beside the times, and the results, each one of ours against one peer. Everything else (tables, Markdown, the
regression check) reads records only.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any, Literal

from measure import BUDGET_S, WarmCopy, data_folder, fresh_peak_mb, interleaved, peak_growth_mb

__all__ = [
    "LIMIT",
    "Against",
    "Benchmark",
    "Cases",
    "Record",
    "compare",
    "floor_of",
    "installed",
    "make_record",
    "seconds",
]

COPY, LIMIT = "warm copy", "limit"
COPY_MB, QUICK_COPY_MB = 48, 4
MEANS: dict[str, Callable[[list[float]], float]] = {"median": median, "min": min, "mean": mean}
Record = dict[str, Any]


@dataclass(frozen=True)
class Cases:
    """What the maker of a benchmark returns.

    Args:
        calls: The calls to time, by name.
        bytes_touched: Bytes that no implementation gets round to reading and writing; ``None`` where none is known.
        voxels: Size of the input.
        missing: Peers that are not installed.
        scale: Factor to a case's time where only a part of the work is timed.
        elsewhere: Seconds of peers that were taken on another machine.
        agree: Gets what the calls returned in the first round, returns figures, and raises where results differ that
            must not.
        extra: Further figures, after the timing.
    """

    calls: Mapping[str, Callable[[], Any]]
    bytes_touched: int | None = None
    voxels: int | None = None
    missing: tuple[str, ...] = ()
    scale: Mapping[str, float] = field(default_factory=dict)
    elsewhere: Mapping[str, float] = field(default_factory=dict)
    agree: Callable[[dict[str, Any]], dict[str, float]] | None = None
    extra: Callable[[], dict[str, float]] | None = None


@dataclass(frozen=True)
class Against:
    """A comparison: the least ratio of the peer's time to ours, and the most memory as a share of the peer's."""

    peer: str
    target: float | None = None
    memory: float | None = None
    ours: str = "ours"


@dataclass(frozen=True)
class Benchmark:
    """One row of the registry.

    Args:
        name: Its name on the command line and in the JSON.
        group: The section of the docs that it belongs to.
        title: What is measured.
        make: ``"module:function"`` that returns `Cases`.
        full: Arguments of `make`.
        small: Those of a quick run, and of the call that warms up.
        against: The comparisons.
        needs: Packages, and folders below the data folder as ``"data/..."``.
        floor_target: The most that the time of `ours` may be, in floors.
        clock: Which time counts; where threads are at work it is ``"wall_s"``.
        statistic: Of the repeats. Other processes lengthen wall time, so that its lowest value says most.
        memory: Whether peak memory is taken.
        timed: Whether time is.
        limit_mb: What the peak is held against as the peer ``"limit"``.
        default: Whether a run that names no benchmark takes it.
    """

    name: str
    group: str
    title: str
    make: str
    full: tuple[Any, ...]
    small: tuple[Any, ...]
    against: tuple[Against, ...] = ()
    needs: tuple[str, ...] = ()
    repeats: int = 7
    floor_target: float | None = None
    clock: Literal["cpu_s", "wall_s"] = "cpu_s"
    statistic: Literal["median", "min", "mean"] = "median"
    memory: bool = True
    timed: bool = True
    limit_mb: float | None = None
    default: bool = True

    def lacks(self) -> str | None:
        """Why it cannot run here, or ``None``."""
        for need in self.needs:
            if need.startswith("data/"):
                if not (data_folder() / need.removeprefix("data/")).exists():
                    return f"{need.removeprefix('data/')} is not in the data folder; set MONAI_BOUNDARY_DATA to it"
            elif importlib.util.find_spec(need) is None:
                return f"{need} is not installed"
        return None

    def measure(self, quick: bool, repeats: int | None = None, memory: bool | None = None) -> Record:
        """Time all cases in turn, then take each one's peak memory in a fresh process.

        A quick run takes small arrays, one repeat, and no memory unless `memory` says so.
        """
        arguments = self.small if quick else self.full
        record = make_record(self.title + ", small" * quick, self.group, {}, self.clock, self.statistic)
        names, moved, rate = ["ours"], None, 0.0
        if self.timed:
            names, moved, rate = self._time(record, arguments, quick, repeats or (1 if quick else self.repeats))
        elif quick:
            _cases(self.make, arguments).calls["ours"]()  # shows that it runs
        if self.memory and (not quick if memory is None else memory):
            for name in names:
                record["peak_mb"][name] = fresh_peak_mb(_peak, self.make, self.small, arguments, name)
            if self.limit_mb is not None:
                record["peak_mb"][LIMIT] = self.limit_mb
        if moved is not None:
            record["floor"] = floor_of(record, moved, rate, None if quick else self.floor_target)
        record["results"] = compare(record, self.against, judged=not quick)
        return record

    def _time(
        self, record: Record, arguments: tuple[Any, ...], quick: bool, repeats: int
    ) -> tuple[list[str], int | None, float]:
        """Fill in times and figures; return the names of the cases, the bytes that they touch, and GB/s of a copy."""
        cases = _cases(self.make, self.small)
        for call in cases.calls.values():
            call()  # what the libraries load and compile at their first call is no part of any case
        if not quick:
            cases = _cases(self.make, arguments)

        def agree(results: dict[str, Any]) -> None:
            results.pop(COPY)
            record["figures"] |= cases.agree(results) if cases.agree is not None else {}

        copy = WarmCopy(QUICK_COPY_MB if quick else COPY_MB)
        times = interleaved({**cases.calls, COPY: copy}, repeats, BUDGET_S, agree if cases.agree else None)
        rate = copy.gb_per_s(median(times.pop(COPY)["cpu_s"]))
        if not quick:
            times |= {name: {"cpu_s": [given]} for name, given in cases.elsewhere.items()}
            record["figures"] |= {} if cases.extra is None else cases.extra()
        record |= {"times": times, "scale": dict(cases.scale), "voxels": cases.voxels, "missing": list(cases.missing)}
        return list(cases.calls), cases.bytes_touched, rate


def make_record(
    title: str,
    group: str,
    times: Mapping[str, dict[str, list[float]]],
    clock: str = "cpu_s",
    statistic: str = "median",
) -> Record:
    """A record with raw times only."""
    return {"title": title, "group": group, "clock": clock, "statistic": statistic, "voxels": None,
            "times": dict(times), "scale": {}, "peak_mb": {}, "missing": [], "figures": {}, "floor": None,
            "results": []}  # fmt: skip


def _cases(make: str, arguments: tuple[Any, ...]) -> Cases:
    made: Cases = pkgutil.resolve_name(make)(*arguments)
    return made


def _peak(make: str, small: tuple[Any, ...], arguments: tuple[Any, ...], name: str) -> float:
    import torch

    torch.set_num_threads(1)
    warm = _cases(make, small).calls.get(name)
    if warm is not None:  # some cases are none of a small input
        warm()
    return peak_growth_mb(_cases(make, arguments).calls[name])


def seconds(record: Record, case: str, clock: str | None = None) -> float:
    """What one case of a record takes; published figures have a single clock."""
    times = record["times"][case]
    values = times.get(clock or record["clock"]) or next(iter(times.values()))
    return MEANS[record["statistic"]](values) * record["scale"].get(case, 1.0)


def floor_of(
    record: Record, bytes_touched: int, gb_per_s: float, target: float | None, case: str = "ours"
) -> dict[str, Any]:
    """Time that moving `bytes_touched` takes at the speed of a copy, and how many times that the case takes."""
    floor = bytes_touched / gb_per_s / 1e9
    ratio = seconds(record, case) / floor
    met = None if target is None else ratio <= target
    return {"case": case, "bytes": bytes_touched, "copy_gb_per_s": gb_per_s, "ms": 1e3 * floor, "ratio": ratio,
            "target": target, "met": met}  # fmt: skip


def compare(record: Record, against: tuple[Against, ...], judged: bool = True) -> list[dict[str, Any]]:
    """The results of a record: each comparison whose two cases were measured; `met` is ``None`` without a target."""
    found = []
    for one in against:
        timed, peaks = ([name in record[what] for name in (one.ours, one.peer)] for what in ("times", "peak_mb"))
        if not (all(timed) or all(peaks)):
            continue
        result: dict[str, Any] = {"ours": one.ours, "peer": one.peer, "target": one.target, "memory_target": one.memory}
        tests = []
        if all(timed):
            ours, peer = (seconds(record, name) for name in (one.ours, one.peer))
            walls = [seconds(record, name, "wall_s") for name in (one.ours, one.peer)]
            result |= {"ours_ms": 1e3 * ours, "peer_ms": 1e3 * peer, "ratio": peer / ours}
            result["wall_ratio"] = walls[1] / walls[0]
            tests += [] if one.target is None else [peer / ours >= one.target]
        if all(peaks) and record["peak_mb"][one.peer] > 0:  # small arrays fit in what the process has already
            result["memory_share"] = record["peak_mb"][one.ours] / record["peak_mb"][one.peer]
            tests += [] if one.memory is None else [result["memory_share"] <= one.memory]
        wanted = (one.target is not None) + (one.memory is not None)
        result["met"] = len(tests) == wanted and all(tests) if wanted and judged else None
        found.append(result)
    return found


def installed(name: str) -> bool:
    """Whether a peer's package is there."""
    return importlib.util.find_spec(name) is not None
