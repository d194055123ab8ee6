"""Every backend against brute force, scipy in float64 and closed forms: any axes, spacing, memory layout and type."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from monai_boundary import DistanceMapOptions, distance_transform, signed_distance, signed_distance_map
from monai_boundary.kernels.distance import batch_labels_map, batch_masks_map, masks_distance_map
from tests import oracles
from tests.strategies import CONVENTIONS

BACKENDS = ["numba", "edt", "scipy", "torch"]
every_backend = pytest.mark.parametrize("backend", BACKENDS)
GRIDS = [
    ((31,), (2.0,)), ((1,), (2.0,)), ((24, 33), (0.47, 0.9)), ((70, 41), (3.0, 1.0)), ((1, 90), (1.0, 2.0)),
    ((90, 1), (1.0, 2.0)), ((20, 31, 26), (3.0, 1.0, 1.0)), ((13, 1, 26), (1.0, 0.47, 5.0)),
    ((1, 1, 65), (3.0, 1.0, 0.7)), ((2, 300, 2), (3.0, 1.0, 0.7)),
]  # fmt: skip
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


def some(rng: np.random.Generator, shape: tuple[int, ...], share: float = 0.1) -> np.ndarray:
    """A few voxels, one on each side at least where there are two."""
    mask = rng.random(shape) < share
    mask.flat[-1], mask.flat[0] = False, True
    return mask


@every_backend
@pytest.mark.parametrize(("shape", "spacing"), GRIDS)
def test_distance_equals_all_pairs(rng, shape, spacing, backend):
    seeds = some(rng, shape)
    found = distance_transform(seeds, spacing, backend)
    np.testing.assert_array_equal(found == 0, seeds)
    assert np.abs(found - oracles.brute_force_distance(seeds, spacing)).max() <= 1e-4


@every_backend
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("shape", "spacing"), [((17,), (0.7,)), ((9, 11), (0.4, 0.8)), ((5, 6, 7), (3.0, 1.0, 0.5))])
def test_signed_distance_equals_all_pairs(rng, shape, spacing, convention, backend):
    mask = some(rng, shape, 0.3)
    expected = oracles.signed_map(mask, spacing, convention)
    np.testing.assert_allclose(signed_distance(mask, spacing, convention, backend), expected, rtol=1e-6, atol=2e-6)


@every_backend
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("form", [blobs, sheet, speck, hole, speckles])
def test_signed_distance_is_within_a_ten_thousandth_mm_of_scipy_float64(rng, form, spacing, backend):
    mask = form(rng, (21, 34, 70))
    expected = oracles.signed_map(mask, spacing, distance=oracles.scipy_distance)
    assert np.abs(signed_distance(mask, spacing, backend=backend) - expected).max() <= 1e-4


@pytest.mark.parametrize("clip", [None, 0.7, 3.0, 1000.0])
@pytest.mark.parametrize("convention", CONVENTIONS)
@every_backend
def test_both_channels_of_two_classes_equal_the_definition(rng, convention, clip, backend):
    labels = blobs(rng, (15, 36, 40)).astype(np.uint8)
    maps = signed_distance_map(labels[None], 2, (3.0, 1.0, 0.5), convention, clip=clip, backend=backend)
    for channel in (0, 1):
        settings = {"clip": clip, "distance": oracles.scipy_distance}
        expected = oracles.signed_map(labels == channel, (3.0, 1.0, 0.5), convention, **settings)
        assert np.abs(maps[channel] - expected).max() <= 1e-4


@every_backend
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("reach", [0.3, 2.0, 6.5, 1000.0])
def test_distances_are_exact_below_the_reach(rng, spacing, reach, backend):
    mask = some(rng, (24, 30, 41), 0.003)
    found = distance_transform(mask, spacing, backend, reach)
    expected = oracles.scipy_distance(mask, spacing)
    np.testing.assert_allclose(np.minimum(found, reach), np.minimum(expected, reach), rtol=1e-6, atol=1e-6)


@every_backend
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_extreme_spacing_keeps_its_relative_precision(rng, factor, backend):
    mask = some(rng, (9, 10, 11))
    expected = oracles.brute_force_distance(mask, (3.0, 1.0, 2.0)) * factor
    np.testing.assert_allclose(distance_transform(mask, (3 * factor, factor, 2 * factor), backend), expected, rtol=1e-6)


@pytest.mark.parametrize("backend", ["numba", "scipy", "torch"])
@pytest.mark.parametrize("ratio", [1e3, 1e13])
def test_the_last_axis_may_be_far_finer_than_the_others(rng, ratio, backend):
    seeds = some(rng, (3, 4, 40))
    seeds[..., 7] = True  # each row has some
    found = distance_transform(seeds, (ratio, ratio, 1.0), backend)
    np.testing.assert_allclose(found, oracles.brute_force_distance(seeds, (ratio, ratio, 1.0)), rtol=1e-6)


@every_backend
def test_long_axes_and_large_distances_keep_their_precision(backend):
    mask = np.zeros((3000, 2, 2), bool)
    mask[0, 0, 0] = True
    steps = np.arange(3000)[:, None, None]
    expected = np.sqrt((0.7 * steps) ** 2 + [[0, 9], [4, 13]])
    np.testing.assert_allclose(distance_transform(mask, (0.7, 2.0, 3.0), backend), expected, rtol=1e-6)
    flat = np.zeros((3, 300, 400), bool)
    flat[1, 7, 9] = True
    found = distance_transform(flat, (3.0, 0.7, 0.7), backend)
    assert np.abs(found - oracles.scipy_distance(flat, (3.0, 0.7, 0.7))).max() <= 1.5e-4  # edt's, of a single seed


# Closed forms


@every_backend
def test_half_plane_has_the_closed_form_on_every_axis(backend):
    spacing = (3.0, 1.0, 0.5)
    for axis, size in enumerate(spacing):
        steps = np.arange(8)
        mask = np.broadcast_to((steps < 5).reshape([-1 if a == axis else 1 for a in range(3)]), (8, 8, 8))
        line = np.moveaxis(signed_distance(mask, spacing, "centre", backend), axis, 0)[:, 3, 4]
        np.testing.assert_allclose(line, np.where(steps < 5, steps - 5, steps - 4) * size, rtol=1e-6)


@every_backend
def test_box_and_ball_have_the_closed_form(backend):
    spacing, low, high = np.array([3.0, 1.0, 1.0]), np.array([2, 4, 5]), np.array([5, 10, 12])
    index = np.moveaxis(np.indices((19, 42, 42)), 0, -1)
    mask = ((index >= low) & (index < high)).all(-1)
    beyond = np.maximum(np.maximum(low - index, index - (high - 1)), 0) * spacing
    within = (np.minimum(index - low, high - 1 - index) + 1) * spacing
    expected = np.where(mask, -within.min(-1), np.sqrt((beyond**2).sum(-1)))
    np.testing.assert_allclose(signed_distance(mask, tuple(spacing), "centre", backend), expected, rtol=1e-6)
    to_centre = np.sqrt((((index - [9, 20, 21]) * spacing) ** 2).sum(-1))
    excess = np.abs(signed_distance(to_centre < 14, tuple(spacing), "centre", backend)) - np.abs(to_centre - 14)
    assert excess.min() > -1e-4
    assert excess.max() < np.sqrt(9 + 1 + 1)  # a voxel's diagonal


def test_half_convention_puts_its_zero_on_the_voxel_face_of_the_smallest_spacing():
    np.testing.assert_array_equal(signed_distance(np.arange(8) < 5, (2.0,)), (np.arange(8) - 4.5) * 2)
    mask = np.zeros((4, 4, 4), bool)
    mask[:2] = True
    np.testing.assert_array_equal(signed_distance(mask, (3.0, 1.0, 2.0))[:, 0, 0], [-5.5, -2.5, 2.5, 5.5])


def test_kervadec_turns_positive_inside_below_one_mm_and_its_mm_form_does_not():
    mask = np.array([False, True, True, True, False])
    assert signed_distance(mask, (0.5,), "kervadec").tolist() == [0.5, 0.5, 0.0, 0.5, 0.5]
    assert signed_distance(mask, (0.5,), "kervadec_mm").tolist() == [0.5, 0.0, -0.5, 0.0, 0.5]


@every_backend
@pytest.mark.parametrize("shape", [(12, 13), (8, 9, 10)])
def test_kervadec_convention_equals_monai(rng, shape, backend):
    masks = rng.random((2, 3, *shape)) < 0.3
    masks[0, 1], masks[1, 2] = False, True
    expected = oracles.monai_boundary_loss()().compute_distance_map(torch.from_numpy(masks).float())
    ours = [[signed_distance(mask, None, "kervadec", backend) for mask in sample] for sample in masks]
    np.testing.assert_allclose(np.array(ours), expected.numpy(), rtol=1e-6, atol=1e-6)


# Masks without a surface, overlapping masks, ignored voxels, batches


@every_backend
@pytest.mark.parametrize("absent", ["zero", "far"])
@pytest.mark.parametrize("clip", [None, 5.0])
@pytest.mark.parametrize("value", [0, 1])
def test_mask_without_a_surface_follows_its_option(value, absent, clip, backend):
    labels = np.full((1, 4, 5, 6), value)
    maps = signed_distance_map(labels, 3, clip=clip, absent=absent, backend=backend)
    settings = {"clip": clip, "absent": absent}
    expected = [oracles.signed_map(labels[0] == c, (1.0,) * 3, **settings) for c in range(3)]
    np.testing.assert_allclose(maps, expected, rtol=1e-6)
    assert not signed_distance(labels[0] > 0, backend=backend).any()


@every_backend
@pytest.mark.parametrize("ignored", [False, True])
def test_masks_that_overlap_equal_the_definition(rng, ignored, backend):
    masks = np.stack([blobs(rng, (9, 20, 33)), blobs(rng, (9, 20, 33)), *np.zeros((2, 9, 20, 33), bool)])
    masks[3] = True
    settings = {"clip": 6.0, "normalize": "max", "balance": 0.5, "absent": "far"}
    valid = rng.random((9, 20, 33)) < 0.8 if ignored else None
    found = masks_distance_map(masks, (3.0, 1.0, 1.0), DistanceMapOptions(**settings), valid, backend)
    expected = [oracles.signed_map(mask, (3.0, 1.0, 1.0), valid=valid, **settings) for mask in masks]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert not masks.flags.f_contiguous
    turned, counted = np.asfortranarray(masks), None if valid is None else np.asfortranarray(valid)
    again = masks_distance_map(turned, (3.0, 1.0, 1.0), DistanceMapOptions(**settings), counted, backend)
    np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["numba", "edt", "torch"])
@pytest.mark.parametrize("ignore_index", [None, 2])
def test_a_batch_is_each_of_its_samples(rng, ignore_index, backend):
    labels = np.where(rng.random((3, 1, 6, 7, 9)) < 0.1, rng.integers(1, 3, (3, 1, 6, 7, 9)), 0)
    labels[1] = 0  # no class but the background
    options = DistanceMapOptions(clip=4.0, absent="far", normalize="max", balance=0.5)
    given = torch.from_numpy(labels)
    found = batch_labels_map(given, 3, (3.0, 1.0, 2.0), options, True, ignore_index, backend)
    for sample, maps in zip(labels, found, strict=True):
        valid = None if ignore_index is None else sample[0] != ignore_index
        settings = {"clip": 4.0, "absent": "far", "normalize": "max", "balance": 0.5, "valid": valid}
        expected = [oracles.signed_map(sample[0] == c, (3.0, 1.0, 2.0), **settings) for c in range(3)]
        np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-5)
    valid = None if ignore_index is None else given != ignore_index
    masks = batch_masks_map(given == 1, (3.0, 1.0, 2.0), options, valid, backend)
    torch.testing.assert_close(masks, found[:, 1:2], rtol=1e-6, atol=1e-6)


# What is handed in, and what comes back


@every_backend
@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_any_memory_order_gives_the_same_map(rng, axes, backend):
    labels = blobs(rng, (12, 20, 37)).astype(np.uint8)
    turned = np.ascontiguousarray(labels.transpose(axes)).transpose(np.argsort(axes))[None, :, ::-1]
    for given in (turned, torch.from_numpy(turned.copy(order="K"))):
        found = np.asarray(signed_distance_map(given, 2, (3.0, 1.0, 0.5), backend=backend))
        expected = signed_distance_map(np.ascontiguousarray(turned), 2, (3.0, 1.0, 0.5), backend="scipy")
        assert np.abs(found - expected).max() <= 1e-4


@every_backend
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int64", "float16", "float32", "float64", ">i4", ">f4"]
)
def test_every_label_dtype_gives_the_same_map(rng, dtype, backend):
    labels = rng.integers(0, 4, (1, 6, 7, 8))
    expected = signed_distance_map(labels, 4, backend=backend)
    np.testing.assert_array_equal(signed_distance_map(labels.astype(dtype), 4, backend=backend), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", ">i2"])
def test_integer_masks_equal_bool_masks(rng, dtype):
    mask = some(rng, (6, 7), 0.3)
    np.testing.assert_array_equal(signed_distance(mask.astype(dtype)), signed_distance(mask))


def test_more_classes_than_a_byte_holds_are_told_apart():
    labels = np.array([[0, 254, 254, 255, 299, 43, 256]])
    maps = signed_distance_map(labels, 300, include_background=True)
    np.testing.assert_array_equal(maps.argmin(0), labels[0])


@pytest.mark.parametrize("ignore_index", [-1, 256, 255, 2**40])
def test_an_ignored_label_beyond_a_byte_is_no_class(ignore_index):
    labels = np.array([[0, 0, ignore_index, 1, 1]])
    maps = signed_distance_map(labels, 2, convention="centre", ignore_index=ignore_index)
    assert maps[1].tolist() == [3, 2, 0, -2, -3]


@every_backend
def test_kind_follows_the_labels_and_the_input_is_left_as_it_was(rng, backend):
    labels = rng.integers(0, 3, (1, 6, 7))
    expected = signed_distance_map(labels, 3, (2.0, 1.0))
    before = labels.copy()
    labels.setflags(write=False)
    assert isinstance(signed_distance_map(labels, 3, (2.0, 1.0), backend=backend), np.ndarray)
    mask = labels[0] > 0
    mask.setflags(write=False)
    assert signed_distance(mask, backend=backend).dtype == distance_transform(mask, None, backend).dtype == np.float32
    np.testing.assert_array_equal(labels, before)
    for tensor in (torch.from_numpy(before), MetaTensor(torch.from_numpy(before)), torch.from_numpy(before).float()):
        found = signed_distance_map(tensor, 3, (2.0, 1.0), backend=backend)
        assert type(found) is torch.Tensor
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
        assert torch.equal(tensor, torch.from_numpy(before).to(tensor.dtype))


def test_spacing_may_be_any_sequence(rng):
    mask = some(rng, (4, 5))
    for spacing in ([3.0, 0.5], np.array([3.0, 0.5]), torch.tensor([3.0, 0.5])):
        np.testing.assert_array_equal(signed_distance(mask, spacing), signed_distance(mask, (3.0, 0.5)))


@every_backend
def test_two_runs_agree_in_every_bit(rng, backend):
    mask = blobs(rng, (20, 33, 64))
    settings = {"clip": 8.0, "normalize": "clip", "balance": 0.5, "backend": backend}
    first, second = (signed_distance_map(mask[None], 2, (3.0, 0.7, 0.9), **settings) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every_backend
def test_bad_input_is_named_alike(backend):
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\]"):
        signed_distance_map(torch.full((1, 3), 5), 2, backend=backend)
    with pytest.raises(ValueError, match="labels must have one channel"):
        signed_distance_map(torch.zeros(2, 3, 4), 2, backend=backend)
    with pytest.raises(ValueError, match="labels must hold values, got a tensor on the meta device"):
        signed_distance_map(torch.zeros(1, 3, device="meta"), 2, backend=backend)
    with pytest.raises(ValueError, match=r"num_classes must be an integer >= 2 \(background counts\), got 1"):
        signed_distance_map(np.zeros((1, 3), int), 1, backend=backend)
    with pytest.raises(ValueError, match=r"mask must hold at least one True voxel, got none; test mask.any\(\) first"):
        distance_transform(torch.zeros(3, dtype=torch.bool), backend=backend)
    with pytest.raises(ValueError, match="mask must be bool"):
        signed_distance(np.array([0, 2]), backend=backend)


@pytest.mark.parametrize("function", [distance_transform, signed_distance])
def test_an_unknown_backend_is_refused(function):
    with pytest.raises(ValueError, match="backend must be one of 'auto', 'edt', 'numba', 'scipy', 'torch', got 'cuda'"):
        function(np.array([False, True]), backend="cuda")


@pytest.mark.parametrize("backend", ["numba", "edt", "scipy", "torch"])
@pytest.mark.parametrize("spacing", [(1e20, 1.0), (1.0, 1e20), (1e-25, 1e-5)], ids=str)
def test_spacings_twenty_orders_of_magnitude_apart_stay_exact(backend, spacing):
    seeds = np.zeros((3, 4), bool)
    seeds[0, 1] = True
    steps = np.indices(seeds.shape) - np.array([0, 1]).reshape(2, 1, 1)
    expected = np.hypot(*(steps * np.array(spacing).reshape(2, 1, 1)))
    np.testing.assert_allclose(distance_transform(seeds, spacing, backend), expected, rtol=1e-5)
