"""Whole volumes of a data set: what is written, by how many jobs, and what a second run leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import blosc2
import nibabel as nib
import numpy as np
import pytest

from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps, precompute_shard
from tests import oracles
from tests.precompute.conftest import write_cases

QUIET = {"num_classes": 2, "progress": False}


def expected(data: Path, case: str) -> np.ndarray:
    """The map of the foreground from scipy, in the order of the file, rounded to float16."""
    image = nib.load(data / f"{case}_label.nii.gz")
    labels = np.asarray(image.dataobj) > 0
    spacing = tuple(map(float, image.header.get_zooms()))
    distances = oracles.signed_map(labels, spacing, distance=oracles.scipy_distance, clip=20.0, absent="far")
    return distances.astype(np.float16)


def test_maps_are_those_of_the_whole_volume_in_the_order_of_the_file(data: Path, tmp_path: Path) -> None:
    result = precompute_maps(data, tmp_path / "maps", **QUIET)
    assert result.made == ["p0", "p1", "p2"]
    for case in result.made:
        stored = blosc2.open(str(tmp_path / "maps" / f"{case}.b2nd"))[:]
        assert stored.dtype == np.float16
        assert stored.shape == (1, 36, 40, 12)
        np.testing.assert_allclose(stored[0].astype(float), expected(data, case).astype(float), atol=1e-2, rtol=1e-3)


def test_manifest_says_what_the_maps_are(data: Path, tmp_path: Path) -> None:
    precompute_maps(data, tmp_path / "maps", **QUIET)
    content = json.loads((tmp_path / "maps" / "manifest.json").read_text())
    settings = content["settings"]
    assert (settings["convention"], settings["clip"], settings["absent"], settings["dtype"]) == (
        "half", 20.0, "far", "float16"
    )  # fmt: skip
    record = content["cases"]["p1"]
    image = nib.load(data / "p1_label.nii.gz")
    assert record["shape"] == [1, 36, 40, 12]
    np.testing.assert_allclose(record["spacing"], image.header.get_zooms(), rtol=1e-6)
    np.testing.assert_allclose(record["affine"], image.affine)
    assert record["source"]["size"] == (data / "p1_label.nii.gz").stat().st_size
    assert record["size"] == (tmp_path / "maps" / "p1.b2nd").stat().st_size


def test_another_backend_makes_the_same_maps_and_goes_on_with_them(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("numba")
    folders = {name: tmp_path / name for name in ("edt", "numba")}
    for name, folder in folders.items():
        assert precompute_maps(data, folder, backend=name, **QUIET).made == ["p0", "p1", "p2"]
    settings = [json.loads((folder / "manifest.json").read_text())["settings"] for folder in folders.values()]
    assert settings[0] == settings[1]
    for case in ("p0", "p1", "p2"):
        edt, ours = (blosc2.open(str(folder / f"{case}.b2nd"))[:] for folder in folders.values())
        # Float32 values that agree to rounding may fall on two sides of a border between two float16 values.
        apart = np.abs(edt.view(np.int16).astype(int) - ours.view(np.int16))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3
    assert precompute_maps(data, folders["edt"], backend="numba", **QUIET).kept == ["p0", "p1", "p2"]


def test_the_backend_is_checked_and_used(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    from monai_boundary.kernels.distance import engines as _engines
    from monai_boundary.kernels.distance import signed as _signed

    with pytest.raises(ValueError, match="backend must be one of 'auto', 'edt', 'numba', got 'torch'"):
        precompute_maps(data, tmp_path / "maps", backend="torch", **QUIET)  # type: ignore[arg-type]
    monkeypatch.setattr(_engines, "_HAS_NUMBA", False)
    with pytest.raises(RuntimeError, match="backend='numba' needs the package numba"):
        precompute_maps(data, tmp_path / "maps", backend="numba", **QUIET)
    monkeypatch.setattr(_engines, "_HAS_NUMBA", True)
    assert not (tmp_path / "maps").exists()
    swept, sweep = [], _signed.fused_signed
    monkeypatch.setattr(_signed, "fused_signed", lambda *given: swept.append(1) or sweep(*given))
    for count, backend in ((0, "edt"), (3, "numba")):
        precompute_maps(data, tmp_path / backend, backend=backend, **QUIET)
        assert len(swept) == count


def test_a_second_run_makes_nothing_again(data: Path, maps: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in maps.glob("*.b2nd")}
    result = precompute_maps(data, maps, include_background=True, **QUIET)
    assert result.made == []
    assert result.kept == ["p0", "p1", "p2"]
    assert {path.name: path.stat().st_mtime_ns for path in maps.glob("*.b2nd")} == before


def test_a_run_that_was_broken_off_goes_on_where_it_stopped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai_boundary.precompute import pool

    make, calls = pool.make_map, []

    def interrupted(job):
        calls.append(job.labels.case)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(job)

    monkeypatch.setattr(pool, "make_map", interrupted)
    with pytest.raises(KeyboardInterrupt):
        precompute_maps(data, tmp_path / "maps", **QUIET)
    result = precompute_maps(data, tmp_path / "maps", **QUIET)
    assert (result.kept, result.made) == (["p0", "p1"], ["p2"])
    assert calls == ["p0", "p1", "p2", "p2"]


def test_two_shards_make_what_one_run_makes(data: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    precompute_maps(data, one, **QUIET)
    first = precompute_shard("1/2", data, two, num_classes=2)
    assert (first.made, first.missing) == (["p0", "p2"], ["p1"])
    second = precompute_shard("2/2", data, two, num_classes=2)
    assert (second.made, second.missing) == (["p1"], [])
    assert sorted(path.name for path in two.glob("*.json")) == ["manifest.1-of-2.json", "manifest.2-of-2.json"]
    for case in ("p0", "p1", "p2"):
        assert (one / f"{case}.b2nd").read_bytes() == (two / f"{case}.b2nd").read_bytes()
    stores = MapStore(one), MapStore(two)
    assert stores[0].settings == stores[1].settings
    for case, record in stores[0].records.items():
        other = stores[1].records[case]
        assert (record.sha256, record.spacing, record.source) == (other.sha256, other.spacing, other.source)


def test_a_run_over_shards_gathers_their_parts_and_makes_what_is_missing(data: Path, tmp_path: Path) -> None:
    precompute_shard("1/2", data, tmp_path / "maps", num_classes=2)
    result = precompute_maps(data, tmp_path / "maps", **QUIET)
    assert (result.kept, result.made, result.missing) == (["p0", "p2"], ["p1"], [])
    assert [path.name for path in (tmp_path / "maps").glob("*.json")] == ["manifest.json"]
    assert sorted(MapStore(tmp_path / "maps").records) == ["p0", "p1", "p2"]


def test_maps_of_another_list_in_the_same_folder_stay(data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "datalist.json").read_text())
    for name, cases in (("one", content["training"][:1]), ("two", content["training"][1:])):
        (data / f"{name}.json").write_text(json.dumps({**content, "training": cases}))
        precompute_maps(data / f"{name}.json", tmp_path / "maps", **QUIET)
    assert sorted(MapStore(tmp_path / "maps").records) == ["p0", "p1", "p2"]
    assert precompute_maps(data / "one.json", tmp_path / "maps", **QUIET).kept == ["p0"]


def test_a_list_of_cases_is_done_and_no_other(data: Path, tmp_path: Path) -> None:
    result = precompute_maps(data, tmp_path / "maps", cases=["p2", "p0"], shard="2/2", **QUIET)
    assert result.made == ["p2"]
    assert result.missing == ["p0", "p1"]


def test_several_workers_make_the_same_bytes(data: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        precompute_maps(data, tmp_path / str(workers), workers=workers, **QUIET)
    for case in ("p0", "p1", "p2"):
        first, second = ((tmp_path / str(workers) / f"{case}.b2nd").read_bytes() for workers in (1, 2))
        assert first == second


def test_a_label_that_changed_is_made_again_and_a_touched_one_is_not(data: Path, maps: Path) -> None:
    import os

    write_cases(data / "other", 4)
    (data / "p1_label.nii.gz").write_bytes((data / "other" / "p3_label.nii.gz").read_bytes())
    os.utime(data / "p2_label.nii.gz")
    result = precompute_maps(data, maps, include_background=True, **QUIET)
    assert result.remade == {"p1": "its labels changed"}
    assert (result.made, result.kept) == (["p1"], ["p0", "p2"])
    stored = MapStore(maps).read("p1")[1]
    np.testing.assert_allclose(stored.astype(float), expected(data, "p1").astype(float), atol=1e-2, rtol=1e-3)


def test_classes_regions_and_ignored_labels_come_from_dataset_json(data: Path, tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    (data / "dataset.json").write_text(json.dumps({"labels": labels}))
    image = nib.load(data / "p0_label.nii.gz")
    array = np.zeros(image.shape, np.uint8)
    array[4:14, 6:20, 2:9] = 1
    array[6:10, 8:12, 4:6] = 2
    array[:, 30:] = 3
    nib.save(nib.Nifti1Image(array, image.affine), data / "p0_label.nii.gz")
    precompute_maps(data, tmp_path / "maps", cases=["p0"], progress=False)
    stored, spacing = MapStore(tmp_path / "maps").read("p0"), tuple(map(float, image.header.get_zooms()))
    settings = {"distance": oracles.scipy_distance, "clip": 20.0, "absent": "far", "valid": array != 3}
    for channel, region in zip(stored, ((1, 2), (2,)), strict=True):
        wanted = oracles.signed_map(np.isin(array, region), spacing, **settings)
        np.testing.assert_allclose(channel.astype(float), wanted, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_a_volume_of_one_class_is_far_everywhere(data: Path, tmp_path: Path, label: int) -> None:
    image = nib.load(data / "p0_label.nii.gz")
    nib.save(nib.Nifti1Image(np.full(image.shape, label, np.uint8), image.affine), data / "p0_label.nii.gz")
    precompute_maps(data, tmp_path / "maps", cases=["p0"], **QUIET)
    assert np.unique(MapStore(tmp_path / "maps").read("p0")).tolist() == [-20.0 if label else 20.0]
