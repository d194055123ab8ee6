"""A worker of the data loader that is killed is a clear error; what it read or wrote is whole for the next."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import monai.transforms as mt
import psutil
import pytest
import torch
from monai.data import DataLoader, Dataset

from monai_boundary import DistanceMapOptions, PrecomputedDistanceMapd, SignedDistanceMapd
from monai_boundary.datasets.cache import VerifiedPersistentDataset
from monai_boundary.precompute import precompute_maps
from tests.kill.dying import in_child, needs_fork
from tests.precompute.conftest import write_cases

pytestmark = [pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"), needs_fork]

CASES, KNOWN = 6, 3
LOAD = [mt.LoadImaged("label"), mt.EnsureChannelFirstd("label")]


def slowly(sample: dict) -> dict:
    """Leave time to kill the worker."""
    if torch.utils.data.get_worker_info() is not None:
        time.sleep(0.2)
    return sample


def stored_maps(data: Path, items: list[dict], folder: Path) -> Dataset:
    precompute_maps(data, folder, 2, DistanceMapOptions(clip=20.0, absent="far"), progress=False)
    return Dataset(items, mt.Compose([*LOAD, PrecomputedDistanceMapd("label", folder), slowly]))


def cache(_: Path, items: list[dict], folder: Path) -> Dataset:
    made = SignedDistanceMapd("label", num_classes=2, preset=None, clip=20.0, absent="far", include_background=False)
    return VerifiedPersistentDataset(items, mt.Compose([*LOAD, made, mt.Lambda(slowly)]), folder)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("make", [stored_maps, cache])
def test_a_killed_worker_ends_the_run_with_an_error_and_the_next_reads_all(make: Callable, tmp_path: Path) -> None:
    data = write_cases(tmp_path / "data", CASES)
    items = [{"label": str(data / f"p{number}.nii.gz")} for number in range(CASES)]

    def train() -> int:
        batches = iter(DataLoader(make(data, items, tmp_path / "out"), batch_size=1, num_workers=2))
        next(batches)
        pids = [worker.pid for worker in batches._workers]
        (tmp_path / "pids").write_text(json.dumps(pids))
        os.kill(pids[1], signal.SIGKILL)
        try:
            list(batches)
        except (RuntimeError, ConnectionError, EOFError):  # by torch, or by the pipe that a batch was coming through
            return KNOWN
        return 0

    assert in_child(train) == KNOWN
    pids = json.loads((tmp_path / "pids").read_text())
    for _ in range(600):
        if not any(map(lives, pids)):
            break
        time.sleep(0.1)
    assert not [pid for pid in pids if lives(pid)]
    found, made = make(data, items, tmp_path / "out"), make(data, items, tmp_path / "other")
    for number in range(CASES):
        assert torch.equal(*(one[number]["distance_map"].as_tensor() for one in (found, made)))
