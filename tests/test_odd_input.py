"""Unusual input with a documented value: memory layouts, dtypes, sizes of 1, empty and full masks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from monai_boundary import (
    BoundaryLoss,
    DistanceMapOptions,
    GeneralizedDiceBoundaryLoss,
    SignedDistanceMap,
    distance_transform,
    signed_distance,
    signed_distance_map,
)
from tests.input_grid.kinds import NUMPY_LAYOUTS


def close(actual, expected):
    """Equal but for rounding: an engine may visit the axes in the order of the memory."""
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", NUMPY_LAYOUTS)
@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("clip", [None, 2.0])
def test_memory_layout_does_not_change_the_map(rng, layout, num_classes, clip):
    labels = rng.integers(0, num_classes, (1, 5, 6, 7))
    given = NUMPY_LAYOUTS[layout](labels)
    expected = signed_distance_map(labels, num_classes, (3, 1, 2), clip=clip)
    close(signed_distance_map(given, num_classes, (3, 1, 2), clip=clip), expected)
    close(SignedDistanceMap(num_classes, preset=None, spacing=(3, 1, 2), clip=clip)(given), expected)


@pytest.mark.parametrize("layout", NUMPY_LAYOUTS)
def test_memory_layout_of_a_mask_does_not_change_its_distances(rng, layout):
    mask = rng.random((5, 6, 7)) < 0.3
    given = NUMPY_LAYOUTS[layout](mask)
    close(signed_distance(given), signed_distance(mask))
    close(distance_transform(given), distance_transform(mask))


def test_non_contiguous_tensors_do_not_change_map_or_loss(rng):
    labels = torch.from_numpy(rng.integers(0, 3, (1, 5, 6)))
    turned = labels.transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(signed_distance_map(turned, 3), signed_distance_map(labels, 3))
    loss = GeneralizedDiceBoundaryLoss(alpha=0.5)
    torch.testing.assert_close(loss(torch.ones(1, 3, 5, 6), turned[None]), loss(torch.ones(1, 3, 5, 6), labels[None]))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 1), (1, 1), (1,), (7, 1)])
def test_axes_of_size_1_are_ordinary_axes(shape):
    mask = np.zeros(shape, bool)
    mask.flat[0] = True
    line = np.arange(mask.size) - 0.5 if mask.size > 1 else np.zeros(1)
    np.testing.assert_array_equal(signed_distance(mask).ravel(), line)
    np.testing.assert_array_equal(distance_transform(mask).ravel(), np.arange(mask.size))


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_empty_and_full_masks_give_zeros(value, num_classes):
    assert not signed_distance_map(np.full((1, 4, 5), value), num_classes).any()
    assert not signed_distance(np.full((4, 5), value)).any()


def test_single_voxel_has_its_distances():
    mask = np.zeros((1, 5), bool)
    mask[0, 2] = True
    assert signed_distance(mask, (9.0, 2.0)).tolist() == [[3, 1, -1, 1, 3]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16])
def test_every_one_hot_dtype_gives_one_loss(dtype):
    masks, logits = (torch.rand(2, 2, 6, 7) < 0.4).to(dtype), torch.randn(2, 2, 6, 7)
    loss = GeneralizedDiceBoundaryLoss(sigmoid=True, to_onehot_y=False, alpha=0.5)
    torch.testing.assert_close(loss(logits, masks), loss(logits, masks.float()))


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("preset", ["clipped", "robust", "published"])
def test_batch_of_one_label_gives_finite_loss_and_gradient(value, preset):
    loss, logits = GeneralizedDiceBoundaryLoss(preset, ignore_index=255, alpha=0.5), torch.randn(2, 2, 4, 5)
    found = loss(logits.requires_grad_(), torch.full((2, 1, 4, 5), value))
    found.backward()
    assert found.isfinite()
    assert logits.grad.isfinite().all()
    assert value != 255 or not logits.grad.any()
    assert preset != "published" or float(loss.boundary_term) == 0


def test_target_that_requires_grad_is_taken_as_a_constant():
    target = torch.rand(1, 2, 4, 5).round().requires_grad_(True)
    loss = BoundaryLoss(softmax=True)(torch.randn(1, 2, 4, 5, requires_grad=True), target)
    assert loss.requires_grad


def test_inference_mode_tensors_are_accepted():
    with torch.inference_mode():
        assert GeneralizedDiceBoundaryLoss()(torch.zeros(1, 2, 4, 5), torch.zeros(1, 1, 4, 5)).isfinite()


def test_valid_input_of_every_kind_raises_no_warning(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signed_distance_map(rng.integers(0, 2, (1, 4, 5)), 2, [1, 2.5], "kervadec", clip=3, normalize="clip", balance=1)
        assert DistanceMapOptions(clip=np.float32(3), balance=np.float64(0.5)).bounded


def test_bfloat16_labels_are_taken(rng):
    labels = torch.from_numpy(rng.integers(0, 3, (1, 5, 6, 7)))
    expected = signed_distance_map(labels, 3)
    for result in (
        signed_distance_map(labels.bfloat16(), 3),
        SignedDistanceMap(3, preset=None, spacing=(1, 1, 1))(labels.bfloat16()),
    ):
        assert torch.equal(result, expected)
        assert result.dtype == torch.float32
