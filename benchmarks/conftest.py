"""Options of ``pytest benchmarks``, and what its JSON says of the machine."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a second thread that waits must not spin where a core is busy

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("monai-boundary", "numpy", "torch", "monai", "numba", "edt", "scipy", "SimpleITK", "diplib", "pyedt",
            "mist-medical", "scikit-image", "nnunetv2", "ccmetrics", "panoptica")  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option of our own."""
    parser.addoption("--small", action="store_true", help="small arrays, one round: shows that all runs, says nothing")


def pytest_configure(config: pytest.Config) -> None:
    """Have torch take one thread."""
    import torch

    torch.set_num_threads(1)
    config.stash[LOAD] = os.getloadavg()[0]


LOAD = pytest.StashKey[float]()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Say which machine and which versions, and not whose."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    machine_info.clear()
    machine_info |= {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_average_at_start": round(config.stash[LOAD], 2),
        "small": config.getoption("--small"),
        "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]) -> None:  # noqa: ARG001
    """Keep what `ratios` reads."""
    output_json.pop("commit_info", None)
    output_json["benchmarks"] = [
        {
            "group": one["group"],
            "name": one["extra_info"].pop("call"),
            "ms": {key: 1e3 * one["stats"][key] for key in ("min", "median")},
            "rounds": one["stats"]["rounds"],
            **one["extra_info"],
        }
        for one in output_json["benchmarks"]
    ]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
