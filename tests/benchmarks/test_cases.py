"""The cases themselves: they run, peers answer the same question, and the committed results belong to the registry."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import numpy as np
import pytest

from tests.benchmarks.conftest import ROOT

QUICK = (
    "map_k4", "map_large", "floor_lesions_robust", "loss", "boundary_f1_2d_theta5", "surfaces_sparse",
    "objects_phantom", "cut_voronoi_2d",
)  # fmt: skip


def test_a_quick_run_of_every_kind(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench.benchmark, "QUICK_COPY_MB", 1)
    assert bench.run.main([*QUICK, "--quick", "--repeats", "1", "--json", str(tmp_path / "a.json")]) == 0
    (run,) = bench.tables.load_runs(tmp_path / "a.json")
    assert set(run["benchmarks"]) <= set(QUICK)
    for record in run["benchmarks"].values():
        assert record["results"]
        assert record["floor"]["ms"] > 0
    peers = {result["peer"] for result in run["benchmarks"]["map_large"]["results"]}
    assert {"monai", "scipy", "edt.sdf", "SimpleITK"} <= peers | set(run["benchmarks"]["map_large"]["missing"])
    assert run["benchmarks"]["map_k4"]["figures"]["largest difference to scipy, mm"] < 1e-4
    assert run["benchmarks"]["surfaces_sparse"]["figures"]["difference of HD95, mm"] < 1e-4


def test_a_quick_run_of_a_tile_predicts_it(bench, monkeypatch):
    pytest.importorskip("rasterio")
    calls = []
    right = importlib.import_module("tile_memory").predict_tile
    monkeypatch.setattr(sys.modules["tile_memory"], "predict_tile", lambda *given: calls.append(right(*given)))
    assert bench.run.main(["tile_2500", "--quick"]) == 0
    assert len(calls) == 1


def test_the_large_map_has_its_targets(bench):
    one = bench.registry.BENCHMARKS["map_large"]
    assert one.full == ((256, 256, 180), 2, False)
    assert one.floor_target == 6.0
    cases = importlib.import_module("cases_maps").phantom_map((8, 9, 10), 2, False)
    assert cases.bytes_touched == 3 * 2 * 4 * 8 * 9 * 10  # three passes that read and write float32


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("lesions", 0.0005, 0.01), ("organ", 0.25, 0.35), ("tissue", 0.4, 0.6), ("sheet", 0.005, 0.05)],
)
def test_floor_masks_hold_what_they_say(bench, kind, low, high):
    pytest.importorskip("numba")
    maps = importlib.import_module("cases_maps")
    assert low < maps.floor_mask(kind, (128, 128, 90)).mean() < high
    row = bench.registry.BENCHMARKS[f"floor_{kind}_robust"]
    assert (row.floor_target, row.against[0].peer, row.against[0].target) == (6.0, "edt", 1.5)
    cases = maps.floor_map(kind, "robust", (16, 18, 20))
    assert cases.bytes_touched == 3 * 2 * 4 * 16 * 18 * 20
    results = {name: call() for name, call in cases.calls.items()}
    assert results["ours"].shape == (2, 16, 18, 20)
    assert all(value < 1e-5 for value in cases.agree(results).values())
    with pytest.raises(RuntimeError, match="the maps of numba must be those of edt"):
        cases.agree({**results, "ours": results["ours"] + 1})


def test_simpleitk_measures_in_mm(bench):
    pytest.importorskip("SimpleITK")
    cases = importlib.import_module("cases_maps").phantom_map((12, 20, 16), 2, False)
    ours, peer, scipy = (cases.calls[name]() for name in ("ours", "SimpleITK", "scipy"))
    outside = scipy > 0
    assert 0 < outside.mean() < 1
    assert np.abs(peer - scipy)[outside].max() < 1e-4
    assert np.abs(ours - scipy).max() < 1e-4
    assert peer[~outside].max() <= 0


def test_a_peer_that_is_not_installed_is_missing(bench, monkeypatch):
    maps = importlib.import_module("cases_maps")
    monkeypatch.setattr(maps, "installed", lambda name: name not in ("SimpleITK", "edt"))
    cases = maps.phantom_map((8, 8, 8), 2, True)
    assert cases.missing == ("edt.sdf", "SimpleITK")
    assert "scipy" in cases.calls
    assert not {"edt.sdf", "SimpleITK"} & set(cases.calls)
    figures = cases.agree({name: cases.calls[name]() for name in ("ours", "scipy")})
    assert list(figures) == ["largest difference to scipy, mm"]


@pytest.mark.parametrize("backends", [("auto", "edt"), ("auto", "edt", "numba")])
def test_the_numba_engine_is_a_case_where_it_is_offered(bench, monkeypatch, backends):
    maps = importlib.import_module("cases_maps")
    monkeypatch.setattr(maps, "BACKENDS", backends)
    monkeypatch.setattr(maps, "installed", lambda name: name in ("numba", "scipy"))
    cases = maps.phantom_map((8, 8, 8), 2, False)
    assert ({"ours, edt", "ours, numba"} <= set(cases.calls)) is ("numba" in backends)


def test_forms_that_differ_are_not_measured(bench):
    losses = importlib.import_module("cases_losses")
    cases = losses.boundary_f1_loss((1, 1, 16, 16), 5)
    results = {name: call() for name, call in cases.calls.items()}
    assert cases.agree(results) == {}
    value, gradient = results["ours"]
    with pytest.raises(RuntimeError, match="ours must have the value and gradient of the naive form, got others"):
        cases.agree({**results, "ours": (value, gradient + 1e-6)})


def test_names_targets_and_makers_hold(bench):
    for name, one in bench.registry.BENCHMARKS.items():
        assert one.name == name
        assert one.group in bench.registry.GROUPS
        assert len(one.full) == len(one.small)
        if one.lacks() is None:
            assert callable(pkgutil.resolve_name(one.make))
    targets = [one for row in bench.registry.BENCHMARKS.values() for one in row.against if one.target or one.memory]
    assert len(targets) >= 30


def test_the_docs_show_the_committed_results(bench):
    runs = bench.tables.load_runs(ROOT / "docs" / "results" / "speed.json")
    docs = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    names = [name for run in runs for name in run["benchmarks"]]
    assert len(names) == len(set(names))
    assert set(names) <= set(bench.registry.BENCHMARKS)
    for group in bench.registry.GROUPS:
        assert [docs.count(mark) for mark in bench.tables.marks(group)] == [1, 1]
        if any(record["group"] == group for run in runs for record in run["benchmarks"].values()):
            assert bench.tables.markdown(runs, group) in docs
    for name in ("speed.json", "nnunet_overhead.json"):
        stored = bench.run.gather([ROOT / "docs" / "results" / name], quick=False)
        assert not any(one.worse for one in bench.check.findings(stored, stored))
