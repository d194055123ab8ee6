"""Faults of the nnU-Net trainers: whose maps, of which settings, logged how, and what a resumed run remembers."""

import math

from tests.faults.registry import fault

MAPS = ("nnunet_trainers/test_maps.py",)
CELLS = ("nnunet_trainers/test_lesion_cells.py",)
MODES = ("nnunet_trainers/test_modes.py",)
SCHEDULE = ("nnunet_trainers/test_schedule.py",)
BAD = ("nnunet_trainers/test_bad_input.py",)
LESIONS = ("nnunet_trainers/test_lesions.py",)
CHALLENGES = ("nnunet_trainers/test_challenges.py",)
BESIDE = "nnunet_trainers.beside:BesideMixin"
MIXIN = "nnunet_trainers.mixin:BoundaryMixin"
APPEND = "nnunet_trainers.targets:AppendDistanceMaps"


@fault(f"{BESIDE}.appending", *MAPS)
def maps_are_made_with_the_spacing_reversed(right, self, kind, **settings):
    made = right(self, kind, **settings)
    made.spacing = made.spacing[::-1]
    return made


@fault(f"{MIXIN}.beside_label", *MAPS)
def maps_are_made_with_the_default_settings(right, self):
    from monai_boundary.kernels.distance import DistanceMapOptions

    (made,) = right(self)
    made.options = DistanceMapOptions(clip=5, normalize="clip")
    return [made]


@fault(f"{BESIDE}._with_beside", *MAPS)
def maps_are_made_before_the_other_transforms(right, self, transforms):
    transforms = right(self, transforms)
    if self.distance_maps_on == "workers":
        transforms.transforms.insert(0, transforms.transforms.pop())
    return transforms


@fault(f"{BESIDE}.get_validation_transforms", *MAPS, *MODES)
def validation_makes_no_maps(right, self, *args, **kwargs):
    return super(right.__globals__["BesideMixin"], self).get_validation_transforms(*args, **kwargs)


@fault(f"{MIXIN}.give_loss", *MAPS)
def the_loss_gets_the_maps_of_the_batch_before(right, self, beside):
    right(self, getattr(self, "before", beside))
    self.before = beside


@fault(f"{MIXIN}.give_loss", *MAPS)
def every_sample_of_the_batch_gets_the_maps_of_the_first(right, self, beside):
    right(self, {name: made[:1].expand_as(made) for name, made in beside.items()})


@fault(f"{BESIDE}._hand_over", *CELLS)
def cells_and_maps_change_places(right, self, batch):
    return right(self, {**batch, "target": [*batch["target"][:-2], *batch["target"][:-3:-1]]})


@fault("nnunet_trainers.targets:AppendLesionCells.of_sample", *CELLS)
def ignored_voxels_are_of_a_lesion_of_a_region(right, self, target):
    return right(self, target & False | target[:1] if self.regions and self.ignore_index is not None else target)


@fault("nnunet_trainers.targets:AppendLesionCells.of_sample", *CELLS)
def cells_are_measured_in_voxels(right, self, target):
    self.spacing = (1.0,) * len(self.spacing)
    return right(self, target)


@fault("nnunet_trainers.targets:AppendBeside._apply_to_segmentation", *MAPS)
def maps_come_from_the_lowest_head(right, self, segmentation, **params):
    import torch

    heads = segmentation if isinstance(segmentation, list) else [segmentation]
    small = self.of_sample(heads[-1])
    shape = heads[0].shape[1:]
    return [*heads, torch.nn.functional.interpolate(small[None].float(), size=shape)[0].half()]


@fault(f"{APPEND}.of_sample", *MAPS)
def maps_overflow_in_half_precision(right, self, target):
    return self.of_batch(target[None])[0].half()


@fault(f"{APPEND}.of_batch", *MAPS)
def the_ignored_channel_is_turned_round(right, self, target):
    import torch

    if self.regions and self.ignore_index is not None:
        target = torch.cat([target[:, :-1], ~target[:, -1:].bool()], dim=1)
    return right(self, target)


@fault("nnunet_trainers.losses:RegionAndBoundary.forward", *MAPS, *MODES)
def all_heads_weigh_the_same(right, self, output, target):
    self.head_weights = (1 / len(self.head_weights),) * len(self.head_weights)
    return right(self, output, target)


@fault("nnunet_trainers.losses:RegionAndBoundary.forward", *MAPS, *MODES)
def maps_serve_for_more_than_one_batch(right, self, output, target):
    kept = self._maps = self._maps or getattr(self, "kept", None)
    result = right(self, output, target)
    self.kept = kept
    return result


@fault("nnunet_trainers.losses:RegionAndBoundary._masks", *MAPS)
def the_first_map_is_compared_with_nothing(right, self, target, channels):
    return (right(self, target, channels)[0], target[:, :1].bool() & False)


@fault("nnunet_trainers.losses:TargetGeneralizedDice.forward", *MAPS, *MODES)
def the_ignored_channel_is_a_class(right, self, output, target):
    if self.has_ignore_channel:
        return self.dice(output, target[:, :-1])
    return right(self, output, target)


@fault("nnunet_trainers.mixin:GeneralizedDiceMixin._build_loss", *MAPS, *MODES)
def head_weights_of_nnunet_are_not_taken_over(right, self):
    loss = right(self)
    if self.enable_deep_supervision:
        loss.weight_factors = tuple(1 / len(loss.weight_factors) for _ in loss.weight_factors)
    return loss


@fault(f"{MIXIN}.on_train_epoch_start", *SCHEDULE)
def paused_epochs_count_in_the_schedule(right, self):
    lists = self.boundary_log.values["alpha_paused"]
    kept = list(lists)
    lists[:] = [0.0] * len(lists)
    try:
        right(self)
    finally:
        lists[: len(kept)] = kept


@fault(f"{MIXIN}.on_train_epoch_start", *SCHEDULE)
def weights_are_logged_and_not_set(right, self):
    kept = self.loss.term_weights
    right(self)
    self.loss.term_weights = kept


@fault(f"{MIXIN}.load_checkpoint", *SCHEDULE)
def a_resumed_run_forgets_what_the_guard_saw(right, self, checkpoint):
    from monai_boundary.losses import CollapseGuard

    right(self, checkpoint)
    self.boundary_log.guard = CollapseGuard(momentum=0.7, warmup=5)


@fault("nnunet_trainers.boundary_log:BoundaryLog.restore", *SCHEDULE)
def the_log_of_a_stock_checkpoint_is_padded_with_0(right, self, epochs):
    right(self, epochs)
    for key in ("alpha", "region_term"):
        self.values[key][:] = [0.0 if math.isnan(value) else value for value in self.values[key]]


@fault("nnunet_trainers.boundary_log:BoundaryLog.write_shares", *SCHEDULE)
def the_warning_of_a_collapse_is_lost(right, self, *args):
    return right(self, *args)[:0]


@fault(f"{MIXIN}.on_validation_epoch_end", *SCHEDULE)
def shares_are_those_of_the_last_step(right, self, val_outputs):
    return right(self, val_outputs[-1:])


@fault("nnunet_trainers.boundary_log:mean_over_ranks", "ddp/test_ddp.py", *SCHEDULE)
def each_rank_logs_its_own_terms(right, value, is_ddp):
    return right(value, False)


@fault("nnunet_trainers.boundary:RunLength.initialize", *SCHEDULE, *CHALLENGES, *BAD)
def the_length_of_a_run_is_set_after_the_optimizer(right, self):
    super(right.__globals__["RunLength"], self).initialize()
    if self.run_epochs is not None:
        self.num_epochs = self.run_epochs


@fault("nnunet_trainers.checked:CheckedMixin._check_settings", *BAD)
def labels_with_a_hole_pass(right, self):
    return None


@fault("nnunet_trainers.lesions:RegionAndLesions._label", *LESIONS)
def voxels_nobody_labelled_count_for_regions(right, self, target):
    return target[:, :-1] if self.ignore_channel else target


@fault("nnunet_trainers.lesions:RegionAndLesions.forward", *LESIONS)
def cells_stay_for_the_next_batch(right, self, output, target):
    cells = self._cells
    loss = right(self, output, target)
    self._cells = cells
    return loss


@fault("nnunet_trainers.lesions:RegionAndLesions.forward", *LESIONS)
def lesions_are_added_at_full_weight(right, self, output, target):
    weight, cells = self.weight, self._cells
    half = right(self, output, target)
    self.weight, self._cells = 0.0, cells
    region = right(self, output, target)
    self.weight = weight
    return 2 * half - weight * region
