"""No command replaces a file unasked, and none replaces what it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary._files import half_placed, only_writer
from monai_boundary.datasets import lesion_phantom, write_nnunet_phantoms, write_volume
from tests.cli.calling import assert_fails
from tests.evaluation.test_compare import write_run


def evaluate(folder: Path, protocol: str) -> list:
    for number in range(2):
        one, other = (lesion_phantom(seed, (12, 30, 30)) for seed in (number, number + 2))
        write_volume(folder / "pred" / f"p{number}.nii.gz", one.labels, one.spacing)
        write_volume(folder / "gt" / f"p{number}.nii.gz", other.labels, other.spacing)
    return ["evaluate", folder / "pred", folder / "gt", "--protocol", protocol, "--worst", "0"]


def buildings(folder: Path) -> list:
    files = pytest.importorskip("tests.datasets.remote.files", reason="rasterio is not installed")
    for kind in ("pred", "gt"):
        files.write(folder / kind / "austin1.tif", np.eye(40, dtype=np.uint8) * 255)
    return ["evaluate", folder / "pred", folder / "gt", "--protocol", "buildings", "--worst", "0"]


def compare(folder: Path) -> list:
    steps = np.arange(8) / 100
    return ["compare", *(write_run(folder / name, {"dice": 0.5 + k * steps}) for k, name in enumerate("ab"))]


#: Commands that write several files into a folder.
FOLDERS: dict[str, Callable[[Path], list]] = {
    "evaluate surface": lambda folder: evaluate(folder, "surface"),
    "evaluate lesions": lambda folder: evaluate(folder, "lesions"),
    "evaluate buildings": buildings,
    "compare": compare,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_file_that_would_be_written_is_kept_unless_forced(run, name: str, tmp_path: Path) -> None:
    call = FOLDERS[name](tmp_path / "inputs")
    assert run(*call, "-o", tmp_path / "out").exit_code == 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(written) >= 2
    for file in written:
        folder = tmp_path / f"only {file}"
        folder.mkdir()
        (folder / file).write_text("of the user")
        assert_fails(run(*call, "-o", folder), f"{folder / file} must not exist, got", "pass --force or another")
        assert {path.name: path.read_text() for path in folder.iterdir()} == {file: "of the user"}
    assert run(*call, "-o", folder, "--force").exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == written


def test_scores_beside_the_predictions_leave_the_summary_of_nnunet(run, tmp_path: Path) -> None:
    call = evaluate(tmp_path, "surface")
    (tmp_path / "pred" / "summary.json").write_text("{}")
    assert_fails(run(*call, "-o", tmp_path / "pred"), "pred/summary.json must not exist")
    assert (tmp_path / "pred" / "summary.json").read_text() == "{}"


def test_what_a_killed_run_put_in_place_is_no_result(run, tmp_path: Path) -> None:
    call, out = compare(tmp_path / "inputs"), tmp_path / "out"
    part = out / f".together.{'0af9' * 8}.part"
    part.mkdir(parents=True)
    (part / ".names.json").write_text(json.dumps(["comparison.png", "comparison.json"]))
    (part / "comparison.json").write_text("{}")
    (out / "comparison.png").touch()  # in its place, when the run was killed
    with only_writer(out):
        assert half_placed(out) == {"comparison.png"}
    assert run(*call, "-o", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "comparison.png"]
    assert_fails(run(*call, "-o", out), "comparison.json must not exist")


def inspect(folder: Path) -> tuple[list, list[Path]]:
    phantom = lesion_phantom(2)
    for name, array in (("image.png", phantom.image[12]), ("label.png", phantom.labels[12])):
        sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.uint8)), str(folder / name))
    return ["inspect", folder / "image.png", folder / "label.png"], [folder / "image.png", folder / "label.png"]


def advise(folder: Path) -> tuple[list, list[Path]]:
    data = write_nnunet_phantoms(folder, num_train=2, num_test=0)
    return ["advise", data], [data / "labelsTr" / "c_000.nii.gz"]


@pytest.mark.parametrize("make", [inspect, advise])
def test_a_picture_replaces_no_file_unasked_and_never_an_input(run, make, tmp_path: Path) -> None:
    call, inputs = make(tmp_path)
    for path in inputs:
        before = path.read_bytes()
        (tmp_path / "link.png").symlink_to(path)
        for given in (path, tmp_path / "link.png"):
            for force in ([], ["--force"]):
                done = run(*call, "-o", given, *force)
                assert_fails(done, f"--output must be another file than what is read, got {given}; choose another")
        assert path.read_bytes() == before
        (tmp_path / "link.png").unlink()
    earlier = tmp_path / "out.png"
    earlier.write_text("of the user")
    assert_fails(run(*call, "-o", earlier), f"{earlier} must not exist, got a file; pass --force or another --output")
    assert earlier.read_text() == "of the user"
    assert run(*call, "-o", earlier, "--force").exit_code == 0
    assert earlier.read_bytes().startswith(b"\x89PNG")
    assert run(*call, "-o", tmp_path / "new.png").exit_code == 0
