"""Inference of a bundle by shards and on Dask: every case once, as one run predicts it, though a worker dies."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_boundary.bundles import spread
from monai_boundary.bundles.models import ModelSettings, make_network
from monai_boundary.datasets import lesion_phantom, write_volume
from tests.bundles.running import QUIET, bundle, refusal
from tests.clusters import losing_a_worker

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
CASES = 6


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bundle's folder with a small model, and `images` of six cases."""
    torch.manual_seed(0)
    network = make_network("UNet", spatial_dims=3, in_channels=2, out_channels=2, channels=[4, 8], strides=[2])
    settings = {"channels": ["FLAIR", "T1"], "labels": {}, "pixdim": [1.0, 1.0, 3.0], "patch_size": [16, 16, 8]}
    (tmp_path / "models").mkdir()
    content = {"model": network.state_dict(), "settings": ModelSettings(network, **settings).state_dict()}
    torch.save(content, tmp_path / "models" / "model.pt")
    for number in range(CASES):
        phantom = lesion_phantom(number, (12, 40, 36))
        for channel in range(2):
            image = phantom.image * (-1) ** channel
            write_volume(tmp_path / "images" / f"p{number}_{channel:04d}.nii.gz", image, phantom.spacing)
    return tmp_path


def options(root: Path, out: str) -> list[object]:
    images, folder = ["--images", root / "images"], ["--output_dir", root / out]
    return ["wmh_boundary", "inference", "--bundle_root", root, *images, *folder]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_predict_every_case_once_and_a_second_run_what_is_missing(root: Path, capsys) -> None:
    bundle(*options(root, "whole"))
    assert len(content(root / "whole")) == CASES
    for shard, names in (("1/4", {"p0", "p4"}), ("4/4", {"p3"}), ("9/9", set())):
        bundle(*options(root, shard[0]), "--shard", shard)
        found = content(root / shard[0]) if names else {}
        assert {name.partition(".")[0] for name in found} == names
        assert found.items() <= content(root / "whole").items()
    (root / "1" / "p4.nii.gz").write_bytes(b"earlier")
    capsys.readouterr()
    bundle(*options(root, "1"), "--overwrite", False)
    assert "kept 2 predictions of an earlier run" in capsys.readouterr().out
    assert content(root / "1") == {**content(root / "whole"), "p4.nii.gz": b"earlier"}
    assert (
        refusal(*options(root, "1"), "--shard", "0/3") == "shard must be I/N with I from 1 to N, such as 3/8, got '0/3'"
    )


def test_a_prediction_is_whole_or_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given) -> None:
        raise OSError("broken off")

    with monkeypatch.context() as patch:
        patch.setattr("monai_boundary.bundles.volumes.write_bytes", broken)
        assert "broken off" in refusal(*options(root, "out"))
    assert not [path for path in (root / "out").glob("*") if path.suffix == ".gz"]


def test_the_slurm_script_predicts_by_shards(root: Path) -> None:
    if not PAGE.is_file():
        pytest.skip("no docs beside the tests")
    scripts = re.findall(r"^#!/bin/bash\n.*?(?=^```)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (script,) = [one for one in scripts if "bundle run" in one]
    command = root / "monai-boundary"
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$CALLS"\n')
    command.chmod(0o755)
    given = {**os.environ, "CALLS": str(root / "calls"), "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_ID": "2",
             "ROOT": str(root), "IMAGES": str(root / "images"), "PATH": f"{root}:{os.environ['PATH']}"}  # fmt: skip
    subprocess.run(["/bin/bash", "-euc", script], env=given, check=True)
    words = (root / "calls").read_text().split()
    assert words[:2] == ["bundle", "run"]
    bundle(*words[2:])
    assert {name.partition(".")[0] for name in content(root / "predictions")} == {"p1", "p5"}


@pytest.mark.cli
def test_dask_predicts_the_same_though_a_worker_is_killed(root: Path, run) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    bundle(*options(root, "serial"))
    out = root / "dask"
    with losing_a_worker(lambda: list(out.glob("[!.]*.nii.gz"))) as (scheduler, address):
        result = run("bundle", "run", *options(root, "dask"), "--dask", scheduler, *QUIET)
    assert result.exit_code == 0, result.output
    assert "6 cases predicted" in result.stdout
    assert f"1 Dask worker left during the run ({address}); others did their cases" in result.stdout
    assert {name: found for name, found in content(out).items() if name[0] != "."} == content(root / "serial")


def test_a_case_that_fails_is_named_and_the_others_are_predicted(
    root: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def pool(workers: int, dask: str, lost: list[str]):
        with ThreadPoolExecutor(2) as found:
            yield found

    monkeypatch.setattr(spread, "executor", pool)
    monkeypatch.chdir(root)  # paths are relative to the folder of the command
    bad = root / "images" / "p2_0001.nii.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    call = ["bundle", "run", "wmh_boundary", "inference", "--bundle_root", ".", "--images", "images", "--dask", "x:1"]
    result = run(*call, *QUIET)
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert re.search(r"1 case has no prediction: p2: .*; 5 of 6 predictions are finished and kept", last), last
    assert len(content(root / "predictions")) == CASES - 1
    bad.write_bytes(whole)
    assert "6 cases predicted" in run(*call, *QUIET, "--overwrite", "False").stdout
    assert len(content(root / "predictions")) == CASES
    refused = run("bundle", "run", "wmh_boundary", "train", "--dask", "x:1")
    assert "dask must be given with inference alone, got train" in refused.stderr
    assert "shard must not be given with dask, got 1/2" in run(*call, "--shard", "1/2").stderr
    assert np.all([path.stat().st_size > 100 for path in (root / "predictions").iterdir()])
