"""The boundary weight as a share of the gradient at the logits."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from monai.data import MetaTensor
from monai.losses import DiceLoss
from torch import nn

from monai_boundary import (
    BoundaryF1IoULoss,
    BoundaryLoss,
    DeepSupervisionLoss,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    GradientShare,
    Increase,
    RegionBoundaryLoss,
    Share,
    WaitForRegion,
    Warmup,
    suggest_alpha,
)
from monai_boundary.losses import CrossEntropyBoundaryAwareLoss, GradientShareWarning
from tests.losses.shares import batch, norms_of, share_of

close = torch.testing.assert_close


@pytest.mark.parametrize("share", [0.05, 0.2, 0.7])
@pytest.mark.parametrize("mode", ["rebalance", "increase"])
def test_the_first_batch_gets_the_share_itself(share, mode):
    loss = GeneralizedDiceBoundaryLoss(mode=mode, alpha=Share(share))
    logits, *target = batch()
    loss(logits, *target)
    assert share_of(loss, logits, *target) == pytest.approx(share, rel=1e-4)
    assert loss.term_weights[0] == 1


def test_a_share_that_is_set_in_a_validation_holds_in_the_next_step():
    loss = GeneralizedDiceBoundaryLoss()
    logits, *target = batch()
    with torch.inference_mode():
        loss.alpha = Share(0.2)
    loss(logits, *target)
    assert share_of(loss, logits, *target) == pytest.approx(0.2, rel=1e-4)


@pytest.mark.parametrize("share", [None, 0.2])
def test_a_region_loss_that_changes_the_logits_is_named(share):
    region = DiceLoss(to_onehot_y=True, other_act=nn.ReLU(inplace=True))
    loss = RegionBoundaryLoss(region, BoundaryLoss(softmax=True, to_onehot_y=True), alpha=Share(share) if share else 1)
    logits, *target = batch()
    with pytest.raises(ValueError, match=r"region must not change its input in place, as DiceLoss does.*inplace=True"):
        loss(logits * 1.0, *target)
    with torch.no_grad(), pytest.raises(ValueError, match="region must not change its input in place"):
        loss(logits * 1.0, *target)


def test_a_validation_is_weighed_by_the_averages_whatever_the_last_batch_held():
    loss, (logits, *target) = GeneralizedDiceBoundaryLoss(alpha=Share(0.2)), batch()
    for _ in range(3):
        loss(logits, *target)
    with torch.no_grad():
        before = loss(logits, *target)
    empty = torch.zeros_like(target[0])
    loss((logits + 3).detach().requires_grad_(), empty, torch.ones_like(target[1]))
    with torch.no_grad():
        close(loss(logits, *target), before)
    resumed = GeneralizedDiceBoundaryLoss(alpha=Share(0.2))
    resumed.load_state_dict(loss.state_dict())
    with torch.no_grad():
        close(resumed(logits, *target), before, rtol=0, atol=0)


def test_value_and_gradient_are_those_of_the_same_numbers():
    loss, plain = GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), GeneralizedDiceBoundaryLoss()
    logits, *target = batch()
    value = loss(logits, *target)
    (gradient,) = torch.autograd.grad(value, logits)
    plain.term_weights = loss.term_weights
    expected = plain(logits, *target)
    close(value, expected)
    close(gradient, torch.autograd.grad(expected, logits)[0])
    close((loss.region_term, loss.boundary_term), (plain.region_term, plain.boundary_term))


def test_the_share_is_never_passed_and_reached_on_average():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.4))
    shares = []
    for seed in range(30):
        logits, *target = batch(seed)
        logits = (logits * (1 + seed % 5)).detach().requires_grad_()
        loss(logits, *target)
        shares.append(share_of(loss, logits, *target))
    assert max(shares) <= 0.4 * (1 + 1e-5)
    assert min(shares) > 0.15
    assert sum(shares) / len(shares) > 0.3


def test_alpha_follows_the_moving_average_of_the_norms():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.4))
    region = boundary = 0.0
    for seed in range(5):
        logits, *target = batch(seed)
        loss(logits, *target)
        now = norms_of(loss, logits, *target)
        region, boundary = 0.9 * region + 0.1 * now[0], 0.9 * boundary + 0.1 * now[1]
        expected = 0.4 / 0.6 * min(region / boundary, now[0] / now[1])
        assert loss.alpha == pytest.approx(expected, rel=1e-4)
    assert loss.gradient_norms == pytest.approx((region, boundary), rel=1e-4)


def test_a_map_in_other_units_has_the_same_effect():
    one, other = (RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True, to_onehot_y=True),
                                     BoundaryLoss(softmax=True, include_background=False, check_map=False),
                                     alpha=Share(0.25)) for _ in range(2))  # fmt: skip
    logits, label, maps = batch()
    expected = torch.autograd.grad(one(logits, label, maps), logits)[0]
    close(torch.autograd.grad(other(logits, label, 1000 * maps), logits)[0], expected, rtol=1e-4, atol=1e-9)
    assert other.alpha == pytest.approx(one.alpha / 1000, rel=1e-4)


def test_half_precision_and_loss_scaling_do_not_move_it():
    expected, loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    logits, *target = batch(size=(64, 65))
    half = logits.detach().half().requires_grad_()
    expected(half.detach().float().requires_grad_(), *target)
    (gradient,) = torch.autograd.grad(loss(half, *target) * 2.0**14, half)
    assert loss.alpha == expected.alpha
    assert gradient.dtype == torch.float16
    single = half.detach().float().requires_grad_()
    close(gradient.float() / 2**14, torch.autograd.grad(expected(single, *target), single)[0], rtol=1e-2, atol=1e-6)


def test_a_gradient_scaler_steps_as_if_it_were_not_there():
    batches = [batch(seed) for seed in range(3)]
    found = []
    for scaler in (torch.amp.GradScaler("cpu", init_scale=2.0**12), torch.amp.GradScaler("cpu", enabled=False)):
        network, loss = torch.nn.Conv2d(2, 2, 1), GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
        torch.nn.init.eye_(network.weight[..., 0, 0].data)
        torch.nn.init.zeros_(network.bias)
        optimizer = torch.optim.SGD(network.parameters(), 0.5)
        for logits, *target in batches:
            optimizer.zero_grad()
            scaler.scale(loss(network(logits.detach()), *target)).backward()
            scaler.step(optimizer)
            scaler.update()
        found.append((network.state_dict(), loss.state_dict()))
    close(found[0], found[1], rtol=1e-5, atol=1e-7)


def test_accumulated_gradients_are_the_mean_of_those_of_the_parts():
    loss, parts = GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), [batch(seed) for seed in range(3)]
    network = torch.nn.Conv2d(2, 2, 1)
    expected = torch.zeros_like(network.weight)
    again = copy.deepcopy(loss)
    for logits, *target in parts:
        (loss(network(logits.detach()), *target) / 3).backward()
        expected += torch.autograd.grad(again(network(logits.detach()), *target), network.weight)[0] / 3
    close(network.weight.grad, expected)
    assert loss.gradient_norms == again.gradient_norms


def test_a_head_of_weight_0_gets_no_gradient():
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), (1.0, 0.0))
    logits, *target = batch()
    low = torch.full((2, 2, 6, 6), math.inf, requires_grad=True)
    loss([logits, low], *target).backward()
    assert logits.grad.isfinite().all()
    assert low.grad is None  # as without a share: weight decay would move the parameters of a gradient of zeros


def test_meta_tensors_do_not_stay_in_the_loss():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    logits, *target = batch()
    loss(*(MetaTensor(tensor) for tensor in (logits, *target))).backward()
    assert {name: type(tensor) for name, tensor in loss.named_buffers()} == dict.fromkeys(
        ("_weights", "balance.norms", "balance.found", "balance.unusable"), torch.Tensor
    )
    assert share_of(loss, logits, *target) == pytest.approx(0.3, rel=1e-4)


@pytest.mark.parametrize("first", [Warmup(2, GradientShare(ramp=0)), WaitForRegion(GradientShare(ramp=0), 1, 0.5, 1.0)])
def test_the_share_starts_after_epochs_of_the_region_term_alone(first):
    loss, history = GeneralizedDiceBoundaryLoss(), []
    for epoch in range(4):
        loss.term_weights = first.weights(epoch, 4, history)
        logits, *target = batch(epoch)
        loss(logits, *target)
        if epoch < 2:
            assert loss.term_weights == (1, 0)
            assert loss.gradient_norms is None
        else:
            assert share_of(loss, logits, *target) <= 0.2 * (1 + 1e-4)
            assert loss.alpha > 0
        history.append(0.5 + 0.1 * (epoch == 0))  # settles after the second epoch
    loss.term_weights = Increase(end=0.3).weights(3, 4)
    assert loss.term_weights == (1, 0.3)


def test_deep_supervision_measures_at_the_first_head():
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), (0.7, 0.3))
    logits, *target = batch()
    small = torch.randn(2, 2, 6, 6, requires_grad=True)
    value = loss([logits, small], *target)
    gradients = torch.autograd.grad(value, [logits, small])
    terms = loss.terms([logits, small], *target)
    region, boundary = (float(torch.autograd.grad(t, logits, retain_graph=True)[0].norm()) for t in terms)
    assert loss.alpha * boundary / (region + loss.alpha * boundary) == pytest.approx(0.3, rel=1e-4)
    close(gradients, torch.autograd.grad(terms[0] + loss.alpha * terms[1], [logits, small]))
    stacked = torch.stack([logits, logits], 1)
    again = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), (0.7, 0.3))
    assert again(stacked, *target).isfinite()


def test_terms_that_share_their_graph_and_weights_with_the_sum_one():
    loss = BoundaryF1IoULoss(alpha=Share(0.3))
    logits, masks = torch.randn(2, 1, 16, 16, requires_grad=True), (torch.rand(2, 1, 16, 16) < 0.3).float()
    value = loss(logits, masks)
    assert sum(loss.term_weights) == pytest.approx(1)
    found = logits[masks > 0].sigmoid().mean().item()
    assert share_of(loss, logits, masks, None) == pytest.approx(0.3 * found, rel=1e-4)
    (gradient,) = torch.autograd.grad(value, logits)
    region, boundary, entropy = loss.terms(logits, masks, None)
    total = loss.term_weights[0] * region + loss.term_weights[1] * boundary + entropy
    close(value, total)
    close(gradient, torch.autograd.grad(total, logits)[0])


def test_the_boundary_aware_loss_takes_a_share():
    loss = CrossEntropyBoundaryAwareLoss(alpha=Share(0.2))
    logits = torch.randn(1, 1, 8, 9, requires_grad=True)
    membrane = torch.zeros(1, 1, 8, 9)
    membrane[..., 4] = 1
    seeds = torch.zeros(1, 1, 8, 9, dtype=torch.int64)
    seeds[..., :3], seeds[..., 6:] = 1, 2
    loss(logits, membrane, seeds).backward()
    found = logits[membrane > 0].sigmoid().mean().item()
    assert share_of(loss, logits, membrane, seeds) == pytest.approx(0.2 * found, rel=1e-4)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("mode", ["increase", "complement"])
def test_a_region_term_of_a_huge_gradient_leaves_the_share_exact(mode):
    logits, label, _ = batch(size=(1200, 1100))
    logits, label = logits[:, 1:].detach().requires_grad_(), label.float()
    maps = 1 - 2 * label
    loss = RegionBoundaryLoss(
        nn.BCEWithLogitsLoss(reduction="sum"), BoundaryLoss(sigmoid=True, check_map=False), Share(0.5), mode
    )
    loss(logits, label, maps)
    found = float(logits.detach().sigmoid()[label > 0].mean())
    assert share_of(loss, logits, label, maps) == pytest.approx(0.5 * found, rel=1e-5)


@pytest.mark.parametrize("raised", [0, 18], ids=["found before", "hardly found before"])
@pytest.mark.parametrize("case", ["perfect", "map of zeros", "nan"])
def test_what_cannot_be_measured_keeps_alpha_and_is_said_once(case, raised):
    loss = RegionBoundaryLoss(
        GeneralizedDiceLoss(softmax=True, to_onehot_y=True, smooth=0),
        BoundaryLoss(softmax=True, include_background=False, check_map=False),
        alpha=Share(0.3),
    )
    logits, label, maps = batch()
    loss((logits - raised * torch.cat([0 * label, label], 1)).detach().requires_grad_(), label, maps)
    before = loss.gradient_norms, loss.alpha, loss.foreground_found
    assert (before[2] > 0.99) == (raised == 0)
    perfect = torch.cat([1 - label, label], 1).float() * 1e4
    odd = {
        "perfect": (perfect.requires_grad_(), label, maps),
        "map of zeros": (logits, label, torch.zeros_like(maps)),
        "nan": ((logits * math.nan).detach().requires_grad_(), label, maps),
    }[case]
    with pytest.warns(GradientShareWarning, match="the boundary weight is that of the averages before it"):
        loss(*odd)
    loss(*odd)  # warnings are errors here
    assert (loss.gradient_norms, pytest.approx(loss.alpha), loss.foreground_found) == before


class Thresholded(nn.Module):
    def forward(self, input, target):
        return ((input > 0).float() - target).mean()


def test_a_region_loss_without_gradient_is_refused():
    loss = RegionBoundaryLoss(Thresholded(), BoundaryLoss(softmax=True, include_background=False), alpha=Share(0.2))
    with pytest.raises(ValueError, match="region must have a gradient at the logits for a share of it, got none; it"):
        loss(*batch())


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, math.nan])
def test_a_share_outside_of_zero_and_one_is_refused(value):
    for make, name in ((Share, "share"), (GradientShare, "end")):
        with pytest.raises(ValueError, match=rf"{name} must .*, got"):
            make(value)


def test_a_schedule_in_place_of_its_weights_is_refused_with_the_remedy():
    loss = GeneralizedDiceBoundaryLoss()
    with pytest.raises(
        TypeError, match=r"alpha must be a number or a Share, got the schedule GradientShare\(.*weights"
    ):
        loss.alpha = GradientShare()
    with pytest.raises(TypeError, match=r"term_weights, boundary must be .* got the schedule"):
        loss.term_weights = 1.0, Increase()


def test_a_region_weight_that_a_share_cannot_heed_is_refused():
    for loss, region in ((GeneralizedDiceBoundaryLoss(), 0.0), (BoundaryF1IoULoss(), 0.25)):
        with pytest.raises(ValueError, match=r"term_weights, region, must be (> 0|1) beside a Share"):
            loss.term_weights = region, Share(0.2)


def test_setting_the_weights_again_does_not_reach_a_graph_that_is_there():
    loss, (logits, *target) = GeneralizedDiceBoundaryLoss(alpha=0.1), batch()
    first = loss(logits, *target)
    loss.alpha = 0.2
    (gradient,) = torch.autograd.grad(first + loss(logits, *target), logits)
    expected = []
    for alpha in (0.1, 0.2):
        loss.alpha = alpha
        expected += torch.autograd.grad(loss(logits, *target), logits)
    close(gradient, sum(expected))


def test_alpha_is_suggested_during_the_warm_up_and_never_from_what_has_no_gradient():
    aware = CrossEntropyBoundaryAwareLoss(alpha=1.0)
    membrane = torch.zeros(1, 1, 9, 9)
    membrane[..., 4] = 1
    seeds = torch.ones(1, 1, 9, 9, dtype=torch.int32)
    seeds[..., 4], seeds[..., 5:] = 0, 2
    batches = [(torch.randn(1, 1, 9, 9), membrane, seeds)]
    expected = suggest_alpha(aware, nn.Identity(), batches)
    aware.alpha = 0.0
    assert suggest_alpha(aware, nn.Identity(), batches) == expected
    assert aware.alpha == 0
    logits, *target = batch()
    loss = GeneralizedDiceBoundaryLoss()
    with pytest.raises(ValueError, match="none where it is NaN, got a norm of nan"):
        suggest_alpha(loss, nn.Identity(), [(logits.detach() * math.nan, *target)])

    class Nothing(nn.Module):
        def forward(self, input, target):
            return 0 * (input * target).sum()

    with pytest.raises(ValueError, match="batches must hold one where the region term has a gradient"):
        suggest_alpha(RegionBoundaryLoss(Nothing(), loss.boundary), nn.Identity(), [(logits.detach(), *target)])


def test_validation_measures_nothing():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    loss(*batch(0))
    before = loss.gradient_norms, loss.alpha
    with torch.no_grad():
        loss(*batch(1))
    logits, *target = batch(2)
    loss(logits.detach(), *target)
    assert (loss.gradient_norms, loss.alpha) == before


def test_a_number_ends_the_share():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    loss(*batch())
    loss.alpha = 0.25
    loss(*batch())
    assert loss.gradient_share is None
    assert loss.term_weights == (0.75, 0.25)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # dynamo looks
def test_a_compiled_loss_has_the_eager_value():
    eager, inner = GeneralizedDiceBoundaryLoss(alpha=Share(0.3)), GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    compiled = torch.compile(inner, backend="aot_eager")
    for seed in range(3):
        logits, *target = batch(seed)
        again = logits.detach().requires_grad_()
        expected, value = eager(logits, *target), compiled(again, *target)
        close(value, expected)
        close(torch.autograd.grad(value, again), torch.autograd.grad(expected, logits))
    assert inner.alpha == eager.alpha


def test_suggested_alpha_is_that_of_the_first_step():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.2))
    logits, *target = batch()
    suggested = suggest_alpha(loss, lambda _: logits, [(None, *target)], share=0.2)
    loss(logits, *target)
    assert loss.alpha == pytest.approx(suggested, rel=1e-5)
