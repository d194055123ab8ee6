"""Whole volumes of a data set: what is written, and what a second run leaves alone."""

from __future__ import annotations

import os
from pathlib import Path

import blosc2
import nibabel as nib
import numpy as np
import pytest

from monai_boundary import DistanceMapOptions
from monai_boundary.kernels.distance import ROBUST
from monai_boundary.map_store import MapStore, read_record
from monai_boundary.precompute import jobs, precompute_maps
from tests import oracles
from tests.precompute.conftest import GIVEN, OPTIONS, content, whole, write_cases

ALL = ["p0", "p1", "p2"]


def expected(data: Path, case: str) -> np.ndarray:
    """The map of the foreground from scipy, in the order of the file, rounded to float16."""
    image = nib.load(data / f"{case}_label.nii.gz")
    spacing = tuple(map(float, image.header.get_zooms()))
    given = {"distance": oracles.scipy_distance, "clip": 20.0, "absent": "far"}
    return oracles.signed_map(np.asarray(image.dataobj) > 0, spacing, **given).astype(np.float16)


def test_maps_are_those_of_the_whole_volume_and_say_what_they_are(data: Path, tmp_path: Path) -> None:
    result = precompute_maps(data, tmp_path / "maps", 2, OPTIONS, progress=False)
    assert (result.made, result.kept, result.missing) == (ALL, [], [])
    assert sorted(content(tmp_path / "maps")) == [f"{case}.b2nd" for case in ALL]
    for case in ALL:
        stored = blosc2.open(str(tmp_path / "maps" / f"{case}.b2nd"))[:]  # any reader of Blosc2 does
        assert (stored.dtype, stored.shape) == (np.float16, (1, 36, 40, 12))
        np.testing.assert_allclose(stored[0].astype(float), expected(data, case).astype(float), atol=1e-2, rtol=1e-3)
    record, image = read_record(tmp_path / "maps" / "p1.b2nd"), nib.load(data / "p1_label.nii.gz")
    assert {key: record.settings[key] for key in ("convention", "clip", "absent", "dtype", "num_classes")} == {
        "convention": "half", "clip": 20.0, "absent": "far", "dtype": "float16", "num_classes": 2
    }  # fmt: skip
    np.testing.assert_allclose(record.spacing, image.header.get_zooms(), rtol=1e-6)
    np.testing.assert_allclose(record.affine, image.affine)
    assert record.source == str(data / "p1_label.nii.gz")


def test_a_folder_of_label_maps_is_a_data_set_and_robust_the_default(data: Path, tmp_path: Path) -> None:
    for path in data.glob("*_image.nii.gz"):
        path.unlink()
    (data / "datalist.json").unlink()
    assert precompute_maps(data, tmp_path / "maps", 2, progress=False).made == [f"{case}_label" for case in ALL]
    settings = MapStore(tmp_path / "maps").settings
    assert all(settings[key] == value for key, value in vars(ROBUST).items())


def test_a_second_run_keeps_what_is_there_and_several_workers_make_the_same_bytes(data: Path, maps: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in maps.iterdir()}
    result = precompute_maps(data, maps, **GIVEN)
    assert (result.made, result.kept) == ([], ALL)
    assert {path: path.stat().st_mtime_ns for path in maps.iterdir()} == before
    assert precompute_maps(data, maps.with_name("two"), workers=2, **GIVEN).made == ALL
    assert content(maps.with_name("two")) == content(maps)


def test_a_run_that_was_broken_off_goes_on_where_it_stopped(data: Path, tmp_path: Path, monkeypatch) -> None:
    run, calls = jobs.Job.run, []

    def interrupted(job: jobs.Job) -> None:
        calls.append(job.case)
        if len(calls) == 3:
            raise KeyboardInterrupt
        run(job)

    monkeypatch.setattr(jobs.Job, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        precompute_maps(data, tmp_path / "maps", **GIVEN)
    result = precompute_maps(data, tmp_path / "maps", **GIVEN)
    assert (result.kept, result.made) == (["p0", "p1"], ["p2"])
    assert calls == [*ALL, "p2"]


def test_two_shards_make_what_one_run_makes(data: Path, maps: Path) -> None:
    two = maps.with_name("two")
    first = precompute_maps(data, two, shard="1/2", **GIVEN)
    second = precompute_maps(data, two, shard="2/2", **GIVEN)
    assert (first.made, first.missing, second.made, second.missing) == (["p0", "p2"], ["p1"], ["p1"], [])
    assert content(two) == content(maps)


def test_a_label_that_changed_is_recomputed_and_a_touched_one_is_not(data: Path, maps: Path) -> None:
    write_cases(data / "other", 4)
    (data / "p1_label.nii.gz").write_bytes((data / "other" / "p3_label.nii.gz").read_bytes())
    os.utime(data / "p2_label.nii.gz")
    result = precompute_maps(data, maps, **GIVEN)
    assert result.remade == {"p1": "its labels changed"}
    assert (result.made, result.kept) == (["p1"], ["p0", "p2"])
    wanted = expected(data, "p1").astype(float)
    np.testing.assert_allclose(whole(maps, "p1")[1].astype(float), wanted, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_a_volume_of_one_class_is_far_everywhere(data: Path, tmp_path: Path, label: int) -> None:
    image = nib.load(data / "p0_label.nii.gz")
    nib.save(nib.Nifti1Image(np.full(image.shape, label, np.uint8), image.affine), data / "p0_label.nii.gz")
    precompute_maps(data, tmp_path / "maps", 2, OPTIONS, shard="1/3", progress=False)
    assert np.unique(whole(tmp_path / "maps", "p0")).tolist() == [-20.0 if label else 20.0]


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        (OPTIONS, "float16"),
        (ROBUST, "float16"),
        (DistanceMapOptions(), "float32"),
        (DistanceMapOptions(clip=1e5), "float32"),
        (DistanceMapOptions(clip=80.0, normalize="clip", balance=1.0, balance_cap=1e6), "float32"),
    ],
)
def test_values_that_may_not_fit_into_float16_are_stored_as_float32(
    data: Path, tmp_path: Path, options: DistanceMapOptions, dtype: str
) -> None:
    precompute_maps(data, tmp_path / "maps", 2, options, shard="1/3", progress=False)
    stored = whole(tmp_path / "maps", "p0")
    assert stored.dtype == dtype
    assert np.isfinite(stored).all()


def test_the_command_says_what_it_made(data: Path, tmp_path: Path, run) -> None:
    command = ("precompute-maps", data, tmp_path / "maps", "--num-classes", 2, "--clip", "none")
    result = run(*command, "--shard", "1/2")
    assert result.exit_code == 0, result.output
    assert "2 maps made, 0 kept" in result.stdout
    assert "1 cases of" in result.stdout
    path = tmp_path / "maps" / "p0.b2nd"
    path.write_bytes(path.read_bytes()[:-1])
    assert "recomputed: p0: " in run(*command).stdout
    assert MapStore(tmp_path / "maps").settings["clip"] is None
