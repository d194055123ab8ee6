"""Paired evidence: the same patches in every arm, points of validation, statistics of pairs, tables and pictures."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.ndimage import distance_transform_edt

from experiments.evidence.arms import ARMS, CONTROL, make_loss, outputs
from experiments.evidence.cases import Case, EvidenceSettings, Patches, Split, by_folds, fitted
from experiments.evidence.figures import evidence_figure
from experiments.evidence.images import apart
from experiments.evidence.pairs import BESIDE_FILTER, compare, score_table
from experiments.evidence.scores import (
    building_scores,
    gap_scores,
    membrane_scores,
    nucleus_scores,
    object_agreement,
    object_scores,
    vessel_scores,
)
from experiments.evidence.scoring import POINTS, choose_points, score_case, without_small
from experiments.evidence.series import LESIONS, SERIES, Series
from experiments.evidence.tables import late_rise, number, tables
from experiments.evidence.training import KEYS, planned_runs, train_arm
from experiments.shared.journal import missing_runs
from experiments.shared.real_data import data_folder
from monai_boundary.kernels.distance import CLIPPED
from tests.cli.calling import assert_fails

TINY = EvidenceSettings(2, batch=4, score_every=1, steps=2, edge=32, features=(4, 8))


def blobs(name: str, group: str = "", slices: int = 1, size: int = 48) -> Case:
    generator = np.random.default_rng(len(name) + sum(map(ord, name)))
    label = np.zeros((slices, size, size), np.uint8)
    for index in range(slices):
        row, column = generator.integers(4, size - 8, 2)
        label[index, row : row + 4, column : column + 4] = 1
    image = (label + generator.normal(0, 0.3, label.shape)).astype(np.float32)
    return Case(name, group or name, image[:, None], label)


@pytest.fixture
def split() -> Split:
    return Split([blobs("a", slices=3), blobs("b"), blobs("c", "b")], [blobs("d", slices=3)], [blobs("e"), blobs("f")])


SERIES_OF_BLOBS = Series(lambda _data, _fold: None, ("0",), LESIONS, settings=TINY)  # type: ignore[arg-type]


def test_all_arms_see_the_same_patches_and_every_epoch_has_its_own(split):
    sets = [Patches(split.train, TINY, 3, arm.beside) for arm in ARMS.values()]
    for index in range(len(sets[0])):
        first, *others = (items[index] for items in sets)
        assert all((other[key] == first[key]).all() for other in others for key in ("image", "label"))
        assert first["image"].shape == (1, 32, 32)
        assert index % 2 or first["label"].any()  # every other patch is placed on foreground
    before = sets[0][1]["image"]
    sets[0].start(1)
    assert (sets[0][1]["image"] != before).any()


def test_the_map_of_a_patch_is_cut_out_of_that_of_the_slice(split):
    case = split.train[0]
    items = Patches([case], TINY, 0, CLIPPED)
    found = items._map(case, 1, CLIPPED)[0]
    outside = distance_transform_edt(case.label[1] == 0)
    assert found[case.label[1] == 0] == pytest.approx(np.minimum(outside - 0.5, 10)[case.label[1] == 0] / 10, abs=1e-5)
    item = items[0]
    assert ((item["distance_map"] < 0) == (item["label"] > 0)).all()


def test_groups_stay_together_in_folds():
    cases = [blobs(f"c{number}", f"g{number // 2}") for number in range(16)]
    tested = []
    for fold in range(4):
        split = by_folds(cases, 4, fold)
        names = [{case.group for case in part} for part in (split.train, split.valid, split.test)]
        assert len(set.union(*names)) == sum(map(len, names))
        assert all(names)
        tested += [case.name for case in split.test]
    assert sorted(tested) == sorted(case.name for case in cases)
    assert fitted(np.ones((1, 20, 33)), 24).shape == (1, 32, 48)


def test_threshold_and_size_are_those_of_the_validation_part():
    case = blobs("v", size=40)
    prob = np.where(case.label > 0, 0.35, 0.05)
    prob[0, 0, 0] = prob[0, 39, 39] = 0.32
    chosen = choose_points(object_agreement, [prob], [case])
    assert chosen["threshold"] == 0.3  # next to .5 of those that find the lesion; .4 finds nothing
    strong = np.where(prob > 0.3, 0.9, 0.1)
    chosen = choose_points(object_agreement, [strong], [case])
    assert (chosen["threshold"], chosen["size"]) == (0.5, 2)
    row = score_case(object_scores, strong, case, chosen)
    assert [row[point]["false_objects"] for point in POINTS] == [2, 2, 0]
    assert row["filter"]["dice"] == row["filter"]["f1"] == 1
    assert without_small(strong[0] > 0.5, 0).sum() == 18


def test_an_image_without_a_lesion_has_a_false_area_and_no_overlap():
    pred = np.zeros((10, 10), bool)
    pred[0, :5] = True
    assert object_scores(pred, np.zeros_like(pred), (1, 1)) == {"precision": 0, "false_objects": 1, "false_area": 0.05}


def test_nuclei_that_are_joined_and_nuclei_in_pieces_are_counted():
    target, pred = np.zeros((2, 9, 20), bool)
    target[2:7, [*range(1, 5), *range(6, 10), *range(12, 19)]] = True
    pred[2:7, 1:10] = True
    pred[2:7, [12, 13, 16, 17]] = True
    scores = nucleus_scores(pred, target, (1, 1))
    assert (scores["merges"], scores["splits"], scores["false_objects"]) == (1, 1, 0)


def test_thin_vessels_are_scored_apart():
    target = np.zeros((20, 20), bool)
    target[:, 2:7] = target[10, 7:] = True
    pred = target.copy()
    pred[10, 7:13] = False
    assert vessel_scores(pred, target, (1, 1))["thin_recall"] == pytest.approx(7 / 13, abs=1e-4)


def test_pinholes_do_not_count_as_boundaries_of_buildings():
    target = np.zeros((20, 20), bool)
    target[4:16, 4:16] = True
    pred = target.copy()
    pred[8, 8] = False
    scores = building_scores(pred, target, (1, 1))
    assert (scores["boundary_f1"], scores["iou"]) == (1, round(143 / 144, 5))
    assert "iou" not in building_scores(pred, np.zeros_like(target), (1, 1))


def test_a_leak_in_a_membrane_merges_its_regions():
    target = np.zeros((9, 9), bool)
    target[:, 4] = True
    assert membrane_scores(target, target, (1, 1))["voi"] == 0
    pred = target.copy()
    pred[4, 4] = False
    scores = membrane_scores(pred, target, (1, 1))
    assert (scores["voi_merge"], scores["voi_split"]) == (1, 0)


def test_a_gap_that_is_missed_merges_two_nuclei():
    target = np.ones((9, 12), bool)
    target[2:7, [1, 2, 3, 4, 6, 7, 8, 9]] = False
    pred = target.copy()
    pred[4, 5] = False
    scores = gap_scores(pred, target, (1, 1))
    assert (scores["merges"], scores["splits"], scores["voi_merge"]) == (1, 0, 1)
    right = gap_scores(target, target, (1, 1))
    assert (right["voi"], right["f1"]) == (0, 1)


@pytest.mark.parametrize("region", ["BCE", "weighted BCE"])
def test_the_boundary_aware_loss_stands_beside_the_cross_entropy_of_its_control(region):
    logits = torch.linspace(-3, 3, 48).reshape(1, 1, 6, 8)
    label = torch.zeros(1, 1, 6, 8)
    label[..., 3] = 1
    seeds = torch.zeros(1, 1, 6, 8, dtype=torch.int32)
    seeds[..., :2], seeds[..., 5:] = 1, 2
    loss = make_loss(region, "BAL, alpha 1")
    loss(logits, label, seeds)
    assert outputs(region) == 1
    assert loss.region_term == make_loss(region, CONTROL)(logits, label)
    assert loss.boundary_term > 0


def test_pixels_between_touching_objects_are_a_gap():
    assert apart(np.array([[1, 1, 2, 2, 0, 3]])).tolist() == [[True, False, False, True, False, True]]


@pytest.mark.parametrize("region", ["Dice+CE", "generalized Dice"])
def test_a_run_repeats_itself_and_arms_start_from_the_same_network(split, region):
    planned = planned_runs("blobs", SERIES_OF_BLOBS, ("0",), (0,), TINY)
    runs = {run["arm"]: run for run in planned if run["loss"] == region}
    found = {arm: train_arm(run, split, SERIES_OF_BLOBS, "") for arm, run in runs.items()}
    again = train_arm(runs["share .5"], split, SERIES_OF_BLOBS, "")
    assert again["curve"] == found["share .5"]["curve"]
    assert again["cases"] == found["share .5"]["cases"]
    assert [point["epoch"] for point in again["curve"]] == [1, 2]
    assert again["curve"][-1]["alpha"] > 0
    assert "alpha" not in found["control"]["curve"][-1]
    assert [case["case"] for case in again["cases"]] == ["e", "f"]


def test_the_first_seed_of_all_folds_comes_first_and_the_most_telling_arms_before_others():
    runs = planned_runs("blobs", SERIES_OF_BLOBS, ("x", "y"), (0, 1), TINY)
    assert [(run["fold"], run["arm"]) for run in runs[:5]] == [
        ("x", "control"), ("x", "share .5"), ("y", "control"), ("y", "share .5"), ("x", "share .2"),
    ]  # fmt: skip
    assert {run["seed"] for run in runs[: len(runs) // 2]} == {0}
    assert all(run["edge"] == 32 for run in runs)


def row(arm: str, seed: int, values: dict[str, float], loss: str = "Dice+CE") -> dict:
    cases = [
        {"case": name, "group": name[0], "kind": "", **{point: {"dice": value, "f1": value} for point in POINTS}}
        for name, value in values.items()
    ]
    curve = [{"epoch": 1, "valid": 0.5}, {"epoch": 2, "valid": 0.6}]
    return {"data": "flair", "loss": loss, "arm": arm, "fold": "0", "seed": seed, **asdict(TINY), "curve": curve,
            "cpu_seconds": 9, "chosen": {"threshold": 0.5, "size": 0}, "cases": cases}  # fmt: skip


def test_pairs_are_means_over_seeds_and_over_the_cases_of_a_group():
    rows = [
        row("control", 0, {"a1": 0.1, "a2": 0.3, "b1": 0.5}), row("share .5", 0, {"a1": 0.2, "a2": 0.4, "b1": 0.5}),
        row("control", 1, {"a1": 0.3, "a2": 0.3, "b1": 0.5}), row("share .5", 1, {"a1": 0.3, "a2": 0.3, "b1": 0.9}),
        row("control", 2, {"a1": 9.0, "a2": 9.0, "b1": 9.0}),  # has no partner yet
    ]  # fmt: skip
    found = compare(score_table(rows), "dice")["Dice+CE", "share .5", "plain"]
    assert (found.pairs, found.seeds) == (2, 2)
    assert found.control == pytest.approx((0.25 + 0.5) / 2)
    assert found.difference == pytest.approx((0.05 + 0.2) / 2)
    assert (found.lower, found.higher) == (0, 2)
    assert math.isnan(found.p)
    assert not found.decided


def test_interval_test_and_detectable_effect_are_those_of_scipy():
    generator = np.random.default_rng(1)
    names = [chr(ord("a") + number) for number in range(12)]
    before = dict(zip(names, generator.random(12), strict=True))
    change = generator.normal(0.1, 0.05, 12)
    arms = {"share .5": change, "share .2": np.zeros(12), "published": -change}
    rows = [row("control", 0, before)]
    rows += [row(arm, 0, {n: before[n] + d for n, d in zip(names, by, strict=True)}) for arm, by in arms.items()]
    found = compare(score_table(rows), "dice")
    half = found["Dice+CE", "share .5", "plain"]
    assert half.decided
    assert half.low < change.mean() < half.high
    assert (half.low, half.high) == pytest.approx(
        stats.t.interval(0.95, 11, change.mean(), stats.sem(change)), abs=0.01
    )
    level = 1 - 0.025 / 3  # of the three arms
    assert half.detectable == pytest.approx(stats.t.ppf([level, 0.8], 11).sum() * change.std(ddof=1) / 12**0.5)
    assert half.p == pytest.approx(2 * stats.wilcoxon(change).pvalue)  # those that differ at all
    same = found["Dice+CE", "share .2", "plain"]
    assert same.difference == 0
    assert all(math.isnan(value) for value in (same.low, same.high, same.p, same.detectable))
    assert not same.decided
    assert found["Dice+CE", "published", "plain"].difference == pytest.approx(-half.difference)


def test_equal_pairs_and_what_only_rounding_tells_apart_are_no_ranks():
    names = "abcdefghij"
    before = dict(zip(names, [0.8] * 4 + [0.6] * 2 + [0.3] * 4, strict=True))
    after = dict(zip(names, [1.0] * 4 + [0.4] * 2 + [0.1 + 0.2] * 4, strict=True))  # four, two, and four that are equal
    found = compare(score_table([row("control", 0, before), row("share .5", 0, after)]), "dice")
    half = found["Dice+CE", "share .5", "plain"]
    assert (half.lower, half.higher, half.pairs) == (2, 4, 10)
    assert half.p == pytest.approx(stats.wilcoxon([1] * 4 + [-1] * 2).pvalue)


def test_pairs_of_which_few_differ_decide_nothing():
    before = dict.fromkeys("abcdefgh", 0.5)
    found = compare(
        score_table([row("control", 0, before), row("share .5", 0, before | dict.fromkeys("abcde", 0.4))]), "dice"
    )
    half = found["Dice+CE", "share .5", "plain"]
    assert (half.pairs, half.lower) == (8, 5)
    assert math.isnan(half.p)
    assert math.isnan(half.low)


def test_an_arm_is_compared_with_what_a_size_filter_does():
    rows = [row("control", 0, {"a": 0.1, "b": 0.3}), row("share .5", 0, {"a": 0.4, "b": 0.6})]
    for case in rows[0]["cases"]:
        case["filter"] = {"dice": case["plain"]["dice"] + 0.2, "f1": 1.0}
    found = compare(score_table(rows), "dice")["Dice+CE", "share .5", BESIDE_FILTER]
    assert (found.control, found.difference) == (pytest.approx(0.4), pytest.approx(0.1))


def test_a_tuned_control_is_compared_with_itself_at_half():
    rows = [row("control", 0, {"a": 0.1, "b": 0.3})]
    for case in rows[0]["cases"]:
        case["filter"] = {"dice": case["plain"]["dice"] + 0.2, "f1": 1.0}
    found = compare(score_table(rows), "dice")
    assert set(found) == {("Dice+CE", "control", "threshold"), ("Dice+CE", "control", "filter")}
    assert found["Dice+CE", "control", "threshold"].difference == 0
    assert found["Dice+CE", "control", "filter"].difference == pytest.approx(0.2)


def test_the_report_says_what_is_shown_and_what_is_not_yet():
    few = [row("control", 0, {"a": 0.1, "b": 0.3}), row("share .5", 0, {"a": 0.5, "b": 0.6})]
    series = replace(SERIES_OF_BLOBS, main=("dice", "f1"))
    text = tables(few, series)
    assert (
        "**Dice** (at .5, 2 pairs; fewer than 6 decide nothing): no effect shown with share .5 beside Dice+CE "
        "(+0.350 of 0.200)." in text
    )
    assert "| Dice | Dice+CE | share .5 | at .5 | 0.200 | +0.350 | 0, 2 | - | 2 | 1 |" in text
    names = "abcdefg"
    many = [row("control", 0, {n: 0.1 * i for i, n in enumerate(names)}),
            row("share .5", 0, {n: 0.1 * i + 0.2 + 0.01 * i for i, n in enumerate(names)})]  # fmt: skip
    text = tables(many, series)
    assert "**Dice** (at .5, 7 pairs): higher with share .5 beside Dice+CE (+0.230 of " in text
    assert "**Dice**: no pair yet." in tables(few[:1], series)
    assert evidence_figure([*few, row("control", 0, {"a": 0.1}, "generalized Dice")], series).axes


def test_the_picture_shows_every_arm():
    rows = [row(arm, 0, {"a": 0.1, "b": 0.3}) for arm in ARMS]
    curves, dots = evidence_figure(rows, replace(SERIES_OF_BLOBS, main=("dice",))).axes
    assert [text.get_text() for text in curves.get_legend().get_texts()] == list(ARMS)
    assert [text.get_text() for text in dots.get_xticklabels()] == list(ARMS)[1:]


def test_the_tables_of_a_series_are_put_into_a_page(tmp_path, run):
    journal, page = tmp_path / "r.jsonl", tmp_path / "page.md"
    other = {**row("control", 0, {"b": 0.2}), "data": "busi"}  # one journal may hold several series
    journal.write_text("".join(json.dumps(each) + "\n" for each in (row("control", 0, {"a": 0.1}), other)))
    end = "<!-- end of the evidence -->\nbelow\n<!-- end of the evidence -->\n"
    page.write_text(f"above\n<!-- evidence flair -->\nstale\n{end}")
    result = run("evidence", "flair", "--table", journal, "--docs", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("above\n<!-- evidence flair -->\n- **lesion F1**: no pair yet.")
    assert text.endswith(end)
    assert "stale" not in text
    assert "| Dice+CE | control | at .5 | 1 | 1 | 0.100 |" in text


def test_a_setting_gains_over_the_control_of_its_fold_and_seed(tmp_path, run):
    def trained(arm: str, score: float, seed: int = 0) -> str:
        chosen = {"threshold": 0.3, "size": 0, "thresholds": {"0.3": 1.0, "0.5": score}}
        line = {**row(arm, seed, {"a": 0.1}), "data": "slices", "chosen": chosen}
        return json.dumps(line) + "\n"

    (tmp_path / "r.jsonl").write_text(trained("share .1", 0.5) + trained("share .1", 0.7, 1) + trained("share .7", 1))
    journal = tmp_path / "evidence_slices.jsonl"
    journal.write_text(trained("control", 0.4) + trained("control", 0.9, 1) + trained("share .5", 0.45))
    done = run("evidence", "settings", "--table", tmp_path / "r.jsonl", "--figures", tmp_path)
    assert done.exit_code == 0, done.output
    assert "| share .1 | -0.050 (2) | 1 of 2 |" in done.output
    assert "| share .5 | +0.050 (1) | 1 of 1 |" in done.output
    assert (tmp_path / "evidence_settings.png").stat().st_size > 10_000


def test_the_overview_shows_each_arm_against_its_control(tmp_path, run):
    names = "abcdefgh"
    control = {name: 0.1 * number for number, name in enumerate(names, 1)}
    better = {name: value + 0.1 + 0.01 * value for name, value in control.items()}
    journal = [row("control", 0, control), row("share .5", 0, better)]
    (tmp_path / "evidence_flair.jsonl").write_text("".join(json.dumps(each) + "\n" for each in journal))
    page = tmp_path / "page.md"
    page.write_text("<!-- overview -->\nstale\n<!-- end of the overview -->\n")
    done = run("evidence", "overview", "--journals", tmp_path, "--picture", tmp_path / "o.png", "--docs", page)
    assert done.exit_code == 0, done.output
    assert "| flair | Dice+CE + share .5 | lesion F1 | 0.450 | +0.105 [" in page.read_text()
    assert "| +23 | 0.008 | 8 | 1 |" in page.read_text()
    assert "| flair | Dice+CE + share .5 | Dice |" in done.stdout
    journal = [row("control", 0, dict.fromkeys(names, 0.0)), row("share .5", 0, better)]  # no share of nothing
    (tmp_path / "evidence_flair.jsonl").write_text("".join(json.dumps(each) + "\n" for each in journal))
    assert "] | - | 0.008 | 8 | 1 |" in run("evidence", "overview", "--journals", tmp_path).stdout
    assert (tmp_path / "o.png").stat().st_size > 5_000
    assert_fails(run("evidence", "overview", "--journals", tmp_path / "none"), "must be a folder with evidence_SERIES")


def test_a_series_without_its_data_is_named(tmp_path, run):
    assert_fails(run("evidence", "busi", "--data", tmp_path, "--results", tmp_path / "r.jsonl"), "busi")
    assert_fails(run("evidence", "brain"), "No such command 'brain'")


def test_a_quick_run_does_not_stand_for_a_whole_one(tmp_path):
    quick, whole = (
        planned_runs("blobs", SERIES_OF_BLOBS, ("0",), (0,), settings) for settings in (TINY, replace(TINY, steps=50))
    )
    journal = tmp_path / "runs.jsonl"
    journal.write_text("".join(json.dumps(run) + "\n" for run in quick))
    assert missing_runs(journal, quick, KEYS) == []
    assert len(missing_runs(journal, whole, KEYS)) == len(whole)


def test_a_late_rise_is_that_over_the_best_point_before():
    curve = [{"epoch": epoch, "valid": valid} for epoch, valid in ((2, 0.3), (8, 0.6), (9, 0.65), (10, 0.5))]
    assert late_rise({"epochs": 10, "curve": curve}) == pytest.approx(0.05)
    assert math.isnan(late_rise({"epochs": 10, "curve": curve[2:]}))
    shown = {
        0.12345: "0.123",
        1.234: "1.23",
        12.34: "12.3",
        123.4: "123",
        0.00042: "0.0004",
        0.0: "0.000",
        1e-16: "1e-16",  # a p value
        math.nan: "-",
    }
    assert [number(value) for value in shown] == list(shown.values())
    assert number(-1e-16, signed=True) == "+0.000"  # a difference of equal means


@pytest.mark.skipif(not (data_folder() / "busi").is_dir(), reason="needs the real data")
@pytest.mark.parametrize("name", SERIES)
def test_a_series_trains_on_its_data(name):
    series = SERIES[name]
    fold = series.folds_of(data_folder())[-1]
    whole = series.split(data_folder(), fold)
    for part in (whole.train, whole.valid, whole.test):
        assert part
        assert all(case.image.shape[2:] == case.label.shape[1:] for case in part)
        assert all(min(case.label.shape[1:]) >= series.settings.edge for case in part)
    assert not {case.group for case in whole.train} & {case.group for case in whole.test}
    split = Split(whole.train[:4], [whole.valid[0].slices(slice(8))], [whole.test[0].slices(slice(8))])
    settings = replace(TINY, edge=series.settings.edge, epochs=1)
    (loss, arm), *_ = series.tiers[0][::-1]
    run = {"data": name, "loss": loss, "arm": arm, "fold": fold, "seed": 0, **asdict(settings)}
    assert train_arm(run, split, series, "")["cases"][0]["plain"].keys() <= series.columns.keys()
