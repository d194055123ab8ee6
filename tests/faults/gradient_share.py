"""Faults of the boundary weight by its share of the gradient."""

import torch

from tests.faults.registry import fault

SHARE = ("losses/test_gradient_share.py",)
MODULE = "monai_boundary.losses.gradient_share"
BALANCE = f"{MODULE}:GradientBalance"
LOSS = "monai_boundary.losses.region_boundary:RegionBoundaryLoss"


@fault(f"{BALANCE}.forward", *SHARE)
def the_present_batch_does_not_cap_the_share(right, self, now, foreground):
    right(self, now, foreground)
    return self.ratio


@fault(f"{BALANCE}.forward", *SHARE)
def a_batch_without_foreground_moves_the_averages(right, self, now, foreground):
    return right(self, now, torch.ones_like(foreground))


@fault(f"{BALANCE}.forward", *SHARE)
def nothing_is_averaged(right, self, now, foreground):
    self.momentum = 0.0
    return right(self, now, foreground)


@fault(f"{BALANCE}.forward", *SHARE)
def the_norms_change_places(right, self, now, foreground):
    return right(self, now.flip(0), foreground)


@fault(f"{BALANCE}.warn", *SHARE)
def what_cannot_be_measured_is_not_said(right, self):
    return None


@fault(f"{MODULE}:gradient_norms", *SHARE, "engines/test_deep_supervision_engine.py")
def the_suggestion_looks_at_half_of_the_batch(right, heads, terms):
    region, boundary = right(heads, terms)
    return region / 2, boundary


@fault(f"{LOSS}._weigh", *SHARE)
def the_share_is_taken_for_the_odds(right, self, ratio):
    return right(self, ratio if self._share is None else ratio * (1 - self._share.value))


@fault(f"{LOSS}.has_foreground", *SHARE)
def ignored_voxels_are_foreground(right, self, label, channels):
    return (label != 0).any()


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
