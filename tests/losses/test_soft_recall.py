"""How much of the foreground is found, which a share of the gradient is multiplied by."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, FocalLoss
from torch import nn

from monai_boundary import (
    BoundaryLoss,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    RegionBoundaryLoss,
    Share,
)
from monai_boundary.losses import BinaryCrossEntropyLoss, GradientShareWarning
from monai_boundary.losses.gradient_share import GradientBalance
from tests.losses.shares import batch, share_of

close = torch.testing.assert_close


@pytest.mark.parametrize("ignored", [False, True])
def test_a_batch_without_foreground_moves_nothing(ignored):
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3), ignore_index=9)
    logits, label, maps = batch()
    loss(logits, label, maps)
    before = loss.gradient_norms, loss.alpha
    empty = torch.full_like(label, 9) if ignored else torch.zeros_like(label)
    loss(3 * logits, empty, torch.ones_like(maps))
    assert loss.gradient_norms == before[0]
    assert loss.alpha <= before[1] * (1 + 1e-6)
    if not ignored:
        assert share_of(loss, 3 * logits, empty, torch.ones_like(maps)) <= 0.3 * (1 + 1e-4)


@pytest.mark.parametrize("smooth", [0.0, 1e-5])
def test_a_batch_from_which_the_region_term_wants_nothing_gives_the_boundary_term_no_weight(smooth):
    region = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=1e-5, squared_pred=True)  # of MONAI's BraTS tutorial
    loss = RegionBoundaryLoss(region, BoundaryLoss(sigmoid=True, preset="clipped", check_map=False), alpha=Share(0.2))
    logits, label, maps = batch()
    label, maps = label.float(), maps[:, 1:]
    logits = logits[:, 1:].detach().requires_grad_()
    loss(logits, label, maps)
    before = loss.gradient_norms, loss.alpha
    loss(logits, 0 * label, torch.ones_like(maps))
    assert share_of(loss, logits, 0 * label, torch.ones_like(maps)) <= 0.2 if smooth else loss.alpha == 0
    assert loss.gradient_norms == before[0]
    loss(logits, label, maps)
    assert loss.alpha == pytest.approx(before[1], rel=0.2)


def test_channels_between_0_and_1_count_by_their_part():
    logits, label, maps = batch()
    logits, maps = logits[:, 1:].detach().requires_grad_(), maps[:, 1:]
    part = label.float() * torch.tensor([0.3, 0.5]).view(2, 1, 1, 1)
    loss = RegionBoundaryLoss(DiceLoss(sigmoid=True), BoundaryLoss(sigmoid=True, check_map=False), alpha=Share(0.3))
    loss(logits, part, maps)
    found = float(torch.minimum(logits.detach().sigmoid(), part).sum() / part.sum())
    assert loss.foreground_found == pytest.approx(found, rel=1e-5)
    assert share_of(loss, logits, part, maps) == pytest.approx(0.3 * found, rel=1e-4)


@pytest.mark.parametrize("part", [0.1, 0.5, 1.0])
def test_a_part_that_is_predicted_exactly_is_found(part):
    label = torch.zeros(1, 1, 8, 8)
    label[..., :4, :] = part
    loss = RegionBoundaryLoss(DiceLoss(sigmoid=True), BoundaryLoss(sigmoid=True, check_map=False), alpha=Share(0.3))
    loss(torch.logit(label, 1e-7).requires_grad_(), label, 1 - 2 * label)
    assert loss.foreground_found == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_target_in_half_precision_counts_more_than_it_can_hold(dtype):
    label = torch.zeros(1, 1, 320, 320)
    label[..., :300, :300] = 1  # 90,000 voxels; the largest float16 is 65,504
    region = GeneralizedDiceLoss(sigmoid=True)  # MONAI's DiceLoss has no finite gradient on a float16 target
    loss = RegionBoundaryLoss(region, BoundaryLoss(sigmoid=True, check_map=False), alpha=Share(0.5))
    loss((4 * label - 1).requires_grad_(), label.to(dtype), 1 - 2 * label)
    assert loss.foreground_found == pytest.approx(1 / (1 + math.exp(-3)), rel=1e-4)
    assert loss.alpha > 0


@pytest.mark.parametrize("first", [True, False])
def test_what_one_of_the_losses_ignores_is_no_foreground(first):
    label = torch.zeros(1, 1, 16, 16)
    label[..., 2:8, 2:8], label[..., 8:, :] = 1, 255
    region = BinaryCrossEntropyLoss(ignore_index=255 if first else None)
    boundary = BoundaryLoss(sigmoid=True, check_map=False, ignore_index=None if first else 255)
    loss = RegionBoundaryLoss(region, boundary, Share(0.5))
    hits, true = loss.foreground_hits(torch.where(label == 1, 4.0, -4.0), label)
    assert true.tolist() == [36]
    assert float(hits) == pytest.approx(36 / (1 + math.exp(-4)))


def test_a_class_that_a_batch_does_not_hold_counts_as_it_was_found_before():
    balance = GradientBalance()
    norms, number = torch.ones(2), torch.tensor([10.0, 10.0, 0.0])
    assert float(balance(norms, torch.tensor([9.0, 1.0, 0.0]), number)[1]) == pytest.approx(0.1)
    without = torch.tensor([10.0, 0.0, 0.0])
    assert float(balance(norms, torch.tensor([8.0, 0.0, 0.0]), without)[1]) == pytest.approx(0.1)
    assert balance.found.tolist() == pytest.approx([0.8, 0.1, 1.0])
    again = GradientBalance()
    again.load_state_dict(balance.state_dict())
    assert float(again(norms, torch.tensor([8.0, 0.0, 0.0]), without)[1]) == pytest.approx(0.1)
    old = {"norms": balance.norms, "found": torch.tensor(0.4)}  # of versions with one number for all classes
    again.load_state_dict(old)
    assert float(again(norms, torch.tensor([8.0, 0.0, 0.0]), without)[1]) == pytest.approx(0.4)
    assert again.found.tolist() == pytest.approx([0.8, 0.4, 0.4])


@pytest.mark.parametrize("shift", [0.0, -3.0, -9.0])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_the_share_is_smaller_while_the_foreground_is_not_found(shift, sigmoid):
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.5), sigmoid=sigmoid, to_onehot_y=not sigmoid)
    logits, label, maps = batch()
    logits = (logits + torch.tensor([0.0, shift]).view(1, 2, 1, 1) - torch.cat([0 * label, 16 * label], 1)).detach()
    if sigmoid:
        logits, maps = logits[:, 1:] - logits[:, :1], maps[:, 1:]
    probs = logits.sigmoid() if sigmoid else logits.softmax(1)[:, 1:]
    found = float(probs[label > 0].mean())
    assert (found < 0.5) == (shift < -2)
    logits.requires_grad_()
    loss(logits, label, maps)
    assert share_of(loss, logits, label, maps) == pytest.approx(0.5 * found, rel=1e-3)


def test_the_class_of_which_least_is_found_decides_and_absent_and_ignored_ones_do_not():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.5), ignore_index=9)
    label = torch.zeros(1, 1, 8, 9, dtype=torch.int64)
    label[..., :3, :], label[..., 4, :5], label[..., 6:, :] = 1, 2, 9
    logits = torch.zeros(1, 4, 8, 9)
    logits[:, 1], logits[:, 2] = 2.0, -6.0  # hardly anything of class 2; class 3 is nowhere
    probs = logits.softmax(1)
    hits, true = loss.foreground_hits(logits, label)
    close(hits, torch.stack([probs[:, k : k + 1][label == k].sum() for k in (1, 2, 3)]))
    assert true.tolist() == [27, 5, 0]
    _, found = GradientBalance()(torch.ones(2), hits, true)
    close(found, hits[1] / 5)
    close(GradientBalance()(torch.ones(2), hits, 0 * true)[1], torch.tensor(1.0))


class OwnBoundary(nn.Module):
    """A user's boundary loss, which says nothing of activations."""

    def forward(self, input, target, distance_map):  # noqa: ARG002
        return (input[:, -1:].softmax(1) * distance_map + 1e-3 * input[:, -1:]).mean()


@pytest.mark.parametrize(
    "region",
    [
        DiceCELoss(softmax=True, to_onehot_y=True), DiceFocalLoss(softmax=True, to_onehot_y=True),
        FocalLoss(use_softmax=True, to_onehot_y=True), DiceLoss(other_act=lambda x: x.softmax(1), to_onehot_y=True),
    ],
    ids=lambda region: type(region).__name__,
)  # fmt: skip
def test_the_region_loss_says_what_is_found_where_the_boundary_loss_does_not(region):
    loss, (_, label, maps) = RegionBoundaryLoss(region, OwnBoundary(), alpha=Share(0.4)), batch()
    logits = torch.cat([3 + 0.0 * label, 1.0 * label], 1).requires_grad_()
    loss(logits, label, maps)
    assert loss.foreground_found == pytest.approx(1 / (1 + math.exp(2)), rel=1e-5)


def test_losses_that_do_not_say_what_the_output_is_get_no_share():
    loss = RegionBoundaryLoss(nn.L1Loss(), OwnBoundary(), alpha=Share(0.2))
    logits, label, maps = batch()
    target = torch.cat([1 - label, label], 1).float()
    with pytest.raises(ValueError, match=r"region or boundary must say what the network's output is .* L1Loss"):
        loss(logits, target, maps)
    loss.boundary.softmax = True
    loss(logits, target, maps)
    assert loss.foreground_found > 0.99


@pytest.mark.parametrize("kind", ["sigmoid", "probabilities", "other_act"])
def test_the_first_of_overlapping_regions_counts_whatever_the_activation(kind):
    regions = torch.zeros(1, 2, 12, 12)
    regions[:, 0, 2:10, 2:10] = 1  # the second is absent
    settings, given = {
        "sigmoid": ({"sigmoid": True}, lambda z: z),
        "probabilities": ({"softmax": False, "include_background": True}, torch.sigmoid),
        "other_act": ({"other_act": torch.sigmoid, "include_background": True}, lambda z: z),
    }[kind]
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.2), to_onehot_y=False, spacing=(1, 1), **settings)
    logits = torch.full((1, 2, 12, 12), -2.0)
    loss(given(logits.requires_grad_()), regions)
    assert loss.foreground_found == pytest.approx(1 / (1 + math.exp(2)), rel=1e-5)
    assert loss.alpha > 0


@pytest.mark.parametrize("background", [-10.0, 0.0, 10.0])
def test_a_channel_that_does_not_count_is_no_foreground(background):
    k = {"sigmoid": True, "to_onehot_y": True, "include_background": False}
    loss = RegionBoundaryLoss(DiceLoss(**k), BoundaryLoss(spacing=(1, 1), **k), alpha=Share(0.2))
    _, label, _ = batch()
    logits = torch.cat([torch.full_like(label, background, dtype=torch.float), 8.0 * (2 * label - 1)], 1)
    loss(logits.requires_grad_(), 0 * label)
    assert loss.gradient_norms is None  # a batch without foreground
    loss(logits, label)
    assert loss.foreground_found == pytest.approx(torch.sigmoid(torch.tensor(8.0)).item(), rel=1e-5)


@pytest.mark.parametrize("case", ["no foreground", "nan"])
def test_what_was_found_before_holds_where_a_batch_does_not_tell(case):
    loss, (logits, label, maps) = GeneralizedDiceBoundaryLoss(alpha=Share(0.2)), batch()
    missed = (logits - 22 * torch.cat([0 * label, label], 1)).detach()
    loss(missed.clone().requires_grad_(), label, maps)
    found, alpha = loss.foreground_found, loss.alpha
    assert found < 0.1
    if case == "nan":
        missed[0, 1][label[0, 0] > 0] = math.nan
        with pytest.warns(GradientShareWarning):
            loss(missed.requires_grad_(), label, maps)
        assert loss.alpha == pytest.approx(alpha, rel=1e-5)
    else:
        other = (missed.requires_grad_(), 0 * label, torch.ones_like(maps))
        loss(*other)
        assert share_of(loss, *other) <= 0.2 * found * (1 + 1e-4)
    assert loss.foreground_found == found


def test_an_output_below_zero_gives_no_weight_of_the_wrong_sign():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.2), other_act=torch.tanh)
    logits, label, maps = batch()
    missed = (logits - 18 * torch.cat([0 * label, label], 1)).detach()  # about -2
    loss(missed.requires_grad_(), label, maps)
    assert loss.alpha == loss.foreground_found == 0


def test_labels_that_scaling_moved_off_whole_numbers_are_foreground():
    exact, moved = GeneralizedDiceBoundaryLoss(alpha=Share(0.2)), GeneralizedDiceBoundaryLoss(alpha=Share(0.2))
    logits, label, maps = batch()
    exact(logits, label.float(), maps)
    moved(logits, label.float() * 1.00000012, maps)
    assert moved.gradient_norms == pytest.approx(exact.gradient_norms, rel=1e-5)
    assert moved.alpha == pytest.approx(exact.alpha, rel=1e-5)
