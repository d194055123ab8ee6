"""benchmarks/precompute.py from its first measurement to its picture, and the arithmetic of its simulation."""

from __future__ import annotations

import importlib
import json

import pytest


def test_hours_of_a_thousand_volumes(bench):
    report = importlib.import_module("precompute_report")
    times = {"whole": {"cpu_s": [3.6, 100.0, 0.1]}}
    row = {"shape": (1, 100, 250, 1000), "bytes": 1_000_000, "times": times}  # 25 M voxels in 3.6 s
    found = report.simulate([row, row])
    assert found["cpu_s_per_volume"] == pytest.approx(7.2)
    assert found["gigabytes"] == pytest.approx(2.0)
    hours = {shards: list(row.values()) for shards, row in found["hours"].items()}
    assert hours[1] == pytest.approx([2.0, 1.0, 0.25])  # 1,000 volumes by 1, 2 and 8 workers
    assert hours[8] == pytest.approx([125 * 0.002, 63 * 0.002, 16 * 0.002])  # the last round is not full
    assert hours[50] == pytest.approx([20 * 0.002, 10 * 0.002, 3 * 0.002])


def test_a_quick_run_measures_simulates_and_draws(bench, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    precompute = importlib.import_module("precompute")
    monkeypatch.setattr(precompute, "QUICK_SHAPE", (24, 40, 40))
    monkeypatch.setattr(precompute, "QUICK_PATCH", 16)
    docs = tmp_path / "scale.md"
    docs.write_text(f"before\n{precompute.BEGIN}\nold\n{precompute.END}\nafter\n")
    target = tmp_path / "precompute.json"
    precompute.main(["--quick", "--repeats", "1", "--json", str(target), "--docs", str(docs)])
    report = json.loads(target.read_text())
    (volume,) = report["volumes"]
    assert sorted(volume["shape"]) == [1, 24, 40, 40]
    assert 0 < volume["bytes"] < volume["raw_bytes"] == 2 * 24 * 40 * 40
    assert [row["classes"] for row in report["growth"]["classes"]] == [1, 2]
    (run,) = bench.tables.load_runs(target)
    assert [one["peer"] for one in run["benchmarks"]["precompute_patch"]["results"]] == ["compute"]
    assert (tmp_path / "precompute_growth.png").read_bytes().startswith(b"\x89PNG")
    text = docs.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{precompute.END}\nafter\n")
    assert "old" not in text
    assert "| shards | 1 worker each, hours | 2 workers each, hours | 8 workers each, hours |" in text
    assert "| 50 | " in text
    assert "read from the volume's map" in capsys.readouterr().out
