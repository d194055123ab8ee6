"""Bad input and bad luck: each gets an error that names it, and nothing that is finished is lost."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from monai_boundary import DistanceMapOptions, map_store
from monai_boundary import _jobs as shared_jobs
from monai_boundary.datasets import write_volume
from monai_boundary.map_store import MapStore, read_record
from monai_boundary.precompute import precompute_maps
from monai_boundary.precompute import run as run_module
from tests.cli.calling import assert_fails
from tests.precompute.conftest import ALL, GIVEN, content, whole, write_cases


def test_a_killed_worker_is_named_and_loses_nothing_that_is_finished(tmp_path: Path, monkeypatch) -> None:
    data, out, outcomes = write_cases(tmp_path / "data", 8), tmp_path / "maps", shared_jobs._outcomes

    def kill_after_the_first(*given):
        for outcome in outcomes(*given):
            yield outcome
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(shared_jobs, "_outcomes", kill_after_the_first)
        with pytest.raises(RuntimeError, match=r"a worker was killed.* of 8 maps are finished.*fewer workers"):
            precompute_maps(data, out, workers=2, **GIVEN)
    finished = sorted(MapStore(out).records)
    monkeypatch.setattr(run_module, "_ABANDONED_S", -1.0)
    result = precompute_maps(data, out, **GIVEN)
    assert result.kept == finished
    assert (1 <= len(finished) < 8, len(result.made)) == (True, 8 - len(finished))
    assert not list(out.glob(".*"))


def test_a_command_that_is_killed_leaves_whole_maps_or_none(tmp_path: Path) -> None:
    data, out = write_cases(tmp_path / "data", 6, (24, 96, 96)), tmp_path / "maps"
    code = f"from monai_boundary.precompute import precompute_maps as p; p({str(data)!r}, {str(out)!r}, 2)"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob("[!.]*.b2nd")):
        time.sleep(0.001)
    process.kill()
    process.wait()
    finished = [read_record(path, check_array=True) for path in out.glob("[!.]*.b2nd")]
    assert len(precompute_maps(data, out, 2, progress=False).kept) == len(finished) > 0
    precompute_maps(data, tmp_path / "undisturbed", 2, progress=False)
    assert content(out) == content(tmp_path / "undisturbed")


def test_no_flipped_bit_and_no_other_damage_is_accepted(data: Path, maps: Path) -> None:
    path, rng = maps / "p1.b2nd", np.random.default_rng(0)
    intact = path.read_bytes()
    damaged = [intact[:-7], intact[300:], b"", intact * 2]
    for place in [*rng.integers(0, len(intact), 120).tolist(), *range(len(intact) - 30, len(intact))]:
        flipped = bytearray(intact)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for found in damaged:
        path.write_bytes(found)
        with pytest.raises(ValueError, match=r"p1\.b2nd must .*precompute-maps again"):
            MapStore(maps).read("p1", (0, 0, 0), (1, 1, 1))
    result = precompute_maps(data, maps, **GIVEN)
    assert (result.made, result.kept) == (["p1"], ["p0", "p2"])
    assert "p1.b2nd must" in result.remade["p1"]
    assert path.read_bytes() == intact


def test_maps_of_another_recipe_are_refused_and_recomputed(data: Path, maps: Path, monkeypatch) -> None:
    monkeypatch.setattr(map_store, "RECIPE", map_store.RECIPE + 1)  # as a later version reads what this one wrote
    with pytest.raises(ValueError, match="without intact maps of recipe 3"):
        MapStore(maps)
    result = precompute_maps(data, maps, **GIVEN)
    assert result.made == ALL
    assert "must be made by recipe 3, got recipe 2 of monai-boundary" in result.remade["p1"]


def test_what_killed_workers_left_is_removed_and_what_others_write_is_not(data: Path, tmp_path: Path) -> None:
    out, key, hours_ago = tmp_path / "maps", "0af9" * 8, time.time() - 7200
    out.mkdir()
    left = [out / f".{name}.{key}.part" for name in ("p1.b2nd", "gone.b2nd")]
    foreign, living = out / ".p1.b2nd.mine.part", [out / f".{name}.{key[::-1]}.part" for name in ("p1.b2nd", "p9.b2nd")]
    for path in (*left, foreign, *living):
        path.touch()
        os.utime(path, None if path in living else (hours_ago, hours_ago))
    precompute_maps(data, out, **GIVEN)
    assert sorted(out.glob(".*")) == sorted([foreign, *living])


@pytest.mark.parametrize("shard", [None, "2/2"])
def test_two_jobs_over_the_same_cases_do_not_disturb_each_other(
    data: Path, tmp_path: Path, monkeypatch, capfd: pytest.CaptureFixture, shard: str | None
) -> None:
    write, out, others = Path.write_bytes, tmp_path / "maps", []

    def write_and_let_the_other_run(path: Path, given: bytes) -> int:
        size = write(path, given)
        if path.name.startswith(".p1.b2nd") and not others:  # this one's part lies there, not yet in its place
            others.append(pool.submit(precompute_maps, data, out, shard=shard, **GIVEN))
            if shard is None:
                while f"writes to {out}: this one waits" not in capfd.readouterr().err:
                    time.sleep(0.01)
                assert not others[0].done()
            else:
                others[0].result(60)
        return size

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(Path, "write_bytes", write_and_let_the_other_run)
        assert precompute_maps(data, out, **GIVEN).made == ALL
        other = others[0].result()
    assert (other.made, other.kept) == (([], ALL) if shard is None else (["p1"], []))
    assert precompute_maps(data, out, **GIVEN).kept == ALL
    assert not list(out.glob(".*"))


def test_a_map_that_another_run_recomputed_or_removed_is_noticed(data: Path, maps: Path) -> None:
    store, wanted = MapStore(maps), whole(maps, "p0")
    (data / "p1.nii.gz").write_bytes((data / "p0.nii.gz").read_bytes())
    precompute_maps(data, maps, **GIVEN)
    assert np.array_equal(store.read("p1", (0, 0, 0), wanted.shape[1:]), wanted)
    (maps / "p2.b2nd").unlink()
    with pytest.raises(ValueError, match="must hold a map of case 'p2', got none"):
        store.record("p2")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_space_that_is_needed(data: Path, tmp_path: Path, monkeypatch, number) -> None:
    write, written = Path.write_bytes, []

    def fill_up(path: Path, given: bytes) -> int:
        written.append(path.name)
        if len(written) == 2:
            write(path, given[: len(given) // 2])
            raise OSError(number, os.strerror(number), str(path))
        return write(path, given)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill_up)
        with pytest.raises(OSError, match=r": the file takes .* MB, .* free; 1 of 3 .*room.*p1\.b2nd"):
            precompute_maps(data, tmp_path / "maps", **GIVEN)
    assert (len(written), list(content(tmp_path / "maps"))) == (2, ["p0.b2nd"])  # it does not try the next ones
    assert precompute_maps(data, tmp_path / "maps", **GIVEN).kept == ["p0"]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "-1/2", "a/b", "1/2/3", ""])
def test_a_shard_that_is_none_is_refused(data: Path, tmp_path: Path, shard: str) -> None:
    with pytest.raises(ValueError, match="shard must be I/N"):
        precompute_maps(data, tmp_path / "maps", shard=shard, **GIVEN)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"options": DistanceMapOptions(clip=10.0, absent="far")}, "clip=20.0, not 10.0"),
        ({"options": DistanceMapOptions("centre", clip=20.0, absent="far")}, "convention='half', not 'centre'"),
        ({"options": DistanceMapOptions(absent="far")}, "dtype='float16', not 'float32'"),
        ({"include_background": False}, "include_background=True, not False"),
        ({"num_classes": 3}, "num_classes=2, not 3"),
        ({"shard": "2/9", "ignore_index": 255}, "ignore_index=None, not 255"),  # without a map of its own
    ],
)
def test_other_settings_in_the_same_folder_are_refused(data: Path, maps: Path, changed: dict, text: str) -> None:
    before = content(maps)
    with pytest.raises(ValueError, match=f"p0.b2nd with {text}.*another folder"):
        precompute_maps(data, maps, **{**GIVEN, **changed})
    assert content(maps) == before
    if "shard" not in changed:
        precompute_maps(data, maps.with_name("other"), **{**GIVEN, **changed})
        (maps.with_name("other") / "p1.b2nd").replace(maps / "p1.b2nd")
        with pytest.raises(ValueError, match=r"p1\.b2nd with .*another folder"):
            MapStore(maps)


@contextlib.contextmanager
def dask_scheduler():
    distributed = pytest.importorskip("distributed")
    settings = {"threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(1, **settings) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("scheduler", [contextlib.nullcontext, dask_scheduler])
def test_labels_that_cannot_be_used_are_named_and_the_others_are_done(data: Path, tmp_path: Path, scheduler) -> None:
    label = data / "p1.nii.gz"
    label.write_bytes(label.read_bytes()[:200])
    text = r"1 case has no map: p1: .*complete NIfTI.*2 of 3 maps are finished"
    with scheduler() as address, pytest.raises(ValueError, match=text):
        precompute_maps(data, tmp_path / "maps", dask=address, **GIVEN)
    assert sorted(MapStore(tmp_path / "maps").records) == ["p0", "p2"]
    write_volume(label, np.full((12, 40, 36), 5, np.uint8), (3.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"p1: labels must lie in \[0, 1\].*got \[5\]"):
        precompute_maps(data, tmp_path / "maps", **GIVEN)


def test_what_is_no_data_set_is_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    with pytest.raises(ValueError, match=r"must hold label maps \*\.nii\.gz, or a datalist\.json that names some"):
        precompute_maps(tmp_path, out, **GIVEN)
    with pytest.raises(FileNotFoundError, match=r"must be a datalist\.json or a folder of label maps, got nothing"):
        precompute_maps(tmp_path / "none", out, **GIVEN)
    for case in ("../p0", "/p0", ".p0", "a/b"):
        entry = {"case": case, "image": "p0.nii.gz", "label": "p0.nii.gz"}
        (data / "datalist.json").write_text(json.dumps({"training": [entry]}))
        with pytest.raises(ValueError, match="names of cases must be names of files"):
            precompute_maps(data, out, **GIVEN)
    assert not out.exists()


def test_options_that_exclude_each_other_and_missing_packages_are_named(data, tmp_path, run, monkeypatch) -> None:
    command = ("precompute-maps", data, tmp_path / "maps", "--num-classes", 2)
    assert_fails(run(*command, "--preset", "robust", "--clip", 20), "--preset sets the clip")
    assert_fails(run(*command, "--workers", 2, "--dask", "x:1"), "workers must be at least 1, and 1 with dask, got 2")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert_fails(run(*command, "--dask", "x:1"), "pip install 'monai-boundary[dask]'")
    monkeypatch.setitem(sys.modules, "blosc2", None)
    assert_fails(run(*command), "pip install 'monai-boundary[maps]'")
