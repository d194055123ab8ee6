"""The tables of the docs, and the check: red on a worse ratio, blind to seconds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("benchmarks", reason="no benchmarks beside the tests")

from benchmarks import ratios

ROOT = Path(__file__).resolve().parents[2]
HOST = {"cpu": "a processor", "cores": 2, "python": "3.11.7", "load_average_at_start": 0.5, "small": False,
        "versions": {"edt": "3.1.2"}}  # fmt: skip
GOLDEN = """\
before
<!-- ratios: summary -->
| what | its time over ours |
| --- | --- |
| a map | 50x slow peer (target 40x), 12x part of the work, **200x published (target 300x)** |
| a step | **+25 % stock (target +11 %)** |
<!-- end -->
<!-- ratios: maps -->
| benchmark | against | ours, ms | its ms | ratio | target | ours / its memory | differs by |
| --- | --- | --- | --- | --- | --- | --- | --- |
| a map | slow peer | 10 | 500 | 50x | 40x | 0.25 (at most 0.5) | 0 mm |
|  | part of the work | 10 | 120 | 12x | - | - | - |
|  | published | 10 | 2000 | **200x** | 300x | - | - |
| a step | stock / with maps | 125 | 100 | **+25 %** | +11 % | - | - |

Not installed, so not measured: absent peer.
<!-- end -->
<!-- ratios: tiles -->
| benchmark | peak MB | at most | s, whole process |
| --- | --- | --- | --- |
| a tile | 400 | 2048 | 20 |
<!-- end -->
<!-- ratios: machines -->
maps, tiles: a processor, 2 cores, 2026-01-31, load average at the start 0.5; Python 3.11.7, edt 3.1.2.
<!-- end -->
after
"""


def entry(group: str, name: str, ms: float, title: str, section: str = "maps", **more: Any) -> dict[str, Any]:
    times = {"min": ms, "median": 2 * ms}
    shared = {"group": group, "name": name, "ms": times, "rounds": 5, "title": title, "section": section}
    return {**shared, "headline": section == "maps", **more}


def peer(group: str, name: str, ms: float, title: str, **more: Any) -> dict[str, Any]:
    return entry(group, name, ms, title, **{"ours": "ours", "at_least": None, "cost": False, "memory": None, **more})


@pytest.fixture
def run() -> dict[str, Any]:
    found = [
        entry("map", "ours", 10, "a map", peak_mb=20.0, missing=["absent peer"], elsewhere=[["published", 2.0, 300]]),
        peer("map", "slow peer", 500, "a map", at_least=40, memory=0.5, peak_mb=80.0, figures={"mm": 0.0}),
        peer("map", "part of the work", 30, "a map", scale=4.0),
        entry("step", "with maps", 125, "a step"),
        peer("step", "stock", 100, "a step", ours="with maps", at_least=0.9, cost=True),
        entry("tile", "ours", 20_000, "a tile", "tiles", peak_mb=400.0, limit_mb=2048.0),
    ]
    return {"machine_info": HOST, "datetime": "2026-01-31T12:00:00", "benchmarks": found}


def slowed(run: dict[str, Any], name: str, factor: float) -> dict[str, Any]:
    other = copy.deepcopy(run)
    for one in other["benchmarks"]:
        one["ms"] = {key: value * (factor if name in (one["name"], "all") else 1) for key, value in one["ms"].items()}
    return other


def write(path: Path, run: dict[str, Any]) -> str:
    path.write_text(json.dumps(run))
    return str(path)


def test_the_tables_in_the_docs(run: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    docs = tmp_path / "benchmarks.md"
    marks = "".join(
        f"<!-- ratios: {name} -->\nold\n<!-- end -->\n" for name in ("summary", "maps", "tiles", "machines")
    )
    docs.write_text(f"before\n{marks}after\n")
    for _ in range(2):
        assert ratios.main([write(tmp_path / "a.json", run), "--docs", str(docs)]) == 0
        assert docs.read_text() == GOLDEN
    assert "target missed: map, published, 200x" in capsys.readouterr().out
    docs.write_text("nothing")
    with pytest.raises(ValueError, match=r"must hold '<!-- ratios: summary -->' once, .*; got 0"):
        ratios.write_docs(docs, [run])


@pytest.mark.parametrize(
    ("name", "factor", "cases"),
    [("ours", 1.24, set()), ("ours", 1.26, {"map"}), ("slow peer", 0.7, {"map"}), ("ours", 0.5, set()),
     ("all", 9, set()), ("with maps", 1.3, {"step"})],
)  # fmt: skip
def test_a_worse_ratio_is_red_and_a_slower_machine_is_not(run, name, factor, cases) -> None:
    if name == "all":  # seconds that were taken elsewhere do not slow down with this machine
        run["benchmarks"][0]["elsewhere"] = []
    assert set(ratios.worse(slowed(run, name, factor), run)) == cases


@pytest.mark.parametrize(
    ("before", "after", "red"), [(20, 30, True), (20, 24, False), (20, 10, False), (4, 7, False)]
)  # 3 MB more are noise
def test_memory_is_compared_as_a_share(run, before: float, after: float, red: bool) -> None:
    now = copy.deepcopy(run)
    run["benchmarks"][0]["peak_mb"], now["benchmarks"][0]["peak_mb"] = before, after
    assert bool(ratios.worse(now, run)) is red


def test_what_only_one_run_holds_is_not_compared(run) -> None:
    fewer = {**run, "benchmarks": run["benchmarks"][:1]}
    assert ratios.worse(slowed(run, "ours", 2), fewer).keys() == {"map"}  # by the published seconds alone
    assert ratios.worse({**run, "benchmarks": []}, run) == {}


@pytest.mark.parametrize(("again", "code"), [(1.0, 0), (1.3, 1)])
def test_worse_once_is_measured_again_and_worse_twice_is_red(run, again, code, tmp_path, monkeypatch, capsys) -> None:
    asked = []
    monkeypatch.setattr(ratios, "measure_again", lambda cases: asked.append(set(cases)) or slowed(run, "ours", again))
    stored, now = write(tmp_path / "stored.json", run), write(tmp_path / "now.json", slowed(run, "ours", 1.4))
    assert ratios.main([now, "--check", stored]) == code
    assert asked == [{"map"}]
    assert f"{code} worse" in capsys.readouterr().out
    assert ratios.main([stored, "--check", stored]) == 0
    assert len(asked) == 1


def test_another_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"old\.json must be written by pytest benchmarks --benchmark-json=old\.json"):
        ratios.load(Path(write(tmp_path / "old.json", {"runs": []})))


def test_the_docs_show_the_committed_results(tmp_path: Path) -> None:
    runs = [ratios.load(path) for path in sorted((ROOT / "docs" / "results").glob("speed*.json"))]
    docs = tmp_path / "benchmarks.md"
    docs.write_text((ROOT / "docs" / "benchmarks.md").read_text())
    ratios.write_docs(docs, runs)
    assert docs.read_text() == (ROOT / "docs" / "benchmarks.md").read_text()
