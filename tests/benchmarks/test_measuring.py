"""A record holds what was measured: ratios, shares of memory, the floor of the memory traffic."""

from __future__ import annotations

import importlib

import numpy as np
import pytest


def test_the_floor_is_bytes_over_bandwidth(bench):
    record = bench.benchmark.make_record("a", "maps", {"ours": {"cpu_s": [0.6, 0.5, 0.9]}})
    floor = bench.benchmark.floor_of(record, 2_000_000_000, gb_per_s=10.0, target=4.0)
    assert floor["ms"] == pytest.approx(200)
    assert floor["ratio"] == pytest.approx(3)
    assert floor["met"] is True
    assert bench.benchmark.floor_of(record, 2_000_000_000, 10.0, 2.9)["met"] is False
    assert bench.benchmark.floor_of(record, 2_000_000_000, 10.0, None)["met"] is None


def test_a_copy_reads_and_writes_its_bytes(bench):
    copy = bench.measure.WarmCopy(3)
    copy.source[:] = 7
    copy()
    assert np.array_equal(copy.target, copy.source)
    assert copy.gb_per_s(0.001) == pytest.approx(2 * 3 * 2**20 / 1e6)


def test_a_record_of_known_times(bench, fake):
    record = fake.measure(quick=False)
    found = {result["peer"]: result for result in record["results"]}
    assert found["slow peer"]["ratio"] == pytest.approx(50)
    assert found["slow peer"]["memory_share"] == 0.25
    assert found["slow peer"]["met"] is True
    assert found["part of the work"]["ratio"] == pytest.approx(12)  # four parts of 30 ms
    assert found["part of the work"]["met"] is None
    assert found["published"]["ratio"] == pytest.approx(200)
    assert found["published"]["met"] is False
    assert "memory_share" not in found["published"]
    assert "absent peer" not in found
    assert record["missing"] == ["absent peer"]
    rate = 2 * 48 * 2**20 / 0.010 / 1e9
    assert record["floor"]["copy_gb_per_s"] == pytest.approx(rate)
    assert record["floor"]["ratio"] == pytest.approx(0.010 / (20e6 / rate / 1e9))
    assert record["figures"] == {"sum of the first round": pytest.approx(0.54), "regions": 3.0}


def test_a_quick_run_judges_nothing_and_takes_no_memory(bench, fake):
    record = fake.measure(quick=True)
    assert record["title"] == "a fake, small"
    assert record["peak_mb"] == {}
    assert {result["met"] for result in record["results"]} == {None}
    assert "published" not in record["times"]
    assert record["floor"]["met"] is None


def test_a_target_of_memory_fails_where_none_was_taken(bench):
    record = bench.benchmark.make_record("a", "maps", {"ours": {"cpu_s": [1.0]}, "peer": {"cpu_s": [9.0]}})
    (result,) = bench.benchmark.compare(record, (bench.benchmark.Against("peer", 2.0, 0.25),))
    assert result["met"] is False
    record["peak_mb"] = {"ours": 30.0, "peer": 100.0}
    (result,) = bench.benchmark.compare(record, (bench.benchmark.Against("peer", 2.0, 0.25),))
    assert (result["memory_share"], result["met"]) == (0.3, False)
    (result,) = bench.benchmark.compare(record, (bench.benchmark.Against("peer", 2.0, 0.3),))
    assert result["met"] is True


@pytest.mark.parametrize(("peak", "met"), [(406.0, True), (2100.0, False)])
def test_memory_alone_is_held_against_a_limit(bench, monkeypatch, peak, met):
    monkeypatch.setattr(bench.benchmark, "fresh_peak_mb", lambda *_: peak)
    record = bench.registry.BENCHMARKS["tile_2500"].measure(quick=False)
    assert record["times"] == {}
    (result,) = record["results"]
    assert result["memory_share"] == peak / 2048
    assert result["met"] is met


def test_a_quick_run_of_memory_alone_still_runs(bench, monkeypatch):
    def stopped(factor):
        raise MemoryError(f"case of {factor}")

    monkeypatch.setattr(importlib.import_module("fake_cases"), "take", stopped)
    one = bench.benchmark.Benchmark("a", "maps", "a", "fake_cases:take", (96,), (1,), timed=False)
    with pytest.raises(MemoryError, match="case of 1"):
        one.measure(quick=True)


def test_lowest_wall_time_counts_where_threads_are_at_work(bench):
    times = {"ours": {"cpu_s": [9.0], "wall_s": [3.0, 1.0, 2.0]}}
    record = bench.benchmark.make_record("a", "barrier", times, "wall_s", "min")
    assert bench.benchmark.seconds(record, "ours") == 1.0


def test_repeats_take_turns_and_a_slow_case_stops(bench, monkeypatch):
    clock, order, kept = [0.0], [], []
    for name in ("process_time", "perf_counter"):
        monkeypatch.setattr(bench.measure.time, name, lambda: clock[0])

    def case(name, seconds):
        def call():
            order.append(name)
            clock[0] += seconds
            return name.upper()

        return call

    calls = {"fast": case("fast", 1.0), "slow": case("slow", 5.0)}
    times = bench.measure.interleaved(calls, 4, budget_s=8.0, first=lambda results: kept.append(dict(results)))
    assert order == ["fast", "slow", "fast", "slow", "fast", "fast"]
    assert times["fast"]["cpu_s"] == [1.0] * 4
    assert times["slow"]["wall_s"] == [5.0] * 2
    assert kept == [{"fast": "FAST", "slow": "SLOW"}]


def test_peak_memory_is_that_of_a_fresh_process(bench, monkeypatch):
    monkeypatch.setattr(bench.measure, "PRELOADED", [])  # the fake needs none of it
    held = bytearray(200 << 20)  # of this process, which must not count
    one = bench.benchmark.Benchmark("a", "maps", "a", "fake_cases:take", (96,), (1,), timed=False)
    record = one.measure(quick=False)
    assert record["peak_mb"]["ours"] == pytest.approx(96, abs=8)
    del held


def test_what_is_not_there_is_named(bench, monkeypatch, tmp_path):
    monkeypatch.setenv("MONAI_BOUNDARY_DATA", str(tmp_path))
    make = bench.benchmark.Benchmark
    assert make("a", "maps", "a", "b:c", (), (), needs=("numpy",)).lacks() is None
    assert make("a", "maps", "a", "b:c", (), (), needs=("no_such",)).lacks() == "no_such is not installed"
    reason = make("a", "maps", "a", "b:c", (), (), needs=("data/fibsem_gala",)).lacks()
    assert reason == "fibsem_gala is not in the data folder; set MONAI_BOUNDARY_DATA to it"


def test_rows_of_the_gpu_become_records(bench):
    found = importlib.import_module("gpu_peers").records(
        [
            {"what": "maps (whole), B=2", "case": "torch", "wall_s": [0.004], "peak_mb": 8.0, "met": True},
            {"what": "maps (whole), B=2", "case": "cupy", "wall_s": [0.016], "peak_mb": 32.0},
            {"what": "boundary term, B=2", "case": "one pass", "wall_s": [0.003], "peak_mb": 8.0, "floor_ms": 2.0},
        ],
        num_classes=4, voxels=1_000_000, traffic_target=2.0,
    )  # fmt: skip
    maps, term = found["gpu_maps_whole"], found["gpu_boundary_term"]
    (result,) = maps["results"]
    assert (result["ratio"], result["memory_share"], result["met"]) == (pytest.approx(4), 0.25, False)
    assert maps["missing"] == ["cucim"]
    assert term["floor"]["ratio"] == pytest.approx(1.5)
    assert term["floor"]["bytes"] == 48_000_000
