"""The settings of a map: classes, clip, absent and ignored voxels, normalisation and balance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_boundary import DistanceMapOptions, signed_distance, signed_distance_map
from monai_boundary.kernels import PUBLISHED, ROBUST
from monai_boundary.kernels.distance import batch_masks_map, finish_distances, masks_distance_map, preset_options
from tests import oracles
from tests.strategies import CONVENTIONS

SPACING = (3.0, 1.0, 0.5)
SHAPE = (6, 7, 8)


@pytest.fixture
def labels(rng) -> np.ndarray:
    return rng.integers(0, 4, (1, *SHAPE))


@pytest.fixture
def blobs() -> np.ndarray:
    """Two classes in three separate pieces, with much background between them."""
    labels = np.zeros((1, 14, 40, 40), np.uint8)
    labels[0, 2:4, 3:7, 4:9] = 1
    labels[0, 10:12, 30:33, 31:36] = 1
    labels[0, 6:8, 18:21, 20:22] = 2
    return labels


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("include_background", [True, False])
def test_every_class_has_the_map_of_its_mask(labels, convention, include_background):
    maps = signed_distance_map(labels, 4, SPACING, convention, include_background)
    first = 0 if include_background else 1
    expected = [oracles.signed_map(labels[0] == c, SPACING, convention) for c in range(first, 4)]
    np.testing.assert_allclose(maps, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("clip", [None, 2.5])
@pytest.mark.parametrize("ignore", [None, 2])
def test_two_classes_in_one_pass_equal_one_pass_per_class(rng, convention, clip, ignore):
    labels = rng.choice(3 if ignore else 2, (1, *SHAPE), p=[0.8, 0.1, 0.1] if ignore else [0.9, 0.1])
    settings = {"convention": convention, "clip": clip, "normalize": "max", "balance": 0.5, "balance_cap": 5.0}
    valid = None if ignore is None else labels[0] != ignore
    both = signed_distance_map(labels, 2, SPACING, ignore_index=ignore, **settings)
    masks = np.concatenate([labels == 0, labels == 1])
    per_class = masks_distance_map(masks, SPACING, DistanceMapOptions(**settings), valid)
    np.testing.assert_allclose(both, per_class, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("clip", [0.3, 1.0, 4.0, 1e6])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_clipped_map_equals_the_clipped_whole_map(blobs, convention, clip, num_classes):
    labels = np.minimum(blobs, num_classes - 1)
    whole = signed_distance_map(labels, num_classes, SPACING, convention)
    clipped = signed_distance_map(labels, num_classes, SPACING, convention, clip=clip)
    np.testing.assert_array_equal(clipped, np.clip(whole, -np.float32(clip), np.float32(clip)))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("num_classes", [2, 3])
def test_clip_is_exact_beside_ignored_voxels(blobs, convention, num_classes):
    labels = np.minimum(blobs, num_classes - 1)
    labels[ndimage.binary_dilation(labels == 1, iterations=3) & (labels == 0)] = 9  # a moat around every piece of 1
    labels[0, 6, 18] = 9
    whole = signed_distance_map(labels, num_classes, SPACING, convention, ignore_index=9)
    clipped = signed_distance_map(labels, num_classes, SPACING, convention, ignore_index=9, clip=2.0)
    np.testing.assert_array_equal(clipped, np.clip(whole, -2, 2))


def test_clip_leaves_a_mask_wider_than_the_crop_at_minus_clip():
    labels = np.ones((1, 3, 50), np.uint8)
    labels[0, :, 49] = 0
    clipped = signed_distance_map(labels, 2, (1.0, 2.0), clip=4.0)
    np.testing.assert_array_equal(clipped, np.clip(signed_distance_map(labels, 2, (1.0, 2.0)), -4, 4))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("num_classes", [2, 4])
def test_ignored_voxels_are_zero_and_no_distance_starts_at_them(rng, convention, num_classes):
    labels = rng.integers(0, num_classes, (1, *SHAPE))
    labels[rng.random(labels.shape) < 0.3] = 255
    maps = signed_distance_map(labels, num_classes, SPACING, convention, ignore_index=255)
    valid = labels[0] != 255
    expected = [oracles.signed_map(labels[0] == c, SPACING, convention, valid=valid) for c in range(num_classes)]
    np.testing.assert_allclose(maps, expected, rtol=1e-6, atol=2e-6)
    assert not maps[:, ~valid].any()


def test_ignored_voxel_between_two_classes_is_no_boundary():
    labels = np.array([[0, 0, 9, 9, 1, 1]])
    maps = signed_distance_map(labels, 2, convention="centre", ignore_index=9)
    assert maps[1].tolist() == [4, 3, 0, 0, -3, -4]
    assert maps[0].tolist() == [-4, -3, 0, 0, 3, 4]


def test_class_wholly_beside_ignored_voxels_has_no_surface():
    maps = signed_distance_map(np.array([[1, 1, 9, 9]]), 2, ignore_index=9)
    assert not maps.any()


def test_all_voxels_ignored_gives_zeros_whatever_the_setting():
    labels = np.full((1, 3, 4), 9)
    assert not signed_distance_map(labels, 2, ignore_index=9, absent="far").any()
    assert not signed_distance_map(labels, 3, ignore_index=9, absent="far", clip=3.0).any()


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize(("clip", "far"), [(None, np.hypot(3 * 3.0, 4.0)), (5.0, 5.0)])
def test_absent_class_is_zero_or_far_and_a_full_class_far_below(num_classes, clip, far):
    labels = np.zeros((1, 3, 4), np.int64)
    zero = signed_distance_map(labels, num_classes, (3.0, 1.0), clip=clip)
    maps = signed_distance_map(labels, num_classes, (3.0, 1.0), clip=clip, absent="far")
    assert not zero.any()
    np.testing.assert_allclose(maps[0], -far, rtol=1e-6)
    np.testing.assert_allclose(maps[1:], far, rtol=1e-6)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_full_foreground_is_far_below_and_its_background_far_above(num_classes):
    maps = signed_distance_map(np.ones((1, 3, 4), np.int64), num_classes, clip=5.0, absent="far")
    np.testing.assert_array_equal(maps[:2, 0, 0], [5.0, -5.0])


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("normalize", ["clip", "diagonal", "max", None])
@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_normalised_and_balanced_maps_equal_the_definition(rng, num_classes, normalize, balance):
    labels = rng.integers(0, num_classes, (1, *SHAPE))
    settings = {"clip": 3.0, "normalize": normalize, "balance": balance}
    maps = signed_distance_map(labels, num_classes, SPACING, **settings)
    expected = [oracles.signed_map(labels[0] == c, SPACING, **settings) for c in range(num_classes)]
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("backend", ["edt", "numba"])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("normalize", ["clip", "diagonal", "max", None])
@pytest.mark.parametrize("ignore", [None, 7])
def test_what_lies_beyond_the_clip_is_finished_as_the_rest(backend, convention, normalize, ignore):
    labels = np.zeros((1, 6, 18, 20), np.uint8)
    labels[0, 1:3, 2:6, 5:9] = 1
    labels[0, :, :8, 15:] = 7 if ignore else 0
    settings = {"convention": convention, "clip": 3.0, "normalize": normalize, "balance": 0.5}
    maps = signed_distance_map(labels, 2, SPACING, ignore_index=ignore, backend=backend, **settings)
    valid = None if ignore is None else labels[0] != 7
    expected = [oracles.signed_map(labels[0] == c, SPACING, valid=valid, **settings) for c in range(2)]
    assert np.unique(expected[1], return_counts=True)[1].max() > 0.5 * labels.size  # so much lies beyond
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("mirror", [False, True])
def test_robust_map_equals_a_clipped_one_that_is_finished_later(blobs, mirror):
    labels = (blobs == 2).astype(np.uint8) ^ mirror  # which channel holds the small class
    expected = signed_distance_map(labels, 2, SPACING, clip=3.0)
    masks = np.concatenate([labels == 0, labels == 1])
    options = ROBUST.replace(clip=3.0)
    finish_distances(expected, masks, SPACING, options)
    found = signed_distance_map(labels, 2, SPACING, clip=3.0, normalize="clip", balance=0.5)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(masks_distance_map(masks, SPACING, options), expected)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("backend", ["edt", "numba"])
def test_balance_takes_the_class_for_inside_not_the_sign(rng, num_classes, backend):
    labels = np.where(rng.random((1, *SHAPE)) < 0.2, rng.integers(0, num_classes, (1, *SHAPE)), 0)
    spacing = tuple(0.3 * size for size in SPACING)  # "kervadec" subtracts 1 mm: some voxels inside are positive
    settings = {"convention": "kervadec", "balance": 0.5}
    maps = signed_distance_map(labels, num_classes, spacing, backend=backend, **settings)
    expected = [oracles.signed_map(labels[0] == c, spacing, **settings) for c in range(num_classes)]
    assert (maps[1][labels[0] == 1] > 0).any()
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=2e-6)


def test_full_balance_makes_empty_and_full_predictions_score_alike(blobs):
    for channel in signed_distance_map(blobs, 3, SPACING, balance=1.0, balance_cap=1e9)[1:]:
        assert abs(channel.sum(dtype=np.float64)) < 1e-4 * np.abs(channel).sum(dtype=np.float64)


def test_balance_of_a_single_voxel_stops_at_its_cap():
    labels = np.zeros((1, 60, 60), np.uint8)
    labels[0, 30, 30] = 1
    voxel = signed_distance_map(labels, 2, balance=1.0, balance_cap=40.0)[1, 30, 30]
    assert voxel == pytest.approx(-0.5 * 40)
    assert signed_distance_map(labels, 2, balance=1.0)[1, 30, 30] == pytest.approx(-0.5 * 1000)


def test_balance_sees_counted_voxels_only(rng):
    labels = rng.integers(0, 3, (1, *SHAPE))
    labels[0, :3] = 9
    maps = signed_distance_map(labels, 3, SPACING, ignore_index=9, balance=1.0)
    expected = [oracles.signed_map(labels[0] == c, SPACING, valid=labels[0] != 9, balance=1.0) for c in range(3)]
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-5)


LESIONS = np.zeros((1, 40, 44), np.uint8)
LESIONS[0, 2, 3:8], LESIONS[0, 12:32, 10:35], LESIONS[0, 33, 36] = 1, 1, 1  # 5, 500 and 1 voxels
LESIONS[0, 34, 37] = 1  # one with its neighbour across a corner


def lesion_masses(maps: np.ndarray) -> list[float]:
    return [
        float(-maps[1][part].clip(max=0).sum(dtype=np.float64))
        for part in (np.s_[2, 3:8], np.s_[12:32, 10:35], np.s_[33:35, 36:38])
    ]


@pytest.mark.parametrize("backend", ["numba", "edt", "torch"])
def test_a_lesion_of_5_voxels_weighs_as_much_as_one_of_500(backend):
    plain, equal = (
        signed_distance_map(LESIONS, 2, backend=backend, clip=10.0, balance_lesions=gamma) for gamma in (0.0, 1.0)
    )
    before, after = lesion_masses(plain), lesion_masses(equal)
    assert before[1] > 100 * before[0]
    assert after == pytest.approx([sum(before) / 3] * 3)
    np.testing.assert_array_equal(equal[1][LESIONS[0] == 0], plain[1][LESIONS[0] == 0])
    half = lesion_masses(signed_distance_map(LESIONS, 2, backend=backend, clip=10.0, balance_lesions=0.5))
    assert np.divide(half, before) == pytest.approx(np.sqrt(np.divide(after, before)))


def test_balance_after_that_of_lesions_sets_the_sum_of_both_sides():
    for gamma in (0.5, 1.0):  # at 1 the sum over all lesions stays, whatever comes first
        channel = signed_distance_map(LESIONS, 2, balance=1.0, balance_cap=1e9, balance_lesions=gamma)[1]
        assert abs(channel.sum(dtype=np.float64)) < 1e-4 * np.abs(channel).sum(dtype=np.float64)
    assert lesion_masses(np.stack([channel, channel])) == pytest.approx(
        [channel[LESIONS[0] == 0].sum() / 3] * 3, rel=1e-4
    )


def test_lesions_without_a_mass_stay_zero_and_do_not_count():
    plain, equal = (signed_distance_map(LESIONS, 2, convention="kervadec", balance_lesions=g)[1] for g in (0.0, 1.0))
    assert not plain[2, 3:8].any()
    np.testing.assert_allclose(equal, plain, rtol=1e-6)


def test_balanced_lesions_of_a_batch_compile_and_are_those_of_each_sample():
    masks = torch.from_numpy(np.stack([LESIONS == 1, LESIONS[:, ::-1] == 1]))
    options = ROBUST.replace(balance_lesions=0.7)
    found = batch_masks_map(masks, None, options, None, "torch")
    compiled = torch.compile(
        lambda x: batch_masks_map(x, None, options, None, "torch"), fullgraph=True, backend="eager"
    )
    torch.testing.assert_close(compiled(masks), found, rtol=0, atol=0)
    torch.testing.assert_close(found[1:].flip(2), found[:1])


def test_balanced_lesions_do_not_fit_into_float16_for_sure():
    assert not ROBUST.replace(balance_lesions=0.5).bounded


def test_presets_are_named(labels):
    assert preset_options("published") is PUBLISHED
    assert preset_options("robust") is ROBUST
    assert preset_options("clipped") == ROBUST.replace(balance=0)
    assert DistanceMapOptions(convention="kervadec") == PUBLISHED
    assert not PUBLISHED.bounded
    assert ROBUST.bounded
    assert signed_distance_map(labels, 4, clip=10.0, normalize="clip").max() <= 1


def test_options_are_frozen_and_copied_with_changes():
    changed = PUBLISHED.replace(clip=4.0)
    assert (changed.convention, changed.clip, PUBLISHED.clip) == ("kervadec", 4.0, None)


def test_signed_distance_equals_the_foreground_channel(rng):
    labels = rng.integers(0, 2, (1, *SHAPE))
    np.testing.assert_array_equal(
        signed_distance(labels[0] == 1, SPACING), signed_distance_map(labels, 2, SPACING, include_background=False)[0]
    )
