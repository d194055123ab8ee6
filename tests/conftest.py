"""Fixtures of every test: fixed seeds, one thread, the data folder, and the hypothesis profile."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from torch._subclasses.fake_tensor import FakeTensorMode

from monai_boundary import cli
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.datalist import CaseFiles

torch.set_num_threads(1)

# Derandomised and without a database: a red law is red on every machine and in every run.
_SHARED = {"database": None, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ordinary", derandomize=True, max_examples=50 if os.environ.get("CI") else 25, **_SHARED)
settings.register_profile("slow", max_examples=2000, **_SHARED)

#: What `pytest -m fast` runs: the folders, and files beside them, that need neither a process nor a data set.
FAST = ("kernels", "losses", "transforms", "test_schedules", "test_schedule_laws")


def asks_for_slow(config: pytest.Config) -> bool:
    """Whether the command line holds ``-m slow``."""
    return "slow" in config.getoption("markexpr").replace("not slow", "")


def pytest_configure(config: pytest.Config) -> None:
    """Load the laws' number of examples before the tests, which take it over when they are imported."""
    settings.load_profile("slow" if asks_for_slow(config) else "ordinary")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the fast set by the folder; leave out what is slow unless it is asked for, and then take the laws, too."""
    root, slow = Path(__file__).parent, []
    for item in items:
        if item.get_closest_marker("slow"):
            slow.append(item)
        elif item.path.is_relative_to(root) and item.path.relative_to(root).with_suffix("").parts[0] in FAST:
            item.add_marker(pytest.mark.fast)
        if asks_for_slow(config) and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.slow)
    if not asks_for_slow(config):
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how the cells of the grid of odd input came out, which `test_input_grid` records by name."""
    counts = Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                counts.update(dict(report.user_properties).get("input_grid", {}))
    if counts:
        terminalreporter.section("grid of odd input")
        found = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        terminalreporter.write_line(f"{counts.total():,} cells: {found}")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - MONAI's random transforms draw their seeds from the global state


@pytest.fixture
def imitated_cuda() -> Iterator[None]:
    """CUDA tensors without values, on any machine: reading one on the host, or copying it there, is an error."""
    with FakeTensorMode():
        try:
            torch.zeros(1, device="cuda")[:].as_subclass(torch.Tensor)
        except RuntimeError as error:
            pytest.skip(f"torch {torch.__version__} imitates no CUDA tensor: {str(error).splitlines()[0]}")
        yield


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
