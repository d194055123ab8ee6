"""Laws of the boundary loss, generalized Dice and their sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_boundary import (
    BoundaryLoss,
    DistanceMapOptions,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    signed_distance_map,
)
from monai_boundary.losses import _fused
from tests import oracles
from tests.losses.samples import value_and_gradient
from tests.strategies import logits_and_maps, spacings

close = torch.testing.assert_close
LOSS = BoundaryLoss(softmax=True)


def tensors(case) -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(array) for array in case)


def labels_for(logits: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, logits.shape[1], (len(logits), 1, *logits.shape[2:]), generator=generator)


def gradient(loss, logits: torch.Tensor, *args) -> torch.Tensor:
    return value_and_gradient(loss, logits, *args)[1]


seeds = st.integers(0, 2**31)


@given(logits_and_maps())
def test_value_is_the_mean_of_probability_times_map(case):
    expected = oracles.boundary_loss(oracles.softmax(case[0]), case[1])
    np.testing.assert_allclose(float(LOSS(tensors(case)[0], None, tensors(case)[1])), expected, rtol=1e-9, atol=1e-9)


SETTINGS = [
    {}, {"batch": True}, {"reduction": "sum"}, {"reduction": "sum", "batch": True}, {"include_background": False},
]  # fmt: skip
KINDS = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])


@given(logits_and_maps(), st.booleans(), st.sampled_from(SETTINGS), KINDS, KINDS, st.integers(1, 70))
def test_one_pass_equals_the_plain_form_in_float64_to_a_millionth(case, sigmoid, settings, kind, of_map, chunk):
    logits, maps = (tensor.to(dtype) for tensor, dtype in zip(tensors(case), (kind, of_map), strict=True))
    settings = {**settings, "sigmoid": sigmoid, "softmax": not sigmoid}
    one_pass, plain = BoundaryLoss(**settings), BoundaryLoss(**settings, fused=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fused, "_CPU_CHUNK", chunk)
        value, slope = one_pass(logits, None, maps), gradient(one_pass, logits, None, maps)
    parts = 1 if "reduction" not in settings else maps.shape[1] * (1 if "batch" in settings else len(maps))
    # of the products before they cancel, as float32 cannot do better
    scale = parts * float(maps.double().abs().mean()) + 1e-30
    assert abs(float(value) - float(plain(logits.double(), None, maps.double()))) <= 1e-6 * scale
    expected = gradient(plain, logits.double(), None, maps.double())
    assert (value.dtype, slope.dtype) == (torch.promote_types(torch.float32, kind), kind)
    precision = max(1e-6, 2 * torch.finfo(kind).eps)
    largest = parts * float(maps.double().abs().max()) / maps.numel()
    close(slope.double(), expected, rtol=precision, atol=precision * largest)


@given(logits_and_maps(), seeds, st.floats(-30, 30))
def test_order_of_samples_classes_and_voxels_and_a_shift_do_not_matter(case, seed, shift):
    logits, maps = tensors(case)
    for axis in range(logits.ndim):
        order = torch.randperm(logits.shape[axis], generator=torch.Generator().manual_seed(seed))
        turned, moved = logits.index_select(axis, order), maps.index_select(axis, order)
        close(LOSS(turned + shift, None, moved), LOSS(logits, None, maps))
        close(gradient(LOSS, turned, None, moved), gradient(LOSS, logits, None, maps).index_select(axis, order))


@given(logits_and_maps())
def test_loss_with_offset_is_never_negative_and_keeps_the_gradient(case):
    logits, maps = tensors(case)
    offset = BoundaryLoss(softmax=True, offset="zero_at_target")
    assert offset(logits, None, maps) >= -1e-9
    close(gradient(offset, logits, None, maps), gradient(LOSS, logits, None, maps))


@given(logits_and_maps(), seeds, st.floats(0.2, 5), st.data())
def test_loss_in_mm_scales_with_the_spacing(case, seed, factor, data):
    logits = tensors(case)[0]
    labels, spacing = labels_for(logits, seed), data.draw(spacings(logits.ndim - 2))
    first, second = (
        BoundaryLoss(softmax=True, to_onehot_y=True, options=DistanceMapOptions(), spacing=size)(logits, labels)
        for size in (spacing, [factor * value for value in spacing])
    )
    close(second, factor * first, rtol=1e-4, atol=1e-4)


@given(logits_and_maps(), seeds)
def test_perfect_prediction_scores_least(case, seed):
    logits = tensors(case)[0]
    labels = labels_for(logits, seed)
    maps = torch.stack([signed_distance_map(sample, logits.shape[1]) for sample in labels]).double()
    perfect = 100.0 * (labels == torch.arange(logits.shape[1]).view(1, -1, *[1] * (logits.ndim - 2)))
    assert LOSS(perfect.double(), None, maps) <= LOSS(logits, None, maps) + 1e-9


@given(logits_and_maps(), seeds)
def test_generalized_dice_lies_in_0_to_1_and_equals_the_definition(case, seed):
    logits = tensors(case)[0]
    labels = labels_for(logits, seed)
    loss = GeneralizedDiceLoss(softmax=True, to_onehot_y=True)(logits, labels)
    assert -1e-9 <= loss <= 1
    onehot = (labels.numpy() == np.arange(logits.shape[1]).reshape(1, -1, *[1] * (logits.ndim - 2))).astype(float)
    expected = oracles.generalized_dice_loss(oracles.softmax(case[0]), onehot)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-6, atol=1e-9)


@given(logits_and_maps(), seeds, st.floats(0, 1))
def test_sum_is_finite_and_has_the_weights_it_shows(case, seed, alpha):
    logits, maps = tensors(case)
    loss = GeneralizedDiceBoundaryLoss(alpha=alpha, include_background=True, check_map=False)
    value = loss(logits, labels_for(logits, seed), maps)
    assert value.isfinite()
    close(value, loss.term_weights[0] * loss.region_term + loss.term_weights[1] * loss.boundary_term)
