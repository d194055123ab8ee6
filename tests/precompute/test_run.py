"""Whole volumes of a data set: what is written, and what a second run leaves alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import blosc2
import nibabel as nib
import numpy as np
import pytest

from monai_boundary import DistanceMapOptions
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from monai_boundary.kernels.distance import CLIPPED, ROBUST
from monai_boundary.map_store import MapStore, read_record
from monai_boundary.precompute import precompute_maps
from tests import oracles
from tests.precompute.conftest import ALL, GIVEN, OPTIONS, content, whole


def expected(file: Path) -> np.ndarray:
    """The map of the foreground from scipy, in the order of the file, rounded to float16."""
    image = nib.load(file)
    spacing = tuple(map(float, image.header.get_zooms()))
    given = {"distance": oracles.scipy_distance, "clip": 20.0, "absent": "far"}
    return oracles.signed_map(np.asarray(image.dataobj) > 0, spacing, **given).astype(np.float16).astype(float)


def test_maps_are_those_of_the_whole_volume_and_say_what_they_are(data: Path, tmp_path: Path) -> None:
    result = precompute_maps(data, tmp_path / "maps", 2, OPTIONS, progress=False)
    assert (result.made, result.kept, result.missing) == (ALL, [], [])
    assert sorted(content(tmp_path / "maps")) == [f"{case}.b2nd" for case in ALL]
    for case in ALL:
        stored = blosc2.open(str(tmp_path / "maps" / f"{case}.b2nd"))[:]  # any reader of Blosc2 does
        assert (stored.dtype, stored.shape) == (np.float16, (1, 36, 40, 12))
        np.testing.assert_allclose(stored[0].astype(float), expected(data / f"{case}.nii.gz"), atol=1e-2, rtol=1e-3)
    record, image = read_record(tmp_path / "maps" / "p1.b2nd"), nib.load(data / "p1.nii.gz")
    own = {"dtype": "float16", "num_classes": 2, "include_background": False, "ignore_index": None}
    assert record.settings == {**own, **vars(OPTIONS)}
    np.testing.assert_allclose(record.spacing, image.header.get_zooms(), rtol=1e-6)
    np.testing.assert_allclose(record.affine, image.affine)
    assert record.source == str(data / "p1.nii.gz")


def test_a_datalist_is_a_data_set_and_clipped_the_default(data: Path, tmp_path: Path) -> None:
    files = [data / f"{case}.nii.gz" for case in ALL]
    write_datalist(
        data / "datalist.json", {"training": [CaseFiles(f"c{file.name[1]}", (file,), file) for file in files]}
    )
    assert precompute_maps(data, tmp_path / "maps", 2, progress=False).made == ["c0", "c1", "c2"]
    assert MapStore(tmp_path / "maps").settings.items() >= vars(CLIPPED).items()
    listed = json.loads((data / "datalist.json").read_text())
    del listed["training"][0]["label"]
    (data / "list.json").write_text(json.dumps(listed))
    with pytest.warns(UserWarning, match="1 case has no label"):
        assert precompute_maps(data / "list.json", tmp_path / "maps", 2, progress=False).kept == ["c1", "c2"]


def test_shards_and_workers_make_the_same_bytes_and_a_second_run_none(data: Path, maps: Path) -> None:
    two, before = maps.with_name("two"), {path: path.stat().st_mtime_ns for path in maps.iterdir()}
    first = precompute_maps(data, two, shard="1/2", workers=2, **GIVEN)
    second = precompute_maps(data, two, shard="2/2", **GIVEN)
    assert (first.made, first.missing, second.made, second.missing) == (["p0", "p2"], ["p1"], ["p1"], [])
    assert content(two) == content(maps)
    result = precompute_maps(data, maps, **GIVEN)
    assert (result.made, result.kept) == ([], ALL)
    assert {path: path.stat().st_mtime_ns for path in maps.iterdir()} == before


def test_a_label_that_changed_is_recomputed_and_a_touched_one_is_not(data: Path, maps: Path) -> None:
    image = nib.load(data / "p0.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1], image.affine), data / "p1.nii.gz")
    os.utime(data / "p2.nii.gz")
    result = precompute_maps(data, maps, **GIVEN)
    assert (result.remade, result.made, result.kept) == ({"p1": "its labels changed"}, ["p1"], ["p0", "p2"])
    np.testing.assert_allclose(whole(maps, "p1")[1].astype(float), expected(data / "p1.nii.gz"), atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        (OPTIONS, "float16"),
        (ROBUST, "float16"),
        (DistanceMapOptions(), "float32"),
        (DistanceMapOptions(clip=1e5), "float32"),
        (DistanceMapOptions(clip=80.0, normalize="clip", balance=1.0, balance_cap=1e6), "float32"),
        (ROBUST.replace(balance_lesions=0.5), "float32"),
    ],
)
def test_values_that_may_not_fit_into_float16_are_stored_as_float32(data, tmp_path, options, dtype) -> None:
    precompute_maps(data, tmp_path / "maps", 2, options, shard="1/3", progress=False)
    stored = whole(tmp_path / "maps", "p0")
    assert stored.dtype == dtype
    assert np.isfinite(stored).all()


def test_the_command_says_what_it_made(data: Path, tmp_path: Path, run) -> None:
    command, path = ("precompute-maps", data, tmp_path / "maps", "--num-classes", 2), tmp_path / "maps" / "p0.b2nd"
    result = run(*command, "--clip", "none", "--shard", "1/2")
    assert (result.exit_code, MapStore(tmp_path / "maps").settings["clip"]) == (0, None)
    assert "2 maps made, 0 kept" in result.stdout
    assert "1 case of" in result.stdout
    path.write_bytes(path.read_bytes()[:-1])
    assert "recomputed: p0: " in run(*command, "--clip", "none").stdout


def test_a_list_needs_no_images_and_a_lost_label_costs_its_own_map(data: Path, tmp_path: Path) -> None:
    listed = [{"case": case, "image": f"no/{case}.nii.gz", "label": f"{case}.nii.gz"} for case in ALL]
    content = {"training": listed[:2], "test": [listed[2], {"case": "t", "image": "no/t.nii.gz"}]}
    (data / "datalist.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="1 case has no label"):
        assert precompute_maps(data, tmp_path / "maps", 2, progress=False).made == ALL
    (data / "p1.nii.gz").unlink()
    for folder, kept in ((tmp_path / "maps", "0 of 1 maps are"), (tmp_path / "new", "2 of 3 maps are")):
        with (
            pytest.warns(UserWarning, match="1 case has no label"),
            pytest.raises(ValueError, match=rf"1 case has no map: p1: .*p1\.nii\.gz does not exist; .*{kept} finished"),
        ):
            precompute_maps(data, folder, 2, progress=False)
