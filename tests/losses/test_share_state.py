"""The state of a share: its precision, and that a run which goes on has the same bits."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from monai_boundary import (
    GeneralizedDiceBoundaryLoss,
    Share,
)
from monai_boundary.losses.gradient_share import GradientBalance
from tests.losses.samples import labels_like
from tests.losses.shares import batch


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_module_in_another_precision_keeps_its_averages_in_float32(dtype):
    loss, plain = (GeneralizedDiceBoundaryLoss(alpha=Share(0.3)) for _ in range(2))
    loss.to(dtype)  # as trainers in pure half precision do with all modules
    for seed in range(4):
        logits, *target = batch(seed)
        loss(logits, *target)
        plain(logits, *target)
    assert loss.gradient_norms == plain.gradient_norms
    assert loss.alpha == plain.alpha


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_loss_in_half_precision_is_resumed_with_the_same_bits(dtype):
    def steps(loss: nn.Module, seeds: range) -> list[float]:
        found = []
        for seed in seeds:
            loss(*batch(seed))
            found.append(loss.alpha)
        return found

    first, second = (GeneralizedDiceBoundaryLoss(alpha=Share(0.3)).to(dtype) for _ in range(2))
    steps(first, range(3))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert (second.gradient_norms, second.foreground_found) == (first.gradient_norms, first.foreground_found)
    assert steps(second, range(3, 6)) == steps(first, range(3, 6))


def test_a_resumed_run_has_the_same_bits():
    def go_on(loss, seeds):
        return [loss(*batch(seed)).item() for seed in seeds]

    whole = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    values = go_on(whole, range(6))
    first = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    go_on(first, range(3))
    second = GeneralizedDiceBoundaryLoss()  # the share is set after the checkpoint is read
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    second.alpha = Share(0.3)
    assert go_on(second, range(3, 6)) == values[3:]
    third = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    third.gradient_norms = first.gradient_norms
    assert go_on(third, range(3, 6)) == values[3:]


def test_a_checkpoint_of_a_loss_without_a_share_can_be_read():
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    loss.load_state_dict(GeneralizedDiceBoundaryLoss().state_dict())
    assert loss.gradient_norms is None
    assert loss.alpha == 0
    loss(*batch())
    loss.load_state_dict(GeneralizedDiceBoundaryLoss().state_dict())  # nor is anything left of a run before
    assert (loss.gradient_norms, loss.foreground_found, loss.alpha) == (None, None, 0)


@pytest.mark.parametrize("wrong", [3, (1.0,), (1.0, 2.0, 3.0), "ab", (math.nan, 1.0), (-1.0, 2.0), (1, math.inf)])
def test_norms_that_are_no_pair_of_numbers_are_refused(wrong):
    loss = GeneralizedDiceBoundaryLoss(alpha=Share(0.3))
    with pytest.raises((TypeError, ValueError), match="gradient_norms must be"):
        loss.gradient_norms = wrong
    assert loss.gradient_norms is None


def test_what_is_found_of_each_class_can_be_set_again():
    first, second = (GeneralizedDiceBoundaryLoss(alpha=Share(0.3)) for _ in range(2))
    first(*batch())
    first.foreground_found = (0.25, 0.75)
    assert (first.foreground_found, first.found_by_class) == (0.25, (0.25, 0.75))
    second.gradient_norms, second.foreground_found = first.gradient_norms, first.found_by_class
    assert (second.alpha, second.found_by_class) == (first.alpha, (0.25, 0.75))
    with pytest.raises(ValueError, match=r"foreground_found must lie in \[0, 1\], got 1.5"):
        second.foreground_found = [0.5, 1.5]


def test_the_state_is_in_the_checkpoint_of_the_module_that_holds_the_loss():
    class Module(nn.Module):  # as a LightningModule does
        def __init__(self):
            super().__init__()
            self.network, self.loss = nn.Conv2d(2, 2, 1), GeneralizedDiceBoundaryLoss(alpha=Share(0.2))

    first, second = Module(), Module()
    logits, *target = batch()
    first.loss(first.network(logits), *target)
    second.load_state_dict(first.state_dict())  # strict
    assert second.loss.gradient_norms == first.loss.gradient_norms
    second.load_state_dict({key: value for key, value in first.state_dict().items() if "norms" not in key})


def test_resumed_loss_validates_with_the_boundary_term() -> None:
    logits, label = torch.randn(2, 2, 8, 8, requires_grad=True), labels_like((2, 8, 8), 2)
    first, resumed = (GeneralizedDiceBoundaryLoss(alpha=Share(0.2)) for _ in range(2))
    first(logits, label)
    resumed.load_state_dict(first.state_dict())
    norms = first.gradient_norms
    assert norms is not None
    found = float(logits.detach().softmax(1)[:, 1:][label > 0].mean())
    assert resumed.foreground_found == pytest.approx(found, rel=1e-5)
    share = 0.2 * found
    assert resumed.term_weights == pytest.approx((1.0, share / (1 - share) * norms[0] / norms[1]), rel=1e-5)


def test_the_averages_are_float32_whatever_the_default_type():
    torch.set_default_dtype(torch.bfloat16)
    try:
        balance = GradientBalance()
    finally:
        torch.set_default_dtype(torch.float32)
    assert balance.norms.dtype == balance.found.dtype == torch.float32
