"""The consensus of two models: which lesions stay, of arrays and of folders, and what is never lost or replaced."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from monai_boundary._files import only_writer
from monai_boundary.datasets import write_volume
from monai_boundary.evaluation.consensus import ClassConsensus, ConsensusRule, consensus
from tests.cli.calling import assert_fails

SPACING = (3.0, 1.0, 1.0)


def labels(*boxes: tuple, shape: tuple[int, ...] = (6, 20, 20)) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    for value, *edges in boxes:
        array[tuple(slice(*edge) for edge in edges)] = value
    return array


BOTH, ALONE = (1, (1, 3), (2, 6), (2, 6)), (1, (1, 3), (12, 15), (12, 15))
ONLY_B, OTHER_CLASS = (1, (4, 6), (16, 19), (2, 5)), (2, (1, 3), (2, 6), (12, 16))
A = labels(BOTH, ALONE, OTHER_CLASS)
B = labels((1, (1, 3), (4, 8), (2, 6)), ONLY_B, (1, (1, 3), (2, 6), (13, 15)))  # half, new, of another class


# Arrays


def test_what_the_other_does_not_hold_in_this_class_is_removed() -> None:
    found, counts = consensus(A, B)
    np.testing.assert_array_equal(found, labels(BOTH))
    assert counts == [ClassConsensus(1, 2, 1, 0), ClassConsensus(2, 1, 0, 0)]
    assert found.dtype == np.uint8


def test_the_union_keeps_all_and_adds_what_the_other_has_alone() -> None:
    found, counts = consensus(A, B, rule=ConsensusRule(union=True))
    alone = labels((1, (1, 3), (2, 6), (13, 15)), ONLY_B)  # the first under the other class of A
    np.testing.assert_array_equal(found, np.where((A == 0) & (alone > 0), alone, A))
    np.testing.assert_array_equal(found, labels(BOTH, ALONE, OTHER_CLASS, ONLY_B))
    assert counts == [ClassConsensus(1, 2, 1, 1), ClassConsensus(2, 1, 0, 0)]


@pytest.mark.parametrize(("overlap", "kept"), [(0.0, True), (0.5, True), (0.51, False), (1.0, False)])
def test_the_overlap_is_a_share_of_the_lesion(overlap: float, kept: bool) -> None:
    found, _ = consensus(labels(BOTH), B, rule=ConsensusRule(overlap))
    assert found.any() == kept


@pytest.mark.parametrize("distance", [0.0, 2.9, 3.0, 4.0, 4.3, 50.0])
@pytest.mark.parametrize("union", [False, True])
def test_the_distance_is_that_of_the_nearest_voxels_in_mm(distance: float, union: bool, rng) -> None:
    first, second = (
        np.digitize(ndimage.gaussian_filter(rng.standard_normal((8, 24, 22)), 1.2), (0.22, 0.28)) for _ in range(2)
    )
    found, counts = consensus(first, second, SPACING, ConsensusRule(distance_mm=distance, union=union))
    expected = first.copy()
    for label in (1, 2):
        far = ndimage.distance_transform_edt(second != label, SPACING)
        ids, number = ndimage.label(first == label, np.ones((3, 3, 3)))
        lost = [one for one in range(1, number + 1) if far[ids == one].min() > distance + 1e-9]
        count = next(one for one in counts if one.label == label)
        assert (count.lesions, count.confirmed) == (number, number - len(lost))
        assert number > 5
        assert bool(lost) == (distance < 50)
        if union:
            back = ndimage.distance_transform_edt(first != label, SPACING)
            ids, number = ndimage.label(second == label, np.ones((3, 3, 3)))
            new = [one for one in range(1, number + 1) if back[ids == one].min() > distance + 1e-9]
            expected[np.isin(ids, new) & (first == 0)] = label
            assert count.added == sum((first[ids == one] == 0).any() for one in new)
        else:
            expected[np.isin(ids, lost)] = 0
    np.testing.assert_array_equal(found, expected)


def test_a_slice_further_is_as_far_as_slices_are_thick() -> None:
    first, second = labels((1, (0, 1), (2, 4), (2, 4))), labels((1, (1, 2), (2, 4), (2, 4)))
    kept = [
        consensus(first, second, SPACING, ConsensusRule(distance_mm=distance))[0].any() for distance in (1.0, 2.9, 3.0)
    ]
    assert kept == [False, False, True]


def test_nothing_confirms_nothing_and_images_of_one_slice_are_looked_at_alike() -> None:
    empty = np.zeros((1, 6, 6), int)
    point = empty.copy()
    point[0, 2, 2] = 300
    for first, second, kept in ((empty, empty, 0), (empty, point, 0), (point, empty, 0), (point, point, 300)):
        for ndim in (3, 2):
            found, _ = consensus(*(array if ndim == 3 else array[0] for array in (first, second)))
            assert found.max() == kept
    assert consensus(point, empty, SPACING, ConsensusRule(distance_mm=9.0))[0].max() == 0
    assert consensus(empty, point, rule=ConsensusRule(union=True))[0].max() == 300


def test_thirty_thousand_components_are_no_more_work_than_one(rng) -> None:
    first = (rng.random((132, 128, 128)) > 0.98).astype(np.uint8)
    second = (first > 0) & (rng.random(first.shape) > 0.5)
    found, (count,) = consensus(first, second.astype(np.uint8))
    assert count.lesions > 30_000
    assert 0.4 < count.confirmed / count.lesions < 0.7
    assert ndimage.label(found, np.ones((3, 3, 3)))[1] == count.confirmed


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ConsensusRule(2), ValueError, r"overlap must lie in \[0, 1\], got 2"),
        (lambda: ConsensusRule(distance_mm=-1), ValueError, "distance_mm must be finite and >= 0, got -1"),
        (lambda: ConsensusRule(distance_mm=math.nan), ValueError, "distance_mm must be finite and >= 0, got nan"),
        (lambda: ConsensusRule(0.5, 3.0), ValueError, "overlap must be 0 where distance_mm is given, got 0.5"),
        (lambda: consensus(A, B[:3]), ValueError, r"first and second must have the same shape, got \(6, 20, 20\) and"),
        (lambda: consensus(A, B * 0.5), ValueError, "second must hold ids, integers >= 0, got float64 with values"),
        (
            lambda: consensus(labels(BOTH), 255 * labels(BOTH)),
            ValueError,
            r"second must .*, \[1\], got \[255\]; div",
        ),
        (
            lambda: consensus(255 * labels(BOTH), B),
            ValueError,
            r"first must hold .*, \[1\], got \[255\]; divide",
        ),
        (lambda: consensus(A.astype(int) * 70_000, B), ValueError, "first must hold classes below 65536, got 140000"),
        (lambda: consensus(A, B, (1.0,)), ValueError, r"spacing must hold .*\(3\), got \(1.0,\)"),
    ],
)
def test_wrong_arguments_are_refused(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# Folders


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for case in ("c1", "c2"):
        write_volume(tmp_path / "a" / f"{case}.nii.gz", A, SPACING)
    write_volume(tmp_path / "b" / "c1_0000.nii.gz", B, SPACING)
    (tmp_path / "b" / "c2").mkdir()
    write_volume(tmp_path / "b" / "c2" / "c2_0000.nii.gz", A, SPACING)
    return tmp_path / "a", tmp_path / "b", tmp_path / "out"


def stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj).T


def test_the_command_writes_a_label_map_per_case(run, folders) -> None:
    a, b, out = folders
    done = run("consensus", a, b, "-o", out)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == ["c1.nii.gz", "c2.nii.gz", "consensus.json"]
    assert "class 1: 4 lesions in A, 3 confirmed by B, 1 removed\nclass 2: 2 lesions in A, 1 confirmed" in done.stdout
    np.testing.assert_array_equal(stored(out / "c1.nii.gz"), labels(BOTH))
    np.testing.assert_array_equal(stored(out / "c2.nii.gz"), A)
    summary = json.loads((out / "consensus.json").read_text())
    assert summary["complete"] is True
    assert summary["rule"] == {"overlap": 0.0, "distance_mm": None, "union": False}
    assert summary["cases"]["c1"] == [
        {"label": 1, "lesions": 2, "confirmed": 1, "added": 0}, {"label": 2, "lesions": 1, "confirmed": 0, "added": 0},
    ]  # fmt: skip
    before = (out / "c1.nii.gz").read_bytes()
    assert_fails(run("consensus", a, b, "-o", out, "--union"), "consensus.json must not exist", "--force")
    assert (out / "c1.nii.gz").read_bytes() == before
    done = run("consensus", a, b, "-o", out, "--union", "--force")
    assert "class 1: 4 lesions in A, 3 confirmed by B, 1 not and kept, 1 of B alone added" in done.stdout
    assert (stored(out / "c1.nii.gz") == labels(BOTH, ALONE, OTHER_CLASS, ONLY_B)).all()
    assert run("consensus", a, b, "-o", out, "--distance", "0.9", "--force").exit_code == 0
    assert run("consensus", a, b, "-o", out, "--overlap", "0.6", "--force").exit_code == 0
    assert not stored(out / "c1.nii.gz").any()
    assert_fails(run("consensus", a, b, "-o", out, "--overlap", "1", "--distance", "1"), "must not be given together")


@pytest.mark.parametrize("union", [False, True])
@pytest.mark.parametrize(("in_a", "in_b"), [(1, 255), (255, 1), (1, 2), (3, 255)])
def test_folders_without_a_class_in_common_are_refused(run, folders, in_a: int, in_b: int, union: bool) -> None:
    a, b, out = folders
    for case in ("c1", "c2"):
        write_volume(a / f"{case}.nii.gz", labels((in_a, *BOTH[1:])), SPACING)
    write_volume(b / "c1_0000.nii.gz", labels((in_b, *BOTH[1:])), SPACING)
    write_volume(b / "c2" / "c2_0000.nii.gz", 0 * A, SPACING)
    done = run("consensus", a, b, "-o", out, *["--union"] * union)
    text = f"A and B must hold the same classes, got {in_a} alone in A and {in_b} alone in B; change the values"
    assert_fails(done, text)
    assert not out.exists() or not list(out.glob("*.nii.gz"))


@pytest.mark.parametrize("other", [labels((255, *BOTH[1:])), labels((255, *BOTH[1:]), (1, *ALONE[1:]))])
def test_a_single_mask_of_255_beside_files_of_1_is_not_made(run, folders, other: np.ndarray) -> None:
    a, b, out = folders
    write_volume(a / "c1.nii.gz", labels(BOTH), SPACING)
    write_volume(b / "c1_0000.nii.gz", other, SPACING)
    done = run("consensus", a, b, "-o", out)
    assert done.exit_code == 2
    assert "not made: c1: second must hold classes of the other side, [1], got [" in done.stdout
    assert not (out / "c1.nii.gz").exists()
    assert (out / "c2.nii.gz").exists()


def test_folders_of_which_one_finds_nothing_are_made(run, folders) -> None:
    a, b, out = folders
    for file in (b / "c1_0000.nii.gz", b / "c2" / "c2_0000.nii.gz"):
        write_volume(file, 0 * A, SPACING)
    assert run("consensus", a, b, "-o", out).exit_code == 0
    assert not stored(out / "c1.nii.gz").any()


def test_grid_and_orientation_are_those_of_a(run, folders) -> None:
    a, b, out = folders
    affine = np.array([[0, 0, -1.0, 50], [-1.0, 0, 0, 40], [0, 3.0, 0, -7], [0, 0, 0, 1]])  # stored as y, z, x
    turned = np.ascontiguousarray(A.transpose(1, 0, 2))
    nib.save(nib.Nifti1Image(turned, affine), a / "c1.nii.gz")
    volume = nib.load(a / "c1.nii.gz")
    upright = nib.as_closest_canonical(nib.Nifti1Image(turned[:, :, :], affine))
    nib.save(upright, b / "c1_0000.nii.gz")
    assert run("consensus", a, b, "-o", out).exit_code == 0
    found = nib.load(out / "c1.nii.gz")
    np.testing.assert_allclose(found.affine, volume.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(found.dataobj), turned)
    assert found.get_data_dtype() == np.uint8


def lose_b(a: Path, b: Path) -> None:
    (b / "c1_0000.nii.gz").unlink()


def lose_a(a: Path, b: Path) -> None:
    (a / "c1.nii.gz").unlink()


def other_grid(a: Path, b: Path) -> None:
    write_volume(b / "c1_0000.nii.gz", B, (3.0, 1.0, 1.5))


def truncated(a: Path, b: Path) -> None:
    (a / "c1.nii.gz").write_bytes((a / "c1.nii.gz").read_bytes()[:-20])


LOST = {
    lose_b: ("no label map in B for 1 case: c1\n", "--allow-missing"),
    lose_a: ("no label map in A for 1 case: c1_0000.nii.gz\n", "--allow-missing"),
    other_grid: ("not made: c1: c1.nii.gz must lie on one grid", "1 case could not be made"),
    truncated: ("not made: c1: ", "1 case could not be made"),
}


@pytest.mark.parametrize("damage", LOST)
def test_a_case_that_is_not_made_is_named_and_leaves_no_file_of_an_earlier_run(damage, run, folders) -> None:
    a, b, out = folders
    assert run("consensus", a, b, "-o", out).exit_code == 0
    damage(a, b)
    said, error = LOST[damage]
    done = run("consensus", a, b, "-o", out, "--force")
    assert (done.exit_code, said in done.stdout, error in done.stderr) == (2, True, True)
    assert sorted(path.name for path in out.iterdir()) == ["c2.nii.gz", "consensus.json"]
    again = run("consensus", a, b, "-o", out, "--force", "--allow-missing")
    assert again.exit_code == (0 if error == "--allow-missing" else 2)


def test_a_file_beyond_the_memory_is_refused_by_name(run, folders, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, out = folders
    monkeypatch.setenv("MONAI_BOUNDARY_MAX_GB", "0.00001")
    done = run("consensus", a, b, "-o", out)
    assert done.exit_code == 2
    assert "not made: c1: " in done.stdout
    assert "MONAI_BOUNDARY_MAX_GB" in done.stdout


def test_other_files_and_the_predictions_themselves_stay(run, folders) -> None:
    a, b, out = folders
    for folder in (a, b, a / "new", b / "c2"):
        assert_fails(run("consensus", a, b, "-o", folder, "--force"), "output must lie outside of the predictions")
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert_fails(run("consensus", a, b, "-o", out), f"{out} must be empty, got other files in it; pass --force")
    assert run("consensus", a, b, "-o", out, "--force").exit_code == 0
    assert (out / "thesis.tex").read_text() == "years of work"
    assert_fails(run("consensus", a / "no", b, "-o", out), "A must be a folder, got")
    write_volume(b / "c1.nii.gz", B, SPACING)
    assert_fails(run("consensus", a, b, "-o", out, "--force"), "B must hold one prediction per case, got 2 for c1")


def test_a_run_that_was_killed_is_made_again(run, folders) -> None:
    a, b, out = folders
    out.mkdir()
    (out / "consensus.json").write_text('{"complete": false, "cases": ["c0", "c1", "c2"]}')
    (out / "c0.nii.gz").write_bytes(b"of a case that is gone")
    (out / "c1.nii.gz").write_bytes(b"")
    assert run("consensus", a, b, "-o", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["c1.nii.gz", "c2.nii.gz", "consensus.json"]
    assert stored(out / "c1.nii.gz").any()


def test_a_record_edited_by_hand_removes_nothing_elsewhere(run, folders, tmp_path) -> None:
    a, b, out = folders
    out.mkdir()
    (tmp_path / "case.nii.gz").write_bytes(b"precious")
    (out / "consensus.json").write_text('{"complete": false, "cases": ["../case"]}')
    assert_fails(run("consensus", a, b, "-o", out), "must be empty, got other files in it; pass --force")
    assert run("consensus", a, b, "-o", out, "--force").exit_code == 0
    assert (tmp_path / "case.nii.gz").read_bytes() == b"precious"


def test_a_kill_in_the_middle_leaves_a_record_that_is_not_complete(run, folders, monkeypatch) -> None:
    a, b, out = folders

    def killed(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("monai_boundary.evaluation.consensus_folder.write_labels", killed)
        assert run("consensus", a, b, "-o", out).exit_code != 0
    assert json.loads((out / "consensus.json").read_text()) == {"complete": False, "cases": ["c1", "c2"]}
    assert run("consensus", a, b, "-o", out).exit_code == 0


def test_a_second_run_waits_and_replaces_nothing_unasked(run, folders) -> None:
    a, b, out = folders
    with ThreadPoolExecutor(1) as pool:
        with only_writer(out):
            waiting = pool.submit(run, "consensus", a, b, "-o", out)
            with pytest.raises(TimeoutError):
                waiting.result(2)
            (out / "consensus.json").write_text('{"complete": true, "cases": {}}')  # by the first
        done = waiting.result()
    assert done.exit_code == 2
    assert f"writes to {out}: this one waits until it ends" in done.stderr
    assert "consensus.json must not exist, got earlier results; pass --force" in done.stderr


def test_lesion_that_another_class_hides_is_not_added() -> None:
    first, second = np.zeros(12, np.uint8), np.zeros(12, np.uint8)
    first[2:5], second[2:5], second[8:10] = 2, 1, 1
    labels, counts = consensus(first, second, rule=ConsensusRule(union=True))
    assert labels.tolist() == [0, 0, 2, 2, 2, 0, 0, 0, 1, 1, 0, 0]
    assert [(one.label, one.added) for one in counts] == [(1, 1), (2, 0)]
