"""Faults of the boundary weight by its share of the gradient."""

from dataclasses import replace

import torch

from tests.faults.registry import fault

SHARE = ("losses/test_gradient_share.py", "losses/test_soft_recall.py")
MODULE = "monai_boundary.losses.gradient_share"
BALANCE = f"{MODULE}:GradientBalance"
LOSS = "monai_boundary.losses.region_boundary:RegionBoundaryLoss"


@fault(f"{BALANCE}.forward", *SHARE)
def the_present_batch_does_not_cap_the_share(right, self, now, hits, true):
    return self.ratio, right(self, now, hits, true)[1]


@fault(f"{BALANCE}.forward", *SHARE)
def a_batch_without_foreground_moves_the_averages(right, self, now, hits, true):
    return right(self, now, hits, torch.ones_like(true))


@fault(f"{BALANCE}.forward", *SHARE)
def without_foreground_all_of_it_is_found(right, self, now, hits, true):
    ratio, found = right(self, now, hits, true)
    return ratio, found if true.any() else torch.ones_like(found)


@fault("monai_boundary.losses.soft_recall:foreground_hits", *SHARE)
def the_first_region_is_background_unless_a_sigmoid_is_asked_for(right, contract, logits, label):
    return right(contract if contract.sigmoid else replace(contract, include_background=False), logits, label)


@fault(f"{BALANCE}.forward", *SHARE)
def nothing_is_averaged(right, self, now, hits, true):
    self.momentum = 0.0
    return right(self, now, hits, true)


@fault(f"{BALANCE}.forward", *SHARE)
def the_norms_change_places(right, self, now, hits, true):
    return right(self, now.flip(0), hits, true)


@fault(f"{BALANCE}.warn", *SHARE)
def what_cannot_be_measured_is_not_said(right, self):
    return None


@fault(f"{MODULE}:gradient_norms", *SHARE, "engines/test_deep_supervision_engine.py")
def the_suggestion_looks_at_half_of_the_batch(right, heads, terms):
    region, boundary = right(heads, terms)
    return region / 2, boundary


@fault(f"{LOSS}._weigh", *SHARE)
def the_share_is_taken_for_the_odds(right, self, ratio, found):
    return right(self, ratio if self._share is None else ratio * (1 - self._share.value), found)


@fault(f"{LOSS}._weigh", *SHARE)
def an_empty_prediction_gets_the_whole_share(right, self, ratio, found):
    return right(self, ratio, torch.ones_like(found))


@fault(f"{LOSS}.foreground_hits", *SHARE)
def ignored_voxels_are_foreground(right, self, logits, label):
    contract, self.boundary.contract = self.boundary.contract, replace(self.boundary.contract, ignore_index=None)
    found = right(self, logits, label)
    self.boundary.contract = contract
    return found


@fault(f"{LOSS}.weighted", *SHARE)
def validation_moves_the_averages(right, self, heads, label, terms):
    with torch.enable_grad():
        return right(self, heads.detach().requires_grad_() if isinstance(heads, torch.Tensor) else heads, label, terms)


@fault("monai_boundary.losses.generalized_dice:GeneralizedDiceLoss.value", "losses/test_generalized_dice.py")
def generalized_dice_fades_with_the_size_of_the_patch(right, self, counted):
    kept, self.scale_free = self.scale_free, False
    value = right(self, counted)
    self.scale_free = kept
    return value
