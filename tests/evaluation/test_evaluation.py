"""Scores of folders: every file finds its case, no failure is lost, and the figures are those of the metrics."""

from __future__ import annotations

import base64
import csv
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from monai_boundary._files import only_writer
from monai_boundary.datasets import write_volume
from monai_boundary.evaluation import EvaluationSettings, evaluate_folder, find_pairs, write_report, write_tables
from monai_boundary.evaluation.matching import chosen_cases, read_pair
from monai_boundary.evaluation.report import worst_rows
from monai_boundary.evaluation.tiles import chosen_tiles
from monai_boundary.evaluation.volumes import CaseRow
from monai_boundary.metrics import PROTOCOLS, LesionSettings, score_pair
from tests.cli.calling import assert_fails

SPACING = (3.0, 1.0, 1.0)


def cube(shift: int = 0, value: int = 1) -> np.ndarray:
    array = np.zeros((6, 16, 16), np.uint8)
    array[2:4, 4:10, 3 + shift : 9 + shift] = value
    return array


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five cases: good, shifted, missed, false alarm, and empty on both sides; in nnU-Net's layout."""
    pairs = {
        "good": (cube(), cube()), "shifted": (cube(2), cube()), "missed": (cube() * 0, cube()),
        "alarm": (cube(), cube() * 0), "void": (cube() * 0, cube() * 0),
    }  # fmt: skip
    pred, truth = tmp_path / "pred", tmp_path / "raw" / "labelsTr"
    for folder in (pred, truth, truth.with_name("imagesTr")):
        folder.mkdir(parents=True)
    for name, (found, target) in pairs.items():
        write_volume(pred / f"{name}.nii.gz", found, SPACING)
        write_volume(truth / f"{name}.nii.gz", target, SPACING)
        write_volume(truth.with_name("imagesTr") / f"{name}_0000.nii.gz", target.astype(np.float32), SPACING)
    return pred, truth


def one_pair(root: Path, name: str, found: np.ndarray, target: np.ndarray) -> tuple[Path, Path]:
    for folder, array in (("p", found), ("t", target)):
        (root / folder).mkdir()
        write_volume(root / folder / f"{name}.nii.gz", array, SPACING)
    return root / "p", root / "t"


# Which file belongs to which case


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_names_of_nnunet_and_monai_find_their_cases(tmp_path: Path) -> None:
    truth = touch(tmp_path / "gt", "a.nii.gz", "a_1.nii.gz", "b.nii", "c.nii.gz", "._a.nii.gz")
    for number, form in enumerate(("{}.nii.gz", "{0}/{0}_trans.nii.gz", "{}_0000.nii.gz", "{0}/{0}_0000_seg.nii")):
        names = [form.format(case) for case in ("a", "a_1", "b", "other")]
        pred = touch(tmp_path / f"pred{number}", *names, "._b.nii")
        pairs = find_pairs(pred, truth)
        assert [str(pairs.cases[case][0].relative_to(pred)) for case in ("a", "a_1", "b")] == names[:3]
        assert pairs.without_prediction == ["c"]
        assert pairs.without_target == [pred / names[3]]


@pytest.mark.parametrize("name", ["site_1_7", "site_1_7_trans", "site_12", "site_1-7"])
def test_a_prediction_of_another_patient_is_none_of_this_case(name: str, tmp_path: Path) -> None:
    truth = touch(tmp_path / "gt", "site_1.nii.gz", "site_2.nii.gz")
    pairs = find_pairs(touch(tmp_path / "pred", f"{name}.nii.gz", "site_2_seg-v2.nii.gz"), truth)
    assert (list(pairs.cases), pairs.without_prediction) == (["site_2"], ["site_1"])
    assert [file.name for file in pairs.without_target] == [f"{name}.nii.gz"]


@pytest.mark.parametrize("end", ["", "_trans"])
@pytest.mark.parametrize("other", ["MS_1_0002", "MS_1_0002_seg"])
@pytest.mark.parametrize("number", ["0000", "0001", "0123"])
def test_a_number_of_four_digits_may_be_of_another_case(number: str, other: str, end: str, tmp_path: Path) -> None:
    truth = touch(tmp_path / "gt", "MS_1.nii.gz", f"{other}.nii.gz")
    pairs = find_pairs(touch(tmp_path / "pred", f"MS_1_{number}{end}.nii.gz", f"{other}.nii.gz"), truth)
    assert (list(pairs.cases), pairs.without_prediction) == ([other], ["MS_1"])
    assert [file.name for file in pairs.without_target] == [f"MS_1_{number}{end}.nii.gz"]


def test_other_channels_are_no_predictions_and_cast_doubt_on_the_first(tmp_path: Path) -> None:
    truth = touch(tmp_path / "gt", "a.nii.gz", "b.nii.gz", "c_0003.nii.gz")
    pred = touch(tmp_path / "pred", "a_0000.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz", "c_0003_0000.nii.gz")
    pairs = find_pairs(pred, truth)
    assert {case: files[0].name for case, files in pairs.cases.items()} == {
        "a": "a_0000.nii.gz", "c_0003": "c_0003_0000.nii.gz",
    }  # fmt: skip
    assert sorted(file.name for file in pairs.without_target) == ["b_0000.nii.gz", "b_0001.nii.gz"]


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    truth = touch(tmp_path / "gt", "a.nii.gz")
    with pytest.raises(ValueError, match=r"pred_dir must hold one prediction per case, got 2 for a: a\.nii, a_0000"):
        find_pairs(touch(tmp_path / "two", "a.nii", "a_0000.nii.gz"), truth)
    with pytest.raises(ValueError, match=r"named as the files of .*such as a\.nii\.gz, got z\.nii\.gz and no other"):
        find_pairs(touch(tmp_path / "other", "z.nii.gz"), truth)
    with pytest.raises(ValueError, match=r"gt_dir must hold one label map per case, got a\.nii and another"):
        find_pairs(truth, touch(tmp_path / "double", "a.nii", "a.nii.gz"))
    with pytest.raises(ValueError, match=r"pred_dir must be a folder, got .*nowhere"):
        find_pairs(tmp_path / "nowhere", truth)
    with pytest.raises(
        ValueError, match=r"gt_dir must hold \.nii\.gz or \.nii files, or \.png, \.tif or \.bmp, got none"
    ):
        find_pairs(truth, touch(tmp_path / "none", "readme.txt"))


def test_a_name_with_another_text_than_the_others_is_of_another_case(tmp_path: Path) -> None:
    """MONAI appends one text to all names, so that of a second visit is none of it."""
    truth = touch(tmp_path / "gt", "pat_1.nii.gz", "pat_2.nii.gz", "pat_3.nii.gz")
    for end in ("", "_0000", "_seg", "_0000_trans"):
        names = ("pat_1_followup", f"pat_2{end}", f"pat_3{end}")
        pred = touch(tmp_path / f"pred{end}", *(f"{name}.nii.gz" for name in names))
        pairs = find_pairs(pred, truth)
        assert (list(pairs.cases), pairs.without_prediction) == (["pat_2", "pat_3"], ["pat_1"])
        assert [file.name for file in pairs.without_target] == ["pat_1_followup.nii.gz"]


def test_a_letter_with_an_accent_is_one_letter_however_it_is_stored(tmp_path: Path) -> None:
    composed, split = "\u00e4", "a\u0308"  # as Linux and macOS write it
    pairs = find_pairs(touch(tmp_path / "p", f"{split}_seg.nii.gz"), touch(tmp_path / "t", f"{composed}.nii.gz"))
    assert list(pairs.cases) == [composed]
    assert list(pairs.only([split]).cases) == [composed]


# Scores


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rows_are_the_scores_of_each_pair(protocol: str, folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders, EvaluationSettings(protocol), progress=False)
    rows = {row.case: row for row in result.rows}
    assert set(rows) == {"good", "shifted", "missed", "alarm", "void"}
    assert rows["shifted"].scores == pytest.approx(score_pair(protocol, cube(2), cube(), SPACING), nan_ok=True)
    assert rows["good"].scores["dice"] == 1
    distance, expected = ("lesion_hd95_mm", 374) if protocol == "lesions" else ("hd95_mm", math.hypot(18, 16, 16))
    assert rows["missed"].scores[distance] == pytest.approx(expected)
    assert [name for name, row in rows.items() if row.missed] == ["missed"]
    assert [name for name, row in rows.items() if row.false_alarm] == ["alarm"]


def test_the_summary_counts_what_it_leaves_out(folders: tuple[Path, Path]) -> None:
    (folders[1] / "unpredicted.nii.gz").write_bytes((folders[1] / "good.nii.gz").read_bytes())
    summary = evaluate_folder(*folders, EvaluationSettings("surface"), progress=False).summary()
    dice = summary["labels"]["1"]["scores"]["dice"]
    values = [1.0, 2 * 48 / 144, 0.0, 0.0]  # the void case has none
    assert (dice["n"], dice["undefined"]) == (4, 1)
    assert dice["mean"] == pytest.approx(np.mean(values))
    assert dice["sd"] == pytest.approx(np.std(values, ddof=1))
    assert dice["median"] == pytest.approx(1 / 3)
    assert summary["without_prediction"] == ["unpredicted"]
    assert summary["labels"]["1"]["missed"] == ["missed"]
    assert summary["labels"]["1"]["false_alarms"] == ["alarm"]


def test_wmh_takes_ignored_voxels_out_of_the_prediction(tmp_path: Path) -> None:
    target = cube() + 2 * np.roll(cube(), 7, axis=2)
    pair = one_pair(tmp_path, "a", (target > 0).astype(np.uint8), target)
    (row,) = evaluate_folder(*pair, EvaluationSettings("wmh"), progress=False).rows
    assert row.scores["dice"] == 1
    assert row.predicted_voxels == row.target_voxels == 72
    (row,) = evaluate_folder(*pair, EvaluationSettings("wmh", ignore_index=9), progress=False).rows
    assert row.scores["dice"] < 1


@pytest.mark.parametrize("protocol", ["surface", "lesions"])
@pytest.mark.parametrize(
    ("description", "ignored", "expected"),
    [
        (None, None, [1, 3]),  # what the ground truth holds
        ({"labels": {"background": 0, "one": 1, "two": 2, "ignore": 3}}, 3, [1, 2]),
        ({"labels": {"0": "background", "1": "one", "3": "three", "4": "ignore"}}, None, [1, 3]),  # nnU-Net 1 and MSD
        ({"labels": {"background": 0, "whole": [1, 2, 3], "core": 3, "ignore": 4}}, None, ["core", "whole"]),  # regions
        ({"name": "no data set of nnU-Net"}, None, [1, 3]),
        ([], None, [1, 3]),
    ],
)
def test_some_protocols_score_every_class(
    description: object, ignored: int | None, expected: list[int | str], protocol: str, folders: tuple[Path, Path]
) -> None:
    both = cube() + np.roll(cube(value=3), 6, axis=1)
    for folder in folders:
        write_volume(folder / "good.nii.gz", both, SPACING)
    if description is not None:
        (folders[1].parent / "dataset.json").write_text(json.dumps(description))
    settings = EvaluationSettings(protocol, ignore_index=ignored)
    assert evaluate_folder(*folders, settings, progress=False).labels == expected


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "complete NIfTI file"),
        (lambda path: write_volume(path, cube()[:, :, :-1], SPACING), "must lie on one grid in both folders"),
        (lambda path: write_volume(path, cube(), (3.0, 1.0, 1.5)), "must lie on one grid in both folders"),
        (lambda path: write_volume(path, cube() * 0.5, SPACING), "must hold labels"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "does not exist"),
    ],
)
def test_one_bad_file_does_not_stop_the_others(damage, reason: str, folders: tuple[Path, Path]) -> None:
    damage(folders[0] / "shifted.nii.gz")
    result = evaluate_folder(*folders, EvaluationSettings("isles"), progress=False)
    assert len(result.rows) == 4
    assert list(result.failed) == ["shifted"]
    assert reason in result.failed["shifted"]


def test_a_volume_beyond_the_memory_does_not_stop_the_others(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(pred: Path, target: Path):
        if target.name.startswith("good"):
            raise MemoryError("cannot allocate 7 PiB")
        return read_pair(pred, target)

    monkeypatch.setattr("monai_boundary.evaluation.volumes.read_pair", read)
    result = evaluate_folder(*folders, progress=False)
    assert (len(result.rows), list(result.failed.values())) == (4, ["cannot allocate 7 PiB"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"protocol": "brats"}, "protocol must be one of"),
        ({"labels": (0,)}, r"labels must be classes >= 1 that are not ignored, got \(0,\)"),
        ({"protocol": "wmh", "labels": (2,)}, "that are not ignored"),
        ({"empty": -1.0}, "empty must be 'diagonal', 'nan' or a number of mm >= 0"),
        ({"lesions": LesionSettings()}, "lesions must be None for the protocol 'surface', got settings"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        EvaluationSettings(**settings)


# Files


def test_tables_hold_every_case(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = evaluate_folder(*folders, EvaluationSettings("wmh"), progress=False)
    table, summary = write_tables(result, tmp_path).values()
    with table.open(newline="") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    assert float(rows["shifted"]["dice"]) == result.rows[3].scores["dice"]
    assert rows["void"]["dice"] == "nan"
    assert rows["missed"]["missed"] == rows["alarm"]["false_alarm"] == "1"
    json.loads(summary.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_every_lesion_has_a_line_that_says_where_it_is(tmp_path: Path) -> None:
    target, pred = np.zeros((2, 10, 20, 30), np.uint8)
    target[2:4, 3:5, 4:6] = target[7, 15, 20] = 1  # 8 voxels, half of them predicted, and one that is missed
    pred[2:4, 3:5, 4] = pred[8, 2:4, 27] = 1  # 2 voxels are false
    folders = one_pair(tmp_path, "case", pred, target)
    affine = np.array([[0, 0, 3.0, -7], [0, 2, 0, 1], [0.5, 0, 0, 40], [0, 0, 0, 1]])  # (x, y, z) of the file to mm
    for folder, array in zip(folders, (pred, target), strict=True):
        nib.save(nib.Nifti1Image(array, affine), folder / "case.nii.gz")
    result = evaluate_folder(*folders, EvaluationSettings("lesions"), progress=False)
    lines = pd.read_csv(write_tables(result, tmp_path)["lesions"]).set_index("kind")
    assert lines.index.tolist() == ["found", "missed", "false"]
    assert lines["volume_mm3"].tolist() == [24, 3, 6]
    assert lines["dice"].tolist() == [pytest.approx(2 / 3), 0, 0]
    assert lines["hd95_mm"].tolist()[1:] == [374, 374]
    places = lines[["x_mm", "y_mm", "z_mm"]].to_numpy()
    voxels = np.array([[2.5, 3.5, 4.5], [7, 15, 20], [8, 2.5, 27]])  # as indices into the array in the file
    np.testing.assert_allclose(places, voxels @ affine[:3, :3].T + affine[:3, 3], rtol=1e-6)
    assert result.rows[0].scores == score_pair("lesions", pred, target, (0.5, 2.0, 3.0))


def test_a_name_is_no_formula_and_a_full_disk_leaves_the_old_table(tmp_path: Path, monkeypatch) -> None:
    result = evaluate_folder(*one_pair(tmp_path, "=cmd|x", cube(), cube()), progress=False)
    table = write_tables(result, tmp_path)["cases"]
    before = table.read_text()
    assert before.splitlines()[1].startswith("'=cmd|x,1,1.0,")

    def fail(path: Path, *_args, **_options) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match=re.escape(str(table))):
        write_tables(result, tmp_path)
    assert table.read_text() == before


class Page(HTMLParser):
    """Collects text and pictures and notes what would be loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.pictures, self.outside, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag not in ("meta", "img", "link"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href"):
                (self.pictures if value.startswith("data:") else self.outside).append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_of_many_classes_those_with_the_lowest_dice_are_drawn(tmp_path: Path) -> None:
    target = np.zeros((12, 12, 12), np.uint8)
    for label in range(1, 11):
        target[label, 2:6, 2:6] = label
    found = np.where((target == 9) & (np.indices(target.shape)[1] > 3), 0, target).astype(np.uint8)
    result = evaluate_folder(*one_pair(tmp_path, "a", found, target))
    page = Page(write_report(result, tmp_path / "report.html", worst=1).read_text())
    text = " ".join(page.text)
    assert "the lowest mean Dice; 4 more are not drawn" in text
    assert len(page.pictures) == 1 + 6
    assert "a, class 9: 16 voxels in the ground truth, 8 predicted" in text


def test_the_report_needs_nothing_beside_it_and_shows_the_worst(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[1] / "unpredicted.nii.gz").write_bytes((folders[1] / "good.nii.gz").read_bytes())
    (folders[0] / "good.nii.gz").write_bytes(b"")
    result = evaluate_folder(*folders, EvaluationSettings("wmh"), progress=False)
    text = write_report(result, tmp_path / "report.html", worst=2).read_text()
    page = Page(text)
    assert page.open == page.outside == []
    kinds = [picture.split(";")[0] for picture in page.pictures]
    assert kinds == ["data:image/svg+xml", "data:image/png", "data:image/png"]
    assert all(len(base64.b64decode(picture.partition(",")[2])) > 5000 for picture in page.pictures)
    plain = re.sub(r"\s+", " ", " ".join(page.text))
    for expected in (
        "label 2 of the ground truth ignored",
        "4 cases scored", "1 missed", "1 false alarm", "1 without prediction", "1 failed", "no prediction for unpred",
        "complete NIfTI", "missed: 72 voxels in the ground truth, 0 predicted; missed",
        "alarm: 0 voxels in the ground truth, 72 predicted; false alarm",
    ):  # fmt: skip
        assert expected in plain
    assert "shifted: 72 voxels" not in plain


@pytest.mark.parametrize("damage", ["channels", "truncated"])
def test_a_useless_image_costs_no_report(damage: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    image = folders[1].with_name("imagesTr") / "missed_0000.nii.gz"
    if damage == "channels":
        nib.save(nib.Nifti1Image(np.zeros((16, 16, 6, 2), np.float32), np.eye(4)), image)
    else:
        image.write_bytes(image.read_bytes()[:-30])
    result = evaluate_folder(*folders, progress=False)
    page = Page(write_report(result, tmp_path / "report.html").read_text())
    assert len(page.pictures) == 4


def test_names_of_cases_are_no_markup(tmp_path: Path) -> None:
    result = evaluate_folder(*one_pair(tmp_path, "<script>alert(1)<b>", cube(), cube()), progress=False)
    text = write_report(result, tmp_path / "report.html").read_text()
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_worst_are_those_of_lowest_dice() -> None:
    rows = [
        CaseRow(case, 1, {"dice": dice}, size, 1)
        for case, dice, size in (("a", 0.5, 9), ("b", math.nan, 0), ("c", 0.0, 3), ("d", 0.0, 8))
    ]
    assert [row.case for row in worst_rows(rows, 3)] == ["d", "c", "a"]
    assert [row.case for row in worst_rows(rows, 9)] == ["d", "c", "a"]


# The command


def test_another_protocol_leaves_no_table_of_the_one_before(run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("evaluate", *folders, "--protocol", "lesions", "-o", out).exit_code == 0
    assert (out / "lesions.csv").exists()
    assert run("evaluate", *folders, "--protocol", "wmh", "-o", out, "--force").exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["cases.csv", "report.html", "summary.json"]


def test_the_command_writes_three_files_and_prints_the_table(run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    done = run("evaluate", *folders, "--protocol", "wmh", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cases.csv", "report.html", "summary.json"]
    assert "class 1: 5 cases, 1 missed, 1 false alarm\n" in done.stdout
    assert re.search(r"Dice +0\.417 +0\.500 +0\.333 +4\n", done.stdout)
    before = (tmp_path / "out" / "report.html").read_bytes()
    assert_fails(run("evaluate", *folders, "-o", tmp_path / "out"), "report.html must not exist", "--force")
    assert (tmp_path / "out" / "report.html").read_bytes() == before
    options = ("--force", "--empty", "30", "--label", "1", "--tolerance", "2.5")
    assert run("evaluate", *folders, "-o", tmp_path / "out", *options).exit_code == 0
    scores = json.loads((tmp_path / "out" / "summary.json").read_text())["labels"]["1"]["scores"]
    assert scores["hd95_mm"]["max"] == 30.0


def test_the_command_scores_lesions_as_it_is_told(run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    call = ("evaluate", *folders, "--protocol", "lesions")
    assert run(*call, "-o", tmp_path / "plain").exit_code == 0
    options = ("--overlap", "0.7", "--iou", "0.4", "--dilation", "3", "--min-volume", "50", "--empty", "90")
    done = run(*call, "-o", tmp_path / "out", *options, "--size-limits", "5", "500")
    assert done.exit_code == 0, done.output
    assert re.search(r"false lesions, empty scans +0\.5 +0\.7 +0\.5 +2\n", done.stdout)
    plain, told = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("plain", "out"))
    assert told["settings"]["lesions"] == {
        "overlap": 0.7, "iou": 0.4, "dilation": 3, "min_volume_mm3": 50, "size_limits_mm3": [5, 500],
        "connectivity": None,
    }  # fmt: skip
    found = [run["labels"]["1"]["scores"] for run in (plain, told)]
    assert [scores["lesion_recall"]["mean"] for scores in found] == [0.8, 0.6]  # two thirds of one are met
    assert [scores["lesion_hd95_mm"]["max"] for scores in found] == [374, 90]
    assert [scores["recall_medium"]["n"] for scores in found] == [0, 3]
    text = " ".join(Page((tmp_path / "out" / "report.html").read_text()).text)
    for expected in (
        "Every lesion",
        "share of 0.7",
        "IoU of 0.4",
        "3 steps of dilation",
        "up to 50.0 mm",
        "medium from 5.0 and large",
    ):
        assert expected in text
    assert_fails(run("compare", tmp_path / "plain", tmp_path / "out"), "must be scored alike", "'overlap': 0.7")
    assert run(*call, "-o", tmp_path / "again").exit_code == 0
    assert "  false lesions, empty scans (-)" in run("compare", tmp_path / "plain", tmp_path / "again").stdout
    wrong = run("evaluate", *folders, "-o", tmp_path / "no", "--dilation", "1")
    assert_fails(wrong, "--dilation", "must be given with --protocol lesions alone")


def test_a_second_command_waits_and_replaces_nothing_unasked(run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ThreadPoolExecutor(1) as pool:
        with only_writer(out):
            waiting = pool.submit(run, "evaluate", *folders, "-o", out)
            with pytest.raises(TimeoutError):
                waiting.result(2)
            (out / "report.html").touch()  # by the first
        done = waiting.result()
    assert done.exit_code == 2
    assert f"writes to {out}: this one waits until it ends" in done.stderr
    assert "report.html must not exist, got earlier results; pass --force" in done.stderr
    assert [path.name for path in out.iterdir()] == ["report.html"]


def lost_prediction(pred: Path, truth: Path) -> None:
    (pred / "good.nii.gz").unlink()


def lost_truth(pred: Path, truth: Path) -> None:
    (truth / "good.nii.gz").unlink()


def dangling_truth(pred: Path, truth: Path) -> None:
    (truth / "good.nii.gz").unlink()
    (truth / "good.nii.gz").symlink_to("nowhere.nii.gz")


def dangling_pair(pred: Path, truth: Path) -> None:
    dangling_truth(pred, truth)
    lost_prediction(pred, truth)


LOST = {
    lost_prediction: ("no prediction for 1 case: good\n", "--allow-missing"),
    lost_truth: ("no ground truth for 1 case: good.nii.gz\n", "--allow-missing"),
    dangling_pair: ("no prediction for 1 case: good\n", "--allow-missing"),
    dangling_truth: ("not scored: good: ", "1 case could not be scored"),
}


@pytest.mark.parametrize("lose", LOST)
def test_every_case_that_was_not_scored_is_said_and_is_an_error(
    lose, run, folders: tuple[Path, Path], tmp_path
) -> None:
    lose(*folders)
    said, error = LOST[lose]
    done = run("evaluate", *folders, "-o", tmp_path / "out")
    assert (done.exit_code, said in done.stdout, error in done.stderr) == (2, True, True)
    assert {"cases.csv", "report.html", "summary.json"} == {path.name for path in (tmp_path / "out").iterdir()}
    done = run("evaluate", *folders, "-o", tmp_path / "out", "--force", "--allow-missing")
    assert (done.exit_code, said in done.stdout) == (0 if error == "--allow-missing" else 2, True)


@pytest.mark.parametrize(("number", "text"), [(5, "x0, x1, x2, x3, x4\n"), (6, "x0, x1, x2, x3, x4, ...\n")])
def test_the_command_says_that_it_names_only_some(
    number: int, text: str, run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    for case in range(number):
        write_volume(folders[1] / f"x{case}.nii.gz", cube(), SPACING)
    done = run("evaluate", *folders, "-o", tmp_path / "out", "--worst", "0")
    assert f"no prediction for {number} cases: {text}" in done.stdout


def test_the_command_runs_inside_the_folder_of_the_labels(
    run, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[1].parent / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "one": 1, "two": 2}}))
    monkeypatch.chdir(folders[1])
    done = run("evaluate", folders[0], ".", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())["labels"]) == ["1", "2"]


def test_the_command_ends_with_an_error_when_a_case_failed(run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "good.nii.gz").write_bytes(b"")
    done = run("evaluate", *folders, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert "not scored: good: " in done.stdout
    assert "1 case could not be scored" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()
    assert_fails(run("evaluate", *folders, "-o", tmp_path / "o2", "--empty", "far"), "'--empty'", "got 'far'")


def test_label_that_the_dataset_calls_ignore_is_not_counted(tmp_path: Path) -> None:
    target = cube()
    target[4:] = 2
    pred, truth = one_pair(tmp_path, "a", np.where(target == 2, 1, target).astype(np.uint8), target)
    text = json.dumps({"labels": {"background": 0, "lesion": 1, "ignore": 2}})
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    result = evaluate_folder(pred, truth)
    assert [(row.label, row.scores["dice"]) for row in result.rows] == [(1, 1.0)]
    assert result.settings.ignore_index == 2
    damaged = {"a comma": f"{text[:-1]},}}", "UTF-16": text, "nothing": "", "no number": text.replace("2", '"two"')}
    for kind, content in damaged.items():
        encoding = "utf-16" if kind == "UTF-16" else "utf-8"
        (tmp_path / "dataset.json").write_text(content, encoding=encoding)
        with pytest.raises(ValueError, match=r"dataset\.json.*must be"):
            evaluate_folder(pred, truth)


def test_labels_are_named_once_and_one_is_left_to_score(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match=r"labels must name each class once, got \(1, 1\)"):
        EvaluationSettings(labels=(1, 1))
    with pytest.raises(ValueError, match="ignore_index must leave a class to score, got 1"):
        evaluate_folder(*folders, settings=EvaluationSettings(ignore_index=1))


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_no_name_of_a_case_is_refused(folders: tuple[Path, Path], text: str) -> None:
    for choose in (chosen_cases, chosen_tiles):
        with pytest.raises(ValueError, match="cases must name at least one, got "):
            choose(text, folders[1])


@pytest.mark.parametrize("protocol", ["surface", "lesions"])
@pytest.mark.parametrize(("found", "true"), [(1, 255), (255, 1), (2, 1)])
def test_values_that_one_side_alone_knows_are_no_misses(tmp_path: Path, protocol: str, found: int, true: int) -> None:
    folders = one_pair(tmp_path, "a", cube(value=found), cube(value=true))
    text = f"pred_dir must hold classes of the ground truth, {true}, got {found} alone; change the values"
    with pytest.raises(ValueError, match=text):
        evaluate_folder(*folders, EvaluationSettings(protocol))


def test_a_prediction_without_the_one_class_that_is_scored_is_no_miss(tmp_path: Path) -> None:
    folders = one_pair(tmp_path, "a", cube(value=3), cube())
    with pytest.raises(ValueError, match="pred_dir must hold classes that are scored, 1, got 3 alone; change"):
        evaluate_folder(*folders, EvaluationSettings("isles"))


def test_a_class_that_no_ground_truth_holds_is_scored_where_it_is_predicted(tmp_path: Path) -> None:
    found = cube() + np.roll(cube(value=2), 6, axis=1)
    result = evaluate_folder(*one_pair(tmp_path, "a", found, cube()))
    assert [(row.label, row.false_alarm) for row in result.rows] == [(1, False), (2, True)]


def test_a_class_that_is_missed_in_every_case_is_a_miss_beside_others(tmp_path: Path) -> None:
    true = cube() + np.roll(cube(value=2), 6, axis=1)
    (row,) = evaluate_folder(*one_pair(tmp_path, "a", cube(), true), EvaluationSettings(labels=(2,))).rows
    assert row.missed


def test_classes_that_are_named_are_scored_whatever_else_is_there(tmp_path: Path) -> None:
    folders = one_pair(tmp_path, "a", cube() * 0, cube())
    assert evaluate_folder(*folders, EvaluationSettings(labels=(1, 3))).labels == [1, 3]
    with pytest.raises(ValueError, match=r"gt_dir must hold classes that are scored, 3, 4, got 1 alone; change"):
        evaluate_folder(*folders, EvaluationSettings(labels=(3, 4)))


# Classes of the data set


def with_classes(folders: tuple[Path, Path], **labels: int | list[int]) -> tuple[Path, Path]:
    (folders[1].parent / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **labels}}))
    return folders


@pytest.mark.parametrize("protocol", ["surface", "lesions"])
def test_regions_are_scored_as_the_masks_that_they_are(protocol: str, run, tmp_path: Path) -> None:
    true = cube() + np.roll(cube(value=2), 6, axis=1)
    true[2:4, 6:8, 5:7] = 3
    found = np.where(true == 3, 2, true)  # all of the tumour and of its core, nothing of the enhancing part
    pair = with_classes(one_pair(tmp_path, "a", found, true), whole=[1, 2, 3], core=[2, 3], enh=3)
    result = evaluate_folder(*pair, EvaluationSettings(protocol), progress=False)
    assert {row.label: row.scores["dice"] for row in result.rows} == {"whole": 1, "core": 1, "enh": 0}
    assert {row.label: row.target_voxels for row in result.rows} == {
        name: int(np.isin(true, values).sum()) for name, values in result.classes.items()
    }
    for name in ("one", "other"):
        done = run("evaluate", *pair, "--protocol", protocol, "-o", tmp_path / name)
        assert done.exit_code == 0, done.output
    assert "class whole: 1 case, 0 missed" in done.stdout
    done = run("compare", tmp_path / "one", tmp_path / "other", "-o", tmp_path / "compared")
    assert "class enh, 1 case" in done.stdout
    done = run("evaluate", *pair, "--protocol", protocol, "--label", "3", "-o", tmp_path / "label")
    assert "class 3: 1 case, 1 missed" in done.stdout
    assert_fails(
        run("compare", tmp_path / "one", tmp_path / "label", "-o", tmp_path / "none"), "got classes by name in one"
    )


def test_labels_that_no_class_names_are_counted_and_said(run, tmp_path: Path) -> None:
    true = cube() + np.roll(cube(value=2), 6, axis=1)
    true[5] = 4
    pair = with_classes(one_pair(tmp_path, "a", cube(), true), lesion=1, ignore=4)
    result = evaluate_folder(*pair, progress=False)
    assert (result.labels, result.summary()["unnamed_labels"]) == ([1], {"2": 1})
    assert evaluate_folder(*pair, EvaluationSettings(labels=(1,)), progress=False).unnamed == {}  # as it was asked for
    done = run("evaluate", *pair, "-o", tmp_path / "out")
    assert "labels of none of the classes that are scored: 2 (in 1 case)\n" in done.stdout
    assert "labels of none of the classes that are scored: 2<" in (tmp_path / "out" / "report.html").read_text()


def test_numbers_of_objects_are_no_classes_to_score(tmp_path: Path) -> None:
    ids = np.arange(6 * 16 * 16, dtype=np.uint16).reshape(6, 16, 16)
    with pytest.raises(ValueError, match="labels must be classes, at most 256, got 1535 values up to 1535; give all"):
        evaluate_folder(*one_pair(tmp_path, "a", ids, ids), progress=False)
