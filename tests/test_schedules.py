"""Schedules against the published rule, and suggest_alpha against gradient norms."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch

from monai_boundary import (
    BoundaryF1IoULoss,
    Constant,
    GeneralizedDiceBoundaryLoss,
    GradientShare,
    Increase,
    Rebalance,
    Share,
    WaitForRegion,
    Warmup,
    suggest_alpha,
)
from tests import oracles

SCHEDULES = [Constant(), Increase(), Rebalance(), Warmup(5), WaitForRegion()]


def course(schedule, max_epochs: int) -> list[tuple[float, float]]:
    return [schedule.weights(epoch, max_epochs) for epoch in range(max_epochs)]


def test_rebalance_gives_the_published_weights_for_100_epochs():
    for ours, published in zip(course(Rebalance(), 100), oracles.published_weights(100), strict=True):
        assert ours == pytest.approx(published, abs=1e-12)


def test_rebalance_at_the_papers_pace_gives_them_in_a_longer_run_and_holds_the_last():
    weights = course(Rebalance(pace=100), 250)
    for ours, published in zip(weights[:100], oracles.published_weights(100), strict=True):
        assert ours == pytest.approx(published, abs=1e-12)
    assert set(weights[100:]) == {weights[99]}


def test_rebalance_at_the_papers_pace_is_cut_off_in_a_shorter_run():
    for ours, published in zip(course(Rebalance(pace=100), 20), oracles.published_weights(20), strict=True):
        assert ours == pytest.approx(published, abs=1e-12)


def test_rebalance_known_numbers():
    assert Rebalance().weights(0, 100) == (1.0, 0.01)
    assert Rebalance().weights(50, 100) == pytest.approx((0.5, 0.51))
    assert Rebalance().weights(99, 100) == pytest.approx((0.1, 1.0))


@pytest.mark.parametrize("max_epochs", [2, 20, 1000])
def test_rebalance_is_scaled_to_the_run(max_epochs):
    weights = course(Rebalance(), max_epochs)
    assert weights[0] == (1.0, 0.01)
    assert weights[-1] == pytest.approx((0.1, 1.0))
    for epoch, (region, boundary) in enumerate(weights):
        assert boundary == pytest.approx(0.01 + 0.99 * epoch / (max_epochs - 1))
        assert region == pytest.approx(max(0.1, 1.01 - boundary))


def test_end_and_floor_of_rebalance_can_be_set():
    weights = course(Rebalance(start=0.0, end=0.5, floor=0.7), 11)
    assert weights[-1] == pytest.approx((0.7, 0.5))
    assert weights[2] == pytest.approx((0.9, 0.1))


def test_increase_keeps_the_region_weight():
    assert course(Increase(start=0.1, end=0.5), 5) == [pytest.approx((1.0, b)) for b in (0.1, 0.2, 0.3, 0.4, 0.5)]


def test_increase_pace_counts_epochs():
    assert [b for _, b in course(Increase(0.0, 1.0, pace=3), 5)] == [0, 0.5, 1, 1, 1]


def test_a_ramp_of_one_epoch_holds_its_end_from_the_next_one_on():
    assert [b for _, b in course(Increase(0.0, 1.0, pace=1), 3)] == [0, 1, 1]
    assert course(Rebalance(0.01, 0.51, pace=1), 3) == [(1.0, 0.01), *[pytest.approx((0.5, 0.51))] * 2]


def test_constant_never_changes():
    assert set(course(Constant(0.3, 0.7), 9)) == {(0.7, 0.3)}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_run_of_one_epoch_gets_the_first_weights(schedule):
    assert schedule.weights(0, 1) == schedule.weights(0, 1)
    if isinstance(schedule, Increase | Rebalance):
        assert schedule.weights(0, 1)[1] == schedule.start


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_numpy_integers_are_epochs(schedule):
    history = [1.0] * 8
    assert schedule.weights(np.int64(7), np.int32(20), history) == schedule.weights(7, 20, history)


@pytest.mark.parametrize("schedule", SCHEDULES[:4], ids=lambda s: type(s).__name__)
def test_epochs_beyond_the_run_keep_the_last_weights(schedule):
    assert schedule.weights(35, 20) == schedule.weights(19, 20)


def test_warm_up_has_the_region_term_alone_and_then_the_whole_schedule():
    weights = course(Warmup(4, Rebalance()), 14)
    assert weights[:4] == [(1.0, 0.0)] * 4
    assert weights[4:] == course(Rebalance(), 10)


def test_warm_up_below_one_is_a_share_of_the_run():
    assert course(Warmup(0.25), 20) == course(Warmup(5), 20)
    assert course(Warmup(0), 20) == course(GradientShare(), 20)


def test_warm_up_of_1_is_one_epoch_and_not_the_whole_run():
    assert course(Warmup(1), 3) == [(1.0, 0.0), *course(GradientShare(), 2)]


@pytest.mark.parametrize("epochs", [20, 50])
def test_warm_up_as_long_as_the_run_never_ends(epochs):
    assert set(course(Warmup(epochs), 20)) == {(1.0, 0.0)}


def test_epochs_beyond_a_run_of_warm_up_alone_get_the_first_weights_of_the_schedule():
    assert [Warmup(20).weights(epoch, 20) for epoch in (20, 21)] == [GradientShare().weights(0, 1)] * 2


def test_warm_up_hands_on_the_history_after_it():
    waiting = WaitForRegion(Constant(), window=1, tolerance=0.1)
    history = [9.0, 9.0, 9.0, 4.0, 2.0, 1.99]
    schedule = Warmup(3, waiting)
    assert [schedule.weights(epoch, 100, history[:epoch])[1] for epoch in range(7)] == [0, 0, 0, 0, 0, 0, 0.1]


def test_wait_hands_on_the_history_after_it():
    inner = WaitForRegion(Constant(), window=1, tolerance=0.1)
    schedule = WaitForRegion(inner, window=1, tolerance=0.1)
    history = [4.0, 4.0, 2.0, 1.0, 0.99]  # the outer one settles at 2, the inner one needs 2 epochs more
    assert [schedule.weights(epoch, 100, history[:epoch])[1] for epoch in range(6)] == [0, 0, 0, 0, 0, 0.1]


def test_wait_starts_when_two_means_differ_little():
    schedule = WaitForRegion(Constant(), window=2, tolerance=0.1, latest=1.0)
    history = [10, 8, 6, 4, 3.0, 2.9, 2.9, 2.8, 2.7]
    # means of 2: 9 -> 5, 7 -> 3.5, 5 -> 2.95, 3.5 -> 2.9 all fall by more; 2.95 -> 2.85 does not
    assert schedule.start_epoch(100, history) == 8
    assert schedule.start_epoch(100, history[:7]) is None


def test_wait_does_not_wait_beyond_latest():
    schedule = WaitForRegion(Rebalance(), latest=0.5)
    falling = [0.5**epoch for epoch in range(20)]
    weights = [schedule.weights(epoch, 20, falling[:epoch]) for epoch in range(20)]
    assert weights[:10] == [(1.0, 0.0)] * 10
    assert weights[10:] == course(Rebalance(), 10)


def test_wait_of_a_rising_region_term_is_over_at_once():
    assert WaitForRegion(window=2).start_epoch(100, [1, 2, 3, 4]) == 4


def test_wait_settles_on_a_negative_region_term():
    assert WaitForRegion(window=1, tolerance=0.1).start_epoch(100, [-1.0, -2.0]) is None
    assert WaitForRegion(window=1, tolerance=0.1).start_epoch(100, [-1.0, -1.05]) == 2


def test_resumed_wait_equals_an_unbroken_one():
    schedule = WaitForRegion(Rebalance(), window=3, tolerance=0.05)
    history = [1 / (1 + epoch) ** 0.4 for epoch in range(60)]
    unbroken = [schedule.weights(epoch, 60, history[:epoch]) for epoch in range(60)]
    resumed = [pickle.loads(pickle.dumps(schedule)).weights(epoch, 60, history) for epoch in range(60)]  # noqa: S301
    assert resumed == unbroken
    assert unbroken[0] != unbroken[-1]


def test_wait_needs_the_whole_history():
    with pytest.raises(ValueError, match=r"history must hold one region term per finished epoch \(3\), got 2"):
        WaitForRegion().weights(3, 10, [1.0, 0.5])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_schedules_are_frozen_comparable_and_picklable(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule == copy.deepcopy(schedule)  # noqa: S301
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field"):
        setattr(schedule, dataclasses.fields(schedule)[0].name, 1)


BAD = [
    (lambda: Constant(boundary=-0.1), ValueError, r"boundary must be finite and >= 0, got -0.1"),
    (lambda: Constant(region=float("nan")), ValueError, r"region must be finite and >= 0, got nan"),
    (lambda: Constant(boundary="0.1"), TypeError, r"boundary must be a number, got str"),
    (lambda: Constant(boundary=True), TypeError, r"boundary must be a number, got bool"),
    (lambda: Increase(start=-1), ValueError, r"start must be finite and >= 0, got -1"),
    (lambda: Increase(end=float("inf")), ValueError, r"end must be finite and >= 0, got inf"),
    (lambda: Increase(start=0.5, end=0.4), ValueError, r"end must be >= start=0.5, got 0.4"),
    (lambda: Increase(pace=0), ValueError, r"pace must be an integer >= 1, got 0"),
    (lambda: Increase(pace=True), TypeError, r"pace must be an integer >= 1, got True"),
    (lambda: Rebalance(pace=1.5), TypeError, r"pace must be an integer >= 1, got 1.5"),
    (lambda: Rebalance(floor=1.5), ValueError, r"floor must lie in \[0, 1\], got 1.5"),
    (lambda: Rebalance(floor=-0.5), ValueError, r"floor must be finite and >= 0, got -0.5"),
    (lambda: Warmup(1.5), ValueError, r"epochs must be a whole number, or a share of the run below 1, got 1.5"),
    (lambda: Warmup(2.5), ValueError, r"epochs must be a whole number, or a share of the run below 1, got 2.5"),
    (lambda: Warmup(-1), ValueError, r"epochs must be finite and >= 0, got -1"),
    (lambda: Warmup(None), TypeError, r"epochs must be a number, got NoneType"),
    (lambda: WaitForRegion(window=0), ValueError, r"window must be an integer >= 1, got 0"),
    (lambda: WaitForRegion(window=True), TypeError, r"window must be an integer >= 1, got True"),
    (lambda: WaitForRegion(tolerance=-0.1), ValueError, r"tolerance must be finite and >= 0, got -0.1"),
    (lambda: WaitForRegion(latest=2), ValueError, r"latest must lie in \[0, 1\], got 2"),
    (lambda: Rebalance().weights(-1, 10), ValueError, r"epoch must be an integer >= 0, got -1"),
    (lambda: Rebalance().weights(1.0, 10), TypeError, r"epoch must be an integer >= 0, got 1.0"),
    (lambda: Rebalance().weights(True, 10), TypeError, r"epoch must be an integer >= 0, got True"),
    (lambda: Constant().weights(0, 0), ValueError, r"max_epochs must be an integer >= 1, got 0"),
    (lambda: Warmup(2).weights(0, 2.5), TypeError, r"max_epochs must be an integer >= 1, got 2.5"),
    (lambda: WaitForRegion().weights(0, -3), ValueError, r"max_epochs must be an integer >= 1, got -3"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD, ids=[text for *_, text in BAD])
def test_bad_argument_is_named_with_what_it_got(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.fixture
def probe() -> tuple[GeneralizedDiceBoundaryLoss, torch.nn.Module, list]:
    labels = torch.randint(0, 2, (2, 1, 8, 8))
    batches = [(torch.randn(2, 1, 8, 8), labels, torch.randn(2, 1, 8, 8)) for _ in range(3)]
    return GeneralizedDiceBoundaryLoss(), torch.nn.Conv2d(1, 2, 1), batches


def gradient_norm(loss, logits, *args) -> float:
    leaf = logits.detach().requires_grad_(True)
    return float(torch.autograd.grad(loss(leaf, *args), leaf)[0].norm())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_suggested_alpha_gives_the_boundary_term_its_share_of_the_gradient(probe, share):
    loss, network, batches = probe
    alpha = suggest_alpha(loss, network, batches, share)
    region = sum(gradient_norm(loss.region, network(x), y) for x, y, _ in batches)
    boundary = alpha * sum(gradient_norm(loss.boundary, network(x), y, m) for x, y, m in batches)
    assert boundary / (boundary + region) == pytest.approx(share, rel=1e-5)


def test_suggestion_leaves_network_and_weights_alone(probe):
    loss, network, batches = probe
    before = loss.term_weights
    suggest_alpha(loss, network, batches)
    assert loss.term_weights == before
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_share_must_lie_between_0_and_1(probe, share):
    with pytest.raises(ValueError, match=rf"share must lie between 0 and 1, got {share}"):
        suggest_alpha(*probe, share)


@pytest.mark.filterwarnings("ignore:distance_map must be positive outside")  # a map of zeros is named as such
def test_suggestion_needs_a_boundary_gradient(probe):
    loss, network, batches = probe
    zeros = [(x, y, torch.zeros_like(m)) for x, y, m in batches]
    for given, term in (([], "region"), (zeros, "boundary")):
        with pytest.raises(ValueError, match=f"hold one where the {term} term has a gradient.* got a norm of"):
            suggest_alpha(loss, network, given)


@pytest.mark.parametrize("wrong", [Share(0.2), 0.5])
def test_what_follows_is_a_schedule(wrong) -> None:
    for schedule in (Warmup, WaitForRegion):
        with pytest.raises(TypeError, match=r"then must be a schedule, got .*; pass for example"):
            schedule(then=wrong) if schedule is WaitForRegion else schedule(2, wrong)


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_a_loss_whose_weights_have_the_sum_1_takes_the_suggestion(share):
    labels = torch.randint(0, 2, (2, 1, 8, 8))
    loss, logits = BoundaryF1IoULoss(), torch.randn(2, 1, 8, 8)
    loss.alpha = suggest_alpha(loss, lambda image: image, [(logits, labels, None)], share)
    region, boundary = (w * n for w, n in zip(loss.term_weights, loss.measure_gradients(logits, labels), strict=True))
    assert boundary / (region + boundary) == pytest.approx(share, rel=1e-5)
