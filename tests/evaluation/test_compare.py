"""Runs compared case by case: the statistics are scipy's, every case is accounted for, unlike runs are refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from monai_boundary.evaluation.compare import Comparison, PairedDifference, compare_runs
from monai_boundary.evaluation.comparison_files import comparison_panels, write_comparison
from monai_boundary.evaluation.paired_tests import holm
from monai_boundary.evaluation.runs import METRICS, common_cases, name_some, read_runs
from monai_boundary.evaluation.tiles import SCORES, TileEvaluation
from monai_boundary.evaluation.volumes import Evaluation, EvaluationSettings
from monai_boundary.metrics import PROTOCOLS

NAN, INF = math.nan, math.inf
SETTINGS = {
    "protocol": "surface",
    "labels": None,
    "ignore_index": None,
    "empty": "diagonal",
    "tolerance_mm": 1.0,
    "definition": "voxels",
    "lesions": None,
}


def write_run(
    folder: Path,
    scores: Mapping[str, Sequence[float]],
    settings: Mapping | None = SETTINGS,
    labels: Sequence[int] = (1,),
    cases: Sequence[str] = (),
    **summary: object,
) -> Path:
    """A folder as `evaluate` writes it: one row per case and class, the cases of the first class first."""
    count = len(next(iter(scores.values()))) // len(labels)
    named = list(cases) or [f"c{number}" for number in range(count)]
    table = {"case": named * len(labels), "label": np.repeat(labels, count), **scores}
    folder.mkdir(parents=True)
    pd.DataFrame(table).to_csv(folder / "cases.csv", index=False, na_rep="nan")
    if settings is not None:
        whole = {"settings": dict(settings), "failed": {}, "without_prediction": [], **summary}
        (folder / "summary.json").write_text(json.dumps(whole))
    return folder


def two_runs(root: Path, first: Sequence[float], second: Sequence[float], score: str = "dice") -> list[Path]:
    return [write_run(root / "a", {score: first}), write_run(root / "b", {score: second})]


def only(result: Comparison) -> PairedDifference:
    (one,) = result.differences
    return one


# Statistics


@pytest.mark.parametrize("count", [6, 12, 40, 80])
def test_interval_and_p_are_those_of_scipy(tmp_path: Path, rng: np.random.Generator, count: int) -> None:
    first = rng.random(count)
    second = first + rng.normal(0.03, 0.05, count)
    one = only(compare_runs(two_runs(tmp_path, first, second), seed=7))
    assert one.p == stats.wilcoxon(second, first).pvalue
    expected = stats.bootstrap((second - first,), np.mean, method="BCa", random_state=np.random.default_rng(7))
    assert one.interval == pytest.approx(tuple(expected.confidence_interval), abs=0.1 * expected.standard_error)
    assert one.interval[0] < one.difference < one.interval[1]
    assert (one.reference_mean, one.run_mean) == pytest.approx((first.mean(), second.mean()))
    assert one.difference == pytest.approx(second.mean() - first.mean())
    assert (one.pairs, one.better) == (count, int((second > first).sum()))


def test_the_interval_covers_a_known_mean_as_often_as_it_says(tmp_path: Path) -> None:
    covered = 0
    for seed in range(60):
        steps = np.random.default_rng(seed).normal(0.2, 1.0, 30)
        low, high = only(compare_runs(two_runs(tmp_path / str(seed), np.zeros(30), steps))).interval
        covered += low <= 0.2 <= high
        assert high - low == pytest.approx(2 * 1.96 * steps.std() / 30**0.5, rel=0.15)
    assert 51 <= covered <= 60


def test_the_seed_alone_decides_on_the_interval(tmp_path: Path, rng: np.random.Generator) -> None:
    runs = two_runs(tmp_path, rng.random(9), rng.random(9))
    intervals = [only(compare_runs(runs, seed=seed)).interval for seed in (0, 0, 1)]
    assert intervals[0] == intervals[1] != intervals[2]


@pytest.mark.parametrize("count", [6, 7, 10])
def test_differences_of_one_sign_have_the_smallest_p_and_a_constant_one_is_its_own_interval(
    tmp_path: Path, count: int
) -> None:
    first = np.arange(count) / 8
    one = only(compare_runs(two_runs(tmp_path, first, first - 0.25, "hd95_mm")))
    assert one.p == pytest.approx(2 / 2**count)  # one of all signs, on either side
    assert one.interval == pytest.approx((-0.25, -0.25))
    assert (one.better, one.worse, one.undecided) == (count, 0, "")


def test_what_only_rounding_tells_apart_is_a_tie_to_the_test_and_to_the_ranks(tmp_path: Path) -> None:
    """1 - .8 and .6 - .4 differ in the last bit, and so does one distance that is measured at two places."""
    first = [0.8] * 8 + [0.6, 0.4]
    second = [1.0] * 7 + [0.6, 0.4, 0.2]
    one = only(compare_runs(two_runs(tmp_path / "steps", first, second)))
    assert one.p == pytest.approx(stats.wilcoxon([1] * 7 + [-1] * 3).pvalue)
    here, there = 0.6999999999999993, 0.7000000000000011
    result = compare_runs(two_runs(tmp_path / "scores", [here] * 8, [there] * 8, "hd95_mm"))
    assert only(result).undecided == "none of 8 pairs differs"
    assert (only(result).better, only(result).worse) == (0, 0)
    assert result.ranks().to_numpy().tolist() == [[1.5, 1.5]]


def test_p_is_exact_beside_pairs_that_are_equal(tmp_path: Path) -> None:
    one = only(compare_runs(two_runs(tmp_path, [0.5] * 24, [0.5] * 4 + [0.5 + 2.0**-k for k in range(2, 22)])))
    assert one.p == pytest.approx(2 / 2**20, rel=1e-9)


def test_holm_multiplies_by_the_tests_that_are_left() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    first, nothing, second = holm([0.01, None, 0.04])
    assert (first, second) == pytest.approx((0.02, 0.04))
    assert math.isnan(nothing)


def test_holms_correction_is_over_every_score_class_and_run(tmp_path: Path, rng: np.random.Generator) -> None:
    def scores() -> dict[str, np.ndarray]:
        return {"dice": rng.random(24), "hd95_mm": rng.random(24)}

    runs = [write_run(tmp_path / name, scores(), labels=(1, 3)) for name in "abc"]
    result = compare_runs(runs)
    assert len(result.differences) == 2 * 2 * 2
    assert [one.p_holm for one in result.differences] == pytest.approx(holm([one.p for one in result.differences]))
    smallest = min(result.differences, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(min(1, 8 * smallest.p))
    chosen = compare_runs(runs, scores=["dice"])
    assert [one.score for one in chosen.differences] == ["dice"] * 4
    same = next(one for one in chosen.differences if (one.label, one.run) == (3, "c"))
    assert same.p == next(o.p for o in result.differences if (o.label, o.run, o.score) == (3, "c", "dice"))


def test_classes_are_compared_ranked_and_drawn_apart(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", {"dice": [0.1] * 6 + [0.5] * 6}, labels=(1, 2))
    second = write_run(tmp_path / "b", {"dice": [0.2] * 6 + [0.4] * 6}, labels=(1, 2))
    result = compare_runs([first, second])
    assert [(one.label, round(one.difference, 9)) for one in result.differences] == [(1, 0.1), (2, -0.1)]
    assert result.ranks().to_numpy().tolist() == [[2, 1], [1, 2]]
    assert [panel.values.tolist() for panel in comparison_panels(result)] == [[[0.1, 0.2]] * 6, [[0.5, 0.4]] * 6]


def test_the_first_run_is_the_reference_unless_every_pair_is_asked_for(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"dice": [0.1 * number] * 6}) for number, name in enumerate("abc")]

    def pairs(**options: bool) -> list[tuple[str, str, float]]:
        found = compare_runs(runs, **options).differences
        return [(one.reference, one.run, round(one.difference, 9)) for one in found]

    assert pairs() == [("a", "b", 0.1), ("a", "c", 0.2)]
    assert pairs(every_pair=True) == [("a", "b", 0.1), ("a", "c", 0.2), ("b", "c", 0.1)]


# Ranks


def test_ranks_are_means_over_the_cases_and_ties_share_them(tmp_path: Path) -> None:
    table = {"a": ([0.9, 0.5, 0.7], [1, 4, 2]), "b": ([0.8, 0.5, 0.6], [2, 3, 2]), "c": ([0.7, 0.2, 0.8], [3, 9, 2])}
    runs = [write_run(tmp_path / name, {"dice": dice, "hd95_mm": hd}) for name, (dice, hd) in table.items()]
    ranks = compare_runs(runs).ranks()
    # Dice: 1 2 3; 1.5 1.5 3; 2 3 1.  HD95: 1 2 3; 2 1 3; 2 2 2.
    assert ranks.loc[(1, "dice", 3)].to_dict() == pytest.approx({"a": 1.5, "b": 6.5 / 3, "c": 7 / 3})
    assert ranks.loc[(1, "hd95_mm", 3)].to_dict() == pytest.approx({"a": 5 / 3, "b": 5 / 3, "c": 8 / 3})


def test_ranks_count_the_cases_that_every_run_has_a_score_in(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / "a", {"dice": [0.9, NAN, 0.1, 0.2]}),
        write_run(tmp_path / "b", {"dice": [0.8, 0.5, 0.2, INF]}),
    ]
    ranks = compare_runs(runs).ranks()
    assert ranks.loc[(1, "dice", 2)].to_dict() == {"a": 1.5, "b": 1.5}


@pytest.mark.parametrize("name", METRICS)
def test_every_score_has_its_direction(tmp_path: Path, name: str) -> None:
    higher = any(part in name for part in ("dice", "f1", "recall", "precision", "iou", "quality"))
    assert METRICS[name].better == ("higher" if higher else "lower")
    result = compare_runs(two_runs(tmp_path, [1.0, 2.0, 3.0], [2.0, 3.0, 2.5], name))
    one = only(result)
    assert (one.better, one.worse) == ((2, 1) if higher else (1, 2))
    assert result.ranks().iloc[0].to_dict() == pytest.approx(
        {"a": 5 / 3, "b": 4 / 3} if higher else {"a": 4 / 3, "b": 5 / 3}
    )


def test_every_score_that_evaluate_writes_can_be_compared() -> None:
    for protocol in PROTOCOLS:
        columns = Evaluation(EvaluationSettings(protocol), {}, [], []).table().columns
        assert set(columns) - {"case", "label", "target_voxels", "predicted_voxels", "missed", "false_alarm"} <= set(
            METRICS
        )
    assert set(TileEvaluation(3.0, "px").table().columns) - {"case", "intersection", "union"} == set(SCORES)


# What cannot be decided, and what is left out


@pytest.mark.parametrize(("count", "least"), [(1, "1"), (2, "0.5"), (3, "0.25"), (5, "0.0625")])
def test_fewer_than_six_pairs_decide_nothing(tmp_path: Path, count: int, least: str) -> None:
    one = only(compare_runs(two_runs(tmp_path, [0.5] * count, np.arange(1.0, count + 1))))
    pairs = "1 pair" if count == 1 else f"{count} pairs"
    assert one.undecided == f"no test can decide with {pairs}: the smallest possible p is {least}"
    assert one.p is one.p_holm is one.interval is None
    assert one.difference == pytest.approx((count + 1) / 2 - 0.5)


def test_pairs_that_are_equal_have_no_say_in_the_test(tmp_path: Path) -> None:
    second = [0.5] * 5 + [0.6, 0.7, 0.8, 0.9]
    one = only(compare_runs(two_runs(tmp_path, [0.5] * 9, second)))
    assert one.undecided == "no test can decide with 4 of 9 pairs that differ: the smallest possible p is 0.125"
    assert one.interval is not None
    assert (one.better, one.worse, one.pairs, one.p) == (4, 0, 9, None)


def test_copies_of_a_run_are_noticed(tmp_path: Path) -> None:
    result = compare_runs(two_runs(tmp_path, [0.1, 0.2] * 4, [0.1, 0.2] * 4))
    assert only(result).undecided == "none of 8 pairs differs"
    assert only(result).interval == (0, 0)
    assert result.notes == ["a and b hold the same figures throughout: are they one model?"]


def test_scores_that_are_not_finite_are_left_out_and_named(tmp_path: Path) -> None:
    first = [NAN, NAN, 0.5, 0.5, INF, *[0.5] * 6]
    second = [NAN, 0.4, NAN, -INF, NAN, *np.linspace(0.6, 0.9, 6)]
    result = compare_runs(two_runs(tmp_path, first, second))
    one = only(result)
    assert one.left_out == {
        "c0": "NaN in both", "c1": "NaN in a", "c2": "NaN in b", "c3": "infinite in b", "c4": "infinite in a, NaN in b",
    }  # fmt: skip
    assert (one.pairs, one.better, one.reference_mean) == (6, 6, 0.5)
    assert one.p == pytest.approx(2 / 64)
    (note,) = [note for note in result.notes if "in one of two runs" in note]
    assert "--empty diagonal" in note


def test_both_nan_asks_for_no_note_and_without_any_pair_there_is_no_figure(tmp_path: Path) -> None:
    result = compare_runs(two_runs(tmp_path, [NAN, NAN], [NAN, NAN]))
    one = only(result)
    assert (one.pairs, one.undecided) == (0, "no pair with a score in both")
    assert one.difference is one.reference_mean is one.run_mean is one.interval is one.p is None
    assert not any("in one of two runs" in note for note in result.notes)
    assert result.summary()["ranks"] == [{"label": 1, "score": "dice", "cases": 0, "mean_rank": None}]


def test_tests_that_holm_leaves_no_chance_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    scores = ("dice", "hd95_mm", "hausdorff_mm")
    runs = [write_run(tmp_path / name, {score: rng.random(6) for score in scores}) for name in "ab"]
    (note,) = compare_runs(runs).notes
    assert note.startswith("after Holm's correction over 3 tests, 3 of them cannot come below 0.05 with so few pairs")
    assert compare_runs(runs, scores=["dice"]).notes == []


def test_a_test_behind_stronger_ones_keeps_its_chance(tmp_path: Path) -> None:
    runs = []
    for k, name in enumerate("ab"):
        few = [*(0.5 + k * np.arange(1, 7)), *[NAN] * 34]
        runs.append(write_run(tmp_path / name, {"dice": 0.2 + k * np.linspace(0.1, 0.2, 40), "hd95_mm": few}))
    result = compare_runs(runs)
    assert [one.p_holm for one in result.differences] == [pytest.approx(0, abs=1e-6), pytest.approx(2 / 64)]
    assert result.notes == []


# Which runs are compared


def test_runs_are_named_by_what_differs_in_their_paths(tmp_path: Path) -> None:
    scores = {"dice": [0.5] * 6}
    one = write_run(tmp_path / "exp1" / "scores", scores)
    two = write_run(tmp_path / "exp2" / "scores", scores)
    inner = write_run(tmp_path / "exp1" / "scores" / "late", scores)
    assert [run.name for run in read_runs([one, two])] == ["exp1", "exp2"]
    assert [run.name for run in read_runs([one, inner])] == ["scores", "scores/late"]
    assert [run.name for run in read_runs([one / "cases.csv", two / "summary.json"])] == ["exp1", "exp2"]
    renamed = (one / "cases.csv").rename(tmp_path / "mine.csv")
    found = read_runs([renamed, two])
    assert [run.name for run in found] == ["mine", "exp2/scores"]
    assert found[0].settings is None
    assert compare_runs([renamed, two]).notes[0].startswith("mine has no summary.json beside it")


@pytest.mark.parametrize("again", ["a", "a/cases.csv", "a/summary.json", "link", "b/../a"])
def test_one_run_twice_is_refused(tmp_path: Path, again: str) -> None:
    a, b = two_runs(tmp_path, [0.5] * 6, [0.6] * 6)
    (tmp_path / "link").symlink_to(a)
    with pytest.raises(ValueError, match=f"runs must be different results, got .*{re.escape(again)} twice"):
        read_runs([a, b, tmp_path / again])


@pytest.mark.parametrize(
    ("paths", "got"),
    [([], "none"), (["x"], "x"), ("ab", "ab"), (Path("ab"), "ab")],
    ids=["none", "one", "text", "path"],
)
def test_one_run_is_nothing_to_compare(paths: object, got: str) -> None:
    with pytest.raises(ValueError, match=f"runs must be two or more results of evaluate, got {got}$"):
        read_runs(paths)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", {"dice": [0.5]})
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    for path in ("empty", "notes.txt", "nowhere", "empty/summary.json", "nothing.csv"):
        with pytest.raises(ValueError, match=f"runs must be folders that evaluate wrote, .*got .*{path}"):
            read_runs([run, tmp_path / path])


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "No columns to parse"),
        ("case,label,dice\n", "no case"),
        ("name,dice\na,0.5\n", "case"),
        ("case,label,dice\na,1,0.5\nb,1\n", "a row with gaps: b"),
        ("case,label,dice\na,1,0.5\nb,1,\n", "a row with gaps: b"),
        ("case,label,dice\na,1,high\n", "could not convert string to float: 'high'"),
        ("case,label,dice\na,1,0.5\na,1,0.6\n", "case a twice"),
        ("case,dice\na,0.5\na,0.5\n", "case a twice"),
        ("case,label,colour\na,1,3\n", "no score"),
        ("case,label,dice\na,1,0.5,7,8\n", "rows that are longer than the header"),
        ("case,label,dice\na,1,0.5\nb,1,0.5,7\n", "Expected 3 fields in line 3, saw 4"),
    ],
)
def test_a_table_that_is_damaged_is_named(tmp_path: Path, text: str, got: str) -> None:
    runs = two_runs(tmp_path, [0.5], [0.6])
    (runs[1] / "cases.csv").write_text(text)
    with pytest.raises(ValueError, match=r"b/cases\.csv must be a table of cases that evaluate wrote, got ") as caught:
        read_runs(runs)
    assert got in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": 3, "failed": {}, "without_prediction": []}'])
def test_a_summary_that_is_damaged_is_named(tmp_path: Path, text: str) -> None:
    runs = two_runs(tmp_path, [0.5], [0.6])
    (runs[1] / "summary.json").write_text(text)
    with pytest.raises(ValueError, match=r"b/summary\.json must be a summary that evaluate wrote, got"):
        read_runs(runs)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"tolerance_mm": 2.0}, "tolerance_mm 1.0 and 2.0 in a and b"),
        ({"protocol": "wmh", "ignore_index": 2}, "protocol 'surface' and 'wmh', ignore_index None and 2 in a and b"),
        ({"empty": 30.0}, "empty 'diagonal' and 30.0 in a and b"),
    ],
)
def test_runs_that_were_scored_differently_are_refused(tmp_path: Path, other: dict, text: str) -> None:
    runs = [write_run(tmp_path / "a", {"dice": [0.5]}), write_run(tmp_path / "b", {"dice": [0.5]}, SETTINGS | other)]
    with pytest.raises(ValueError, match=re.escape(f"runs must be scored alike, got {text}; evaluate both with the")):
        read_runs(runs)


def test_classes_are_told_by_the_tables_and_not_by_the_options(tmp_path: Path) -> None:
    asked = SETTINGS | {"labels": [1]}
    runs = [write_run(tmp_path / "a", {"dice": [0.5]}), write_run(tmp_path / "b", {"dice": [0.5]}, asked)]
    assert len(read_runs(runs)) == 2


def test_what_an_earlier_version_did_not_offer_it_had_at_its_default(tmp_path: Path) -> None:
    earlier = {key: value for key, value in SETTINGS.items() if key != "definition"}
    for name, settings in (
        ("old", earlier),
        ("new", SETTINGS),
        ("area", SETTINGS | {"definition": "surface_elements"}),
    ):
        write_run(tmp_path / name, {"dice": [0.5]}, settings)
    assert (
        read_runs([tmp_path / "old", tmp_path / "new"])[0].settings
        == read_runs([tmp_path / "new", tmp_path / "old"])[0].settings
    )
    with pytest.raises(ValueError, match="definition 'voxels' and 'surface_elements' in old and area"):
        read_runs([tmp_path / "old", tmp_path / "area"])


def test_another_threshold_of_buildings_is_refused_and_buildings_are_one_class(tmp_path: Path) -> None:
    def tiles(name: str, theta: float) -> Path:
        folder = write_run(tmp_path / name, {"iou": [0.5] * 6, "intersection": [1] * 6}, None)
        table = pd.read_csv(folder / "cases.csv").drop(columns="label")
        table.to_csv(folder / "cases.csv", index=False)
        summary = {"theta": theta, "unit": "px", "failed": {}, "without_prediction": []}
        (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    runs = [tiles("a", 3.0), tiles("b", 3.0), tiles("c", 1.0)]
    assert [(one.label, one.score) for one in compare_runs(runs[:2]).differences] == [(1, "iou")]
    with pytest.raises(ValueError, match=r"scored alike, got theta 3\.0 and 1\.0 in a and c"):
        compare_runs(runs)


def test_runs_with_different_scores_are_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {name: [0.5]}, None) for name in ("dice", "iou")]
    with pytest.raises(ValueError, match="runs must hold the same scores, got dice in dice and iou in iou; evaluate"):
        read_runs(runs)


@pytest.mark.parametrize("scores", ["dice", [], ["dice", "iou"]])
def test_scores_that_the_runs_lack_are_refused(tmp_path: Path, scores: object) -> None:
    with pytest.raises(ValueError, match=r"scores must be names of those in the runs, dice, got"):
        compare_runs(two_runs(tmp_path, [0.5], [0.6]), scores=scores)


def test_columns_that_are_no_score_are_named(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"dice": [0.5, 0.6 + k], "mood": [1, 2]}) for k, name in enumerate("ab")]
    assert compare_runs(runs).notes == [
        f"{name} has columns that are no known score, not compared: mood" for name in "ab"
    ]


# Which cases


def test_runs_over_different_cases_are_refused_by_name(tmp_path: Path) -> None:
    lost = {"without_prediction": ["x"], "failed": {"c1": "damaged"}}
    a = write_run(tmp_path / "a", {"dice": [0.1, 0.2, 0.3]}, cases=["c0", "c1", "x"])
    b = write_run(tmp_path / "b", {"dice": [0.1, 0.2]}, cases=["z", "c0"], **lost)
    with pytest.raises(ValueError, match="over the same cases") as caught:
        compare_runs([a, b])
    assert str(caught.value) == (
        "runs must be over the same cases, got different ones: a lacks z; b lacks c1 (not scored), x (no prediction); "
        "evaluate all on the same cases, or pass --common (common=True) to compare the 1 that all have"
    )
    result = compare_runs([a, b], common=True)
    assert only(result).difference == pytest.approx(0.1)
    assert result.missing == {"a": ["z"], "b": ["c1 (not scored)", "x (no prediction)"]}
    assert result.notes[:2] == [
        "a lacks z: not compared", "b lacks c1 (not scored), x (no prediction): not compared",
    ]  # fmt: skip


@pytest.mark.parametrize("case", ["-x", "=x", "+x", "@x"])
def test_the_reason_of_a_case_is_found_though_the_table_escapes_its_name(case: str, tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"dice": [0.5, 0.5]}, cases=[f"'{case}", "c"])
    b = write_run(tmp_path / "b", {"dice": [0.5]}, cases=["c"], without_prediction=[case])
    with pytest.raises(ValueError, match=re.escape(f"b lacks {case} (no prediction)")):
        compare_runs([a, b])


def test_cases_are_matched_by_name_and_not_by_place(tmp_path: Path) -> None:
    names = ["007", "7", "NA", "nan", "'=x", "ä b"]
    a = write_run(tmp_path / "a", {"dice": np.arange(6.0)}, cases=names)
    b = write_run(tmp_path / "b", {"dice": np.arange(6.0)[::-1]}, cases=names[::-1])
    result = compare_runs([a, b])
    assert only(result).undecided == "none of 6 pairs differs"
    assert sorted(result.summary()["cases"]) == sorted([*names[:4], "=x", "ä b"])  # as it was before the table


def test_a_class_that_a_run_lacks_is_named(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"dice": [0.1, 0.2, 0.3, 0.4]}, labels=(1, 2))
    b = write_run(tmp_path / "b", {"dice": [0.1, 0.2]}, labels=(1,))
    with pytest.raises(ValueError, match="got different ones: b lacks c0 class 2, c1 class 2; evaluate"):
        compare_runs([a, b])
    assert compare_runs([a, b], common=True).labels == [1]


def test_without_a_common_case_nothing_is_compared(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {"dice": [0.1]}, cases=["x"])
    b = write_run(tmp_path / "b", {"dice": [0.1]}, cases=["y"])
    for common in (False, True):
        with pytest.raises(ValueError, match="runs must have cases in common, got none: a lacks y; b lacks x"):
            compare_runs([a, b], common=common)


def test_cases_that_no_run_could_score_are_named(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, {"dice": [0.1 * k, 0.5]}, failed={"bad": "damaged"}, without_prediction=[name])
        for k, name in enumerate("ab")
    ]
    assert compare_runs(runs).notes == ["no run has a score of bad"]


def test_three_runs_keep_what_all_have(tmp_path: Path) -> None:
    cases = {"a": ["1", "2", "3"], "b": ["2", "3", "4"], "c": ["3", "2", "9"]}
    runs = [write_run(tmp_path / name, {"dice": [0.1, 0.2, 0.3]}, cases=named) for name, named in cases.items()]
    kept, missing = common_cases(read_runs(runs), common=True)
    assert [list(run.table.index.unique("case")) for run in kept] == [["2", "3"]] * 3
    assert missing == {"a": ["4", "9"], "b": ["1", "9"], "c": ["1", "4"]}


def test_many_names_are_counted() -> None:
    assert name_some(["a", "b"]) == "a, b"
    assert name_some(list("abcd"), 2) == "a, b and 2 more"


# Files


def test_the_files_hold_every_figure_and_every_case(tmp_path: Path, rng: np.random.Generator) -> None:
    first = {"dice": [NAN, *rng.random(7)], "hd95_mm": rng.random(8) * 9}
    second = {"dice": [NAN, *rng.random(7)], "hd95_mm": [INF, *rng.random(7) * 9]}
    runs = [write_run(tmp_path / name, scores) for name, scores in (("a", first), ("b", second))]
    result = compare_runs(runs)
    summary, picture = write_comparison(result, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["comparison.json", "comparison.png"]
    found = json.loads(summary.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["runs"] == {name: str(tmp_path / name / "cases.csv") for name in "ab"}
    dice, distance = found["differences"]
    assert (dice["left_out"], distance["left_out"]) == ({"c0": "NaN in both"}, {"c0": "infinite in b"})
    assert (dice["better_is"], distance["better_is"]) == ("higher", "lower")
    assert dice["interval"] == list(result.differences[0].interval)
    assert [rank["cases"] for rank in found["ranks"]] == [7, 7]
    assert sum(found["ranks"][0]["mean_rank"].values()) == pytest.approx(3)
    assert found["settings"] == {key: value for key, value in SETTINGS.items() if key != "labels"}
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_picture_holds_forty_scores_and_says_that_there_are_more(tmp_path: Path) -> None:
    labels = range(1, 42)
    runs = [write_run(tmp_path / name, {"dice": [0.1 * k] * 41}, labels=labels) for k, name in enumerate("ab")]
    result = compare_runs(runs)
    panels = comparison_panels(result)
    assert [panel.title for panel in panels[:2]] == ["class 1: Dice", "class 2: Dice"]
    assert len(panels) == 41
    drawn = []

    def draw(some, names, title):  # forty panels take long
        drawn.append((len(some), names, title))
        return figure(some[:1], names, title)

    with pytest.MonkeyPatch.context() as patch:
        from monai_boundary.evaluation import comparison_files

        figure = comparison_files.paired_figure
        patch.setattr(comparison_files, "paired_figure", draw)
        write_comparison(result, tmp_path / "out")
    assert drawn == [(40, ["a", "b"], "1 case, 2 runs; the first 40 of 41 scores")]


def test_runs_against_different_ground_truths_are_refused(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", {"dice": [0.5] * 6, "target_voxels": [64] * 6})
    second = write_run(tmp_path / "b", {"dice": [0.6] * 6, "target_voxels": [64, 64, 512, 64, 0, 64]})
    with pytest.raises(ValueError, match=r"same ground truth, got 64 and 512 voxels of class 1 in case c2 .* 1 more"):
        compare_runs([first, second])


def test_a_folder_and_a_table_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", {"dice": np.arange(6.0)})
    other = write_run(tmp_path / "b", {"dice": np.arange(6.0) + 1})
    (other / "cases.csv").rename(tmp_path / "a.csv")
    result = compare_runs([folder, tmp_path / "a.csv"])
    assert [(one.reference, one.run) for one in result.differences] == [("a/cases.csv", "a.csv")]
