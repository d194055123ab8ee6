"""distance_transform and signed_distance of one mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import BoundaryLoss as MonaiBoundaryLoss

from monai_boundary import distance_transform, signed_distance
from monai_boundary.kernels.distance import resolve_backend
from monai_boundary.kernels.distance.engines import opposite_distance, seed_distance
from tests import oracles
from tests.strategies import CONVENTIONS

SHAPES = [((17,), (0.7,)), ((9, 11), (3.0, 1.0)), ((9, 11), (0.4, 0.8)), ((5, 6, 7), (3.0, 1.0, 0.5))]
GRIDS = [(31, (2.0,)), ((24, 33), (0.47, 0.9)), ((20, 31, 26), (3.0, 1.0, 1.0)), ((20, 31, 26), (1.0, 0.47, 5.0))]


def random_mask(rng: np.random.Generator, shape, share: float = 0.3) -> np.ndarray:
    mask = rng.random(shape) < share
    mask.flat[0], mask.flat[-1] = True, False
    return mask


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_distance_transform_equals_all_pairs(rng, shape, spacing):
    seeds = random_mask(rng, shape, 0.1)
    expected = oracles.brute_force_distance(seeds, spacing)
    np.testing.assert_allclose(distance_transform(seeds, spacing), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_signed_distance_equals_all_pairs(rng, shape, spacing, convention):
    mask = random_mask(rng, shape)
    expected = oracles.signed_map(mask, spacing, convention)
    np.testing.assert_allclose(signed_distance(mask, spacing, convention), expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_signed_distance_is_within_a_ten_thousandth_mm_of_scipy_float64(rng, shape, spacing, convention):
    mask = random_mask(rng, shape, 0.02)
    expected = oracles.signed_map(mask, spacing, convention, distance=oracles.scipy_distance)
    assert np.abs(signed_distance(mask, spacing, convention) - expected).max() <= 1e-4


@pytest.mark.parametrize("shape", [(12, 13), (8, 9, 10)])
def test_kervadec_convention_equals_monai(rng, shape):
    masks = rng.random((2, 3, *shape)) < 0.3
    masks[0, 1], masks[1, 2] = False, True
    expected = MonaiBoundaryLoss().compute_distance_map(torch.from_numpy(masks).float())
    ours = [[signed_distance(mask, convention="kervadec") for mask in sample] for sample in masks]
    np.testing.assert_allclose(np.array(ours), expected.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
@pytest.mark.parametrize("backend", ["edt", "numba"])
def test_engines_agree_with_scipy(rng, shape, spacing, backend):
    mask = random_mask(rng, shape, 0.05)
    for engine in (opposite_distance, seed_distance):
        difference = engine(mask, spacing, backend) - engine(mask, spacing, "scipy")
        assert np.abs(difference).max() <= 1e-4


def test_auto_engine_is_edt_where_installed():
    assert resolve_backend("auto") == "edt"


def test_missing_edt_is_named_and_scipy_takes_its_place(monkeypatch):
    monkeypatch.setattr("monai_boundary.kernels.distance.engines._HAS_EDT", False)
    assert resolve_backend("auto") == "scipy"
    with pytest.raises(RuntimeError, match="backend='edt' needs the package edt"):
        resolve_backend("edt")


def test_missing_numba_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("monai_boundary.kernels.distance.engines._HAS_NUMBA", False)
    message = r"backend='numba' needs the package numba; pip install \"monai-boundary\[em\]\", or pass backend='edt'"
    with pytest.raises(RuntimeError, match=message):
        signed_distance(np.array([True, False]), backend="numba")


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_extreme_spacing_keeps_its_relative_precision(rng, factor):
    mask = random_mask(rng, (9, 10, 11), 0.1)
    expected = oracles.brute_force_distance(mask, (3.0, 1.0, 2.0)) * factor
    np.testing.assert_allclose(distance_transform(mask, (3 * factor, factor, 2 * factor)), expected, rtol=1e-6)


def test_half_plane_has_the_closed_form_on_every_axis():
    spacing = (3.0, 1.0, 0.5)
    for axis, size in enumerate(spacing):
        steps = np.arange(8)
        mask = np.broadcast_to((steps < 5).reshape([-1 if a == axis else 1 for a in range(3)]), (8, 8, 8))
        line = np.moveaxis(signed_distance(mask, spacing, "centre"), axis, 0)[:, 3, 4]
        np.testing.assert_allclose(line, np.where(steps < 5, steps - 5, steps - 4) * size, rtol=1e-6)


def test_half_convention_puts_its_zero_on_the_voxel_face():
    line = signed_distance(np.arange(8) < 5, (2.0,))
    np.testing.assert_array_equal(line, (np.arange(8) - 4.5) * 2)


def test_half_convention_takes_the_smallest_spacing():
    mask = np.zeros((4, 4, 4), bool)
    mask[:2] = True
    np.testing.assert_array_equal(signed_distance(mask, (3.0, 1.0, 2.0))[:, 0, 0], [-5.5, -2.5, 2.5, 5.5])


def test_box_has_the_closed_form():
    spacing, low, high = np.array([3.0, 1.0, 1.0]), np.array([2, 4, 5]), np.array([5, 10, 12])
    index = np.moveaxis(np.indices((8, 14, 16)), 0, -1)
    mask = ((index >= low) & (index < high)).all(-1)
    beyond = np.maximum(np.maximum(low - index, index - (high - 1)), 0) * spacing
    within = (np.minimum(index - low, high - 1 - index) + 1) * spacing
    expected = np.where(mask, -within.min(-1), np.sqrt((beyond**2).sum(-1)))
    np.testing.assert_allclose(signed_distance(mask, tuple(spacing), "centre"), expected, rtol=1e-6)


def test_ball_is_within_a_voxel_diagonal_of_the_closed_form():
    spacing, radius = (3.0, 1.0, 1.0), 14.0
    centre = np.array([9, 20, 21])
    offsets = (np.moveaxis(np.indices((19, 42, 42)), 0, -1) - centre) * spacing
    distance_to_centre = np.sqrt((offsets**2).sum(-1))
    mask = distance_to_centre < radius
    magnitude = np.abs(signed_distance(mask, spacing, "centre"))
    excess = magnitude - np.abs(distance_to_centre - radius)
    assert excess.min() > -1e-4
    assert excess.max() < np.sqrt(9 + 1 + 1)


def test_kervadec_turns_positive_inside_below_one_mm_and_its_mm_form_does_not():
    mask = np.array([False, True, True, True, False])
    assert signed_distance(mask, (0.5,), "kervadec").tolist() == [0.5, 0.5, 0.0, 0.5, 0.5]
    assert signed_distance(mask, (0.5,), "kervadec_mm").tolist() == [0.5, 0.0, -0.5, 0.0, 0.5]


@pytest.mark.parametrize("value", [False, True])
def test_mask_without_a_surface_gives_zeros(value):
    assert not signed_distance(np.full((3, 4, 5), value), (3.0, 1.0, 1.0)).any()


def test_distance_needs_a_seed():
    with pytest.raises(ValueError, match=r"mask must hold at least one True voxel, got none"):
        distance_transform(np.zeros((3, 4), bool))


def test_kind_and_dtype_follow_the_mask():
    mask = np.array([[True, False]])
    assert isinstance(signed_distance(mask), np.ndarray)
    tensor = signed_distance(torch.from_numpy(mask))
    assert isinstance(tensor, torch.Tensor)
    assert (tensor.dtype, signed_distance(mask).dtype) == (torch.float32, np.float32)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", ">i2"])
def test_integer_masks_equal_bool_masks(rng, dtype):
    mask = random_mask(rng, (6, 7))
    np.testing.assert_array_equal(signed_distance(mask.astype(dtype)), signed_distance(mask))


def test_input_mask_is_left_as_it_was(rng):
    mask = random_mask(rng, (6, 7))
    before = mask.copy()
    signed_distance(mask)
    distance_transform(mask)
    np.testing.assert_array_equal(mask, before)
