"""RegionSeeds(d): kinds of input, membranes from ids, slices, and crops and flips before and after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, EnsureTyped, Flip, RandSpatialCropd, SpatialCrop
from scipy import ndimage

from monai_boundary import RegionSeeds, RegionSeedsd
from monai_boundary._geometry import MissingSpacingWarning
from monai_boundary.kernels.regions import connected_components, region_seeds

PIXELS = (1.0, 1.0)


@pytest.fixture
def ids() -> np.ndarray:
    """Four cells `(1, 12, 14)` with a membrane cross of 0 between them."""
    cells = np.zeros((1, 12, 14), np.int64)
    cells[0, :5, :6], cells[0, :5, 7:], cells[0, 6:, :6], cells[0, 6:, 7:] = 40, 7, 7, 2**40
    return cells


def test_seeds_and_membrane_are_those_of_the_kernels(ids):
    seeds, membrane = RegionSeeds(spacing=(3.0, 1.0))(ids)
    np.testing.assert_array_equal(seeds[0], region_seeds(connected_components(ids[0]), (3.0, 1.0)))
    np.testing.assert_array_equal(membrane, ids == 0)
    assert seeds.dtype == np.int32
    assert membrane.dtype == np.uint8


def test_membrane_mask_gives_what_its_cells_give(ids):
    for mask in (ids == 0, (ids == 0).astype(np.uint8)):
        pairs = zip(RegionSeeds("membrane", spacing=PIXELS)(mask), RegionSeeds(spacing=PIXELS)(ids > 0), strict=True)
        for found, expected in pairs:
            np.testing.assert_array_equal(found, expected)


def test_spacing_comes_from_the_affine_or_is_missed_with_a_warning():
    tall = np.zeros((1, 9, 13), np.uint8)
    tall[0, 1:8, 1:4] = tall[0, 2:5, 1:12] = 1
    flat = MetaTensor(tall, affine=torch.diag(torch.tensor([1.0, 9.0, 1.0, 1.0])))
    np.testing.assert_array_equal(np.asarray(RegionSeeds()(flat)[0]), RegionSeeds(spacing=(1.0, 9.0))(tall)[0])
    assert (np.asarray(RegionSeeds()(flat)[0]) != RegionSeeds(spacing=PIXELS)(tall)[0]).any()
    with pytest.warns(MissingSpacingWarning):
        RegionSeeds()(tall)


def test_touching_ids_get_a_membrane_of_the_asked_width():
    touching = np.repeat([[3] * 6 + [9] * 6], 5, axis=0)[None]
    seeds, membrane = RegionSeeds(membrane_width=2.0, spacing=PIXELS)(touching)
    assert membrane[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert sorted(seeds[seeds > 0].tolist()) == [1, 2]
    wide = RegionSeeds(membrane_width=2.0, spacing=(1.0, 2.0))(touching)[1]
    assert wide[0, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert not RegionSeeds(spacing=PIXELS)(touching)[1].any()


def test_width_also_widens_membranes_that_are_there_and_may_split_a_cell(ids):
    membrane = RegionSeeds(membrane_width=1.0, spacing=PIXELS)(ids)[1]
    np.testing.assert_array_equal(membrane[0], ndimage.binary_dilation(ids[0] == 0))
    neck = np.ones((1, 7, 15), int)
    neck[0, :3, 7] = neck[0, 4:, 7] = 0
    seeds, _ = RegionSeeds(membrane_width=1.0, spacing=PIXELS)(neck)
    assert (seeds > 0).sum() == 2


def test_slices_are_taken_one_by_one_with_numbers_that_go_on():
    volume = np.zeros((1, 3, 5, 9), int)
    volume[0, :, :, :4], volume[0, 1:, :, 5:] = 1, 2
    assert (RegionSeeds(spacing=(9.0, 1.0, 1.0))(volume)[0] > 0).sum() == 2
    seeds, _ = RegionSeeds(slice_axis=0, spacing=(9.0, 1.0, 1.0))(volume)
    assert [sorted(part[part > 0].tolist()) for part in seeds[0]] == [[1], [2, 3], [4, 5]]
    np.testing.assert_array_equal(
        seeds[0, 1], np.where(RegionSeeds(spacing=PIXELS)(volume[:, 1])[0][0] > 0, seeds[0, 1], 0)
    )
    turned = RegionSeeds(slice_axis=-1, spacing=(1.0, 1.0, 9.0))(np.moveaxis(volume, 1, 3))[0]
    np.testing.assert_array_equal(np.moveaxis(turned, 3, 1), seeds)


def test_crop_before_it_leaves_every_part_with_its_own_seed(ids):
    ring = np.ones((1, 9, 9), int)
    ring[0, 3:6, 3:6] = 0
    upper = SpatialCrop(roi_start=(3, 0), roi_end=(6, 9))(ring)  # two pieces of one cell
    seeds, _ = RegionSeeds(spacing=PIXELS)(np.asarray(upper))
    assert sorted(seeds[seeds > 0].tolist()) == [1, 2]
    assert RegionSeeds(spacing=PIXELS)(ring)[0].astype(bool).sum() == 1


def test_flip_before_it_moves_the_seeds_along_up_to_ties():
    blob = np.zeros((1, 9, 9), int)
    blob[0, 1:6, 2:7], blob[0, 7:, 7:] = 1, 5  # one farthest voxel each
    flip = Flip(spatial_axis=0)
    seeds, membrane = RegionSeeds(spacing=PIXELS, image_edge=False)(blob)
    flipped_seeds, flipped_membrane = RegionSeeds(spacing=PIXELS, image_edge=False)(np.asarray(flip(blob)))
    np.testing.assert_array_equal(flipped_membrane, np.asarray(flip(membrane)))
    np.testing.assert_array_equal(flipped_seeds > 0, np.asarray(flip(seeds)) > 0)


def test_loader_crops_collates_and_hands_over_int32_seeds(ids):
    transforms = Compose(
        [
            EnsureTyped("label", dtype=torch.int64),
            RandSpatialCropd("label", (8, 8), random_size=False),
            RegionSeedsd("label", min_region_size=2),
        ]
    )
    loader = DataLoader(Dataset([{"label": ids}] * 4, transforms), batch_size=4)
    (batch,) = loader
    assert batch["seeds"].shape == batch["membrane"].shape == (4, 1, 8, 8)
    assert batch["seeds"].dtype == torch.int32
    for label, seeds in zip(batch["label"], batch["seeds"], strict=True):
        regions = connected_components(label[0])
        assert sorted(seeds[seeds > 0].tolist()) == sorted(
            region for region in range(1, regions.max() + 1) if (regions == region).sum() >= 2
        )


RESERVED = np.array([2**64 - 1, 2**64 - 2, 2**64 - 3], np.uint64)


@pytest.mark.parametrize("width", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("slice_axis", [None, 0])
@pytest.mark.parametrize("form", [np.uint64, ">u8", ">u2", np.int32])
def test_what_nobody_labelled_is_as_what_lies_outside_the_image(rng, width, slice_axis, form):
    """Neither membrane nor neuron: seeds and membrane beside it are those of the labelled part alone."""
    part = np.kron(rng.integers(0, 4, (2, 3, 3)), np.ones((1, 4, 4), int))[None]
    whole = np.pad(part, ((0, 0), (0, 0), (2, 1), (3, 0))).astype(form)
    unlabelled = np.pad(np.zeros(part.shape, bool), ((0, 0), (0, 0), (2, 1), (3, 0)), constant_values=True)
    wide = np.dtype(form).itemsize == 8
    whole[unlabelled] = rng.choice(RESERVED, unlabelled.sum()) if wide else 99
    settings = {"spacing": (3.0, 1.0, 1.0), "membrane_width": width, "slice_axis": slice_axis}
    seeds, membrane = RegionSeeds(**settings, ignore_index=None if wide else 99)(whole)
    expected_seeds, expected = RegionSeeds(**settings)(part)
    assert (membrane[unlabelled] == 255).all()
    assert not seeds[unlabelled].any()
    np.testing.assert_array_equal(membrane[~unlabelled], expected.ravel())
    np.testing.assert_array_equal(seeds[~unlabelled] > 0, expected_seeds.ravel() > 0)


def test_membranes_beside_unlabelled_voxels_are_found_voxel_by_voxel(rng):
    ids = rng.integers(1, 4, (1, 14, 15))
    ids[0, rng.random((14, 15)) < 0.5] = 9
    _, membrane = RegionSeeds(membrane_width=2.3, spacing=(1.0, 1.5), ignore_index=9)(ids)
    places = np.argwhere(ids[0] < 9)
    gaps = np.linalg.norm((places[:, None] - places) * (1.0, 1.5), axis=-1)
    names = ids[0][tuple(places.T)]
    expected = ((gaps <= 2.3) & (names[:, None] != names)).any(1)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(membrane[0][tuple(places.T)], expected)
    assert (membrane[ids == 9] == 255).all()


def test_masks_keep_what_nobody_labelled():
    mask = np.array([[[0, 0, 1, 0, 255, 255]] * 4], np.uint8)
    seeds, membrane = RegionSeeds("membrane", spacing=PIXELS, ignore_index=255)(mask)
    np.testing.assert_array_equal(membrane, mask)
    assert sorted(seeds[seeds > 0]) == [1, 2]
    assert not seeds[..., 4:].any()


WRONG = [
    ({"ignore_index": 1.5}, TypeError, "ignore_index must be None or an integer"),
    ({"source": "cells"}, ValueError, "source must be one of"),
    ({"connectivity": 3}, ValueError, "connectivity must be 1 for 4 neighbours"),
    ({"membrane_width": -1.0}, ValueError, "membrane_width must be finite and >= 0"),
    ({"source": "membrane", "membrane_width": 1.0}, ValueError, "membrane_width must be 0 for source='membrane'"),
    ({"min_region_size": "all"}, TypeError, "min_region_size must be an integer >= 0"),
    ({"slice_axis": 2}, ValueError, "slice_axis must be one of 2 spatial axes"),
    ({"slice_axis": 0.0}, TypeError, "slice_axis must be None or an integer"),
    ({"spacing": (1.0,)}, ValueError, "spacing must hold one finite value"),
    ({"source": "membrane"}, ValueError, r"labels must be bool \(or integers 0 and 1\)"),
]


@pytest.mark.parametrize(("settings", "error", "text"), WRONG)
def test_wrong_settings_are_refused(settings, error, text):
    labels = np.array([[[0, 255], [1, 1]]])
    with pytest.raises(error, match=text):
        RegionSeeds(**{"spacing": PIXELS, **settings})(labels)


@pytest.mark.parametrize("labels", [np.zeros((2, 3, 3)), np.full((1, 2, 2), 0.5), np.full((1, 2, 2), -1)])
def test_wrong_labels_are_refused(labels):
    with pytest.raises(ValueError, match="labels must"):
        RegionSeeds(spacing=PIXELS)(labels)
