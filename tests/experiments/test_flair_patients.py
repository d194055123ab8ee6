"""FLAIR patients are those that the folders hold: other people's, too."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from experiments.evidence.flair import GRID, PATIENTS, flair_patients, flair_split


def save_patient(data, name, shape=GRID):
    generator = np.random.default_rng(len(name))
    for part, values in (("images", generator.random(shape, np.float32)), ("labels", generator.random(shape) > 0.99)):
        folder = data / "mslesseg_flair" / part
        folder.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), folder / f"{name}_FLAIR.nii.gz")


def test_each_patient_in_the_folder_is_reported_once_and_no_other(tmp_path):
    assert flair_patients(tmp_path) == PATIENTS  # --table needs no data
    for name in ("Q2", "P39", "Q1"):
        save_patient(tmp_path, name)
    assert flair_patients(tmp_path) == ("P39", "Q1", "Q2")
    split = flair_split(tmp_path, "Q2")
    assert [case.group for case in split.test] == ["Q2"]
    assert {case.group for case in split.train} == {case.group for case in split.valid} == {"P39", "Q1"}
    with pytest.raises(ValueError, match=r"folds must be of the patients in .*\('P39', 'Q1', 'Q2'\); got 'P14'"):
        flair_split(tmp_path, "P14")


def test_a_volume_of_another_grid_is_not_cut_like_the_others(tmp_path):
    save_patient(tmp_path, "Q1", (182, 218, 181))
    with pytest.raises(ValueError, match=r"Q1_FLAIR.nii.gz must have the grid \(182, 218, 182\) of the other .* 181"):
        flair_split(tmp_path, "Q1")
