"""Sets of phantoms: what an item depends on, and where a set ends."""

from __future__ import annotations

import numpy as np
import pytest

from monai_boundary.datasets import BuildingPhantoms, MembranePhantoms

SETS = [
    (BuildingPhantoms, (64, 64), ("image", "label"), 5, "building"),  # of one outline every fifth
    (MembranePhantoms, (48, 64), ("image", "membrane", "ids"), 1, "membranes"),
]


@pytest.mark.parametrize(("kind", "shape", "keys", "step", "name"), SETS)
def test_an_item_depends_on_seed_and_index_alone(kind, shape, keys, step, name) -> None:
    first, again, other = (kind(count, seed, shape=shape) for count, seed in ((8, 3), (9, 3), (8, 4)))
    for key in keys:
        np.testing.assert_array_equal(first[2][key], again[2][key])
        assert (first[2][key] != other[2][key]).any()
        assert (first[2][key] != first[2 + step][key]).any()
    assert first[-1]["case"] == f"{name}_007"


@pytest.mark.parametrize(("kind", "shape", "name"), [(kind, shape, name) for kind, shape, *_, name in SETS])
def test_a_set_ends(kind, shape, name) -> None:
    phantoms = kind(3, shape=shape)
    cases = [f"{name}_{number:03d}" for number in range(3)]
    assert [item["case"] for item in phantoms] == cases
    assert [item["case"] for item in phantoms[1:]] == cases[1:]
    with pytest.raises(IndexError, match=r"index must lie in \[0, 2\], got 3"):
        phantoms[3]
    with pytest.raises(ValueError, match="count must be an integer >= 1, got 0"):
        kind(0)
