"""`monai-boundary advise`: what it prints, and what it does with bad cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary.datasets import building_phantom, write_nnunet_phantoms, write_volume
from monai_boundary.datasets.datalist import write_datalist
from tests.cli.calling import assert_fails


@pytest.fixture
def phantoms(tmp_path):
    return write_nnunet_phantoms(tmp_path, num_train=4, num_test=1)


def empty(folder, case):
    write_volume(folder / "labelsTr" / f"{case}.nii.gz", np.zeros((24, 64, 64), np.uint8), (3.0, 1.0, 1.0))


def test_figures_verdict_settings_and_page_are_printed(run, phantoms):
    result = run("advise", phantoms)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "Dataset900_LesionPhantoms: 4 volumes" in text
    assert "spacing 3 x 1 x 1 mm (z, y, x), anisotropy 3" in text
    assert "class cases without share % lesions lesion mm^3 lesion voxels boundary lesion 4 0 0." in text
    assert "lesions that are tiny and many: lesion why 0." in text
    assert "A lead only." in text
    assert "docs/evidence/lesions.md" in text
    assert "nnUNetTrainerDiceCEBoundary, map clipped, share 0.2 to 0.5 of the gradient" in text
    assert "compare both by monai-boundary compare" in text
    assert "labels: 100%" in result.stderr


def test_json_holds_all_figures_and_the_advice(run, phantoms, tmp_path):
    result = run("advise", phantoms, "--json", "-o", tmp_path / "sizes.png")
    found = json.loads(result.stdout)
    assert (found["cases"], found["failed"], found["spacing"]["z"]["median"]) == (4, {}, 3.0)
    assert found["classes"]["lesion"]["lesion_size"]["mm^3"]["median"] > 0
    (advice,) = found["advice"]
    assert (advice["kind"], advice["verdict"]) == ("lesions that are tiny and many", "lead")
    assert advice["share"] == [0.2, 0.5]
    assert (tmp_path / "sizes.png").read_bytes().startswith(b"\x89PNG")


def test_a_datalist_is_taken_as_well(run, splits, tmp_path):
    write_datalist(tmp_path / "datalist.json", splits)
    result = run("advise", tmp_path / "datalist.json")
    assert result.exit_code == 0, result.stderr
    assert "datalist.json: 3 volumes" in result.stdout


def test_images_are_measured_in_pixels(run, tmp_path):
    (tmp_path / "labelsTr").mkdir()
    description = {"labels": {"background": 0, "building": 1}, "file_ending": ".png"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    for seed in range(3):
        label = np.squeeze(building_phantom(seed).mask).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(label), str(tmp_path / "labelsTr" / f"b_{seed}.png"))
    result = run("advise", tmp_path, "-o", tmp_path / "sizes.png")
    assert result.exit_code == 0, result.stderr
    assert ": 3 images\nspacing 1 x 1 px (y, x), anisotropy 1\n" in result.stdout
    assert "buildings: building" in result.stdout
    assert "A lead only." in result.stdout
    assert f"wrote {tmp_path / 'sizes.png'}" in result.stdout


def test_cases_that_cannot_be_read_are_named_after_what_the_others_say(run, phantoms):
    (phantoms / "labelsTr" / "c_002.nii.gz").write_bytes(b"no label map")
    result = run("advise", phantoms)
    assert result.exit_code == 2
    assert "3 volumes" in result.stdout
    assert "A lead only." in result.stdout
    assert "error: 1 of 4 cases not counted: c_002: " in result.stderr


def test_without_foreground_there_is_nothing_to_advise_on(run, phantoms, tmp_path):
    for number in range(4):
        empty(phantoms, f"c_00{number}")
    result = run("advise", phantoms, "-o", tmp_path / "sizes.png")
    assert result.exit_code == 0, result.stderr
    assert "lesion  0      4" in result.stdout
    assert "no foreground in any case: nothing to advise on" in result.stdout
    assert "lead" not in result.stdout


def test_labels_that_no_class_names_are_told(run, phantoms):
    array = np.full((24, 64, 64), 7, np.uint8)
    write_volume(phantoms / "labelsTr" / "c_000.nii.gz", array, (3.0, 1.0, 1.0))
    assert "label 7, in 1 case, is of no class (classes: lesion)" in run("advise", phantoms).stdout


def test_an_empty_data_set_and_a_wrong_path_are_errors(run, phantoms, tmp_path):
    for file in (phantoms / "labelsTr").iterdir():
        file.unlink()
    assert_fails(run("advise", phantoms), phantoms, "must hold labelled cases to train on, got none")
    assert_fails(run("advise", tmp_path / "no"), tmp_path / "no", "does not exist")


def test_a_list_needs_neither_images_nor_test_cases_and_a_lost_label_is_named(run, phantoms):
    cases = [f"c_00{number}" for number in range(4)]
    listed = [{"image": f"./no/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in cases[:3]]
    content = {"labels": {"0": "background", "1": "lesion"}, "training": listed, "test": ["./no/t.nii.gz"]}
    (phantoms / "dataset.json").write_text(json.dumps(content))
    (phantoms / "labelsTr" / "c_001.nii.gz").unlink()
    result = run("advise", phantoms)
    assert result.exit_code == 2
    assert ": 2 volumes" in result.stdout  # c_003 is in no list
    assert "A lead only." in result.stdout
    assert f"error: 1 of 3 cases not counted: c_001: {phantoms}/labelsTr/c_001.nii.gz does not exist" in result.stderr
