"""The commands: a small run from pytest to its tables, the GPU's on the CPU, and the call path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("benchmarks", reason="no benchmarks beside the tests")

from benchmarks import call_path, gpu, ratios

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.cli
def test_a_small_run_writes_what_ratios_reads(tmp_path: Path) -> None:
    pytest.importorskip("pytest_benchmark")
    target = tmp_path / "a.json"
    command = [sys.executable, "-m", "pytest", "benchmarks", "--small", "-q", "-k", "boundary_f1_2d_theta5",
               f"--benchmark-json={target}"]  # fmt: skip
    # pytest-benchmark measures nothing in what it takes for one of many test processes
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    run = ratios.load(target)
    assert run["machine_info"]["small"] is True
    assert set(run["machine_info"]) == {"cpu", "cores", "python", "load_average_at_start", "small", "versions"}
    found = {(one.entry["name"], one.ours["name"]) for one in ratios.comparisons(run)}
    assert found == {("max pooling", "ours"), ("max pooling, target given", "ours, target given")}


def test_the_gpu_command_checks_and_measures_all_on_the_cpu(tmp_path: Path, capsys) -> None:
    gpu.main(["--cpu", "--size", "12", "--repeats", "1", "--json", str(tmp_path / "gpu.json")])
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["largest_difference_of_maps_mm"] <= 1e-4
    assert report["largest_difference_of_loss"] <= 1e-6
    rows = {(row["what"], row["call"]) for row in report["rows"]}
    assert {("maps, whole", "maps on the device"), ("maps, robust", "maps on the CPU, one core")} <= rows
    assert {
        ("boundary loss", f"{form}, {name}") for form in ("one pass", "plain") for name in ("softmax", "sigmoid")
    } <= rows
    assert {("nnU-Net step", name) for name in ("stock trainer", "maps on the device", "maps of the workers")} <= rows
    assert "| boundary loss | map from labels |" in capsys.readouterr().out


def test_wrong_maps_and_a_wrong_loss_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gpu.batch_labels_map
    monkeypatch.setattr(gpu, "batch_labels_map", lambda *given: right(*given) + (1e-3 if given[-1] == "torch" else 0.0))
    with pytest.raises(
        SystemExit, match=r"the maps must be within 0.0001 of edt, in mm, got 0.001.*nothing is measured"
    ):
        gpu.check_maps(8, torch.device("cpu"))
    forward = gpu.BoundaryLoss.forward
    monkeypatch.setattr(
        gpu.BoundaryLoss, "forward", lambda loss, *given: (1 + 1e-4 * loss.fused) * forward(loss, *given)
    )
    with pytest.raises(SystemExit, match="the boundary loss must be within 1e-06 of the plain form in float64"):
        gpu.check_loss(torch.device("cpu"))


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="needs a CUDA device, and torch finds none; --cpu runs a small version of it"):
        gpu.main([])


def test_the_call_path_counts_calls_files_and_moves() -> None:
    assert call_path.summary([("a", "f"), ("b", "g"), ("b", "h"), ("a", "f")]) == (4, 2, 2)
    step = call_path.distance_map()
    step()
    path = call_path.call_path(step)
    assert path[0][1] == "__call__"
    assert path[0][0].startswith("monai_boundary/transforms/")
    assert path == call_path.call_path(step)
