"""A full disk, for everything that writes: one line that says which file and why, and what was there before stays.

Each writer is given no room at all, then 4 kB, 8 kB and so on until it has enough, first on a small disk of its own
(tmpfs) where the machine lets one be mounted, and everywhere by a limit of the size of a file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from monai_boundary.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("pandas", "matplotlib", "nnunetv2", "h5py", "tifffile", "rasterio", "blosc2", "cc3d", "ignite")
WRITERS = (
    "evaluate", "compare", "consensus", "inspect", "advise", "convert", "precompute-maps", "precompute-maps, workers",
    "export-checkpoint, a model", "export-checkpoint, a file", "bundle copy", "nnU-Net's boundary.png",
    "nnU-Net's checkpoint", "evaluate --protocol buildings", "rasterize", "aerial predictions",
    "aerial predictions, polygons", "CREMI predictions", "TIFF predictions", "CREMI scores", "demo",
)  # fmt: skip
#: Commands that write nothing, and the one that runs MONAI's workflows, whose writers are named above
OTHERS = {"nnunet-path", "bundle list", "bundle path", "bundle run"}
#: A mount that only the child and its children see, and that ends with them
MOUNT = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs -o size=24m tmpfs "$1" && shift && "$@"')

pytestmark = [pytest.mark.cli, pytest.mark.skipif(os.name == "nt", reason="POSIX limits and mounts")]


@cache
def mounts() -> bool:
    """Whether this machine lets a small disk be mounted."""
    return bool(shutil.which("unshare")) and subprocess.run([*MOUNT, "", "/tmp", "true"]).returncode == 0  # noqa: S108


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict]:
    """What the child says of each writer."""
    for module in MODULES:
        pytest.importorskip(module)

    @cache
    def run(kind: str) -> dict:
        if kind == "tmpfs" and not mounts():
            pytest.skip("no right to mount a disk")
        root = tmp_path_factory.mktemp(kind)
        for name in ("disk", "inputs", "raw", "preprocessed", "results"):
            (root / name).mkdir()
        command = [sys.executable, "-m", "tests.full_disk.child", kind, str(root / "disk"), str(root / "inputs")]
        folders = {f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")}
        done = subprocess.run(
            [*(MOUNT if kind == "tmpfs" else ()), *((MOUNT[0], command[-2]) if kind == "tmpfs" else ()), *command],
            capture_output=True, text=True, timeout=900,
            env={**os.environ, **folders, "nnUNet_n_proc_DA": "0", "nnUNet_compile": "f", "MPLBACKEND": "agg",
                 "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
        return {line["name"]: line for line in lines}

    return run


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["tmpfs", "limit"])
def test_a_full_disk_is_told_in_one_line_and_loses_nothing(reports, kind: str, name: str) -> None:
    if (kind, name) == ("limit", "precompute-maps, workers"):
        pytest.skip("the limits of other processes are their own")
    report = reports(kind)[name]
    assert report["wrong"] == []
    assert report["failed"] >= (1 if name == "demo" else 2)


def test_every_command_is_among_them() -> None:
    def names(group: click.Group, before: str = "") -> Iterator[str]:
        for name, command in group.commands.items():
            yield from names(command, f"{name} ") if isinstance(command, click.Group) else [before + name]

    found = {name for name in names(main) if not any(one.startswith(name) for one in WRITERS)}
    assert found == OTHERS
