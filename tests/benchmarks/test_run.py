"""The command: what it prints and writes, and when its exit code is 1."""

# ruff: noqa: E501 - the golden text has the lines that it has

from __future__ import annotations

import json
import sys

import pytest

GOLDEN = """\
before
<!-- run.py writes from here: maps -->
a processor, 2 cores, one used unless said otherwise; 2026-01-31; load average at the start 0.5; Python 3.11.7, edt 3.1.2.

| benchmark | against | ours, ms | its ms | ratio | target | peak memory, share of its | met |
| --- | --- | --- | --- | --- | --- | --- | --- |
| a fake | slow peer | 10 | 500 | 50x | at least 40x | 0.25 (at most 0.5) | yes |
|  | part of the work | 10 | 120 | 12x | - | 0.50 | - |
|  | published | 10 | 2000 | 200x | at least 300x | - | no |
|  | memory floor: 20 MB at 10.1 GB/s | 10 | 1.99 | 5.03 floors | at most 6 floors | - | yes |

All cases:

| benchmark | case | CPU ms | wall ms | ns per voxel | peak MB |
| --- | --- | --- | --- | --- | --- |
| a fake | ours | 10 | 20 | 10 | 20 |
|  | slow peer | 500 | 1000 | 500 | 80 |
|  | part of the work | 120 | 240 | 120 | 40 |
|  | published | 2000 | - | 2000 | - |

Not installed, so not measured: absent peer.

| figure | a fake |
| --- | --- |
| sum of the first round | 0.54 |
| regions | 3 |
<!-- to here: maps -->
after
"""


@pytest.fixture
def docs(bench, tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text("\n".join(["before", *bench.tables.marks("maps"), "after", ""]))
    return path


def test_the_tables_in_the_docs(bench, fake, docs, tmp_path, capsys):
    assert bench.run.main(["fake", "--docs", str(docs), "--json", str(tmp_path / "a.json")]) == 0
    assert docs.read_text() == GOLDEN
    assert bench.run.main(["--from", str(tmp_path / "a.json"), "--docs", str(docs)]) == 0
    assert docs.read_text() == GOLDEN
    shown = capsys.readouterr().out
    for text in ("slow peer", "50x", "memory floor: 20 MB", "absent peer", "not installed"):
        assert text in shown


def test_the_check_is_green_on_the_same_and_red_on_worse(bench, fake, tmp_path, capsys):
    stored = tmp_path / "stored.json"
    bench.run.main(["fake", "--json", str(stored)])
    assert bench.run.main(["--check", str(stored)]) == 0
    assert "6 of 6 figures as stored, 0 worse" in capsys.readouterr().out
    runs = json.loads(stored.read_text())
    runs["runs"][0]["benchmarks"]["fake"]["results"][0]["ratio"] *= 1.3
    stored.write_text(json.dumps(runs))
    assert bench.run.main(["--check", str(stored)]) == 1
    shown = capsys.readouterr().out
    assert "measured once more: fake" in shown
    assert "time, ours / slow peer" in shown
    assert "1 worse" in shown
    assert bench.run.main(["--check", str(stored), "--tolerance", "0.5"]) == 0


def test_worse_once_is_not_red(bench, fake, tmp_path, monkeypatch):
    stored = tmp_path / "stored.json"
    bench.run.main(["fake", "--json", str(stored)])
    given, rounds = bench.benchmark.interleaved, []

    def slow_at_first(*arguments, **options):
        times = given(*arguments, **options)
        rounds.append(len(rounds))
        if len(rounds) == 1:
            times["ours"]["cpu_s"] = [2 * value for value in times["ours"]["cpu_s"]]
        return times

    monkeypatch.setattr(bench.benchmark, "interleaved", slow_at_first)
    assert bench.run.main(["--check", str(stored)]) == 0
    assert len(rounds) == 2


def test_benchmarks_that_were_not_measured_stay_in_the_file(bench, fake, tmp_path):
    path = tmp_path / "a.json"
    bench.run.main(["fake", "--json", str(path)])
    runs = bench.tables.load_runs(path)
    other = {**runs[0], "benchmarks": {"other": runs[0]["benchmarks"]["fake"], "fake": {}}}
    bench.tables.write_runs(path, [other])
    bench.run.main(["fake", "--json", str(path)])
    found = bench.tables.load_runs(path)
    assert [list(run["benchmarks"]) for run in found] == [["other"], ["fake"]]
    assert found[1]["benchmarks"]["fake"]["title"] == "a fake"


def test_what_is_asked_for_must_exist(bench, fake, docs, tmp_path):
    with pytest.raises(SystemExit, match=r"NAME must be one of all, .*fake.*; got fke"):
        bench.run.main(["fke"])
    with pytest.raises(SystemExit):
        bench.run.main(["fake", "--repeats", "0"])
    (tmp_path / "old.json").write_text('{"rows": {}}')
    with pytest.raises(
        ValueError, match=r"old\.json must hold the runs of benchmarks/run\.py, got a JSON without 'runs'"
    ):
        bench.run.main(["--check", str(tmp_path / "old.json")])
    docs.write_text("nothing")
    with pytest.raises(ValueError, match=r"must hold '<!-- run\.py writes from here: maps -->'"):
        bench.run.main(["fake", "--docs", str(docs)])


def test_a_quick_run_is_not_compared_with_a_full_one(bench, fake, tmp_path):
    bench.run.main(["fake", "--quick", "--json", str(tmp_path / "quick.json")])
    with pytest.raises(SystemExit, match="holds a quick run; compare it with one of its kind"):
        bench.run.main(["--check", str(tmp_path / "quick.json")])
    assert bench.run.main(["--quick", "--check", str(tmp_path / "quick.json")]) == 0


def test_what_lacks_its_data_is_named_and_left_out(bench, fake, monkeypatch, tmp_path, capsys):
    lesions = bench.registry.BENCHMARKS["map_lesions"]
    monkeypatch.setitem(bench.run.BENCHMARKS, "map_lesions", lesions)
    monkeypatch.setenv("MONAI_BOUNDARY_DATA", str(tmp_path))
    bench.run.main(["maps", "--quick"])
    shown = capsys.readouterr().out
    assert "map_lesions is left out: ms_lesions/masks_raw is not in the data folder" in shown
    assert "a fake, small" in shown


def test_scripts_write_their_own_json_and_their_figures_are_checked(bench, fake, monkeypatch, tmp_path, capsys):
    called = []

    class Module:
        @staticmethod
        def main(arguments):
            called.append(arguments)
            record = {**fake.measure(quick=False), "title": "a patch"}
            run = bench.tables.new_run(False, {"precompute_patch": record})
            bench.tables.write_runs(tmp_path / "results" / "precompute.json", [run])

    monkeypatch.setitem(sys.modules, "precompute", Module)
    results = tmp_path / "results" / "speed.json"
    results.parent.mkdir()
    bench.run.main(["precompute", "--json", str(results)])
    assert called == [["--json", str(tmp_path / "results" / "precompute.json")]]
    assert bench.tables.load_runs(results) == []
    check = str(tmp_path / "results" / "precompute.json")
    assert bench.run.main(["--check", check, "--json", str(results)]) == 0
    assert "6 of 6 figures as stored" in capsys.readouterr().out


def test_the_gpu_is_left_out_where_there_is_none(bench, fake, monkeypatch, capsys):
    monkeypatch.setattr(bench.run.torch.cuda, "is_available", lambda: False)
    assert bench.run.main(["gpu"]) == 0
    assert "gpu is left out: torch finds no CUDA device" in capsys.readouterr().out


def test_the_list_names_every_benchmark(bench, capsys):
    assert bench.run.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in (*bench.registry.BENCHMARKS, *bench.registry.SCRIPTS) if name not in shown] == []
