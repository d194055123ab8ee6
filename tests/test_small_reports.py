"""Small faults that users reported, and no other file holds: docs/reliability.md, section "Smaller"."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from monai_boundary import BoundaryF1IoULoss, GeneralizedDiceBoundaryLoss, GeneralizedDiceLoss

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_smooth_of_generalized_dice_is_at_least_zero(value):
    with pytest.raises(ValueError, match="smooth must be finite and >= 0"):
        GeneralizedDiceLoss(smooth=value)


@pytest.mark.parametrize("pair", [(5, 0.3), (0.5, 0.6), (0.2, 0.2)])
def test_weights_that_do_not_add_up_to_one_are_refused_where_they_must(pair):
    loss = BoundaryF1IoULoss()
    with pytest.raises(ValueError, match="term_weights must have the sum 1 in BoundaryF1IoULoss, got"):
        loss.term_weights = pair
    assert loss.term_weights == (0.5, 0.5)


def test_a_network_that_returns_probabilities_needs_no_activation():
    logits, labels = torch.randn(2, 3, 8, 9), torch.randint(0, 3, (2, 1, 8, 9))
    settings = {"spacing": (1, 1), "alpha": 0.4}
    found = GeneralizedDiceBoundaryLoss(softmax=False, **settings)(logits.softmax(1), labels)
    torch.testing.assert_close(found, GeneralizedDiceBoundaryLoss(**settings)(logits, labels))


def test_generalized_dice_can_be_traced():
    logits, labels = torch.randn(1, 2, 6, 7), torch.randint(0, 2, (1, 1, 6, 7))
    loss = GeneralizedDiceLoss(softmax=True, to_onehot_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and the checks of values are not in the trace
        traced = torch.jit.trace(loss, (logits, labels))
        other = torch.randn(1, 2, 6, 7), 1 - labels
        torch.testing.assert_close(traced(*other), loss(*other))


def test_every_test_that_the_page_names_is_there():
    text = (ROOT / "docs" / "reliability.md").read_text()
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    parts = text.split("`")[1::2]
    names = [part for part in parts if part.startswith("test_") and not part.endswith(".py")]
    assert len(names) > 20
    assert not [name for name in names if f"def {name.removesuffix('...')}" not in source]
    files = [part for part in parts if part.endswith(".py")]
    assert not [file for file in files if not (ROOT / "tests" / file).is_file()]
