"""CollapseGuard and the shares it watches."""

from __future__ import annotations

import math
import re
import warnings

import pytest
import torch

from monai_boundary import CollapseGuard
from monai_boundary.losses import CollapseWarning, foreground_shares

AT_ONCE = {"momentum": 0.0, "warmup": 0}
SMALL = r"predicted foreground is 0.01 of the true one.*lower alpha or hold it"
SECOND = ([0.2, 0.0], [0.1, 0.1])
#: Settings, shares of each update, verdicts, and the one warning.
RUNS = {
    "healthy": ({"warmup": 0}, [(0.01 * scale, 0.01) for scale in (0.5, 2.0, 0.06, 1.0)], [False] * 4, None),
    "warns once": (AT_ONCE, [(0.0001, 0.01)] * 3, [True] * 3, SMALL),
    "warm-up": ({"warmup": 3}, [(0.0, 0.01)] * 3, [False, False, True], "predicted foreground is 0 of"),
    "threshold": ({**AT_ONCE, "threshold": 0.5}, [(0.06, 0.1), (0.04, 0.1)], [False, True], "is 0.4 of the true one"),
    "left again": (AT_ONCE, [(0.0, 0.1), (0.1, 0.1)], [True, False], "predicted foreground"),
    "no foreground": ({"warmup": 0}, [(0.0, 0.0)], [False], None),
    "one lost while another grows": ({**AT_ONCE, "warmup": 2}, [SECOND] * 3, [False, True, True], "of class 2 is 0"),
    "warm-up of a class from when it is seen": (
        {**AT_ONCE, "warmup": 2}, [([0.1, 0.0], [0.1, 0.0])] * 3 + [([0.1, 0.0], [0.1, 0.1])] * 2,
        [False] * 4 + [True], "of class 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "updates", "verdicts", "text"), RUNS.values(), ids=RUNS)
def test_the_verdict_after_each_update_and_one_warning(settings, updates, verdicts, text):
    guard = CollapseGuard(**settings)
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        assert [guard.update(*shares) for shares in updates] == verdicts
    assert [one.category for one in log] == ([] if text is None else [CollapseWarning])
    assert text is None or re.search(text, str(log[0].message))
    assert math.isnan(guard.ratio) == (updates == [(0.0, 0.0)])


def test_each_class_has_a_ratio_and_the_smallest_is_that_of_the_guard():
    guard = CollapseGuard(momentum=0.0)
    guard.update([0.2, 0.0], [0.1, 0.1])
    assert (guard.collapsed_classes, guard.ratios, guard.ratio) == ([], [2.0, 0.0], 0.0)


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


@pytest.mark.parametrize("bad", [(math.nan, 0.1), (0.1, math.nan), (math.inf, 0.1)])
def test_non_finite_shares_are_passed_over(bad):
    guard = CollapseGuard(momentum=0.5, warmup=0)
    guard.update(0.1, 0.1)
    assert not guard.update(*bad)
    assert (guard.updates, guard.ratio) == (1, 1.0)


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
    with pytest.raises(ValueError, match=r"labels must have shape \(1, 1, 4\) for logits \(1, 3, 4\), got \(1, 4\)"):
        foreground_shares(torch.zeros(1, 3, 4), torch.zeros(1, 4))
