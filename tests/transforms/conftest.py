"""What the tests of several transforms take."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def labels(rng) -> np.ndarray:
    """A volume of three labels."""
    return rng.integers(0, 3, (1, 5, 6, 7))
