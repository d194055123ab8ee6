"""benchmarks/gpu.py runs as a whole on the CPU, refuses wrong maps, and says what it needs."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    pytest.importorskip("rich", reason="the benchmarks print with rich")
    if not BENCHMARKS.is_dir():
        pytest.skip("no benchmarks beside the tests")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("gpu")
    for name in ("gpu", "gpu_peers", "gpu_step", "gpu_term", "measure", "phantoms_speed", "benchmark", "tables"):
        sys.modules.pop(name, None)


def test_a_small_run_on_the_cpu_checks_and_measures_all(gpu, tmp_path, capsys):
    gpu.main(["--cpu", "--size", "12", "--repeats", "1", "--json", str(tmp_path / "gpu.json")])
    report = json.loads((tmp_path / "gpu.json").read_text())
    differences = report["largest_difference_to_edt_mm"]
    assert len(differences) == 6
    assert max(differences.values()) <= 1e-4
    cases = {(row["what"].split(",")[0], row["case"]) for row in report["rows"]}
    assert {("maps (whole)", "torch"), ("maps (robust)", "edt on the CPU"), ("boundary term", "one pass")} <= cases
    assert ("boundary term", "one pass, sigmoid") in cases
    assert {("nnU-Net step", name) for name in ("stock", "maps on the device", "maps of the workers")} <= cases
    assert max(report["largest_difference_of_the_term"].values()) <= 1e-6
    assert len(report["largest_difference_of_the_term"]) == 2
    assert all(row["ms"] > 0 for row in report["rows"])
    assert "one pass, map from labels" in capsys.readouterr().out


def test_wrong_maps_are_not_measured(gpu, tmp_path, monkeypatch):
    right = gpu.batch_labels_map
    monkeypatch.setattr(gpu, "batch_labels_map", lambda *given: right(*given) + (1e-3 if given[-1] == "torch" else 0.0))
    with pytest.raises(SystemExit, match=r"differ from those of edt, in mm: .*0\.001.*nothing is measured"):
        gpu.main(["--cpu", "--size", "8", "--json", str(tmp_path / "gpu.json")])
    assert not (tmp_path / "gpu.json").exists()


def test_a_wrong_boundary_term_is_not_measured(gpu, monkeypatch):
    import gpu_term

    right = gpu_term.BoundaryLoss.forward
    monkeypatch.setattr(
        gpu_term.BoundaryLoss, "forward", lambda loss, *given: (1 + 1e-4 * loss.fused) * right(loss, *given)
    )
    with pytest.raises(SystemExit, match=r"boundary term differs from the plain form in float64.*nothing is measured"):
        gpu.check_term(torch.device("cpu"))


def test_without_a_gpu_it_says_so(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="needs a CUDA device, and torch finds none; --cpu runs a small version of it"):
        gpu.main([])
