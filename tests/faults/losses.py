"""Faults of the losses: what the target means, which voxels count, which map belongs to what."""

import dataclasses

import torch

from tests.faults.registry import fault

BOUNDARY = ("losses/test_boundary_loss.py",)
TARGETS = ("losses/test_target_contract.py", "losses/test_every_loss.py")
DICE = ("losses/test_generalized_dice.py",)
COMBINED = ("losses/test_region_boundary.py",)
HEADS = ("losses/test_deep_supervision_heads.py",)
GUARD = ("losses/test_collapse.py",)
MAPS = ("losses/test_map_agreement.py",)
SCALE = ("test_repeated_voxels.py",)
LESIONS = ("losses/test_lesions.py",)
MAP_LOSSES = ("losses/test_map_losses.py",)
AGREEMENT = ("losses/test_target_agreement.py",)
VALUES = ("losses/test_validate.py",)
SLOPES = ("losses/test_gradients.py",)
CONTRACT = "monai_boundary.losses.contract:TargetContract"


@fault(f"{CONTRACT}.counted", *TARGETS, *DICE)
def ignored_voxels_count(right, self, values):
    return None


@fault(f"{CONTRACT}.masked", *TARGETS, *DICE)
def logits_are_not_masked_before_the_activation(right, self, logits, valid):
    return logits


@fault(f"{CONTRACT}.first_channel", *TARGETS, *DICE)
def the_background_always_counts(right, self, logits):
    return 0


@fault(f"{CONTRACT}.activate", *TARGETS, *DICE)
def nan_of_the_network_becomes_a_number(right, self, logits):
    return right(self, logits).nan_to_num()


@fault(f"{CONTRACT}.beside", *BOUNDARY)
def the_last_channel_of_a_map_is_dropped_for_the_background(right, self, name, values, like, first):
    return right(self, name, values.roll(1, 1) if first and values.shape[1] > like.shape[1] else values, like, first)


@fault("monai_boundary.losses.values:as_float32", *TARGETS)
def sums_stay_in_half_precision(right, tensor):
    return tensor


@fault("monai_boundary.losses.values:without_unsigned", *TARGETS, *DICE)
def unsigned_labels_reach_torch(right, values):
    return values


@fault("monai_boundary.losses._fused:map_sum", *BOUNDARY)
def every_sample_gets_the_map_of_the_first(right, logits, maps, *args):
    return right(logits, maps[:1].expand_as(maps), *args)


@fault("monai_boundary.losses._fused:_softmax_chunk", *BOUNDARY)
def the_fused_gradient_has_the_wrong_sign(right, logits, maps, first, gradient):
    value = right(logits, maps, first, gradient)
    if gradient is not None:
        gradient.neg_()
    return value


@fault("monai_boundary.losses._fused:_plain_gradient", "losses/test_loss_numerics.py")
def second_derivatives_are_zero(right, *args):
    return right(*args).detach()


@fault("monai_boundary.losses._fused:fusible", "losses/test_loss_numerics.py")
def the_one_pass_runs_inside_of_torch_func(right, logits):
    return True


@fault("monai_boundary.losses.target:SpacedLoss.spacing_of", *BOUNDARY)
def the_loss_makes_its_map_with_the_axes_of_spacing_reversed(right, self, *args):
    return [spacing[::-1] for spacing in right(self, *args)]


@fault("monai_boundary.losses.target:SpacedLoss.spacing_of", *BOUNDARY, *MAPS)
def the_loss_makes_all_maps_with_the_spacing_of_the_first_sample(right, self, *args):
    return right(self, *args)[:1]


@fault("monai_boundary.losses.target:TargetLoss.summed_axes", *DICE)
def generalized_dice_mixes_the_samples(right, self, ndim):
    return [0, *range(2, ndim)]


@fault("monai_boundary.losses.generalized_dice:GeneralizedDiceLoss.value", *DICE)
def an_absent_class_has_no_weight(right, self, counted):
    return right(self, counted._replace(probs=counted.probs * (counted.target.flatten(2).sum(-1) > 0)[..., None, None]))


@fault("monai_boundary.losses.boundary_f1:BoundaryF1Loss._band", *TARGETS)
def ignored_voxels_make_a_target_boundary(right, self, counted):
    return right(self, counted._replace(valid=None))


@fault("monai_boundary.losses.region_boundary:RegionBoundaryLoss.combine", *COMBINED)
def the_terms_are_swapped(right, self, region, boundary):
    return right(self, boundary, region)


@fault("monai_boundary.losses.region_boundary:RegionBoundaryLoss.combine", *COMBINED)
def the_logged_terms_keep_their_graph(right, self, region, boundary):
    total = right(self, region, boundary)
    self.region_term, self.boundary_term = region, boundary
    return total


@fault("monai_boundary.losses.deep_supervision:resample_nearest", *HEADS, *COMBINED)
def the_map_of_a_head_is_off_by_a_voxel(right, volume, size):
    return right(volume.roll(1, -1), size) if tuple(size) != volume.shape[2:] else volume


@fault("monai_boundary.losses.deep_supervision:resample_nearest", *HEADS, *COMBINED)
def the_map_of_a_head_is_in_voxels_of_that_head(right, volume, size):
    small = right(volume, size)
    return small * (size[-1] / volume.shape[-1]) if volume.is_floating_point() else small


@fault("monai_boundary.losses.target:SpacedLoss.spacing_of", *HEADS)
def what_a_head_predicts_is_measured_in_voxels_of_full_resolution(right, self, target, ndim):
    self._whole = None
    return right(self, target, ndim)


@fault("monai_boundary.losses.deep_supervision:sum_over_heads", *HEADS)
def the_heads_are_weighted_from_the_lowest_up(right, terms, heads, weights):
    return right(terms, heads, None if weights is None else weights[::-1])


@fault("monai_boundary.losses.deep_supervision:_split_heads", *HEADS)
def heads_are_taken_off_the_batch_axis(right, output, label, softmax):
    stacked = isinstance(output, torch.Tensor) and output.ndim > label.ndim
    return right(output.transpose(0, 1) if stacked else output, label, softmax)


@fault("monai_boundary.losses.deep_supervision:DeepSupervisionLoss._compute_target", *HEADS)
def each_head_gets_a_map_of_the_lowest_resolution(right, self, head, label):
    small = torch.nn.functional.interpolate(label.float(), scale_factor=0.5, mode="nearest-exact")
    maps = right(self, torch.nn.functional.interpolate(head, size=small.shape[2:]), small.to(label.dtype))
    return torch.nn.functional.interpolate(maps, size=label.shape[2:])


@fault("monai_boundary.losses.collapse:foreground_shares", *GUARD)
def foreground_is_counted_over_the_first_sample(right, logits, target, *args, **kwargs):
    return right(logits[:1], target[:1], *args, **kwargs)


@fault("monai_boundary.losses.collapse:CollapseGuard.update", *GUARD)
def the_guard_swaps_predicted_and_true(right, self, predicted, true):
    return right(self, true, predicted)


@fault("monai_boundary.losses.map_agreement:compare_options", *MAPS)
def maps_of_other_settings_pass_in_silence(right, recorded, expected):
    return None


@fault("monai_boundary.losses.map_agreement:check_signs", *MAPS)
def a_map_that_was_not_flipped_passes_in_silence(right, distance_map, *args):
    return set(range(distance_map.shape[1]))


@fault("monai_boundary.losses.target:TargetLoss.smoothed", *SCALE)
def smooth_is_in_voxels_of_the_patch(right, self, part, whole, smooth, voxels):
    return right(self, part, whole, smooth, 1e5)


@fault("monai_boundary.losses.map_agreement:compare_numbers", *AGREEMENT)
def a_target_of_other_settings_passes(right, *args):
    return None


@fault("monai_boundary.losses.cell_sums:sums_of_logits", *LESIONS)
def ignored_voxels_lie_in_a_cell(right, logits, target, places, softmax):
    return right(logits, target, places._replace(valid=None), softmax)


@fault("monai_boundary.losses.cell_sums:sums_of_logits", *LESIONS)
def every_sample_has_the_cells_of_the_first(right, logits, target, places, softmax):
    return right(logits, target, places._replace(cells=places.cells[:1].expand_as(places.cells)), softmax)


@fault("monai_boundary.losses.cell_sums:sums_of_logits", *LESIONS)
def the_lesion_is_outside_of_itself(right, *args):
    return type(sums := right(*args))(*(part.flip(-1) for part in sums))


@fault("monai_boundary.losses.cell_sums:check_cells", *LESIONS)
def cells_of_another_label_are_taken(right, cells, sums):
    return None


@fault("monai_boundary.losses.cell_sums:sum_dtype", "losses/test_lesions.py")
def sums_over_cells_are_float32(right, device):
    return torch.float32


@fault("monai_boundary.losses.lesions:LesionLoss._mean", *LESIONS)
def cells_without_a_lesion_count(right, self, sums, present):
    return right(self, sums, torch.ones_like(present))


@fault("monai_boundary.losses.lesions:LesionLoss._mean", *LESIONS)
def an_empty_sample_is_free(right, self, sums, present):
    found = present[..., 1:].any(-1)
    return right(self, sums, present) * (found.any(0) if self.batch else found)


@fault("monai_boundary.losses.lesions:LesionLoss._make_cells", *LESIONS)
def cells_are_measured_in_voxels(right, self, masks, valid, target):
    self.spacing = None
    return right(self, masks, valid, target.as_subclass(torch.Tensor))


@fault("monai_boundary.losses.lesions:LesionLoss._sums", *LESIONS)
def the_cross_entropy_of_a_cell_is_one_against_the_rest(right, self, seen, cells):
    found, contract = right(self, seen, cells), self.contract
    self.contract = dataclasses.replace(contract, softmax=False, sigmoid=True)
    found = found._replace(entropy=right(self, seen, cells).entropy)
    self.contract = contract
    return found


@fault("monai_boundary.losses.lesions:BlobLoss.regions", *LESIONS)
def a_blob_sees_its_cell_alone(right, self, sums):
    return sums


@fault("monai_boundary.losses.lesions:ComponentDiceLoss._beside", *LESIONS)
def both_ways_are_one(right, self, values, *args):
    return values


@fault("monai_boundary.losses.map_losses:TargetMapLoss._maps_of", *MAP_LOSSES)
def maps_of_masks_start_at_ignored_voxels(right, self, masks, valid, like):
    return right(self, masks, None, like)


@fault("monai_boundary.losses.map_losses:TargetMapLoss._maps_of", *MAP_LOSSES)
def all_samples_have_the_spacing_of_the_first(right, self, masks, valid, like):
    return self.map_of_masks(masks, self.spacing_of(like, masks.ndim - 2)[0], valid)


@fault("monai_boundary.losses.map_losses:RegionWiseLoss.of_map", *MAP_LOSSES)
def the_region_wise_map_is_that_of_the_boundary_loss(right, self, counted, maps):
    return self._mean(counted.probs * maps)


@fault("monai_boundary.losses.map_losses:GeneralizedSurfaceLoss.of_map", *MAP_LOSSES)
def the_distance_is_not_squared(right, self, counted, maps):
    return right(self, counted, maps.abs().sqrt())


@fault("monai_boundary.losses.map_losses:_measure_between_centres", *MAP_LOSSES)
def hausdorff_measures_to_the_face_of_a_voxel(right, loss):
    return None


@fault("monai_boundary.losses.deep_supervision:DeepSupervisionLoss._compute_target", *LESIONS)
def each_head_has_cells_of_its_own_label(right, self, head, label):
    return right(self, head, label).flip(-1)


@fault("monai_boundary.losses.values:check_finite", *VALUES)
def nothing_is_refused(right, name, values):
    return None


@fault("monai_boundary.losses.values:check_finite", *VALUES)
def sample_and_channel_are_swapped(right, name, values):
    return right(name, values.transpose(0, 1))


@fault("monai_boundary.losses.region_boundary:RegionBoundaryLoss.combine", *SLOPES)
def the_boundary_term_has_no_gradient(right, self, region, boundary, *others):
    return right(self, region, boundary.detach(), *others)


@fault("monai_boundary.losses.binary_cross_entropy:counted_mean", *SLOPES)
def the_mean_of_the_counted_voxels_has_another_gradient(right, values, valid):
    return right(values, valid) + 0 * values.detach().sum() + (values - values.detach()).mean()


@fault("monai_boundary.losses.cell_sums:_OnePass.backward", "losses/test_lesions.py")
def the_gradient_of_sums_over_cells_lacks_that_of_the_other_sums(right, ctx, gradient):
    return right(ctx, gradient * torch.tensor([1.0, 0.0, 0.0]))


@fault("monai_boundary.losses.cell_sums:_pieces", "losses/test_lesions.py")
def the_last_voxels_of_a_volume_are_left_out(right, *tensors):
    pieces = list(right(*tensors))
    return pieces if len(pieces) < 4 else pieces[:-1]
