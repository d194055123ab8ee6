"""The reports in a browser, pictures in place of volumes, and the cases that somebody asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from monai_boundary.datasets import write_volume
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from monai_boundary.evaluation import evaluate_folder, find_pairs
from monai_boundary.evaluation.tile_pictures import _densest
from monai_boundary.metrics import score_pair
from tests.browser import assert_page_works
from tests.cli.calling import assert_fails


def square(shift: int = 0, side: int = 20) -> np.ndarray:
    array = np.zeros((60, 80), np.uint8)
    array[10 : 10 + side, 20 + shift : 20 + shift + side] = 1
    return array


@pytest.fixture(params=[".png", ".tif", ".bmp"])
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and ground truth of 2D images, as nnU-Net writes them."""
    pred, truth = tmp_path / "pred", tmp_path / "raw" / "labelsTr"
    for folder in (pred, truth, truth.with_name("imagesTr")):
        folder.mkdir(parents=True)
    for number, shift in enumerate((0, 2, 10)):
        sitk.WriteImage(sitk.GetImageFromArray(square(shift)), pred / f"p{number}{request.param}")
        sitk.WriteImage(sitk.GetImageFromArray(square()), truth / f"p{number}{request.param}")
        image = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
        colours = sitk.GetImageFromArray(image, isVector=True)
        sitk.WriteImage(colours, truth.with_name("imagesTr") / f"p{number}_0000{request.param}")
    (pred / "dataset.json").write_text("{}")
    return pred, truth


def test_pictures_are_scored_as_arrays_are(pictures: tuple[Path, Path]) -> None:
    result = evaluate_folder(*pictures, progress=False)
    assert [row.case for row in result.rows] == ["p0", "p1", "p2"]
    assert result.failed == {}
    assert result.rows[1].scores == score_pair("surface", square(2)[None], square()[None], (1.0, 1.0, 1.0))


def test_volumes_come_before_pictures_of_them(tmp_path: Path) -> None:
    for name in ("p", "t"):
        (tmp_path / name).mkdir()
        write_volume(tmp_path / name / "a.nii.gz", np.ones((4, 4, 4), np.uint8), (1.0, 1.0, 1.0))
        (tmp_path / name / "a.png").touch()
    assert [file.name for file in find_pairs(tmp_path / "p", tmp_path / "t").cases["a"]] == ["a.nii.gz"] * 2


@pytest.mark.parametrize("pictures", [".png"], indirect=True)
def test_the_report_of_pictures_works_in_a_browser(run, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    done = run("evaluate", *pictures, "-o", tmp_path / "out", "--worst", "2")
    assert done.exit_code == 0, done.output
    assert_page_works(tmp_path / "out" / "report.html", tmp_path, pictures=3)


def test_the_report_of_tiles_works_in_a_browser(run, tmp_path: Path) -> None:
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    from tests.datasets.remote import files

    for number, shift in enumerate((0, 2, 10)):
        files.write(tmp_path / "train" / "gt" / f"a{number}.tif", square() * 255)
        files.write(tmp_path / "train" / "images" / f"a{number}.tif", np.stack([square(3) * 90 + 30] * 3))
        files.write(tmp_path / "pred" / f"a{number}.tif", square(shift) * 255)
    call = ("evaluate", tmp_path / "pred", tmp_path / "train" / "gt", "--protocol", "buildings", "-o", tmp_path / "out")
    done = run(*call, "--worst", "3")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("a2: IoU 0.333") < page.index("a1: IoU 0.818")  # the perfect one is not shown
    assert_page_works(tmp_path / "out" / "report.html", tmp_path, pictures=3)


def test_the_part_of_a_tile_is_where_most_is_wrong() -> None:
    wrong = np.zeros((1000, 300), bool)
    wrong[700:710, 250:260] = True
    wrong[10, 10] = True
    rows, columns = _densest(wrong, 200)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (200, 200)
    assert wrong[rows, columns].sum() == 100
    assert list(_densest(wrong[:50, :40], 200)) == [slice(0, 50), slice(0, 40)]


# The cases that somebody asked for


@pytest.mark.parametrize("pictures", [".png"], indirect=True)
def test_only_the_cases_asked_for_are_scored_and_missing(run, pictures: tuple[Path, Path], tmp_path: Path) -> None:
    pred, truth = pictures
    (pred / "p0.png").unlink()
    images = {name: (truth.with_name("imagesTr") / f"{name}_0000.png",) for name in ("p0", "p1", "p2")}
    cases = {name: CaseFiles(name, image, truth / f"{name}.png") for name, image in images.items()}
    folds = {"p0": 1, "p1": 0, "p2": 0}
    write_datalist(truth.parent / "datalist.json", {"training": list(cases.values())}, folds)
    for text in ("validation", "p1, p2"):
        done = run("evaluate", pred, truth, "-o", tmp_path / text, "--cases", text)
        assert done.exit_code == 0, done.output
        summary = json.loads((tmp_path / text / "summary.json").read_text())
        assert (summary["cases"], summary["without_prediction"]) == (2, [])
    assert run("evaluate", pred, truth, "-o", tmp_path / "all").exit_code == 2
    for text, reason in (
        ("p9", "cases must be of the ground truth, got p9"),
        ("test", "cases must be a split that the datalist in"),
    ):
        assert_fails(run("evaluate", pred, truth, "-o", tmp_path / "no", "--cases", text), reason)
    (truth.parent / "datalist.json").unlink()
    failed = run("evaluate", pred, truth, "-o", tmp_path / "no", "--cases", "validation")
    assert_fails(failed, "cases must be names with commas where no datalist.json lies in")


def test_axes_of_fractions_show_all_of_them() -> None:
    from monai_boundary.reports.scores import scores_figure

    figure = scores_figure({"Dice": {"a": [0.8, 0.9]}, "HD95 (mm)": {"a": [3.0, 9.0]}}, ["Dice"])
    assert figure.axes[0].get_ylim() == (-0.03, 1.03)
    assert figure.axes[1].get_ylim()[1] > 8
