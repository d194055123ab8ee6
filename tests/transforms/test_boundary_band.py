"""BoundaryBand(d): kinds of input, channels, ignored voxels, and what a crop does to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, RandFlipd, RandSpatialCropd

from monai_boundary import BoundaryBand, BoundaryBandd, BoundaryF1Loss
from monai_boundary.kernels import boundary_band
from tests.strategies import label_maps


@pytest.fixture
def labels(rng) -> np.ndarray:
    return rng.integers(0, 3, (1, 9, 10))


@given(label_maps(), st.sampled_from([1, 3, 5]), st.sampled_from([3, 5]))
def test_each_class_has_the_band_of_its_mask(labels, theta0, theta):
    bands = BoundaryBand(3, theta0, theta)(labels)
    assert bands.dtype == np.uint8
    for index, band in enumerate(bands):
        masks = torch.from_numpy(labels == index)[None]
        np.testing.assert_array_equal(band, boundary_band(masks, theta0, theta)[0, 0].numpy())


@given(label_maps(ignore=255))
def test_ignored_voxels_are_255_and_end_no_object(labels):
    bands = BoundaryBand(3, ignore_index=255)(labels)
    np.testing.assert_array_equal(bands == 255, np.repeat(labels == 255, 3, axis=0))
    for band, mask in zip(bands, (labels[0] == index for index in range(3)), strict=True):
        counted = torch.from_numpy(labels != 255)[None]
        np.testing.assert_array_equal(band, boundary_band(torch.from_numpy(mask)[None, None], valid=counted)[0, 0])


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_overlapping_channels_are_masks_of_their_own(rng, dtype):
    masks = rng.random((3, 6, 7)) < 0.5
    expected = boundary_band(torch.from_numpy(masks)[None])[0].numpy()
    np.testing.assert_array_equal(BoundaryBand()(masks.astype(dtype)), expected)
    np.testing.assert_array_equal(BoundaryBand(include_background=False)(masks.astype(dtype)), expected[1:])


def test_band_made_after_the_crop_lets_a_perfect_prediction_score_zero():
    labels = np.zeros((1, 20, 20), np.int64)
    labels[:, 4:12, 4:12] = 1
    crop = slice(None), slice(0, 12), slice(8, 20)  # the object's last row lies on the edge of the crop
    pred = torch.from_numpy(labels[crop])[None].float()
    loss = BoundaryF1Loss(theta=1)
    after, before = BoundaryBand()(labels[crop]), BoundaryBand()(labels)[crop]
    assert float(loss(pred, None, torch.from_numpy(after)[None])) == 0
    assert float(loss(pred, None, torch.from_numpy(before.copy())[None])) > 0.1


def test_batches_of_a_loader_feed_the_loss(labels):
    steps = Compose(
        [
            RandFlipd("label", prob=1.0, spatial_axis=0),
            RandSpatialCropd("label", (6, 6), random_size=False),
            BoundaryBandd("label", num_classes=3),
        ]
    )
    data = [{"label": MetaTensor(labels)} for _ in range(2)]
    batch = next(iter(DataLoader(Dataset(data, steps), batch_size=2)))
    logits, loss = torch.randn(2, 3, 6, 6), BoundaryF1Loss(softmax=True, to_onehot_y=True)
    assert loss(logits, None, batch["target_boundary"]) == loss(logits, batch["label"])


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"theta0": 4}, ValueError, "theta0 must be odd and >= 1, .* got 4; an even window has no centre"),
        ({"theta": 1.5}, TypeError, "theta must be an odd integer .* got 1.5"),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer >= 2, got 1"),
        ({"num_classes": 3.0}, TypeError, "num_classes must be an integer >= 2, got 3.0"),
        ({"ignore_index": 255}, ValueError, "ignore_index must be None for one-hot input, got 255; pass labels"),
    ],
)
def test_wrong_settings_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        BoundaryBand(**settings)


@pytest.mark.parametrize(
    ("settings", "given_labels", "text"),
    [
        ({"num_classes": 2}, np.full((1, 4, 4), 2), r"labels must lie in \[0, 1\] .*=None, got \[2\] at 16"),
        ({"num_classes": 2}, np.zeros((2, 4, 4), int), r"labels must have one channel, .* got shape \(2, 4, 4\)"),
        ({"num_classes": 2}, np.full((1, 4), 0.5), "labels must hold integers, .* resample label maps"),
        ({}, np.full((1, 4), 0.5), "one-hot labels must hold 0 and 1, got fractional values; threshold them first"),
        ({}, np.full((1, 4), 2), r"labels must be bool \(or integers 0 and 1\), got values in \[2, 2\]"),
        ({}, np.zeros((4,), bool), r"labels must be \(C, \*S\) with 1 to 3 spatial axes, got shape \(4,\)"),
        ({"include_background": False}, np.zeros((1, 4), bool), "labels must have a channel besides the background"),
        ({"theta": (3, 5, 7)}, np.zeros((1, 4, 4), bool), r"theta must be odd .* axis \(2\), got \(3, 5, 7\)"),
    ],
)  # fmt: skip
def test_wrong_labels_are_refused(settings, given_labels, text):
    with pytest.raises(ValueError, match=text):
        BoundaryBand(**settings)(given_labels)
