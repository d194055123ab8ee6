"""Every case runs at its small size, peers answer the same question, and what differs is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="no benchmarks beside the tests")

from benchmarks.case import Calls, Case
from benchmarks.cases import CASES, losses, maps
from benchmarks.memory import fresh_peak_mb, peak_growth_mb
from benchmarks.phantoms import hard_mask


@functools.lru_cache(maxsize=1)
def small_calls(name: str) -> Calls:
    return CASES[name].make(*CASES[name].small)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_runs_and_its_results_agree(case: Case) -> None:
    if reason := case.lacks():
        pytest.skip(reason)
    calls = small_calls(case.name)
    results = {name: call() for name, call in calls.by_name.items()}
    for one in case.against:
        if calls.compare is not None and one.name in results:
            figures = calls.compare(one.name, results[one.name], results[one.ours])
            assert all(np.isfinite(value) for value in figures.values())
    peers = {*maps.PEERS, "MIST", "scikit-image", "CC-Metrics", "panoptica"}
    missing = {name.split(",")[0] for name in set(case.names) - {*results, *calls.elsewhere}}
    assert missing <= peers  # not installed here
    assert set(calls.scale) <= set(results)


@pytest.mark.parametrize("name", ["scipy", "edt.sdf", "DIPlib"])
def test_peers_that_give_our_map_are_held_to_it(name: str) -> None:
    calls = small_calls("map_k4")
    if name not in calls.by_name:
        pytest.skip(f"{name} is not installed")
    ours, theirs = calls.by_name["ours"](), calls.by_name[name]()
    assert maps.compare(name, theirs, ours)["mm outside"] < 1e-4
    with pytest.raises(RuntimeError, match=f"{name} must give our map, got values that are up to 1 mm off"):
        maps.compare(name, ours + 1, ours)


def test_simpleitk_agrees_outside_and_measures_to_own_voxels_inside() -> None:
    calls = small_calls("map_k4")
    if "SimpleITK" not in calls.by_name:
        pytest.skip("SimpleITK is not installed")
    found = maps.compare("SimpleITK", calls.by_name["SimpleITK"](), calls.by_name["ours"]())
    assert found["mm outside"] < 1e-4
    assert 1 < found["mm inside"] < 4  # about a voxel of 3 x 1 x 1 mm


def test_a_peer_that_is_not_installed_has_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "installed", lambda name: name == "scipy")
    assert list(maps.phantom((8, 8, 8), 2, True).by_name) == ["ours", "scipy", "MONAI"]


def test_two_forms_of_a_loss_that_differ_are_not_measured() -> None:
    calls = losses.boundary_f1((1, 1, 16, 16), 5)
    value, gradient = calls.by_name["ours"]()
    assert losses.equal_to_the_bit("max pooling", calls.by_name["max pooling"](), (value, gradient)) == {}
    with pytest.raises(RuntimeError, match="max pooling must have the value and gradient of ours, got others"):
        losses.equal_to_the_bit("max pooling", (value, gradient + 1e-6), (value, gradient))


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("lesions", 0.0005, 0.01), ("organ", 0.25, 0.35), ("tissue", 0.4, 0.6), ("sheet", 0.005, 0.05)],
)
def test_masks_hold_what_they_say(kind: str, low: float, high: float) -> None:
    assert low < hard_mask(kind, (128, 128, 90)).mean() < high


def test_peak_memory_is_that_of_the_call() -> None:
    assert 90 < peak_growth_mb(lambda: np.ones(100 << 20, np.uint8)) < 130


def test_a_fresh_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"benchmarks\.memory nothing ours failed:[\s\S]*KeyError: 'nothing'"):
        fresh_peak_mb("nothing", "ours")
