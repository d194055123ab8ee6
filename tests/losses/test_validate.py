"""`validate=True`: every public loss refuses NaN and infinity and says where; without it nothing is looked at."""

from __future__ import annotations

import math

import pytest
import torch

from monai_boundary.losses import BoundaryF1Loss, BoundaryLoss, GeneralizedDiceBoundaryLoss, contract
from tests.losses.public import IGNORE, NAMES, Case, make

EACH = pytest.mark.parametrize("name", NAMES)


def validating(name: str, **settings) -> Case:
    return make(name, (2, 6, 6), validate=True, **settings)


def with_value(logits: torch.Tensor, value: float) -> torch.Tensor:
    """In the last sample and channel, the second row from below, so that each head of several holds it."""
    wrong = logits.clone()
    wrong[-1, -1, -2] = value
    return wrong


@EACH
@pytest.mark.parametrize(("value", "found"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")])
def test_values_that_are_not_finite_are_named_with_their_place(name, value, found):
    if name == "TopologyLoss":
        pytest.importorskip("torchvision", exc_type=ImportError)
    case = validating(name)
    wrong = with_value(case.logits, value)
    count, channel = wrong.shape[-1], wrong.shape[1] - 1
    numbers = f"{count} NaN and 0 infinite" if found == "NaN" else f"0 NaN and {count} infinite"
    text = f"input must be finite where it counts, got {numbers} values: {count} in sample 1, channel {channel}; look"
    with pytest.raises(ValueError, match=text):
        case(wrong)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"DeepSupervisionLoss"}))  # its heads have rows of their own
def test_good_values_and_what_is_ignored_pass_unchanged(name):
    if name == "TopologyLoss":
        pytest.importorskip("torchvision", exc_type=ImportError)
    case, plain = validating(name, ignore_index=IGNORE), make(name, (2, 6, 6), ignore_index=IGNORE)
    plain.others = case.others
    expected = plain(case.logits)
    for value in (0.0, math.nan):
        wrong = case.logits.clone()
        wrong[:, :, 0] = value
        torch.testing.assert_close(case(wrong), plain(wrong), rtol=0, atol=0)
        torch.testing.assert_close(case(wrong), expected)


@EACH
def test_nothing_is_looked_at_unless_it_is_asked_for(name, monkeypatch):
    if name == "TopologyLoss":
        pytest.importorskip("torchvision", exc_type=ImportError)
    monkeypatch.setattr(contract, "check_finite", lambda *_: pytest.fail("looked"))
    case = make(name, (2, 6, 6))
    assert case(with_value(case.logits, math.nan)).isnan()


def test_maps_are_looked_at_too():
    logits, maps = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    maps[0, 1, 2, 2] = math.nan
    with pytest.raises(
        ValueError, match=r"distance_map must be finite where it counts, got 1 NaN .* sample 0, channel 1"
    ):
        BoundaryLoss(softmax=True, validate=True, check_map=False)(logits, None, maps)


@pytest.mark.parametrize("make_loss", [BoundaryLoss, BoundaryF1Loss])
def test_with_a_map_or_a_band_and_without_target_the_output_is_looked_at(make_loss):
    logits, beside = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    logits[0, 0, 1, 1] = math.inf
    with pytest.raises(ValueError, match=r"input must be finite .* 1 in sample 0, channel 0"):
        make_loss(softmax=True, validate=True)(logits, None, beside)


def test_places_beyond_five_are_left_out():
    with pytest.raises(ValueError, match=r"got 14 NaN .*: 2 in sample 0, channel 0; .* channel 4; \.\.\.; look"):
        GeneralizedDiceBoundaryLoss(validate=True)(torch.full((1, 7, 2), math.nan), torch.zeros(1, 1, 2))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_targets_are_looked_at_only_then():
    logits, labels = torch.zeros(1, 2, 4, 4, device="cuda"), torch.full((1, 1, 4, 4), 5, device="cuda")
    with pytest.raises(ValueError, match=r"target must hold labels in \[0, 1\]"):
        GeneralizedDiceBoundaryLoss(validate=True)(logits, labels)
