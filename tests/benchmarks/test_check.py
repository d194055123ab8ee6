"""The regression check is red on a worse ratio or share, and blind to seconds."""

from __future__ import annotations

import copy

import pytest


@pytest.fixture
def record(fake):
    return fake.measure(quick=False)


def slowed(bench, fake, record, **factors):
    """The record with the times of some cases multiplied, their ratios and floor computed anew."""
    other = copy.deepcopy(record)
    for name, factor in factors.items():
        times = other["times"]["slow peer" if name == "peer" else name]
        times |= {clock: [factor * value for value in values] for clock, values in times.items()}
    other["results"] = bench.benchmark.compare(other, fake.against)
    floor = record["floor"]
    other["floor"] = bench.benchmark.floor_of(other, floor["bytes"], floor["copy_gb_per_s"], floor["target"])
    return other


def verdicts(bench, before, now, tolerance=0.25):
    return {one.what: one.verdict for one in bench.check.findings({"fake": before}, {"fake": now}, tolerance)}


def test_the_same_is_green(bench, record):
    found = verdicts(bench, record, record)
    assert len(found) == 6  # three times, two shares of memory, the floor
    assert set(found.values()) == {"same"}


def test_a_worse_ratio_is_red(bench, fake, record):
    found = verdicts(bench, record, slowed(bench, fake, record, ours=1.3))
    assert found["time, ours / slow peer"] == found["time in floors"] == "worse"
    assert found["peak memory, ours / slow peer"] == "same"
    faster_peer = verdicts(bench, record, slowed(bench, fake, record, peer=1 / 1.3))
    assert faster_peer["time, ours / slow peer"] == "worse"
    assert faster_peer["time, ours / published"] == "same"


@pytest.mark.parametrize(("factor", "verdict"), [(1.24, "same"), (1.26, "worse"), (0.81, "same"), (0.79, "better")])
def test_the_tolerance_is_where_it_says(bench, fake, record, factor, verdict):
    assert verdicts(bench, record, slowed(bench, fake, record, ours=factor))["time, ours / slow peer"] == verdict


def test_another_tolerance(bench, fake, record):
    worse = slowed(bench, fake, record, ours=1.3)
    assert "worse" not in verdicts(bench, record, worse, tolerance=0.4).values()


def test_a_machine_of_half_the_speed_is_green(bench, fake, record):
    slow = copy.deepcopy(record)
    for times in slow["times"].values():
        times |= {clock: [2 * value for value in values] for clock, values in times.items()}
    slow["results"] = bench.benchmark.compare(slow, fake.against)
    slow["floor"] = bench.benchmark.floor_of(slow, 20_000_000, record["floor"]["copy_gb_per_s"] / 2, 6.0)
    assert set(verdicts(bench, record, slow).values()) == {"same"}


@pytest.mark.parametrize(("ours", "peer", "verdict"), [(30.0, 80.0, "worse"), (10.0, 80.0, "better"), (20, 80, "same")])
def test_memory_is_compared_as_a_share(bench, fake, record, ours, peer, verdict):
    now = copy.deepcopy(record)
    now["peak_mb"] |= {"ours": ours, "slow peer": peer}
    now["results"] = bench.benchmark.compare(now, fake.against)
    assert verdicts(bench, record, now)["peak memory, ours / slow peer"] == verdict


def test_a_few_megabytes_are_noise(bench, fake, record):
    before, now = copy.deepcopy(record), copy.deepcopy(record)
    for one, ours in ((before, 4.0), (now, 7.0)):  # 75 % more, but 3 MB
        one["peak_mb"] |= {"ours": ours}
        one["results"] = bench.benchmark.compare(one, fake.against)
    assert verdicts(bench, before, now)["peak memory, ours / slow peer"] == "same"


def test_what_cannot_be_compared_is_listed_and_not_red(bench, fake, record):
    without = copy.deepcopy(record)
    del without["times"]["slow peer"]
    del without["peak_mb"]["slow peer"]
    without["results"] = bench.benchmark.compare(without, fake.against)
    assert verdicts(bench, record, without)["time, ours / slow peer"] == "not measured"
    assert verdicts(bench, without, record)["time, ours / slow peer"] == "not stored"
    (one,) = bench.check.findings({}, {"fake": record})
    assert (one.verdict, one.worse) == ("not stored", False)
