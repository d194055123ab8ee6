"""GeneralizedDiceLoss against MONAI's and against the definition."""

from __future__ import annotations

import pytest
import torch
from monai.losses import GeneralizedDiceLoss as MonaiGeneralizedDiceLoss
from monai.networks import one_hot

from monai_boundary import GeneralizedDiceLoss
from tests import oracles
from tests.losses.samples import labels_like, value_and_gradient
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
    ours = value_and_gradient(GeneralizedDiceLoss(**settings), logits, target)
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
    assert float(GeneralizedDiceLoss(smooth=2.0)(probs, target)) == pytest.approx(1 - (1 + 2) / (2 + 2))


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


def test_sample_without_any_counted_class_scores_zero():
    labels = torch.zeros(1, 1, 4, 4)
    value, gradient = value_and_gradient(
        GeneralizedDiceLoss(softmax=True, to_onehot_y=True, include_background=False), torch.randn(1, 3, 4, 4), labels
    )
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert not gradient.any()


def test_valid_mask_equals_the_ignore_index(batch):
    logits, labels = batch
    valid = torch.rand(labels.shape) < 0.7
    expected = GeneralizedDiceLoss(softmax=True, to_onehot_y=True, ignore_index=9)(logits, labels.where(valid, 9))
    logits = torch.where(valid, logits, torch.nan)
    close(GeneralizedDiceLoss(softmax=True)(logits, one_hot(labels, 3), valid=valid), expected)
