"""GeneralizedDiceLoss against MONAI's and against the definition."""

from __future__ import annotations

import pytest
import torch
from monai.losses import GeneralizedDiceLoss as MonaiGeneralizedDiceLoss
from monai.networks import one_hot

from monai_boundary import BoundaryLoss, GeneralizedDiceBoundaryLoss, GeneralizedDiceLoss
from tests import oracles
from tests.losses.samples import gathered, labels_like, repeated, value_and_gradient
from tests.losses.test_boundary_loss import ACTIVATIONS

close = torch.testing.assert_close


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels; class 2 is absent from the first sample, and class 1 is rare."""
    labels = labels_like((2, 8, 9), 3)
    labels[0][labels[0] == 2] = 0
    labels[1, 0, :7] = 0
    return torch.randn(2, 3, 8, 9), labels


@pytest.mark.parametrize("activation", ACTIVATIONS[:3], ids=["sigmoid", "softmax", "other_act"])
@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("to_onehot_y", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("batch_volumes", [False, True])
def test_value_and_gradient_equal_monai(batch, activation, include_background, to_onehot_y, reduction, batch_volumes):
    logits, labels = batch
    other = {"other_act": torch.sigmoid} if "other_act" in activation else activation  # tanh leaves [0, 1]
    settings = {**other, "include_background": include_background, "to_onehot_y": to_onehot_y, "reduction": reduction}
    settings["batch"] = batch_volumes
    target = labels if to_onehot_y else one_hot(labels, 3)
    ours = value_and_gradient(GeneralizedDiceLoss(**settings, scale_free=False), logits, target)
    theirs = value_and_gradient(MonaiGeneralizedDiceLoss(**settings), logits, target)
    close(ours[0], theirs[0].reshape(ours[0].shape), rtol=1e-5, atol=1e-6)
    close(ours[1], theirs[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_value_equals_the_definition(ndim):
    logits, labels = torch.randn(2, 3, *(5, 6, 7)[:ndim]), labels_like((2, *(5, 6, 7)[:ndim]), 3)
    expected = oracles.generalized_dice_loss(oracles.softmax(logits.numpy()), one_hot(labels, 3).numpy())
    loss = GeneralizedDiceLoss(softmax=True, to_onehot_y=True)(logits, labels)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_smooth_is_added_above_and_below():
    probs, target = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[1.0, 0.0]]])
    assert float(GeneralizedDiceLoss(smooth=2.0, scale_free=False)(probs, target)) == pytest.approx(1 - 3 / 4)
    # shares: overlap 1/4, sum 1, weight 4
    assert float(GeneralizedDiceLoss(smooth=2.0)(probs, target)) == pytest.approx(1 - (2 + 2) / (4 + 2))


@pytest.mark.parametrize("scale_free", [True, False])
def test_without_smooth_nothing_predicted_where_nothing_is_costs_nothing(scale_free):
    loss = GeneralizedDiceLoss(smooth=0.0, scale_free=scale_free)
    probs = torch.tensor([[[0.0, 0.0]], [[0.5, 0.0]]], requires_grad=True)
    target = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]])
    value = loss(probs, target)
    assert value.item() == pytest.approx((0 + 1 - 1 / 1.5) / 2)
    assert torch.autograd.grad(value, probs)[0].isfinite().all()


@pytest.mark.parametrize("activation", [{"softmax": True}, {"sigmoid": True}], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("batch_volumes", [False, True])
@pytest.mark.parametrize("ignore_index", [None, 9])
def test_repeating_every_voxel_changes_neither_value_nor_gradient_sum(
    activation, include_background, batch_volumes, ignore_index
):
    settings = {**activation, "include_background": include_background, "batch": batch_volumes}
    loss = GeneralizedDiceLoss(**settings, to_onehot_y=True, ignore_index=ignore_index)
    logits, labels = torch.randn(2, 2, 8, 8, 8), (torch.rand(2, 1, 8, 8, 8) < 0.05).long()
    labels[1] = 0  # a patch without the class
    if ignore_index is not None:
        labels[:, :, 0] = ignore_index
    small = value_and_gradient(loss, logits, labels)
    large = value_and_gradient(loss, repeated(logits, 6), repeated(labels, 6))
    close(small[0], large[0], rtol=1e-5, atol=1e-6)  # 216 times the voxels
    close(small[1], gathered(large[1], 6), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("size", [(96, 96, 96), (128, 128, 128)])
@pytest.mark.parametrize("activation", [{"softmax": True}, {"sigmoid": True}], ids=["softmax", "sigmoid"])
def test_foreground_throughout_a_patch_without_the_class_costs_one(size, activation):
    labels = torch.zeros(1, 1, *size)
    logits = torch.stack([torch.full(size, -9.0), torch.full(size, 9.0)])[None]
    if "sigmoid" in activation:
        logits, labels = logits[:, 1:], labels
    loss = GeneralizedDiceLoss(**activation, to_onehot_y="softmax" in activation)
    assert float(loss(logits, labels)) > 0.9
    monai = GeneralizedDiceLoss(**activation, to_onehot_y="softmax" in activation, scale_free=False)
    assert float(monai(logits, labels)) < 0.3  # which is why


def test_large_patches_have_the_loss_of_the_formula():
    labels = torch.zeros(1, 1, 128, 128, 128)
    labels[:, :, :64, :64, :64] = 1  # 12.5 %
    logits = torch.stack([torch.full((128,) * 3, 20.0), torch.zeros((128,) * 3)])[None]
    expected = 1 - 2 * (7 / 8 / (7 / 8) ** 2) / (15 / 8 / (7 / 8) ** 2 + 1 / 8 / (1 / 8) ** 2)
    value = GeneralizedDiceLoss(softmax=True, to_onehot_y=True)(logits, labels)
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_perfect_prediction_scores_zero_and_the_opposite_one(batch):
    target = one_hot(batch[1], 3)
    assert float(GeneralizedDiceLoss()(target, target)) == pytest.approx(0, abs=1e-6)
    assert float(GeneralizedDiceLoss()(target.roll(1, 1), target)) > 0.9


def test_absent_class_costs_what_the_rarest_present_class_costs():
    target = torch.zeros(1, 3, 10)
    target[0, 0, :8], target[0, 1, 8:] = 1, 1
    false_positive = target.clone()
    false_positive[0, 2, 0] = 1
    weights, totals = (1 / 64, 1 / 4, 1 / 4), (16, 4, 1)
    expected = 1 - 2 * (8 / 64 + 2 / 4) / sum(w * t for w, t in zip(weights, totals, strict=True))
    assert float(GeneralizedDiceLoss(smooth=1e-9)(false_positive, target)) == pytest.approx(expected, rel=1e-5)


def test_sample_without_any_counted_class_costs_what_is_predicted():
    labels, logits = torch.zeros(1, 1, 4, 4), torch.randn(1, 3, 4, 4)
    settings = {"softmax": True, "to_onehot_y": True, "include_background": False}
    value, gradient = value_and_gradient(GeneralizedDiceLoss(**settings, scale_free=False), logits, labels)
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert not gradient.any()
    assert float(GeneralizedDiceLoss(**settings)(logits, labels)) > 0.99
    nothing = torch.tensor([60.0, -60.0, -60.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert float(GeneralizedDiceLoss(**settings)(nothing, labels)) == pytest.approx(0, abs=1e-6)


def test_valid_mask_equals_the_ignore_index(batch):
    logits, labels = batch
    valid = torch.rand(labels.shape) < 0.7
    expected = GeneralizedDiceLoss(softmax=True, to_onehot_y=True, ignore_index=9)(logits, labels.where(valid, 9))
    logits = torch.where(valid, logits, torch.nan)
    close(GeneralizedDiceLoss(softmax=True)(logits, one_hot(labels, 3), valid=valid), expected)


@pytest.mark.parametrize("settings", [{"reduction": "sum"}, {"batch": True}, {"reduction": "sum", "batch": True}])
def test_reduction_and_batch_hold_for_both_terms(batch, settings):
    logits, labels = batch
    loss = GeneralizedDiceBoundaryLoss(spacing=(1, 1), **settings)
    loss(logits, labels)
    of_logits = {"softmax": True, "to_onehot_y": True, **settings}
    close(loss.region_term, GeneralizedDiceLoss(**of_logits)(logits, labels))
    boundary = BoundaryLoss(**of_logits, include_background=False, preset="clipped", spacing=(1, 1))
    close(loss.boundary_term, boundary(logits, labels))


def test_a_value_for_each_sample_is_refused_where_the_terms_have_other_shapes(batch):
    with pytest.raises(ValueError, match=r"both terms must have one shape.* give them reduction='mean'"):
        GeneralizedDiceBoundaryLoss(spacing=(1, 1), reduction="none")(*batch)
