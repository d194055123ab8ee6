"""SignedDistanceMap(d): kinds of input, presets, keys, dtypes, and what a map records of itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from monai.data import DataLoader, decollate_batch

from monai_boundary import DistanceMapOptions, SignedDistanceMap, signed_distance_map
from monai_boundary.kernels import CLIPPED, PUBLISHED, ROBUST
from monai_boundary.transforms.distance_map import record_map, recorded_options
from tests import oracles
from tests.transforms.images import SPACING, on_grid

MM = {"num_classes": 3, "preset": None}


def test_clipped_map_is_the_default_and_published_and_millimetres_are_one_word_away(labels):
    for settings, options in (
        ({}, CLIPPED),
        ({"preset": "robust"}, ROBUST),
        ({"preset": "published"}, PUBLISHED),
        ({"preset": None}, DistanceMapOptions()),
        ({"balance": 0.25, "clip": 5.0}, CLIPPED.replace(balance=0.25, clip=5.0)),
    ):
        transform = SignedDistanceMap(3, **settings)
        assert transform.options == options
        expected = signed_distance_map(labels, 3, SPACING, **vars(options))
        np.testing.assert_array_equal(transform(on_grid(labels)), expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_overlapping_channels_are_masks_of_their_own(rng, dtype):
    masks = rng.random((3, 6, 7)) < 0.5
    maps = SignedDistanceMap(preset=None, spacing=(2.0, 1.0))(masks.astype(dtype))
    np.testing.assert_allclose(maps, [oracles.signed_map(mask, (2.0, 1.0)) for mask in masks], rtol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"include_background": False}])
def test_one_hot_channels_equal_the_label_map(labels, settings):
    onehot = np.concatenate([labels == c for c in range(3)])
    expected = signed_distance_map(labels, 3, SPACING, **settings)
    for num_classes, given in ((3, labels), (None, onehot)):
        transform = SignedDistanceMap(num_classes, preset=None, **settings)
        np.testing.assert_array_equal(transform(on_grid(given)), expected)


@pytest.mark.parametrize("options", [{"clip": 20.0, "preset": None}, {"normalize": "diagonal", "preset": None}, {}])
def test_half_precision_map_is_the_float32_map_rounded_and_needs_a_bound(labels, options):
    maps = SignedDistanceMap(num_classes=3, dtype=torch.float16, **options)(on_grid(labels))
    assert maps.dtype == torch.float16
    torch.testing.assert_close(maps.float(), SignedDistanceMap(3, **options)(on_grid(labels)), rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match=r"dtype must be torch.float32 for a map without clip .*, got torch.float16"):
        SignedDistanceMap(**MM, dtype=torch.float16)
    for beyond in ({"clip": 100.0, "balance": 1.0}, {"clip": 1e5}):  # up to the clip times balance_cap
        with pytest.raises(ValueError, match=r"dtype must be torch.float32 for a map .* beyond 65504, got"):
            SignedDistanceMap(3, preset=None, dtype=torch.float16, **beyond)


def test_ignored_label_and_backend_are_passed_to_the_kernel(labels, monkeypatch):
    maps = SignedDistanceMap(2, preset=None, ignore_index=2)(on_grid(labels))
    np.testing.assert_array_equal(maps, signed_distance_map(labels, 2, SPACING, ignore_index=2))
    monkeypatch.setitem(sys.modules, "edt", None)
    SignedDistanceMap(**MM, backend="scipy")(on_grid(labels))
    with pytest.raises(ImportError, match="edt"):
        SignedDistanceMap(**MM, backend="edt")(on_grid(labels))


def test_map_keeps_the_affine_and_records_spacing_and_settings(labels):
    image = on_grid(labels)
    maps = SignedDistanceMap(3, clip=5.0)(image)
    torch.testing.assert_close(maps.affine, image.affine)
    assert maps.meta["distance_map_spacing"] == list(SPACING)
    assert maps.meta["distance_map_options"] == {**vars(CLIPPED), "clip": 5.0}
    assert recorded_options(maps) == {CLIPPED.replace(clip=5.0)}
    assert not {"distance_map_spacing", "distance_map_options"} & set(image.meta)


def test_record_is_read_back_from_batches_also_mixed_ones(labels):
    every = [ROBUST, PUBLISHED, DistanceMapOptions(normalize="max", balance=0.1), DistanceMapOptions(clip=3)]
    data = [{"m": SignedDistanceMap(3, preset=None, **vars(options))(on_grid(labels))} for options in every]
    for options, item in zip(every, data, strict=True):
        assert recorded_options(item["m"]) == {options}
    (batch,) = DataLoader(data, batch_size=4)
    for maps in (batch["m"], batch["m"].clone().half(), batch["m"][:, 1:]):
        assert recorded_options(maps) == set(every)
    assert recorded_options(batch["m"][1]) == {PUBLISHED}
    assert [recorded_options(item["m"]) for item in decollate_batch(batch)] == [{options} for options in every]
    assert recorded_options(torch.stack([data[0]["m"]] * 2)) == {ROBUST}  # as the engines make them on the device


def test_plain_tensors_and_images_record_nothing(labels):
    plain = torch.zeros(1, 2, 2)
    record_map(plain, ROBUST, (1, 1))
    assert recorded_options(plain) == recorded_options(on_grid(labels)) == set()
