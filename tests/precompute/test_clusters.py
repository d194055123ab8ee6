"""Many machines: the SLURM script of docs/scale.md by its own arithmetic, and Dask with a worker that is killed."""

from __future__ import annotations

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from monai_boundary.precompute import precompute_maps
from tests.clusters import losing_a_worker
from tests.precompute.conftest import content, write_cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


@pytest.mark.parametrize("tasks", [1, 3, 7])
def test_the_slurm_script_does_every_case_exactly_once(tmp_path: Path, tasks: int) -> None:
    if not PAGE.is_file():
        pytest.skip("no docs beside the tests")
    scripts = re.findall(r"^#!/bin/bash\n.*?(?=^```)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (script,) = [one for one in scripts if "precompute-maps" in one]
    first = int(re.search(r"--array=(\d+)-", script)[1])
    data, calls, command = write_cases(tmp_path / "data", 5), tmp_path / "calls", tmp_path / "monai-boundary"
    # noted and then run in this process: starting Python for each task would take most of the time
    command.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$CALLS"\n')
    command.chmod(0o755)
    given = {**os.environ, "SLURM_ARRAY_TASK_COUNT": str(tasks), "DATA": "D", "OUT": "O", "CALLS": str(calls)}
    given["PATH"] = f"{tmp_path}:{given['PATH']}"
    for task in range(first, first + tasks):
        subprocess.run(["/bin/bash", "-euc", script], env={**given, "SLURM_ARRAY_TASK_ID": str(task)}, check=True)
    done: Counter[str] = Counter()
    for call in calls.read_text().splitlines():
        shard = re.fullmatch(r"precompute-maps D O --num-classes 2 --shard (\S+) --workers 2", call)[1]
        done.update(precompute_maps(data, tmp_path / "maps", 2, shard=shard, progress=False).made)
    assert done == Counter(f"p{number}" for number in range(5))


def test_dask_makes_the_same_maps_though_a_worker_is_killed(tmp_path: Path, run) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    data, out = write_cases(tmp_path / "data", 16, (24, 96, 96)), tmp_path / "dask"
    precompute_maps(data, tmp_path / "serial", 2, progress=False)
    with losing_a_worker(lambda: list(out.glob("[!.]*.b2nd"))) as (scheduler, address):
        result = run("precompute-maps", data, out, "--num-classes", 2, "--dask", scheduler)
    assert result.exit_code == 0, result.output
    assert "16 maps made, 0 kept" in result.stdout
    assert f"1 Dask worker left during the run ({address}); others did their maps" in result.stdout
    assert content(out) == content(tmp_path / "serial")
