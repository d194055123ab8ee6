"""The modules of benchmarks/ on the path, a benchmark whose times are given, and no machine in what is written."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"

# Every call returns the seconds that it pretends to take.
FAKE = """
from benchmark import Cases

SECONDS = {"ours": 0.010, "slow peer": 0.500, "part of the work": 0.030}

def make(factor):
    calls = {name: (lambda value=value: value * factor) for name, value in SECONDS.items()}
    return Cases(
        calls, bytes_touched=20_000_000, voxels=1_000_000, missing=("absent peer",), scale={"part of the work": 4.0},
        elsewhere={"published": 2.0}, agree=lambda results: {"sum of the first round": sum(results.values())},
        extra=lambda: {"regions": 3.0},
    )

def take(factor):
    return Cases({"ours": lambda: bytearray(factor << 20)})
"""


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The modules of the runner, imported from benchmarks/ and gone afterwards."""
    pytest.importorskip("rich", reason="the benchmarks print with rich")
    if not BENCHMARKS.is_dir():
        pytest.skip("no benchmarks beside the tests")
    (tmp_path / "fake_cases.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name, value in (("OMP_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "PASSIVE")):
        monkeypatch.setenv(name, value)  # the runner sets them at import
    names = ("measure", "benchmark", "registry", "tables", "check", "run")
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    own = [name for name, module in sys.modules.items() if _lies_in(module, (BENCHMARKS, tmp_path))]
    for name in own:
        del sys.modules[name]


def _lies_in(module, folders):
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).parent in folders


@pytest.fixture
def fake(bench, monkeypatch):
    """The one benchmark of the registry: times are what its calls return, a copy of 48 MiB takes 10 ms."""
    against = (
        bench.benchmark.Against("slow peer", 40.0, 0.5),
        bench.benchmark.Against("part of the work"),
        bench.benchmark.Against("published", 300.0),
        bench.benchmark.Against("absent peer", 2.0),
    )
    one = bench.benchmark.Benchmark(
        "fake", "maps", "a fake", "fake_cases:make", (1,), (1,), against, floor_target=6.0, repeats=2
    )

    def given_times(calls, repeats, budget_s=0.0, first=None):
        results = {name: call() for name, call in calls.items()}
        seconds = {name: 0.010 if value is None else value for name, value in results.items()}
        if first is not None:
            first(results)
        return {name: {"cpu_s": repeats * [value], "wall_s": repeats * [2 * value]} for name, value in seconds.items()}

    host = {"cpu": "a processor", "cores": 2, "date": "2026-01-31", "load_average_at_start": [0.5, 0.5, 0.5]}
    host |= {"python": "3.11.7", "versions": {"edt": "3.1.2"}}
    peaks = {"ours": 20.0, "slow peer": 80.0, "part of the work": 40.0}
    monkeypatch.setattr(bench.benchmark, "interleaved", given_times)
    monkeypatch.setattr(bench.benchmark, "fresh_peak_mb", lambda *given: peaks[given[-1]])
    monkeypatch.setattr(bench.tables, "machine", lambda: host)
    monkeypatch.setattr(bench.run, "BENCHMARKS", {"fake": one})
    return one
