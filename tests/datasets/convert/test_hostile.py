"""Damaged and hostile downloads: nothing is lost, invented, or written outside the target."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_boundary.datasets.convert.case import read_case, write_case
from tests.cli.calling import assert_fails
from tests.datasets.convert import trees
from tests.datasets.convert.trees import convert

CASE = Path("Singapore") / "50"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return trees.wmh(tmp_path / "download")


def snapshot(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.lstat().st_mtime_ns for path in root.rglob("*") if not path.is_dir()}


def volume(*arguments, **options):
    return lambda path: trees.volume(path, *arguments, **options)


def write(content: bytes):
    return lambda path: path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flipped_bit(path: Path) -> None:
    content = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), 0))  # stored, so that only the sum is wrong
    content[-100] ^= 1
    path.write_bytes(content)


def header(place: int, value: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[place] = value
        path.write_bytes(gzip.compress(bytes(content)))

    return damage


def leads_out(path: Path) -> None:
    outside = path.parents[4] / "secret.nii.gz"
    shutil.move(path, outside)
    path.symlink_to(outside)


def leads_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone.nii.gz"))


NOT_FINITE = np.ones(trees.SHAPE)
NOT_FINITE[3, 3, 3] = np.nan
MOVED = trees.AFFINE @ np.array([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
FLAIR, T1, WMH = "pre/FLAIR.nii.gz", "pre/T1.nii.gz", "wmh.nii.gz"
FAULTS: list[tuple[str, Callable[[Path], object], str]] = [
    (T1, Path.unlink, "T1 is missing"),
    (WMH, Path.unlink, "label is missing"),
    (T1, lambda path: trees.volume(path.with_name("T1.nii")), "T1 is there 2 times"),
    (T1, truncate, "T1.nii.gz must be a complete NIfTI file"),
    (T1, flipped_bit, "T1.nii.gz must be a complete NIfTI file"),  # which gzip's checksum finds
    (FLAIR, write(b""), "FLAIR.nii.gz must be a complete NIfTI file"),
    (FLAIR, write(gzip.compress(b"no image")), "FLAIR.nii.gz must be a complete NIfTI file"),
    (FLAIR, header(71, 127), "FLAIR.nii.gz must be a complete NIfTI file"),  # type of the voxels
    (T1, header(43, 255), "T1.nii.gz must be a complete NIfTI file"),  # a negative length
    (T1, header(45, 127), "T1.nii.gz must be a complete NIfTI file"),  # 32,000 times as long
    (T1, volume(np.zeros((*trees.SHAPE, 2))), "T1.nii.gz must hold one 3-D volume, got shape (12, 10, 4, 2)"),
    (T1, volume(NOT_FINITE), "T1.nii.gz must hold finite values, got NaN or infinity in 1 voxels"),
    (T1, volume(np.zeros((12, 10, 5))), "lie on the grid of FLAIR.nii.gz, got shapes (12, 10, 5) and (12, 10, 4)"),
    (T1, volume(affine=MOVED), "at other places in space"),
    (WMH, volume(trees.mask(1), affine=MOVED), "at other places in space"),
    (WMH, volume(trees.mask(1, 7)), "must hold the labels [0, 1, 2], got [7.0]"),
    (WMH, volume(trees.mask(1) / 2), "must hold the labels [0, 1, 2], got [0.5]"),
    (T1, leads_out, "T1 is a link that leads out of the source folder"),
    (WMH, leads_nowhere, "label is a link to a file that is not there"),
]


@pytest.mark.parametrize(
    ("name", "damage", "reason"), FAULTS, ids=[f"{name} {reason}"[:50] for name, _, reason in FAULTS]
)
def test_a_damaged_case_is_skipped_with_its_reason(
    name: str, damage, reason: str, source: Path, tmp_path: Path
) -> None:
    damage(source / CASE / name)
    before = snapshot(source)
    result = convert(source, tmp_path / "raw")
    assert list(result.skipped) == ["Singapore_50"]
    assert reason in result.skipped["Singapore_50"]
    assert len(result.written) == 5
    assert not list(result.folder.rglob("Singapore_50*"))
    assert not list(result.folder.rglob(".*"))
    assert snapshot(source) == before


def test_an_empty_mask_is_kept_and_two_cases_of_one_name_are_both_left_out(source: Path, tmp_path: Path) -> None:
    trees.volume(source / CASE / "wmh.nii.gz", np.zeros(trees.SHAPE))
    result = convert(source, tmp_path / "raw")
    assert (result.skipped, result.notes) == ({}, {"Singapore_50": ["the label holds no voxel of class 1"]})
    shutil.copytree(source / CASE, source / "copy of" / CASE)
    result = convert(source, tmp_path / "other")
    assert result.skipped == {"Singapore_50": "2 cases have this name; remove or rename all but one"}


def test_names_that_climb_are_only_names(source: Path, tmp_path: Path) -> None:
    (source / CASE).rename(source / "Singapore" / "evil ..;rm -rf")
    (source / "Singapore" / "51").rename(source / "Singapore" / "x..%2f..%2fetc")
    before = snapshot(tmp_path)
    result = convert(source, tmp_path / "raw")
    assert {"Singapore_evil_rm_rf", "Singapore_x_2f_2fetc"} <= set(result.written)
    new = set(snapshot(tmp_path)) - set(before)
    assert new
    assert all(name.startswith("raw/Dataset501_WMH2017/") for name in new)


def test_a_linked_folder_is_not_followed(source: Path, tmp_path: Path) -> None:
    shutil.move(source / CASE, tmp_path / "elsewhere")
    (source / CASE).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert convert(source, tmp_path / "raw").skipped == {"Singapore/50": "a link to a folder is not followed"}


def test_other_peoples_files_are_not_overwritten(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "raw" / "Dataset501_WMH2017" / "imagesTr" / "GE3T_0_0000.nii.gz"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="must be new or made by this command, got other files in it; pass --fo"):
        convert(source, tmp_path / "raw")
    assert mine.read_text() == "mine"
    convert(source, tmp_path / "raw", overwrite=True)
    assert mine.stat().st_size > 100


CHANGES = {
    "gone": (shutil.rmtree, "cannot be made again: it is not in the source; pass --force to remove it", 5),
    "incomplete": (lambda case: (case / T1).unlink(), "cannot be made again: T1 is missing; pass --force to", 5),
    "damaged": (lambda case: truncate(case / T1), "was made from other files; pass --force to replace it", 5),
    "other": (lambda case: trees.volume(case / WMH, trees.mask(0, 1)), "was made from other files; pass --force", 6),
}


@pytest.mark.parametrize(("change", "text", "left"), CHANGES.values(), ids=CHANGES)
def test_a_case_that_has_changed_is_replaced_or_removed_only_on_demand(
    change, text: str, left: int, source: Path, tmp_path: Path
) -> None:
    folder = convert(source, tmp_path / "raw").folder
    change(source / CASE)
    before = snapshot(folder)
    with pytest.raises(FileExistsError, match=f"Singapore_50 in .* {text}"):
        convert(source, tmp_path / "raw")
    assert snapshot(folder) == before
    convert(source, tmp_path / "raw", overwrite=True)
    assert len(list(folder.glob("images*/Singapore_50*"))) == 2 * (left - 5)
    assert len(list((folder / "imagesTr").iterdir())) == 2 * left  # all of which nnU-Net would take
    assert len(convert(source, tmp_path / "raw").kept) == left


SMALL_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
from monai_boundary.datasets.convert import convert_challenge
convert_challenge("wmh", sys.argv[1], sys.argv[2], progress=False)
"""


def test_a_full_disk_leaves_no_half_case_and_the_next_run_goes_on(source: Path, tmp_path: Path) -> None:
    large = np.random.default_rng(0).normal(size=(64, 64, 20))
    for name, array in ((FLAIR, large), (T1, large), (WMH, trees.mask(1, shape=large.shape))):
        trees.volume(source / "Utrecht" / "100" / name, array)
    command = [sys.executable, "-c", SMALL_FILES, str(source), str(tmp_path / "raw"), str(100_000)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"MPLBACKEND": "agg"})
    assert done.returncode != 0
    assert "File too large" in done.stderr
    folder = tmp_path / "raw" / "Dataset501_WMH2017"
    assert len(list((folder / "labelsTr").iterdir())) == 4
    assert not [*folder.rglob("*Utrecht_100*"), *folder.rglob(".*"), *folder.glob("dataset.json")]
    result = convert(source, tmp_path / "raw")
    assert (len(result.kept), len(result.written)) == (4, 2)
    assert (folder / "dataset.json").exists()


@pytest.mark.parametrize("lost", ["conversion/GE3T_0.json", "labelsTr/GE3T_0.nii.gz"])
def test_a_kill_between_the_files_of_a_case_or_before_its_record_is_resumed(
    lost: str, source: Path, tmp_path: Path
) -> None:
    folder = convert(source, tmp_path / "raw").folder
    for name in (lost, "dataset.json"):
        (folder / name).unlink()
    result = convert(source, tmp_path / "raw")
    assert (result.written, len(result.kept)) == (["GE3T_0"], 5)
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 6


def test_a_lost_case_whose_source_is_damaged_by_now_is_skipped(source: Path, tmp_path: Path) -> None:
    folder = convert(source, tmp_path / "raw").folder
    for path in folder.rglob("Singapore_50*.nii.gz"):
        path.unlink()
    leads_nowhere(source / CASE / WMH)
    assert convert(source, tmp_path / "raw").skipped == {"Singapore_50": "label is a link to a file that is not there"}


@pytest.mark.parametrize(("earlier", "killed"), [(False, 0), (True, 0), (True, 3)])
def test_a_data_set_that_is_being_written_is_none(
    earlier: bool, killed: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if earlier:
        convert(source, tmp_path / "raw")
    left = iter(range(killed))

    def write(*arguments) -> dict[str, str]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return write_case(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("monai_boundary.datasets.convert.conversion.write_case", write)
        with pytest.raises(KeyboardInterrupt):
            convert(source, tmp_path / "raw", overwrite=earlier)
    assert not (tmp_path / "raw" / "Dataset501_WMH2017" / "dataset.json").exists()
    result = convert(source, tmp_path / "raw")
    assert (len(result.kept), len(result.written)) == (killed, 6 - killed)


def test_two_runs_at_once_mix_no_case(source: Path, tmp_path: Path) -> None:
    """They have one name and number for other images: one of them is refused, and nothing of it is in the folder."""
    other = trees.wmh(tmp_path / "two" / "download")
    for number, path in enumerate(sorted(other.rglob("pre/*.nii.gz"))):
        trees.volume(path, seed=900 + number)

    def run(download: Path) -> object:
        try:
            return convert(download, tmp_path / "raw")
        except FileExistsError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        runs = dict(zip((source, other), pool.map(run, (source, other)), strict=True))
    ((used, result),) = [(download, run) for download, run in runs.items() if not isinstance(run, FileExistsError)]
    (refused,) = [str(run) for run in runs.values() if isinstance(run, FileExistsError)]
    assert "was made from other files; pass --force to replace it" in refused
    for case in used.glob("*/*"):
        for channel, name in enumerate((FLAIR, T1)):
            written = result.folder / "imagesTr" / f"{case.parent.name}_{case.name}_{channel:04d}.nii.gz"
            np.testing.assert_array_equal(nib.load(written).get_fdata(), nib.load(case / name).get_fdata())
    assert len(convert(used, tmp_path / "raw").kept) == 6
    assert not list(result.folder.rglob(".*"))


@pytest.mark.parametrize("change", ["image", "label", "note"])
def test_what_was_changed_since_it_was_written_is_written_again(change: str, source: Path, tmp_path: Path) -> None:
    folder = convert(source, tmp_path / "raw").folder
    names = {"image": "imagesTr/GE3T_0_0001.nii.gz", "label": "labelsTr/GE3T_0.nii.gz"}
    path = folder / names.get(change, "conversion/GE3T_0.json")
    intact = path.read_bytes()
    path.write_bytes(intact[:-20] if change == "note" else (folder / "imagesTr" / "GE3T_1_0001.nii.gz").read_bytes())
    result = convert(source, tmp_path / "raw")
    assert (result.written, len(result.kept)) == (["GE3T_0"], 5)
    assert path.read_bytes() == intact


@pytest.mark.parametrize("error", [MemoryError(), PermissionError(13, "Permission denied", "T1.nii.gz")])
def test_a_case_that_cannot_be_read_stops_no_other(error: Exception, source: Path, tmp_path: Path, monkeypatch) -> None:
    def read(found, challenge):
        if found.name == "Singapore_50":
            raise error
        return read_case(found, challenge)

    monkeypatch.setattr("monai_boundary.datasets.convert.conversion.read_case", read)
    result = convert(source, tmp_path / "raw")
    assert (list(result.skipped), len(result.written)) == (["Singapore_50"], 5)
    assert result.skipped["Singapore_50"]


@pytest.mark.parametrize(
    ("source_name", "target", "options", "text"),
    [
        ("nowhere", "raw", {}, "source must be the unpacked folder of the challenge, got"),
        ("download", "raw", {"challenge": "isles2022"}, "source must hold the folder tree of ISLES2022, got no case"),
        ("download", "download/out", {}, "target must lie outside the source"),
        ("download", "raw", {"challenge": "brats"}, "must be one of 'wmh', 'isles2018', 'isles2022', 'acdc', got 'br"),
        ("download", "raw", {"dataset_id": 1000}, "dataset_id must lie in"),
    ],
)
def test_wrong_arguments_are_refused(
    source_name: str, target: str, options: dict, text: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=text):
        convert(source.with_name(source_name), tmp_path / target, **options)


# The command


def test_the_command_says_what_it_found_skipped_and_made(run, source: Path, tmp_path: Path) -> None:
    (source / CASE / "pre" / "T1.nii.gz").unlink()
    done = run("convert", "wmh", source, tmp_path / "raw")
    assert (done.exit_code, "1 case was skipped; the reasons are above" in done.stderr) == (2, True)
    for text in (
        "training cases found: 6 of 60 (not the whole data set)",
        "written: 5, from an earlier run: 0, skipped: 1",
        "skipped Singapore_50: T1 is missing",
        "as published: drawn from the sorted cases with seed 0",
        f"data set: {(tmp_path / 'raw').resolve() / 'Dataset501_WMH2017'}",
        "nnUNetv2_plan_and_preprocess -d 501",
    ):
        assert text in done.stdout
    done = run("convert", "wmh", source, tmp_path / "other", "--dry-run")
    assert (done.exit_code, (tmp_path / "other").exists()) == (2, False)
    assert "nothing was written" in done.stdout
    shutil.rmtree(source / CASE)
    assert run("convert", "wmh", source, tmp_path / "other").exit_code == 0


def test_the_command_fails_when_nothing_could_be_converted(run, source: Path, tmp_path: Path) -> None:
    for path in source.rglob("wmh.nii.gz"):
        path.unlink()
    done = run("convert", "wmh", source, tmp_path / "raw")
    assert done.exit_code == 2
    assert "skipped GE3T_0: label is missing" in done.stdout
    assert "no case of" in done.stderr
    assert_fails(run("convert", "wmh", tmp_path / "nowhere", tmp_path / "raw"), "unpacked folder")
