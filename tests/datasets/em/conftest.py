from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.em.files import STACK, grey, interior, write_slices


@pytest.fixture
def isbi(tmp_path: Path) -> Path:
    """A folder of images and labels as of ISBI 2012."""
    write_slices(tmp_path / "data" / "images", grey(1, STACK))
    write_slices(tmp_path / "data" / "labels", interior(2, STACK))
    return tmp_path / "data"
