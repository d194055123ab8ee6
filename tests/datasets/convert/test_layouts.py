"""Every layout a challenge was published in becomes a data set that nnU-Net and MONAI read."""

from __future__ import annotations

import json
import random
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.auto3dseg import datafold_read
from monai.data import load_decathlon_datalist
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

from monai_boundary.datasets.convert import CHALLENGES
from monai_boundary.datasets.datalist import read_datalist
from tests.datasets.convert import trees
from tests.datasets.convert.trees import convert

COUNTS = {"wmh": (6, 0), "isles2018": (6, 2), "isles2022": (5, 0), "acdc": (10, 2)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_nnunet_and_monai_read_what_was_written(challenge: str, tmp_path: Path) -> None:
    source = trees.TREES[challenge](tmp_path / "download")
    result = convert(source, tmp_path / "raw", challenge)
    assert (result.found, result.skipped, len(result.written)) == (COUNTS[challenge], {}, sum(COUNTS[challenge]))
    folder, kind = result.folder, CHALLENGES[challenge]
    if challenge in ("wmh", "isles2022"):  # an ignored label, a resampled channel; it starts a process
        verify_dataset_integrity(str(folder), num_processes=1)
    content = json.loads((folder / "dataset.json").read_text())
    assert list(content["channel_names"].values()) == list(kind.channels)
    assert content["labels"] == kind.labels
    assert content["numTraining"] == COUNTS[challenge][0] == len(names(folder / "labelsTr"))
    assert len(names(folder / "imagesTr")) == COUNTS[challenge][0] * len(kind.channels)
    entries = load_decathlon_datalist(folder / "datalist.json", data_list_key="training", base_dir=folder)
    assert all(Path(file).is_file() for entry in entries for file in [*entry["image"], entry["label"]])
    for fold in range(5):  # as MONAI's Auto3DSeg splits them: fold 0 is the split that was published
        parts = datafold_read(str(folder / "datalist.json"), str(folder), fold)
        splits = read_datalist(folder, fold)
        for split, part in zip(("training", "validation"), parts, strict=True):
            found = [Path(entry["case"]).name for entry in part]
            assert found == [case.case for case in splits[split]]
            assert fold or found == result.splits[split]
        assert splits["validation"]
    assert len(read_datalist(folder).get("test", [])) == COUNTS[challenge][1]
    (fold,) = json.loads((folder / "splits_final.json").read_text())
    assert fold == {"train": result.splits["training"], "val": result.splits["validation"]}


@pytest.mark.parametrize("dataverse", [False, True])
def test_wmh_takes_the_right_files_and_keeps_every_label(dataverse: bool, tmp_path: Path) -> None:
    source = trees.wmh(tmp_path / "download", dataverse)
    result = convert(source, tmp_path / "raw")
    cases = ["GE3T_0", "GE3T_1", "Singapore_50", "Singapore_51", "Utrecht_100", "Utrecht_101"]
    assert names(result.folder / "labelsTr") == [f"{case}.nii.gz" for case in cases]
    tests = ["GE1T5_150.nii.gz", "Philips_VU_PETMR_01_151.nii.gz", "Utrecht_152.nii.gz"]
    assert names(result.folder / "labelsTs") == (tests if dataverse else [])
    training = source / "training" if dataverse else source
    subject = training / "Singapore" / "50"
    for channel, name in enumerate(("FLAIR", "T1")):
        original = nib.load(subject / "pre" / f"{name}.nii.gz")
        written = nib.load(result.folder / "imagesTr" / f"Singapore_50_{channel:04d}.nii.gz")
        np.testing.assert_array_equal(written.get_fdata(), original.get_fdata())
        np.testing.assert_allclose(written.affine, original.affine, atol=1e-6)
    label = nib.load(result.folder / "labelsTr" / "Singapore_50.nii.gz")
    np.testing.assert_array_equal(label.get_fdata(), trees.mask(1, 2))
    assert label.get_data_dtype() == np.uint8


def test_the_published_draw_of_60_cases(tmp_path: Path) -> None:
    for number, site in enumerate(("Utrecht", "Singapore", "GE3T")):
        for subject in range(20):
            trees.wmh_case(tmp_path / "download" / site / str(50 * number + subject), subject)
    result = convert(tmp_path / "download", tmp_path / "raw", dry_run=True)
    # slice_wmh.py of the published code: random.seed(0); random.sample(sorted paths, 10)
    paths = sorted(str(path.parent) for path in (tmp_path / "download").rglob("wmh.nii.gz"))
    random.seed(0)
    drawn = random.sample(paths, 10)
    assert result.splits["validation"] == sorted("_".join(Path(path).parts[-2:]) for path in drawn)
    assert len(result.splits["training"]) == 50


@pytest.mark.parametrize("perfusion", ["CT_4DPWI", "MR_4DPWI"])
def test_isles2018_keeps_training_and_test_cases_of_one_number_apart(perfusion: str, tmp_path: Path) -> None:
    source = trees.isles2018(tmp_path / "download", perfusion)
    result = convert(source, tmp_path / "raw", "isles2018")
    assert names(result.folder / "labelsTr") == [f"case_{number}.nii.gz" for number in range(1, 7)]
    assert len(names(result.folder / "imagesTs")) == 10
    assert not (result.folder / "labelsTs").exists()
    tmax = next((source / "TRAINING" / "case_3").glob("*CT_Tmax*/*.nii"))
    written = nib.load(result.folder / "imagesTr" / "case_3_0004.nii.gz")
    np.testing.assert_allclose(written.get_fdata(), nib.load(tmax).get_fdata(), rtol=1e-7)


@pytest.mark.parametrize("rawdata", [False, True])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_isles2022_brings_flair_onto_the_grid_of_dwi(rawdata: bool, ending: str, tmp_path: Path) -> None:
    source = trees.isles2022(tmp_path / "download", rawdata, ending)
    result = convert(source, tmp_path / "raw", "isles2022")
    assert len(result.written) == 5
    assert all("FLAIR resampled onto the grid of DWI" in notes[0] for notes in result.notes.values())
    moved = nib.load(result.folder / "imagesTr" / "sub-strokecase0002_0002.nii.gz")
    expected = trees.linear(trees.SHAPE, trees.AFFINE)
    inside = (slice(None), slice(None), slice(0, 4))
    np.testing.assert_allclose(moved.get_fdata()[inside], expected[inside], atol=1e-3)
    np.testing.assert_allclose(moved.affine, trees.AFFINE, atol=1e-6)


def test_acdc_keeps_the_frames_of_a_patient_together(tmp_path: Path) -> None:
    result = convert(trees.acdc(tmp_path / "download"), tmp_path / "raw", "acdc", dry_run=True)
    assert (result.folder.name, result.folder.exists(), len(result.written)) == ("Dataset027_ACDC", False, 12)
    patients = {split: {case[:10] for case in cases} for split, cases in result.splits.items()}
    assert len(patients["validation"]) == 1
    assert not patients["validation"] & patients["training"]
    assert len(result.splits["validation"]) == 2


def test_the_split_does_not_move_when_one_case_is_damaged(tmp_path: Path) -> None:
    source = trees.isles2018(tmp_path / "download")
    before = convert(source, tmp_path / "a", "isles2018", dry_run=True).splits
    next((source / "TRAINING" / "case_1").glob("*CT_MTT*/*.nii")).unlink()
    after = convert(source, tmp_path / "a", "isles2018", dry_run=True).splits
    assert {split: [case for case in cases if case != "case_1"] for split, cases in before.items()} == after


@pytest.mark.parametrize(("challenge", "folder"), [("wmh", "test"), ("isles2018", "TESTING"), ("acdc", "testing")])
def test_a_download_in_a_folder_called_test_keeps_its_training_cases(
    challenge: str, folder: str, tmp_path: Path
) -> None:
    source = trees.wmh(tmp_path / folder, True) if challenge == "wmh" else trees.TREES[challenge](tmp_path / folder)
    result = convert(source, tmp_path / "raw", challenge, dry_run=True)
    assert (result.found, result.skipped) == ((COUNTS[challenge][0], 3 if challenge == "wmh" else 2), {})


def test_a_second_run_keeps_what_is_there_and_adds_what_is_new(tmp_path: Path) -> None:
    source = trees.acdc(tmp_path / "download")
    frame = source / "database" / "training" / "patient002" / "patient002_frame01_gt.nii.gz"
    hidden = frame.rename(tmp_path / "hidden.nii.gz")
    first = convert(source, tmp_path / "raw", "acdc", dataset_id=4)
    assert first.folder.name == "Dataset004_ACDC"
    assert list(first.skipped) == ["patient002_frame01"]
    images = {path: path.stat().st_mtime_ns for path in first.folder.glob("images*/*")}
    hidden.rename(frame)
    second = convert(source, tmp_path / "raw", "acdc", dataset_id=4)
    assert second.written == ["patient002_frame01"]
    assert len(second.kept) == 11
    assert {path: path.stat().st_mtime_ns for path in images} == images
