"""CollapseGuard and the shares it watches."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from monai_boundary import CollapseGuard
from monai_boundary.losses import CollapseWarning, foreground_shares


def test_healthy_run_never_warns():
    guard = CollapseGuard(warmup=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not any(guard.update(0.01 * scale, 0.01) for scale in (0.5, 2.0, 0.06, 1.0))


def test_collapse_warns_once_with_ratio_and_remedy():
    guard = CollapseGuard(momentum=0.0, warmup=0)
    with pytest.warns(
        CollapseWarning, match=r"predicted foreground is 0.01 of the true one.*lower alpha or hold it"
    ) as log:
        assert [guard.update(0.0001, 0.01) for _ in range(3)] == [True, True, True]
    assert len(log) == 1


def test_no_verdict_before_the_warm_up_is_over():
    guard = CollapseGuard(warmup=3)
    assert [guard.update(0.0, 0.01) for _ in range(2)] == [False, False]
    with pytest.warns(CollapseWarning, match="predicted foreground is 0 of"):
        assert guard.update(0.0, 0.01)


def test_no_verdict_without_an_update():
    assert not CollapseGuard(warmup=0).collapsed
    assert math.isnan(CollapseGuard().ratio)


def test_ratio_is_that_of_the_moving_averages():
    guard = CollapseGuard(momentum=0.75, warmup=100)
    for predicted, true in ((0.4, 0.2), (0.0, 0.6), (0.2, 0.2)):
        guard.update(predicted, true)
    predicted = 0.75 * (0.75 * 0.4) + 0.25 * 0.2
    true = 0.75 * (0.75 * 0.2 + 0.25 * 0.6) + 0.25 * 0.2
    assert guard.ratio == pytest.approx(predicted / true)


def test_threshold_is_a_fraction_of_the_true_share():
    guard = CollapseGuard(threshold=0.5, momentum=0.0, warmup=0)
    assert not guard.update(0.06, 0.1)
    with pytest.warns(CollapseWarning, match=r"is 0.4 of the true one"):
        assert guard.update(0.04, 0.1)


def test_collapse_can_be_left_again():
    guard = CollapseGuard(momentum=0.0, warmup=0)
    with pytest.warns(CollapseWarning, match="predicted foreground"):
        guard.update(0.0, 0.1)
    assert not guard.update(0.1, 0.1)


@pytest.mark.parametrize("bad", [(math.nan, 0.1), (0.1, math.nan), (math.inf, 0.1)])
def test_non_finite_shares_are_passed_over(bad):
    guard = CollapseGuard(momentum=0.5, warmup=0)
    guard.update(0.1, 0.1)
    assert not guard.update(*bad)
    assert (guard.updates, guard.ratio) == (1, 1.0)


def test_data_without_foreground_gives_no_verdict():
    guard = CollapseGuard(warmup=0)
    assert not guard.update(0.0, 0.0)
    assert math.isnan(guard.ratio)


def test_a_class_that_is_lost_while_another_grows_is_named():
    guard = CollapseGuard(momentum=0.0, warmup=2)
    assert not guard.update([0.2, 0.0], [0.1, 0.1])
    with pytest.warns(CollapseWarning, match="predicted foreground of class 2 is 0 of the true one") as log:
        assert [guard.update([0.2, 0.0], [0.1, 0.1]) for _ in range(2)] == [True, True]
    assert len(log) == 1
    assert (guard.collapsed_classes, guard.ratios, guard.ratio) == ([2], [2.0, 0.0], 0.0)


def test_the_warm_up_of_a_class_begins_when_it_is_first_seen():
    guard = CollapseGuard(momentum=0.0, warmup=2)
    for _ in range(3):
        assert not guard.update([0.1, 0.0], [0.1, 0.0])
    assert not guard.update([0.1, 0.0], [0.1, 0.1])
    with pytest.warns(CollapseWarning, match="of class 2"):
        assert guard.update([0.1, 0.0], [0.1, 0.1])


def test_the_number_of_classes_must_stay():
    guard = CollapseGuard()
    guard.update([0.1, 0.1], [0.1, 0.1])
    for shares in (([0.1], [0.1]), ([0.1, 0.1], [0.1]), (0.1, 0.1)):
        with pytest.raises(ValueError, match="one share per class, 2 as in the first update"):
            guard.update(*shares)
    assert guard.updates == 1


def test_shares_of_a_multi_class_output():
    labels = torch.tensor([[[0, 0, 1, 2]]])
    logits = torch.zeros(1, 3, 4)
    logits[0, 0, :], logits[0, 2, 2:] = 1, 2
    assert foreground_shares(logits, labels) == ([0.0, 0.5], [0.25, 0.25])
    both = torch.cat([logits, torch.zeros(1, 3, 4)]), torch.cat([labels, torch.ones_like(labels)])
    assert foreground_shares(*both) == ([0.0, 0.25], [0.625, 0.125])


def test_shares_of_one_channel_take_positive_logits():
    assert foreground_shares(torch.tensor([[[-1.0, 2, 3, -4]]]), torch.tensor([[[0, 1, 1, 1]]])) == ([0.5], [0.75])


def test_shares_leave_ignored_voxels_out():
    labels = torch.tensor([[[0, 1, 9, 9]]])
    logits = torch.tensor([[[-1.0, -1, 1, 1]]])
    assert foreground_shares(logits, labels, ignore_index=9) == ([0.0], [0.5])
    assert foreground_shares(logits, torch.full_like(labels, 9), ignore_index=9) == ([0.0], [0.0])


def test_shares_need_one_shape():
    with pytest.raises(ValueError, match=r"labels must have shape \(1, 1, 4\), got \(1, 4\)"):
        foreground_shares(torch.zeros(1, 3, 4), torch.zeros(1, 4))
