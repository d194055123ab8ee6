"""The sum with cross-entropy and IoU, the sensitivity-specificity loss, and bad input to all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from monai.networks import one_hot
from scipy import ndimage

from monai_boundary import BoundaryBand, BoundaryF1IoULoss, BoundaryF1Loss, SensitivitySpecificityLoss
from tests.losses.samples import building, labels_like

close = torch.testing.assert_close

# The sum


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("include_background", [True, False])
def test_sum_is_cross_entropy_and_the_two_weighted_losses(softmax, weight, include_background):
    logits, labels = torch.randn(2, 3, 9, 8), labels_like((2, 9, 8), 3)
    target, act = one_hot(labels, 3), {"softmax": True} if softmax else {"sigmoid": True}
    settings = {**act, "include_background": include_background}
    entropy = F.cross_entropy(logits, labels[:, 0]) if softmax else F.binary_cross_entropy_with_logits(logits, target)
    iou = DiceLoss(jaccard=True, smooth_nr=2e-5, smooth_dr=2e-5, **settings)(logits, target)
    boundary = BoundaryF1Loss(**settings)(logits, target)
    loss = BoundaryF1IoULoss(weight, softmax=softmax, include_background=include_background)
    close(loss(logits, target), entropy + weight * boundary + (1 - weight) * iou)
    close((loss.cross_entropy_term, loss.boundary_term, loss.region_term), (entropy, boundary, iou))


def test_batch_of_the_sum_is_that_of_monai():
    logits, target = torch.randn(2, 1, 9, 8), (torch.rand(2, 1, 9, 8) > 0.5).float()
    loss = BoundaryF1IoULoss(batch=True)
    loss(logits, target)
    close(loss.region_term, DiceLoss(sigmoid=True, jaccard=True, batch=True)(logits, target), rtol=1e-5, atol=1e-6)
    close(loss.boundary_term, BoundaryF1Loss(sigmoid=True, batch=True)(logits, target))


def test_target_boundary_is_passed_on():
    logits, target = torch.randn(1, 1, 12, 12), building((1, 1, 12, 12), 3, 8)
    loss, band = BoundaryF1IoULoss(), BoundaryBand()(target[0])[None]
    assert loss(logits, target, band) == loss(logits, target)
    loss(logits, target, torch.zeros_like(band))
    assert float(loss.boundary_term) == pytest.approx(1, abs=1e-4)


def test_descent_sharpens_a_blurred_building():
    target = building((1, 1, 24, 24), 7, 17)
    blurred = torch.from_numpy(ndimage.gaussian_filter(target.numpy(), (0, 0, 2, 2)))
    logits = torch.logit(blurred.clamp(1e-3, 1 - 1e-3)).roll(2, -1).requires_grad_(True)
    loss, optimizer = BoundaryF1IoULoss(), torch.optim.Adam([logits], lr=0.2)
    before = float(loss(logits, target).detach())
    for _ in range(120):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    assert before > 0.5
    assert torch.equal((logits > 0).float(), target)
    assert float(loss.boundary_term) < 0.01


# Sensitivity and specificity


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_sensitivity_specificity_by_counting(lam):
    pred, target = (torch.rand(2, 2, 2, 9, 8) > 0.4).float()
    values = SensitivitySpecificityLoss(lam=lam, reduction="none", smooth=1e-9)(pred, target)
    for index in np.ndindex(2, 2):
        p, t = pred[index] > 0, target[index] > 0
        specificity = float((~p & ~t).sum() / (~t).sum())
        sensitivity = float((p & t).sum() / t.sum())
        assert float(values[index]) == pytest.approx(1 - lam * specificity - (1 - lam) * sensitivity, abs=1e-6)


def test_sensitivity_of_an_absent_class_is_one():
    target = torch.zeros(1, 1, 4, 4)
    assert float(SensitivitySpecificityLoss(lam=0.0)(torch.rand(1, 1, 4, 4), target)) == 0
    assert float(SensitivitySpecificityLoss(lam=1.0)(torch.rand(1, 1, 4, 4), 1 - target)) == 0
    assert float(SensitivitySpecificityLoss()(target, target)) == 0


# Bad input


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"theta0": 2}, ValueError, "theta0 must be odd and >= 1, .* got 2; an even window has no centre: take the"),
        ({"theta": (3, 4)}, ValueError, r"theta must be odd and >= 1, .* got \(3, 4\)"),
        ({"theta": 5.0}, TypeError, "theta must be an odd integer .* got 5.0"),
        ({"smooth": 0}, ValueError, "smooth must be finite and > 0, got 0"),
        ({"smooth": "1"}, TypeError, "smooth must be a number, got str"),
    ],
)
@pytest.mark.parametrize("make", [BoundaryF1Loss, BoundaryF1IoULoss])
def test_wrong_settings_are_refused(make, settings, error, text):
    with pytest.raises(error, match=text):
        make(**settings)


def test_settings_of_one_loss_are_refused():
    with pytest.raises(ValueError, match="more than 1 of"):
        BoundaryF1Loss(sigmoid=True, softmax=True)
    loss = BoundaryF1IoULoss()
    loss.term_weights = 0.8, 0.2
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got 1.5"):
        loss.alpha = 1.5
    for pair in ((1.0, 0.2), (5, 0.3), (-0.5, 1.5)):
        with pytest.raises(ValueError, match="term_weights"):
            loss.term_weights = pair
    assert (loss.alpha, loss.term_weights) == (0.2, (0.8, 0.2))
    with pytest.raises(ValueError, match=r"lam must lie in \[0, 1\], got 2"):
        SensitivitySpecificityLoss(lam=2)
    with pytest.raises(ValueError, match=r"theta must be odd .* per spatial axis \(3\), got \(1, 5\)"):
        BoundaryF1Loss(theta=(1, 5))(torch.rand(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4))


@pytest.mark.parametrize(
    ("band", "error", "text"),
    [
        (None, ValueError, "target_boundary must be given when target is None; pass one of them"),
        (torch.zeros(1, 2, 4, 5), ValueError, r"target_boundary must have shape \(1, 2, 4, 4\) .*got \(1, 2, 4, 5\)"),
        (torch.zeros(1, 2, 4, 4) > 0, TypeError, "target_boundary must hold the codes .*, got bool"),
        (torch.full((1, 2, 4, 4), 0.5), ValueError, "target_boundary must hold the codes .* got 0.5 among them; resam"),
        (torch.full((1, 2, 4, 4), 3).byte(), ValueError, "target_boundary must hold the codes .* got 3 among them"),
    ],
)
def test_wrong_target_boundary_is_refused(band, error, text):
    with pytest.raises(error, match=text):
        BoundaryF1Loss(softmax=True)(torch.zeros(1, 2, 4, 4), None, band)


def test_settings_are_shown():
    assert "theta0=3, theta=(1, 5, 5)" in repr(BoundaryF1Loss(theta=(1, 5, 5)))
    assert "term_weights=(0.75, 0.25)" in repr(BoundaryF1IoULoss(0.25))
    assert "lam=0.75" in repr(SensitivitySpecificityLoss(lam=0.75))
