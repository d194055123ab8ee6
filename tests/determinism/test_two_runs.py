"""Two processes train from one seed and end with the same bits, whatever the order of sets, workers and threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SAME = ("share", "share, broken off", "membranes", "bundle", "nnunet", "maps", "maps of two processes")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Digests of two processes whose sets and hashes have another order."""
    children = []
    for seed in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"hash{seed}")
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "tests.determinism.courses", str(folder)]
        log = (folder / "log").open("w")
        children.append((folder, log, subprocess.Popen(command, env=environment, stdout=log, stderr=log)))
    found = []
    for folder, log, child in children:
        code = child.wait(900)
        log.close()
        assert code == 0, (folder / "log").read_text()[-3000:]
        found.append(json.loads((folder / "digests.json").read_text()))
    return found


@pytest.mark.cli
@pytest.mark.parametrize("name", SAME)
def test_two_runs_end_with_the_same_bits(name, runs):
    assert runs[0][name] == runs[1][name]


@pytest.mark.cli
def test_a_run_that_was_broken_off_ends_with_the_bits_of_an_unbroken_one(runs):
    assert runs[0]["share, broken off"] == runs[0]["share"]


@pytest.mark.cli
def test_two_processes_write_the_maps_of_one(runs):
    assert runs[0]["maps of two processes"] == runs[0]["maps"]


@pytest.mark.cli
def test_another_seed_has_another_digest(runs):
    assert runs[0]["another seed"] != runs[0]["share"]
