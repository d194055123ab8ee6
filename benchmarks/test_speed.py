"""Every call of every case, ours before those that it is compared with, one after the other in one process."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest

from benchmarks.case import Calls, Case
from benchmarks.cases import CASES
from benchmarks.memory import fresh_peak_mb


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    timer = {"timer": time.perf_counter} if case.wall else {}
    return [pytest.mark.benchmark(group=case.name, **timer), *[pytest.mark.long] * case.long]


PAIRS = [
    pytest.param(case, name, id=f"{case.name}-{name}", marks=_marks(case))
    for case in CASES.values()
    for name in case.names
]


@functools.lru_cache(maxsize=1)  # the calls of a case follow each other
def _made(case: Case, small: bool) -> Calls:
    calls = case.make(*case.small)
    for call in calls.by_name.values():
        call()  # what libraries load and compile at their first call is no part of any time
    return calls if small else case.make(*case.full)


@functools.lru_cache(maxsize=1)
def _of_ours(case: Case, name: str, small: bool) -> Any:
    return _made(case, small).by_name[name]()


@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_speed(case: Case, name: str, benchmark: Any, request: pytest.FixtureRequest) -> None:
    """Measure one call, and compare what it returns with what ours does."""
    small = request.config.getoption("--small")
    against = case.comparison(name)
    benchmark.extra_info.update(call=name, section=case.section, title=case.title, headline=case.headline)
    if reason := case.lacks():
        pytest.skip(reason)
    if case.limit_mb is not None:
        peak = benchmark.pedantic(fresh_peak_mb, (case.name, name, small), rounds=1)
        benchmark.extra_info.update(peak_mb=peak, limit_mb=case.limit_mb)
        return
    calls = _made(case, small)
    if name in calls.elsewhere:
        pytest.skip(f"{name}: stored, not run")
    if name not in calls.by_name:
        pytest.skip(f"{name} is not installed")
    rounds = 1 if small else case.rounds if against is None or against.rounds is None else against.rounds
    result = benchmark.pedantic(calls.by_name[name], rounds=rounds)
    benchmark.extra_info.update(_beside_the_time(case, name, calls, result, small))


def _beside_the_time(case: Case, name: str, calls: Calls, result: Any, small: bool) -> dict[str, Any]:
    """Comparison, figures and peak memory."""
    against, found = case.comparison(name), {"scale": calls.scale.get(name, 1.0)}
    if against is None:
        elsewhere = [one for one in case.against if one.name in calls.elsewhere and one.ours == name]
        found["missing"] = [one for one in case.names if one not in calls.by_name and one not in calls.elsewhere]
        found["elsewhere"] = [
            [one.name, calls.elsewhere[one.name], None if small else one.at_least] for one in elsewhere
        ]
    else:
        found |= {
            "ours": against.ours,
            "at_least": None if small else against.at_least,
            "cost": against.cost,
            "memory": against.memory,
        }
        if calls.compare is not None:
            found |= {"figures": calls.compare(name, result, _of_ours(case, against.ours, small))}
    if not small and any(one.memory is not None and name in (one.name, one.ours) for one in case.against):
        found["peak_mb"] = fresh_peak_mb(case.name, name)
    return found
