"""The sweep that numba compiles: all sides of the mask, all outputs of the fused form, any memory layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary import distance_transform, signed_distance, signed_distance_map
from monai_boundary.kernels.distance import DistanceMapOptions, masks_distance_map
from monai_boundary.kernels.distance.engines import opposite_distance, seed_distance
from monai_boundary.losses import BoundaryLoss
from tests import oracles
from tests.strategies import CONVENTIONS

pytest.importorskip("numba")
SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 0.5), (0.4, 2.0, 1.0)]


def blobs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Smooth pieces of both sides, wider than the columns that are swept together."""
    return ndimage.gaussian_filter(rng.standard_normal(shape), 2.0) > 0.02


def sheet(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One tilted plane through the whole volume."""
    z, y, x = np.indices(shape)
    return z == (2 * y + x) // 4 % shape[0]


def speck(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One voxel far from most others."""
    mask = np.zeros(shape, bool)
    mask[shape[0] // 3, 1, -1] = True
    return mask


def hole(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All but one voxel."""
    return ~speck(rng, shape)


def speckles(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise, where no two neighbours need agree."""
    return rng.random(shape) < 0.5


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("form", [blobs, sheet, speck, hole, speckles])
def test_signed_distance_is_within_a_ten_thousandth_mm_of_scipy_float64(rng, form, spacing):
    mask = form(rng, (21, 34, 70))
    expected = oracles.signed_map(mask, spacing, distance=oracles.scipy_distance)
    assert np.abs(signed_distance(mask, spacing, backend="numba") - expected).max() <= 1e-4


@pytest.mark.parametrize("shape", [(300,), (1,), (70, 41), (1, 90), (90, 1), (33, 1, 40), (1, 1, 65), (2, 300, 2)])
def test_every_number_of_axes_equals_scipy(rng, shape):
    mask, spacing = rng.random(shape) < 0.1, (3.0, 1.0, 0.7)[: len(shape)]
    mask.flat[0], mask.flat[-1] = True, False
    expected = oracles.signed_map(mask, spacing, distance=oracles.scipy_distance)
    assert np.abs(signed_distance(mask, spacing, backend="numba") - expected).max() <= 1e-4


@pytest.mark.parametrize("clip", [None, 0.7, 3.0, 1000.0])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_both_channels_equal_the_definition(rng, convention, clip):
    labels = blobs(rng, (15, 36, 40)).astype(np.uint8)
    maps = signed_distance_map(labels[None], 2, (3.0, 1.0, 0.5), convention, clip=clip, backend="numba")
    for channel in (0, 1):
        mask, settings = labels == channel, {"clip": clip, "distance": oracles.scipy_distance}
        assert np.abs(maps[channel] - oracles.signed_map(mask, (3.0, 1.0, 0.5), convention, **settings)).max() <= 1e-4


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("limit", [0.3, 2.0, 6.5, 1000.0])
@pytest.mark.parametrize("engine", [opposite_distance, seed_distance])
def test_distances_are_exact_below_the_limit(rng, spacing, limit, engine):
    mask = rng.random((24, 30, 41)) < 0.003
    out = np.full(mask.shape, np.nan, np.float32)
    engine(mask, spacing, "numba", out, limit)
    expected = engine(mask, spacing, "scipy")
    np.testing.assert_allclose(np.minimum(out, limit), np.minimum(expected, limit), rtol=1e-6, atol=1e-6)


def test_distance_is_zero_exactly_on_the_seeds(rng):
    seeds = rng.random((12, 13, 40)) < 0.05
    found = distance_transform(seeds, (3.0, 1.0, 1.0), backend="numba")
    np.testing.assert_array_equal(found == 0, seeds)
    np.testing.assert_allclose(found, oracles.scipy_distance(seeds, (3.0, 1.0, 1.0)), rtol=1e-6)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_any_memory_order_gives_the_same_map(rng, axes):
    labels = blobs(rng, (12, 20, 37)).astype(np.uint8)
    turned = np.ascontiguousarray(labels.transpose(axes)).transpose(np.argsort(axes))[None, :, ::-1]
    found = signed_distance_map(turned, 2, (3.0, 1.0, 0.5), backend="numba")
    expected = signed_distance_map(np.ascontiguousarray(turned), 2, (3.0, 1.0, 0.5))
    assert np.abs(found - expected).max() <= 1e-4


def test_only_the_output_is_written(rng):
    mask = blobs(rng, (10, 11, 35))
    frame = np.full((12, 13, 80), np.float32(7))
    opposite_distance(mask, (1.0, 1.0, 1.0), "numba", frame[1:-1, 1:-1, 2:72:2])
    np.testing.assert_allclose(frame[1:-1, 1:-1, 2:72:2], opposite_distance(mask, (1.0, 1.0, 1.0), "scipy"), rtol=1e-6)
    frame[1:-1, 1:-1, 2:72:2] = 7
    opposite_distance(mask, (1.0, 1.0, 1.0), "numba", frame[1:-1, 1:-1, 3:38])
    frame[1:-1, 1:-1, 3:38] = 7
    assert (frame == 7).all()


def test_input_may_be_read_only_and_is_left_alone(rng):
    mask = speckles(rng, (6, 7, 33))
    before = mask.copy()
    mask.setflags(write=False)
    signed_distance(mask, backend="numba")
    distance_transform(mask, backend="numba")
    np.testing.assert_array_equal(mask, before)


def test_two_runs_agree_in_every_bit(rng):
    mask = blobs(rng, (20, 33, 64))
    first, second = (signed_distance(mask, (3.0, 0.7, 0.9), backend="numba") for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("absent", ["zero", "far"])
@pytest.mark.parametrize("value", [0, 1])
def test_mask_without_a_surface_follows_its_option(value, absent):
    maps = [
        signed_distance_map(np.full((1, 4, 5, 6), value), 3, clip=5.0, absent=absent, backend=name)
        for name in ("numba", "edt")
    ]
    np.testing.assert_array_equal(*maps)


def test_crop_wholly_inside_lies_beyond_the_clip():
    labels = np.ones((1, 3, 5, 90), np.uint8)
    labels[..., -1] = 0
    maps = signed_distance_map(labels, 2, clip=4.0, backend="numba")
    np.testing.assert_array_equal(maps, signed_distance_map(labels, 2, clip=4.0))


def test_channels_may_overlap(rng):
    masks = np.stack([blobs(rng, (9, 20, 33)), blobs(rng, (9, 20, 33))])
    options = DistanceMapOptions(clip=6.0, normalize="clip", balance=0.5, absent="far")
    found, expected = (masks_distance_map(masks, (3.0, 1.0, 1.0), options, backend=name) for name in ("numba", "scipy"))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_extreme_spacing_keeps_its_relative_precision(rng, factor):
    seeds = rng.random((9, 10, 11)) < 0.1
    found = distance_transform(seeds, (3 * factor, factor, 2 * factor), backend="numba")
    np.testing.assert_allclose(found, oracles.brute_force_distance(seeds, (3.0, 1.0, 2.0)) * factor, rtol=1e-6)


@pytest.mark.parametrize("ratio", [1e3, 1e13])
def test_the_last_axis_may_be_far_finer_than_the_others(rng, ratio):
    seeds = rng.random((3, 4, 40)) < 0.1  # each row has some
    seeds[..., 7] = True
    found = distance_transform(seeds, (ratio, ratio, 1.0), backend="numba")
    np.testing.assert_allclose(found, oracles.brute_force_distance(seeds, (ratio, ratio, 1.0)), rtol=1e-6)


def test_long_axes_keep_their_precision():
    mask = np.zeros((3000, 2, 2), bool)
    mask[0, 0, 0] = True
    steps = np.arange(3000)[:, None, None]
    expected = np.sqrt((0.7 * steps) ** 2 + [[0, 9], [4, 13]])
    np.testing.assert_allclose(distance_transform(mask, (0.7, 2.0, 3.0), backend="numba"), expected, rtol=1e-6)


def test_loss_takes_the_backend(rng):
    import torch

    logits, labels = torch.randn(1, 2, 6, 33), torch.from_numpy(rng.integers(0, 2, (1, 1, 6, 33)))
    values = [BoundaryLoss(softmax=True, to_onehot_y=True, backend=name)(logits, labels) for name in ("numba", "edt")]
    torch.testing.assert_close(*values)
