"""A caller of the experiments, and the smallest experiment on membranes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.__main__ import main
from experiments.membranes.settings import MembraneSettings, Stage
from tests.datasets.em.files import grey, interior, write_slices

STACK = (4, 32, 48)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let MONAI and Ignite warn about each other."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for category in ("FutureWarning", "DeprecationWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{category}"))


@pytest.fixture
def run():
    """A caller of ``python -m experiments``."""

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def small() -> MembraneSettings:
    """Settings that train in a second."""
    first, second = Stage(1, 2, 1e-3, 3, (16, 16)), Stage(1, 1, 5e-4, 3)
    return MembraneSettings(2, (2, 2, 2), first, second, min_region_size=4, smoke=True)


@pytest.fixture
def isbi(tmp_path: Path) -> Path:
    """A folder of images and labels as of ISBI 2012."""
    write_slices(tmp_path / "data" / "images", grey(1, STACK))
    write_slices(tmp_path / "data" / "labels", interior(2, STACK))
    return tmp_path / "data"
