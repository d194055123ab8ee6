"""Fixtures of every test: fixed seeds, one thread, the data folder, and the hypothesis profile."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, settings

from monai_boundary import cli
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.datalist import CaseFiles

torch.set_num_threads(1)

# Derandomised and without a database: a red law is red on every machine and in every run.
settings.register_profile(
    "monai_boundary",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50 if os.environ.get("CI") else 25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("monai_boundary")

#: What `pytest -m fast` runs: the folders, and files beside them, that need neither a process nor a data set.
FAST = ("kernels", "losses", "transforms", "test_schedules", "test_schedule_laws")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the fast set by the folder they lie in."""
    root = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(root) and item.path.relative_to(root).with_suffix("").parts[0] in FAST:
            item.add_marker(pytest.mark.fast)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - MONAI's random transforms draw their seeds from the global state


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that starts at the same place in every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images: MONAI_BOUNDARY_DATA, or ../shared/data beside the repository."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MONAI_BOUNDARY_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set MONAI_BOUNDARY_DATA")
    return folder


@pytest.fixture
def splits(tmp_path: Path) -> dict[str, list[CaseFiles]]:
    """Two phantoms to train on and one to score, with two channels, as files."""
    cases = []
    for number in range(3):
        phantom = lesion_phantom(number, (12, 40, 36))
        files = [tmp_path / f"p{number}_{channel}.nii.gz" for channel in ("flair", "t1", "label")]
        for file, array in zip(files, (phantom.image, 1 - phantom.image, phantom.labels), strict=True):
            write_volume(file, array, phantom.spacing)
        cases.append(CaseFiles(f"p{number}", tuple(files[:2]), files[2]))
    return {"training": cases[:2], "validation": cases[2:]}


@pytest.fixture
def run():
    """A caller of the command line."""

    def invoke(*arguments):
        return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])

    return invoke
