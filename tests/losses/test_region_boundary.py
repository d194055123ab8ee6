"""RegionBoundaryLoss and its generalized Dice preset."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from monai.losses import DiceCELoss
from torch.nn import functional as F

from monai_boundary import (
    BoundaryLoss,
    DistanceMapOptions,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    RegionBoundaryLoss,
    Share,
    SignedDistanceMap,
)
from monai_boundary.kernels import CLIPPED, PUBLISHED
from tests.losses.samples import labels_like

close = torch.testing.assert_close


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and a map of the foreground."""
    return torch.randn(2, 3, 6, 7), labels_like((2, 6, 7), 3), torch.randn(2, 2, 6, 7)


def published_pair(**settings) -> RegionBoundaryLoss:
    shared = {"softmax": True, "to_onehot_y": True}
    return RegionBoundaryLoss(
        GeneralizedDiceLoss(**shared), BoundaryLoss(include_background=False, **shared), **settings
    )


def test_value_is_the_weighted_sum_and_the_terms_are_kept(batch):
    loss = published_pair()
    loss.term_weights = (0.7, 2.5)
    value = loss(*batch)
    region, boundary = loss.region(*batch[:2]), loss.boundary(*batch)
    close(value, 0.7 * region + 2.5 * boundary)
    close((loss.region_term, loss.boundary_term), (region, boundary))
    loss(batch[0].requires_grad_(True), *batch[1:])
    assert not loss.region_term.requires_grad
    assert not loss.boundary_term.requires_grad


@pytest.mark.parametrize(("settings", "alpha", "pair"), [
    ({}, 0.25, (0.75, 0.25)), ({}, 0.97, (0.1, 0.97)), ({}, 3.0, (0.1, 3.0)), ({"region_floor": 0.4}, 0.9, (0.4, 0.9)),
    ({"mode": "increase"}, 0.25, (1.0, 0.25)), ({"mode": "increase"}, 0.0, (1.0, 0.0)),
])  # fmt: skip
def test_alpha_sets_both_weights_as_the_mode_says(settings, alpha, pair):
    loss = published_pair(**settings)
    loss.alpha = alpha
    assert loss.term_weights == pytest.approx(pair)
    assert published_pair(**settings, alpha=alpha).term_weights == loss.term_weights
    assert loss.alpha == alpha


def pickled(loss):
    return pickle.loads(pickle.dumps(loss))  # noqa: S301 - made here


@pytest.mark.parametrize("copier", [copy.deepcopy, pickled])
def test_copies_have_the_same_weights_and_are_independent(batch, copier):
    loss = GeneralizedDiceBoundaryLoss(alpha=0.3)
    loss(*batch)
    twin = copier(loss)
    close(twin(*batch), loss(*batch))
    twin.alpha = 0.6
    assert (loss.alpha, twin.alpha) == (0.3, 0.6)
    assert not torch.equal(twin(*batch), loss(*batch))


def test_any_region_loss_can_be_used(batch):
    loss = RegionBoundaryLoss(
        torch.nn.CrossEntropyLoss(), BoundaryLoss(softmax=True, include_background=False), alpha=0.5
    )
    target = batch[1][:, 0]
    close(loss(batch[0], target, batch[2]), 0.5 * F.cross_entropy(batch[0], target) + 0.5 * loss.boundary_term)


def test_preset_chooses_the_map_of_the_loss():
    assert GeneralizedDiceBoundaryLoss().boundary.options == CLIPPED
    assert GeneralizedDiceBoundaryLoss("published").boundary.options == PUBLISHED
    own = DistanceMapOptions(clip=3.0)
    assert GeneralizedDiceBoundaryLoss(options=own).boundary.options == own


@pytest.mark.parametrize("boundary", [{}, {"sigmoid": True}])
def test_losses_of_different_outputs_are_refused(boundary):
    softmax = {"softmax": True, "to_onehot_y": True}
    for region in (DiceCELoss(**softmax), GeneralizedDiceLoss(**softmax), torch.nn.CrossEntropyLoss()):
        with pytest.raises(ValueError, match=r"with softmax=True, sigmoid=False and BoundaryLoss with softmax=False"):
            RegionBoundaryLoss(region, BoundaryLoss(**boundary))
    RegionBoundaryLoss(torch.nn.Identity(), BoundaryLoss(**boundary))  # says nothing
    RegionBoundaryLoss(DiceCELoss(**softmax), BoundaryLoss(other_act=torch.sigmoid))  # not known


@pytest.mark.parametrize("preset", ["clipped", "robust", "published"])
def test_map_of_the_transform_with_the_same_preset_is_the_map_of_the_loss(batch, preset):
    loss = GeneralizedDiceBoundaryLoss(preset, alpha=0.5, spacing=(2.0, 1.0))
    transform = SignedDistanceMap(3, preset=preset, spacing=(2.0, 1.0))
    maps = torch.stack([transform(labels) for labels in batch[1]])
    close(loss(*batch[:2], maps), loss(*batch[:2]), rtol=0, atol=0)
    close(loss(*batch[:2], maps[:, 1:]), loss(*batch[:2]), rtol=0, atol=0)


@pytest.mark.parametrize("include_background", [False, True])
def test_preset_is_generalized_dice_of_all_classes_and_boundary_of_the_foreground_unless_asked(
    batch, include_background
):
    loss, maps = GeneralizedDiceBoundaryLoss(include_background=include_background), torch.randn(2, 3, 6, 7)
    loss(*batch[:2], maps)
    close(loss.region_term, GeneralizedDiceLoss(softmax=True, to_onehot_y=True)(*batch[:2]))
    counted = maps if include_background else torch.cat([torch.zeros_like(maps[:, :1]), 1.5 * maps[:, 1:]], 1)
    close(loss.boundary_term, BoundaryLoss(softmax=True)(batch[0], None, counted))


def test_sigmoid_preset_takes_one_channel_and_overlapping_channels():
    for channels in (1, 3):
        masks, logits = (torch.rand(2, channels, 6, 7) < 0.4).float(), torch.randn(2, channels, 6, 7)
        loss = GeneralizedDiceBoundaryLoss(sigmoid=True, to_onehot_y=False, alpha=0.5)
        expected = BoundaryLoss(sigmoid=True, options=CLIPPED)(logits, masks)
        close(loss(logits, masks), 0.5 * GeneralizedDiceLoss(sigmoid=True)(logits, masks) + 0.5 * expected)


def test_printed_loss_shows_its_weights():
    assert "term_weights=(0.75, 0.25), mode='rebalance'" in repr(published_pair(alpha=0.25))


def test_terms_of_different_shapes_are_not_mixed() -> None:
    logits, target = torch.randn(2, 2, 8, 8), torch.zeros(2, 1, 8, 8)
    target[..., 2:5, 2:5] = 1
    settings = {"softmax": True, "to_onehot_y": True}
    region, boundary = GeneralizedDiceLoss(**settings, reduction="none"), BoundaryLoss(**settings, reduction="none")
    with pytest.raises(ValueError, match=r"both terms must have one shape.*got \(2,\) from GeneralizedDiceLoss"):
        RegionBoundaryLoss(region, boundary, 0.5)(logits, target)
    with pytest.raises(ValueError, match="both terms must be single numbers for a share"):
        RegionBoundaryLoss(region, boundary, Share(0.2))(logits.requires_grad_(), target)


@pytest.mark.parametrize("wrong", [Share(0.2), [1, 2, 3], 0.5])
def test_weights_are_a_pair(wrong) -> None:
    with pytest.raises(TypeError, match=r"term_weights must be a pair \(region, boundary\), got"):
        GeneralizedDiceBoundaryLoss().term_weights = wrong
