"""Bad input and bad luck: each gets an error that names it, and nothing that is finished is lost."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_boundary import DistanceMapOptions
from monai_boundary.map_store import MapStore, manifest, store
from monai_boundary.map_store.manifest import ManifestPart
from monai_boundary.precompute import case as case_module
from monai_boundary.precompute import precompute_maps
from monai_boundary.precompute import run as run_module
from tests.cli.calling import assert_fails
from tests.precompute.conftest import write_cases

QUIET = {"num_classes": 2, "progress": False}


def test_a_killed_worker_is_named_and_loses_nothing_that_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, add = write_cases(tmp_path / "data", 12), ManifestPart.add

    def add_and_kill(part, case, record):
        add(part, case, record)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(ManifestPart, "add", add_and_kill)
        with pytest.raises(RuntimeError, match=r"worker process was killed.* of 12 maps are finished.*fewer than 2"):
            precompute_maps(data, tmp_path / "maps", workers=2, **QUIET)
    finished = sorted(MapStore(tmp_path / "maps").records)
    assert 1 <= len(finished) < 12
    monkeypatch.setattr(case_module, "_ABANDONED_S", -1.0)
    result = precompute_maps(data, tmp_path / "maps", **QUIET)
    assert result.kept == finished
    assert len(result.made) == 12 - len(finished)
    assert not list((tmp_path / "maps").glob(".*"))


def test_what_killed_workers_left_is_removed_and_what_others_write_is_not(data: Path, tmp_path: Path) -> None:
    out, key, hours_ago = tmp_path / "maps", "0af9" * 8, time.time() - 7200
    out.mkdir()
    left = [out / f".{name}.{key}.part" for name in ("p1.b2nd", "gone.b2nd", "manifest.1-of-2.json")]
    foreign, living = out / ".p1.b2nd.mine.part", [out / f".{name}.{key[::-1]}.part" for name in ("p1.b2nd", "p9.b2nd")]
    for path in (*left, foreign, *living):
        path.touch()
    for path in (*left, foreign):
        os.utime(path, (hours_ago, hours_ago))
    precompute_maps(data, out, **QUIET)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (foreign, *living))


def test_two_jobs_over_the_same_cases_do_not_disturb_each_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, out, inner = Path.write_bytes, tmp_path / "maps", []

    def write_and_let_the_other_run(path: Path, content: bytes) -> int:
        size = write(path, content)
        if path.name.startswith(".p1.b2nd") and not inner:  # this one's part lies there, not yet in its place
            inner.append(None)
            inner[0] = precompute_maps(data, out, **QUIET)
        return size

    monkeypatch.setattr(Path, "write_bytes", write_and_let_the_other_run)
    outer = precompute_maps(data, out, **QUIET)
    assert outer.made == ["p0", "p1", "p2"]
    assert inner[0].made == ["p1", "p2"]
    for name in MapStore(out).records:
        MapStore(out).check_file(name)
    assert sorted(MapStore(out).records) == ["p0", "p1", "p2"]


def test_a_reader_that_meets_the_gathering_of_the_parts_reads_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, listed = tmp_path / "maps", manifest.part_files
    for shard in ("1/2", "2/2"):
        precompute_maps(data, out, shard=shard, **QUIET)
    calls = []

    def list_and_gather(folder: Path) -> list[Path]:
        paths = listed(folder)
        calls.append(len(paths))
        if len(calls) == 1:
            precompute_maps(data, out, **QUIET)
        return paths

    monkeypatch.setattr(manifest, "part_files", list_and_gather)
    assert sorted(MapStore(out).records) == ["p0", "p1", "p2"]
    assert calls[0] == 2
    assert not (out / "manifest.1-of-2.json").exists()


def test_a_part_that_grows_while_it_is_gathered_stays(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, read = tmp_path / "maps", run_module.read_manifest
    precompute_maps(data, out, shard="1/2", **QUIET)
    part = out / "manifest.1-of-2.json"

    def read_and_grow(folder: Path):
        result = read(folder)
        content = json.loads(part.read_text())
        content["cases"]["p0"] |= {"sha256": "f" * 64, "written": "9999-01-01T00:00:00+00:00"}
        part.write_text(json.dumps(content))
        return result

    monkeypatch.setattr(run_module, "read_manifest", read_and_grow)
    precompute_maps(data, out, **QUIET)
    assert MapStore(out).records["p0"].sha256 == "f" * 64


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_space_that_is_needed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write, written = Path.write_bytes, []

    def fill_up(path: Path, content: bytes) -> int:
        if path.name.startswith(".p"):
            written.append(path.name)
            if len(written) == 2:
                write(path, content[: len(content) // 2])
                raise OSError(number, os.strerror(number), str(path))
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill_up)
        with pytest.raises(
            OSError, match=r"the disk is full: the map of p1 takes .* MB.*for the 2 that are left"
        ) as caught:
            precompute_maps(data, tmp_path / "maps", **QUIET)
    assert "1 of 3 maps are finished and kept; make room" in str(caught.value)
    assert len(written) == 2  # it does not try the next ones
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["manifest.json", "p0.b2nd"]
    assert precompute_maps(data, tmp_path / "maps", **QUIET).kept == ["p0"]


def test_a_missing_case_of_a_list_is_named(data: Path, tmp_path: Path, run) -> None:
    (tmp_path / "list.txt").write_text("p0\n\np7\n")
    assert_fails(
        run("precompute-maps", data, tmp_path / "maps", "--num-classes", 2, "--cases", tmp_path / "list.txt"),
        "cases must name cases of", "got p7", "correct the list",
    )  # fmt: skip
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "-1/2", "a/b", "1/2/3"])
def test_a_shard_that_is_none_is_refused(data: Path, tmp_path: Path, shard: str) -> None:
    with pytest.raises(ValueError, match="shard must be I/N"):
        precompute_maps(data, tmp_path / "maps", shard=shard, **QUIET)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"options": DistanceMapOptions(clip=10.0, absent="far")}, "clip=20.0, not 10.0"),
        ({"options": DistanceMapOptions("centre", clip=20.0, absent="far")}, "convention='half', not 'centre'"),
        ({"include_background": False}, "include_background=True, not False"),
        ({"dtype": "float32"}, "dtype='float16', not 'float32'"),
        ({"num_classes": 3}, "num_classes=2, not 3"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(data: Path, maps: Path, changed: dict, text: str) -> None:
    with pytest.raises(ValueError, match=f"maps with {text}.*another folder"):
        precompute_maps(data, maps, **{"include_background": True, **QUIET, **changed})
    assert len(list(maps.glob("*.json"))) == 1


@pytest.mark.parametrize("settings", [{}, {"normalize": "clip", "clip": 80.0, "balance": 1.0, "balance_cap": 1e6}])
def test_maps_that_may_not_fit_into_float16_are_refused(data: Path, tmp_path: Path, settings: dict) -> None:
    with pytest.raises(ValueError, match=r"float16 needs maps below 65504.*float32"):
        precompute_maps(data, tmp_path / "maps", DistanceMapOptions(**settings), **QUIET)
    precompute_maps(data, tmp_path / "maps", DistanceMapOptions(**settings), dtype="float32", **QUIET)
    assert MapStore(tmp_path / "maps").read("p0").dtype == np.float32


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda content: content[:-7], "cut off or replaced"),
        (lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:], "does not match its checksum"),
        (lambda _: b"", "cut off or replaced"),
    ],
)
def test_a_damaged_map_is_refused_by_readers_and_made_again(data: Path, maps: Path, damage, text: str) -> None:
    whole = (maps / "p1.b2nd").read_bytes()
    (maps / "p1.b2nd").write_bytes(damage(whole))
    with pytest.raises(ValueError, match=f"p1.b2nd .*{text}.*precompute-maps again"):
        MapStore(maps).read("p1")
    result = precompute_maps(data, maps, include_background=True, **QUIET)
    assert (result.made, result.kept) == (["p1"], ["p0", "p2"])
    assert text in result.remade["p1"]
    assert (maps / "p1.b2nd").read_bytes() == whole


def test_a_map_that_is_gone_is_made_again(data: Path, maps: Path) -> None:
    (maps / "p1.b2nd").unlink()
    with pytest.raises(ValueError, match="must be there according to the manifest"):
        MapStore(maps).read("p1")
    assert precompute_maps(data, maps, include_background=True, **QUIET).made == ["p1"]


def test_a_damaged_label_is_named_and_the_others_are_done(data: Path, tmp_path: Path) -> None:
    label = data / "p1_label.nii.gz"
    label.write_bytes(label.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"1 cases have no map: p1: .*complete NIfTI.*2 of 3 maps are finished"):
        precompute_maps(data, tmp_path / "maps", **QUIET)
    assert sorted(MapStore(tmp_path / "maps").records) == ["p0", "p2"]


def test_a_label_beyond_the_classes_is_named(data: Path, tmp_path: Path) -> None:
    image = nib.load(data / "p1_label.nii.gz")
    array = np.asarray(image.dataobj).copy()
    array[0, 0, 0] = 5
    nib.save(nib.Nifti1Image(array, image.affine), data / "p1_label.nii.gz")
    with pytest.raises(ValueError, match=r"p1: labels must lie in \[0, 1\].*got \[5\]"):
        precompute_maps(data, tmp_path / "maps", **QUIET)


def test_maps_of_a_version_that_makes_other_ones_are_refused_and_made_again(
    data: Path, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = {"include_background": True, **QUIET}
    content = json.loads((maps / "manifest.json").read_text())
    content["cases"]["p1"]["version"] = "0.0.1"  # another version alone is none
    for name in ("p0", "p2"):
        del content["cases"][name]["recipe"]
    (maps / "manifest.json").write_text(json.dumps(content))
    assert precompute_maps(data, maps, **again).made == []
    content["cases"]["p1"]["recipe"] = 0
    (maps / "manifest.json").write_text(json.dumps(content))
    text = r"p1\.b2nd must be made by recipe 1, got recipe 0 of monai-boundary 0\.0\.1, whose maps differ"
    with pytest.raises(ValueError, match=text + ".*precompute-maps again"):
        MapStore(maps).read("p1")
    result = precompute_maps(data, maps, **again)
    assert (result.made, result.kept) == (["p1"], ["p0", "p2"])
    assert "recipe 0" in result.remade["p1"]
    MapStore(maps).read("p1")
    monkeypatch.setattr(store, "RECIPE", 2)  # as a later version reads what this one wrote
    with pytest.raises(ValueError, match="recipe 2, got recipe 1"):
        MapStore(maps).read("p0")


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 9}', '{"format": 1, "settings": {}, "cases": {}}'])
def test_a_damaged_manifest_is_named(maps: Path, content: str) -> None:
    (maps / "manifest.1-of-2.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.1-of-2\.json must be a manifest.*remove it"):
        MapStore(maps)


def test_parts_with_other_settings_are_refused(maps: Path) -> None:
    content = json.loads((maps / "manifest.json").read_text())
    content["settings"]["clip"] = 10.0
    (maps / "manifest.1-of-2.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"same settings, got .*clip=20\.0, not 10\.0|clip=10\.0, not 20\.0"):
        MapStore(maps)


def test_the_later_of_two_records_of_a_case_counts(maps: Path) -> None:
    content = json.loads((maps / "manifest.json").read_text())
    true = content["cases"]["p1"]["sha256"]
    for name, written in (("a", "2020-01-01T00:00:00+00:00"), ("z", "2021-01-01T00:00:00+00:00")):
        content["cases"]["p1"] |= {"sha256": "0" * 64, "written": written}
        (maps / f"manifest.{name}.json").write_text(json.dumps(content))
    assert MapStore(maps).records["p1"].sha256 == true


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"_seg\.b2nd files.*datalist\.json, got neither"):
        precompute_maps(tmp_path, tmp_path / "maps", **QUIET)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        precompute_maps(tmp_path / "none", tmp_path / "maps", **QUIET)


def test_the_number_of_classes_is_asked_for(data: Path, tmp_path: Path, run) -> None:
    assert_fails(run("precompute-maps", data, tmp_path / "maps"), "num_classes must be given", "--num-classes")


def test_a_number_of_classes_other_than_that_of_dataset_json_is_refused(data: Path, tmp_path: Path) -> None:
    (data / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "lesion": 1}}))
    with pytest.raises(ValueError, match=r"num_classes must be that of dataset\.json, 2, or left out, got 3"):
        precompute_maps(data, tmp_path / "maps", num_classes=3, progress=False)


def test_a_name_that_leads_out_of_the_folder_is_refused(data: Path, tmp_path: Path) -> None:
    listed = json.loads((data / "datalist.json").read_text())
    listed["training"][0]["case"] = "../p0"
    (data / "datalist.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match="names of cases must be names of files"):
        precompute_maps(data, tmp_path / "maps", **QUIET)


def test_without_blosc2_one_line_names_the_extra(data: Path, tmp_path: Path, run, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "blosc2", None)
    assert_fails(
        run("precompute-maps", data, tmp_path / "maps", "--num-classes", 2), "pip install 'monai-boundary[maps]'"
    )


def test_the_command_says_what_it_made(data: Path, tmp_path: Path, run) -> None:
    result = run(
        "precompute-maps", data, tmp_path / "maps", "--num-classes", 2, "--shard", "1/2", "--clip", "none", "--float32"
    )
    assert result.exit_code == 0, result.output
    assert "2 maps made, 0 kept" in result.stdout
    assert "1 cases of" in result.stdout
    assert MapStore(tmp_path / "maps").settings.options.clip is None


def test_a_preset_and_a_clip_exclude_each_other(data: Path, tmp_path: Path, run) -> None:
    command = ("precompute-maps", data, tmp_path / "maps", "--num-classes", 2, "--preset", "robust")
    assert_fails(run(*command, "--clip", "20"), "--preset sets the clip")
    assert run(*command).exit_code == 0
    assert MapStore(tmp_path / "maps").settings.options.normalize == "clip"
