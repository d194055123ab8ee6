"""A download of CREMI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.em import files


@pytest.fixture
def cremi(tmp_path: Path) -> Path:
    return files.write_samples(tmp_path / "cremi")
