"""`monai-boundary inspect`, and every way in which its input can be wrong."""

import math

import nibabel as nib
import numpy as np
import pytest

from monai_boundary.cli import options
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.kernels.distance import CONVENTIONS
from tests.cli.calling import assert_fails


def test_inspect_prints_the_facts_and_writes_the_picture(run, case):
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "out.png", "--clip", "10")
    assert result.exit_code == 0, result.stderr
    lines = dict(line.split(":", 1) for line in result.stdout.splitlines() if ":" in line)
    facts = {name: text.strip() for name, text in lines.items()}
    assert facts["spacing"] == "3 x 1 x 1 mm (z, y, x)"
    assert (facts["unit"], facts["convention"], facts["clip"]) == ("mm", "half", "10 mm")
    assert facts["classes"] == "2 with the background (0 to 1)"
    assert facts["absent"] == "none"
    share = 100 * lesion_phantom(2).labels.mean()
    assert facts["foreground"] == f"{share:.4f} % of the voxels"
    assert "to   +10.00" in result.stdout
    assert (case / "out.png").read_bytes().startswith(b"\x89PNG")


def test_inspect_names_absent_classes_and_leaves_ignored_voxels_out(run, case):
    labels = lesion_phantom(2).labels.astype(np.int16) * 3
    labels[0] = 9
    write_volume(case / "label.nii.gz", labels, (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "out.png", "--ignore-index", "9")
    assert result.exit_code == 0, result.stderr
    assert "absent:        1, 2\n" in result.stdout
    assert "ignored:       4096 voxels\n" in result.stdout


def test_inspect_of_a_case_without_foreground_says_so(run, case):
    write_volume(case / "label.nii.gz", np.zeros((24, 64, 64), np.uint8), (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "out.png")
    assert result.exit_code == 0, result.stderr
    assert "no foreground class" in result.stdout
    assert "absent:        1\n" in result.stdout


def test_a_missing_file_is_named(run, case):
    assert_fails(run("inspect", case / "no.nii.gz", case / "label.nii.gz", "-o", case / "o.png"), "no.nii.gz", "exist")


@pytest.mark.parametrize("name", ["text.nii.gz", "text.txt"])
def test_a_file_that_is_no_nifti_is_refused(run, case, name):
    (case / name).write_text("no image")
    result = run("inspect", case / name, case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, name, "must be a complete NIfTI file")


def test_a_truncated_file_is_refused(run, case):
    whole = (case / "image.nii.gz").read_bytes()
    (case / "image.nii.gz").write_bytes(whole[: len(whole) // 2])
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "image.nii.gz", "must be a complete NIfTI file")


def test_a_label_of_another_shape_is_refused(run, case):
    write_volume(case / "label.nii.gz", np.zeros((12, 64, 64), np.uint8), (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "same shape", "(24, 64, 64) and (12, 64, 64)")


def test_a_label_of_another_spacing_is_refused(run, case):
    write_volume(case / "label.nii.gz", lesion_phantom(2).labels, (2.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "same place", "(3.0, 1.0, 1.0) and (2.0, 1.0, 1.0)")


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan])
def test_labels_that_are_no_labels_are_refused(run, case, value):
    write_volume(case / "label.nii.gz", np.full((24, 64, 64), value, np.float32), (3.0, 1.0, 1.0))
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "label.nii.gz must hold labels (integers >= 0)")


def test_an_image_with_channels_is_refused(run, case):
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 2), np.float32), np.eye(4)), case / "image.nii.gz")
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png")
    assert_fails(result, "must hold one 3-D volume", "(8, 8, 8, 2)")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--clip", "-3"], "clip must be finite and > 0, got -3"),
        (["--class", "7"], "[1], got 7"),
    ],
)
def test_wrong_options_are_refused(run, case, options, text):
    assert_fails(run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "o.png", *options), text)


@pytest.mark.parametrize("name", ["o.xyz", "o", "missing/o.png"])
def test_an_output_that_cannot_be_written_is_refused(run, case, name):
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / name)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert name in result.stderr


def test_the_conventions_are_those_of_the_kernels():
    assert tuple(options.CONVENTIONS.choices) == CONVENTIONS
