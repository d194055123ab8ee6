"""`monai-boundary inspect`, and every way in which its input can be wrong."""

import math
import re

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from matplotlib.image import imread

from monai_boundary.cli import inspection
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


def test_inspect_shows_by_default_what_the_default_loss_sees(run, case):
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "a.png")
    assert result.exit_code == 0, result.stderr
    assert "map:           preset 'clipped'\n" in result.stdout
    assert "clip:          10 mm\n" in result.stdout
    assert re.search(r"range of its map\n +1 .* -\d+\.\d\d to +\+1\.00\n", result.stdout)
    other = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "b.png", "--preset", "published")
    assert "map:           preset 'published'\n" in other.stdout
    assert "range of its map in mm\n" in other.stdout
    assert (case / "a.png").read_bytes() != (case / "b.png").read_bytes()
    both = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / "c.png", "--preset", "robust",
               "--clip", "3")  # fmt: skip
    assert_fails(both, "--preset sets clip and convention: leave out --clip and --convention")


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_inspect_takes_pictures(run, tmp_path, ending):
    labels = np.zeros((60, 90), np.uint8)
    labels[5:20, 10:60] = 1
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(image, isVector=True), tmp_path / f"image{ending}")
    sitk.WriteImage(sitk.GetImageFromArray(labels), tmp_path / f"label{ending}")
    files = [tmp_path / f"image{ending}", tmp_path / f"label{ending}"]
    result = run("inspect", *files, "-o", tmp_path / "o.png", "--clip", "8")
    assert result.exit_code == 0, result.stderr
    assert "shape:         1 x 60 x 90 (z, y, x)\n" in result.stdout
    assert "spacing:       1 x 1 x 1 px (z, y, x)\n" in result.stdout
    assert "range of its map in px" in result.stdout
    assert "-7.50 to    +8.00" in result.stdout
    picture = imread(tmp_path / "o.png")[..., :3]
    red = (picture[..., 0] > picture[..., 2] + 0.25) & (picture[..., 1] < 0.6)  # the inside of the map
    rows, columns = np.nonzero(red[len(red) // 2 :, : int(0.8 * red.shape[1])])
    assert np.median(rows) < 0.45 * len(red) / 2  # the object is in the upper left part, as in the file
    assert np.median(columns) < 0.5 * red.shape[1]


def write(name, array, spacing=(3.0, 1.0, 1.0)):
    return lambda case: write_volume(case / name, array, spacing)


def truncate(case):
    whole = (case / "image.nii.gz").read_bytes()
    (case / "image.nii.gz").write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("change", "image", "options", "parts"),
    [
        (None, "no.nii.gz", [], ["no.nii.gz", "exist"]),
        (lambda case: (case / "text.nii.gz").write_text("no image"), "text.nii.gz", [],
         ["text.nii.gz", "must be a complete NIfTI file"]),
        (lambda case: (case / "text.txt").write_text("no image"), "text.txt", [],
         ["text.txt", "must be a complete image that SimpleITK reads"]),
        (truncate, "image.nii.gz", [], ["image.nii.gz", "must be a complete NIfTI file"]),
        (write("label.nii.gz", np.zeros((12, 64, 64), np.uint8)), "image.nii.gz", [],
         ["must lie on one grid", "(24, 64, 64) and (12, 64, 64)"]),
        (write("label.nii.gz", lesion_phantom(2).labels, (2.0, 1.0, 1.0)), "image.nii.gz", [],
         ["must lie on one grid", "(3.0, 1.0, 1.0) and (2.0, 1.0, 1.0)"]),
        *((write("label.nii.gz", np.full((24, 64, 64), value, np.float32)), "image.nii.gz", [],
           ["label.nii.gz must hold labels (integers >= 0)"]) for value in (0.5, -1.0, math.nan)),
        (lambda case: nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 2), np.float32), np.eye(4)), case / "image.nii.gz"),
         "image.nii.gz", [], ["must hold one 3-D volume", "(8, 8, 8, 2)"]),
        (None, "image.nii.gz", ["--clip", "-3"], ["clip must be finite and > 0, got -3"]),
        (None, "image.nii.gz", ["--class", "7"], ["[1], got 7"]),
    ],
)  # fmt: skip
def test_what_cannot_be_inspected_is_named(run, case, change, image, options, parts):
    if change is not None:
        change(case)
    assert_fails(run("inspect", case / image, case / "label.nii.gz", "-o", case / "o.png", *options), *parts)


@pytest.mark.parametrize("name", ["o.xyz", "o", "missing/o.png"])
def test_an_output_that_cannot_be_written_is_refused(run, case, name):
    result = run("inspect", case / "image.nii.gz", case / "label.nii.gz", "-o", case / name)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert name in result.stderr


def test_the_conventions_are_those_of_the_kernels():
    assert inspection.CONVENTIONS == CONVENTIONS
