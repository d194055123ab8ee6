"""The slice-wise distance engine, which takes over where few slices hold a voxel."""

from __future__ import annotations

import numpy as np
import pytest

from monai_boundary import signed_distance_map
from monai_boundary.kernels import _slices
from monai_boundary.kernels._engines import opposite_distance, seed_distance
from tests import oracles

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5), (0.4, 2.0, 1.0)]


@pytest.fixture
def sparse(rng) -> np.ndarray:
    """Voxels in 4 of 40 slices, not at their ends."""
    mask = np.zeros((40, 13, 11), bool)
    mask[[5, 6, 20, 33]] = rng.random((4, 13, 11)) < 0.1
    mask[[5, 6, 20, 33], 7, 4] = True
    return mask


@pytest.fixture
def always(monkeypatch) -> None:
    """Take the slice-wise form wherever it can be taken: what it gains shows in large volumes only."""
    for name in [name for name in vars(_slices) if name.startswith(("_CALL", "_VOXEL_2D", "_VOXEL_PAIR"))]:
        monkeypatch.setattr(_slices, name, 0.0)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("block", [1, 30, 1 << 14])
def test_slice_wise_distance_equals_all_pairs(sparse, spacing, block, monkeypatch):
    monkeypatch.setattr(_slices, "_BLOCK", block)
    out = np.empty(sparse.shape, np.float32)
    assert _slices.sliced_distance(sparse, spacing, out)
    np.testing.assert_allclose(out, oracles.scipy_distance(sparse, spacing), rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("limit", [0.3, 2.0, 6.5, 1000.0])
def test_slice_wise_distance_is_exact_below_its_limit(sparse, spacing, limit):
    out = np.empty(sparse.shape, np.float32)
    assert _slices.sliced_distance(sparse, spacing, out, limit)
    expected = oracles.scipy_distance(sparse, spacing)
    np.testing.assert_allclose(np.minimum(out, limit), np.minimum(expected, limit), rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("engine", [opposite_distance, seed_distance])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_engines_agree_where_few_slices_are_occupied(sparse, spacing, engine):
    sparse[4:9, 3:9, 2:9] = True  # a thick piece, so that inside distances matter too
    difference = engine(sparse, spacing, "edt") - engine(sparse, spacing, "scipy")
    assert np.abs(difference).max() <= 1e-4


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("clip", [None, 0.7, 3.0])
def test_flat_lesions_equal_the_definition_along_every_axis(rng, axis, clip):
    labels = np.zeros((30, 12, 14), np.uint8)
    labels[11:14] = rng.random((3, 12, 14)) < 0.2
    labels = np.moveaxis(labels, 0, axis)
    spacing = (3.0, 1.0, 0.5)
    maps = signed_distance_map(labels[None], 2, spacing, clip=clip)
    expected = oracles.signed_map(labels == 1, spacing, clip=clip, distance=oracles.scipy_distance)
    assert np.abs(maps[1] - expected).max() <= 1e-4


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("clip", [None, 0.4, 2.0])
def test_random_masks_equal_the_definition_slice_by_slice(rng, clip):
    for _ in range(30):
        shape, spacing = rng.integers(1, 7, 3), tuple(rng.uniform(0.25, 4, 3))
        mask = rng.random(shape) < rng.choice([0.05, 0.3, 0.8])
        maps = signed_distance_map(mask[None].astype(np.uint8), 2, spacing, clip=clip)
        np.testing.assert_allclose(maps[1], oracles.signed_map(mask, spacing, clip=clip), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("always")
def test_engine_takes_the_slice_wise_form(sparse, monkeypatch):
    calls, form = [], _slices.sliced_distance
    monkeypatch.setattr(
        "monai_boundary.kernels._engines.sliced_distance", lambda *a: calls.append(form(*a)) or calls[-1]
    )
    opposite_distance(sparse, (1.0, 1.0, 1.0), "edt")
    seed_distance(sparse, (1.0, 1.0, 1.0), "edt")
    assert calls == [True, True]


def test_crowded_slices_are_left_to_the_three_dimensional_pass(rng):
    mask = rng.random((10, 8, 8)) < 0.3
    assert not _slices.sliced_distance(mask, (1.0, 1.0, 1.0), np.empty(mask.shape, np.float32))
