"""Scores of predicted GeoTIFFs: against the metric, by every name that tiles have, and what cannot be scored."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from monai_boundary.datasets.checks import SPLITS
from monai_boundary.datasets.remote import inria_tiles
from monai_boundary.evaluation.tables import write_tables
from monai_boundary.evaluation.tiles import chosen_tiles, evaluate_tiles
from monai_boundary.metrics import boundary_f1
from tests.cli.calling import assert_fails
from tests.datasets.remote import files

SHAPE = (40, 60)


def block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[rows, columns] = 1
    return mask


TRUE = [block(slice(5, 25), slice(8, 30)), block(slice(10, 14), slice(40, 60)), np.zeros(SHAPE, np.uint8)]
FOUND = [block(slice(7, 27), slice(8, 31)), block(slice(10, 20), slice(36, 60)), np.zeros(SHAPE, np.uint8)]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for number, (pred, mask) in enumerate(zip(FOUND, TRUE, strict=True), start=1):
        files.write(tmp_path / "pred" / f"austin{number}.tif", pred * 255)
        files.write(tmp_path / "gt" / f"Austin0{number}.tif", mask * 255)
    files.write(tmp_path / "gt" / "vienna1.tif", TRUE[0] * 255)
    return tmp_path / "pred", tmp_path / "gt"


def by_hand(theta: float, spacing: tuple[float, float] | None = None) -> list[float]:
    return [boundary_f1(p, t, theta, spacing, image_edge=False).f1 for p, t in zip(FOUND, TRUE, strict=True)]


def test_tiles_are_scored_one_by_one_and_together(folders: tuple[Path, Path]) -> None:
    result = evaluate_tiles(*folders, theta=2, progress=False)
    both = [int((p & t).sum()) for p, t in zip(FOUND, TRUE, strict=True)]
    either = [int((p | t).sum()) for p, t in zip(FOUND, TRUE, strict=True)]
    assert [(row.intersection, row.union) for row in result.rows.values()] == list(zip(both, either, strict=True))
    assert list(result.rows) == ["austin1", "austin2", "austin3"]
    assert result.iou == pytest.approx(sum(both) / sum(either))
    expected = by_hand(2)
    assert [row.boundary.f1 for row in result.rows.values()][:2] == expected[:2]
    assert 0 < expected[1] < 1
    assert (result.without_prediction, result.failed) == (["vienna1"], {})
    scores = result.summary()["scores"]
    ious = [both[0] / either[0], both[1] / either[1]]
    assert (scores["iou"]["n"], scores["iou"]["undefined"]) == (2, 1)
    assert (scores["iou"]["mean"], scores["iou"]["sd"]) == pytest.approx((np.mean(ious), np.std(ious, ddof=1)))
    assert scores["boundary_f1"]["mean"] == pytest.approx(np.mean(expected[:2]))
    assert math.isnan(result.rows["austin3"].iou)


def test_metres_are_those_of_the_georeference(tmp_path: Path) -> None:
    place = Affine(0.25, 0.0, 500000.0, 0.0, -0.5, 5800000.0)
    for folder, mask in (("pred", FOUND[0]), ("gt", TRUE[0])):
        files.write(tmp_path / folder / "a1.tif", mask, place)
    theta = 0.8  # less than the 2 rows of 0.5 m and more than the column of 0.25 m
    result = evaluate_tiles(tmp_path / "pred", tmp_path / "gt", theta, "m", progress=False)
    expected = boundary_f1(FOUND[0], TRUE[0], theta, (0.5, 0.25), image_edge=False)
    assert result.rows["a1"].boundary == expected
    assert expected not in (
        boundary_f1(FOUND[0], TRUE[0], theta, (0.25, 0.5), image_edge=False),
        boundary_f1(FOUND[0], TRUE[0], theta, image_edge=False),
    )


def test_a_tile_of_more_rows_than_are_read_at_once_is_scored_whole(tmp_path: Path, rng) -> None:
    pred, mask = rng.integers(0, 2, (2, 600, 8), np.uint8)
    files.write(tmp_path / "pred" / "a1.tif", pred)
    files.write(tmp_path / "gt" / "a1.tif", mask)
    row = evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False).rows["a1"]
    assert (row.intersection, row.union) == ((pred & mask).sum(), (pred | mask).sum())


def test_colours_of_potsdam_are_buildings_and_black_does_not_count(tmp_path: Path) -> None:
    colours = files.colours(TRUE[0])  # class 1 is building
    colours[:, :, 8:12] = 0
    files.write(tmp_path / "gt" / "top_potsdam_02_13_label_noBoundary.tif", colours)
    files.write(tmp_path / "pred" / "potsdam_2_13.tif", FOUND[0] * 255)
    row = evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False).rows["potsdam_2_13"]
    counted = np.ones(SHAPE, bool)
    counted[:, 8:12] = False
    assert row.intersection == (FOUND[0] & TRUE[0] & counted).sum()
    assert row.union == ((FOUND[0] | TRUE[0]) & counted).sum()


def test_a_grey_mask_in_three_bands_is_no_colour_map(tmp_path: Path) -> None:
    files.write(tmp_path / "gt" / "town.tif", np.stack([TRUE[0] * 255] * 3))
    files.write(tmp_path / "pred" / "town.tif", TRUE[0])
    assert evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False).iou == 1


def test_what_cannot_be_scored_is_named_and_stops_nothing(folders: tuple[Path, Path]) -> None:
    pred, gt = folders
    files.write(pred / "austin2.tif", np.zeros((40, 50), np.uint8))
    files.write(pred / "vienna1.tif", FOUND[0] * 7)
    files.write(pred / "austin3.tif", FOUND[0], files.ELSEWHERE)
    result = evaluate_tiles(pred, gt, progress=False)
    assert list(result.rows) == ["austin1"]
    assert "must have the size of" in result.failed["austin2"]
    assert "must hold the values 0, 1, 255, got 7" in result.failed["vienna1"]
    assert "must lie where its image lies" in result.failed["austin3"]
    files.write(pred / "austin1.tif", FOUND[0], place=None)
    assert "must have a georeference in a projected" in evaluate_tiles(pred, gt, 1, "m", False).failed["austin1"]


def test_folders_that_do_not_belong_together_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pred, gt = folders
    with pytest.raises(ValueError, match=r"pred_dir must hold \.tif files, got none"):
        evaluate_tiles(tmp_path / "nowhere", gt)
    files.write(tmp_path / "other" / "town.tif", TRUE[0])
    with pytest.raises(ValueError, match=r"named as the masks of .*, such as austin1\.tif, got town"):
        evaluate_tiles(tmp_path / "other", gt)
    files.write(pred / "austin01.tif", TRUE[0])
    with pytest.raises(ValueError, match=r"one file per tile, got .*austin01\.tif and .*austin1\.tif; move one away"):
        evaluate_tiles(pred, gt)


def test_tables_hold_every_tile_and_valid_json(folders: tuple[Path, Path], tmp_path: Path) -> None:
    table, summary = write_tables(evaluate_tiles(*folders, progress=False), tmp_path).values()
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["case"] for row in rows] == ["austin1", "austin2", "austin3"]
    assert float(rows[0]["iou"]) == int(rows[0]["intersection"]) / int(rows[0]["union"])
    content = json.loads(summary.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["tiles"] == 3


def test_the_command_prints_the_scores_and_guards_earlier_ones(run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = ("evaluate", *folders, "--protocol", "buildings", "--theta", "2", "-o", tmp_path / "scores")
    result = run(*arguments)
    assert result.exit_code == 2
    assert "1 tile is in one folder alone; pass --allow-missing if that may be" in result.stderr
    found = evaluate_tiles(*folders, theta=2, progress=False)
    assert "3 tiles, boundary F1 with theta 2 px" in result.stdout
    assert f"IoU of all pixels             {found.iou:.3f}" in result.stdout
    assert "no prediction for 1 tile: vienna1" in result.stdout
    assert json.loads((tmp_path / "scores" / "summary.json").read_text())["theta"] == 2
    assert_fails(run(*arguments), "report.html must not exist, got earlier results; pass --force")
    assert_fails(run(*arguments, "--force", "--label", "2"), "--label and --ignore-index must not be given with")
    files.write(folders[0] / "austin2.tif", np.zeros((40, 50), np.uint8))
    broken = run(*arguments, "--force")
    assert (broken.exit_code, "1 tile could not be scored; the reasons are above" in broken.stderr) == (2, True)
    assert "not scored: austin2: " in broken.stdout


def test_tiles_of_one_folder_alone_and_links_that_lead_nowhere_are_said(
    run, folders: tuple[Path, Path], tmp_path
) -> None:
    pred, truth = folders
    (truth / "vienna1.tif").unlink()
    files.write(pred / "tyrol1.tif", TRUE[0] * 255)
    arguments = ("evaluate", *folders, "--protocol", "buildings", "-o", tmp_path / "scores")
    done = run(*arguments)
    assert (done.exit_code, "no ground truth for 1 tile: tyrol1.tif" in done.stdout) == (2, True)
    (pred / "tyrol1.tif").unlink()
    assert run(*arguments, "--force").exit_code == 0
    (truth / "Austin02.tif").unlink()
    (truth / "Austin02.tif").symlink_to("nowhere.tif")
    done = run(*arguments, "--force")
    assert (done.exit_code, "not scored: austin2: " in done.stdout) == (2, True)
    assert "does not exist" in done.stdout


def test_chosen_tiles_alone_are_scored_and_of_the_others_nothing_is_missing(
    run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    everything = evaluate_tiles(*folders, progress=False)
    some = evaluate_tiles(*folders, progress=False, cases=["Austin02", "austin1"])
    assert some.rows == {name: everything.rows[name] for name in ("austin1", "austin2")}
    assert (some.without_prediction, some.without_target) == ([], [])
    assert evaluate_tiles(*folders, progress=False, cases=["austin1", "vienna1"]).without_prediction == ["vienna1"]
    with pytest.raises(ValueError, match=r"cases must be of the ground truth, got austin9; check the names"):
        evaluate_tiles(*folders, progress=False, cases=["austin9"])
    call = ("evaluate", *folders, "--protocol", "buildings", "--cases")
    done = run(*call, "austin1, austin2", "-o", tmp_path / "scores")
    assert done.exit_code == 0, done.output
    assert "2 tiles, boundary F1" in done.stdout
    assert_fails(run(*call, "validation", "-o", tmp_path / "other"), "cases must be names with commas where gt_dir is")


def test_a_split_of_inria_is_scored(run, tmp_path: Path) -> None:
    root = files.inria(tmp_path)
    truth = next(root.rglob("gt"))
    predicted = tmp_path / "pred"
    predicted.mkdir()
    for file in truth.iterdir():
        (predicted / file.name).write_bytes(file.read_bytes())
    known = {split: {tile.name for tile in inria_tiles(root) if tile.split == split} for split in SPLITS}
    for split in ("training", "validation"):
        assert set(chosen_tiles(split, truth)) == known[split] != set()
        done = run("evaluate", predicted, truth, "--protocol", "buildings", "--cases", split, "-o", tmp_path / split)
        assert done.exit_code == 0, done.output
        names = {row["case"] for row in csv.DictReader((tmp_path / split / "cases.csv").read_text().splitlines())}
        assert names == known[split]
    with pytest.raises(ValueError, match="cases must be a split with masks, training or validation, got 'test'"):
        chosen_tiles("test", truth)
