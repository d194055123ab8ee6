"""`compare` from predictions to a table, a picture, and one line for what cannot be compared."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets import write_volume
from tests.cli.calling import assert_fails
from tests.evaluation.test_compare import SETTINGS, write_run

SPACING = (3.0, 1.0, 1.0)


def cube(shift: int = 0) -> np.ndarray:
    array = np.zeros((4, 24, 24), np.uint8)
    array[1:3, 6:14, 3 + shift : 11 + shift] = 1
    return array


@pytest.fixture
def scored(run, tmp_path: Path) -> list[Path]:
    """Two models on seven cases: the second is one voxel nearer each time, misses one case and has a false alarm."""
    folders = []
    for model, gain in (("far", 0), ("near", 1)):
        for number in range(7):
            target = cube() * (number != 6)
            found = cube() * 0 if (model, number) in {("near", 5), ("far", 6)} else cube(number + 2 - gain)
            for folder, array in ((model, found), ("labelsTr", target)):
                (tmp_path / folder).mkdir(exist_ok=True)
                write_volume(tmp_path / folder / f"c{number}.nii.gz", array, SPACING)
        output = tmp_path / "scores" / model
        done = run("evaluate", tmp_path / model, tmp_path / "labelsTr", "-o", output, "--worst", "0")
        assert done.exit_code == 0, done.output
        folders.append(output)
    return folders


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    steps = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, -0.01, 0.0])
    return [write_run(tmp_path / name, {"dice": 0.5 + k * steps}) for k, name in enumerate("ab")]


def test_what_evaluate_writes_is_compared(run, scored: list[Path], tmp_path: Path) -> None:
    done = run("compare", *scored, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    plain = re.sub(r" +", " ", done.stdout)
    assert "class 1, 7 cases: near less far\n missed: far 0, near 1\n false alarms: far 0, near 1\n" in plain
    dice = next(line for line in plain.splitlines() if line.startswith(" Dice"))
    overlap = [max(0, 8 - shift) / 8 for shift in range(1, 8)]  # of the cubes, by their shift
    far, near = np.array(overlap[1:7]), np.array([*overlap[:5], 0])
    assert dice.startswith(f" Dice (+) {far.mean():.3f} {near.mean():.3f} {(near - far).mean():+.3f} [")
    assert dice.split()[-5:-2] == ["5", "1", "6"]
    assert " Dice: 1 left out, NaN in far: c6\n" in plain
    assert "note: a case without a finite score in one of two runs is left out" in plain
    assert re.search(r" class 1 Dice 1\.83 1\.17 6 cases\n", plain)
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [one["score"] for one in found["differences"]] == [
        "dice", "hd95_mm", "hausdorff_mm", "average_mm", "surface_dice",
    ]  # fmt: skip
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000
    assert f"picture: {tmp_path / 'out' / 'comparison.png'}\n" in done.stdout


def test_the_table_shows_interval_and_both_p(run, pair: list[Path]) -> None:
    done = run("compare", *pair)
    assert done.exit_code == 0
    assert re.search(
        r"Dice \(\+\) +0\.500 +0\.525 +\+0\.025 +\[\+0\.00\d, \+0\.04\d\] +6 +1 +8 +0\.0\d+ +0\.0\d+\n", done.stdout
    )
    assert "picture" not in done.stdout
    assert "(-)" in done.stdout.splitlines()[2]


@pytest.mark.parametrize(
    ("count", "text"), [(5, "no test can decide with 5 pairs: the smallest possible p is 0.0625"), (6, "  0.0312 ")]
)
def test_six_pairs_can_decide_and_five_cannot(run, tmp_path: Path, count: int, text: str) -> None:
    runs = [write_run(tmp_path / name, {"dice": k * np.arange(1.0, count + 1)}) for k, name in ((1, "a"), (3, "b"))]
    assert text in run("compare", *runs).stdout


def test_every_pair_is_compared_on_request(run, pair: list[Path], tmp_path: Path) -> None:
    third = write_run(tmp_path / "c", {"dice": [0.4] * 8})
    done = run("compare", *pair, third)
    assert re.findall(r"cases: (.*)", done.stdout) == ["b less a", "c less a"]
    done = run("compare", *pair, third, "--all-pairs")
    assert re.findall(r"cases: (.*)", done.stdout) == ["b less a", "c less a", "c less b"]


def test_earlier_results_are_kept_unless_forced(run, pair: list[Path], tmp_path: Path) -> None:
    assert run("compare", *pair, "-o", tmp_path / "out", "--seed", "3").exit_code == 0
    before = (tmp_path / "out" / "comparison.json").read_bytes()
    assert_fails(run("compare", *pair, "-o", tmp_path / "out"), "comparison.json must not exist", "--force")
    assert (tmp_path / "out" / "comparison.json").read_bytes() == before
    assert run("compare", *pair, "-o", tmp_path / "out", "--seed", "4", "--force").exit_code == 0
    assert (tmp_path / "out" / "comparison.json").read_bytes() != before


def test_cases_that_one_run_lacks_are_named(run, pair: list[Path], tmp_path: Path) -> None:
    short = write_run(tmp_path / "short", {"dice": [0.5] * 7}, without_prediction=["c7"])
    assert_fails(run("compare", pair[0], short), "short lacks c7 (no prediction)", "--common", "the 7 that all have")
    done = run("compare", pair[0], short, "--common")
    assert done.exit_code == 0
    assert "note: short lacks c7 (no prediction): not compared\n" in done.stdout


def test_many_cases_without_a_score_are_named_in_part(run, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"dice": [math.nan] * 7 + [0.5]}) for name in "ab"]
    assert "Dice: 7 left out, NaN in both: c0, c1, c2, c3, c4 and 2 more\n" in run("compare", *runs).stdout


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "two or more results of evaluate, got none"),
        (["a"], "two or more results of evaluate, got a"),
        (["a", "a"], "runs must be different results, got a twice"),
        (["a", "nowhere"], "runs must be folders that evaluate wrote, or their cases.csv or summary.json, got nowhere"),
        (["a", "b", "--score", "iou"], "scores must be names of those in the runs, dice, got ('iou',)"),
        (["a", "other"], "runs must be scored alike, got tolerance_mm 1.0 and 2.0 in a and other"),
        (["a", "b", "--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    run, pair: list[Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    write_run(pair[0].parent / "other", {"dice": [0.5] * 8}, SETTINGS | {"tolerance_mm": 2.0})
    monkeypatch.chdir(pair[0].parent)
    assert_fails(run("compare", *arguments), text)
