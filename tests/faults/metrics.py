"""Faults of the metrics: which voxels, whose spacing, which direction, what a missing score is."""

import dataclasses

import numpy as np

from tests.faults.registry import fault

SURFACE = ("metrics/test_surface.py",)
ELEMENTS = ("metrics/test_surface_elements.py",)
MASKS = ("metrics/test_mask_metrics.py",)
BF1 = ("metrics/test_boundary_f1.py",)
LESIONS = ("metrics/test_lesion_scores.py",)
INSTANCES = ("metrics/test_instances.py",)
VOLUMES = ("metrics/test_instance_metrics.py",)
METRICS = "monai_boundary.metrics"


@fault(f"{METRICS}.surface:_both_ways", *SURFACE)
def each_distance_belongs_to_the_other_surface(right, *args):
    return right(*args)[::-1]


@fault(f"{METRICS}.surface:surface_voxels", *SURFACE)
def a_mask_that_the_array_cuts_has_no_surface_there(right, mask, through_plane=None):
    inner = (slice(1, -1),) * mask.ndim
    return right(np.pad(mask, 1, mode="edge"), through_plane)[inner]


@fault(f"{METRICS}.surface:surface_voxels", *SURFACE)
def slices_are_eroded_across_the_plane(right, mask, through_plane=None):
    return right(mask, None if through_plane is None else through_plane - 1)


@fault(f"{METRICS}.surface:SurfaceDistances.hausdorff_mm", *SURFACE)
def the_percentile_is_of_both_directions_together(right, self, percentile=None, empty="diagonal"):
    both = np.concatenate([self.pred_to_target, self.target_to_pred])
    return right(dataclasses.replace(self, pred_to_target=both, target_to_pred=both), percentile, empty)


@fault(f"{METRICS}.surface:SurfaceDistances.average_mm", *SURFACE)
def the_average_is_that_of_two_averages(right, self, empty="diagonal"):
    if self.pred_empty or self.target_empty:
        return right(self, empty)
    return float(self.pred_to_target.mean() + self.target_to_pred.mean()) / 2


@fault(f"{METRICS}.score_sets:score_pair", *MASKS, "evaluation/test_evaluation.py")
def predictions_on_ignored_voxels_count(
    right, protocol, pred, target, spacing, label=1, ignore_index=None, *args, **kwargs
):
    known = target if ignore_index is None else np.where(target == ignore_index, 0, target)
    return right(protocol, pred, known, spacing, label, None, *args, **kwargs)


@fault(f"{METRICS}.lesions:lesion_counts", *MASKS, *SURFACE)
def found_lesions_are_counted_in_the_prediction(right, pred, target, *args):
    return (lambda one: dataclasses.replace(one, found=min(one.true, one.target), true=min(one.found, one.predicted)))(
        right(pred, target, *args)
    )


@fault(f"{METRICS}.boundary_f1:_boundary", *BF1)
def the_rim_of_ignored_voxels_is_a_boundary(right, mask, valid, image_edge):
    return right(mask if valid is None else mask & valid, None, image_edge)


@fault(f"{METRICS}.boundary_f1:boundary_f1", *BF1)
def precision_and_recall_change_places(right, pred, target, *args, **kwargs):
    return right(target, pred, *args, **kwargs)


@fault(f"{METRICS}.buildings:score_buildings", *BF1)
def false_alarms_on_ignored_pixels_count(right, pred, target, *args, **kwargs):
    one = right(pred, target, *args, **kwargs)
    return dataclasses.replace(one, union=int(((pred == 1) | (target == 1)).sum()))


@fault(f"{METRICS}.mask_metrics:BuildingMetric.aggregate", *MASKS)
def the_iou_is_a_mean_over_windows(right, self, reduction=None):
    return super(right.__globals__["BuildingMetric"], self).aggregate(reduction)


@fault(f"{METRICS}.case_metric:CaseMetric._compute_tensor", *MASKS)
def every_case_is_scored_against_the_first_target(right, self, y_pred, y=None, **kwargs):
    return right(
        self, y_pred, y if y is None or len(y) < 2 or y.shape != y_pred.shape else y[:1].expand_as(y), **kwargs
    )


@fault(f"{METRICS}.case_metric:CaseMetric._compute_tensor", *MASKS)
def every_case_has_the_spacing_of_the_first(right, self, y_pred, y=None, **kwargs):
    if y is not None and len(y) and "spacing" not in kwargs and self.spacing == "affine":
        kwargs["spacing"] = self.case_spacing(y[0], None)
    return right(self, y_pred, y, **kwargs)


@fault(f"{METRICS}.case_metric:CaseMetric.aggregate", *MASKS)
def a_score_that_no_case_has_is_0(right, self, reduction=None):
    found = right(self, reduction)
    return [one.nan_to_num() for one in found] if isinstance(found, list) else found.nan_to_num()


@fault(f"{METRICS}.mask_metrics:ProtocolMetric.measure", *MASKS)
def missed_and_false_alarm_change_places(right, self, *args):
    found = right(self, *args)
    return found | {"missed": found["false_alarm"], "false_alarm": found["missed"]}


@fault(f"{METRICS}.instances:instance_scores", *INSTANCES)
def split_and_merge_change_places(right, *args):
    return (lambda one: dataclasses.replace(one, voi_split=one.voi_merge, voi_merge=one.voi_split))(right(*args))


@fault(f"{METRICS}.instances:instance_scores", *INSTANCES)
def voxels_without_a_predicted_object_are_one_object(right, pred, target):
    return right(np.where(pred == 0, np.max(pred) + np.ones_like(pred), pred), target)


@fault(f"{METRICS}.instances:cremi_target", *INSTANCES)
def borders_reach_across_the_slices(right, ids, border=25.0, spacing=(40.0, 4.0, 4.0)):
    from monai_boundary.metrics.instances import id_borders

    target = right(ids, border, spacing)
    target[id_borders(np.asarray(ids), max(border, max(spacing)), spacing)] = 0
    return target


@fault(f"{METRICS}.likelihood:_watershed", *VOLUMES)
def the_watershed_does_not_look_at_the_likelihood(right, values, ids, connectivity):
    return right(0 * values, ids, connectivity)


@fault(f"{METRICS}.likelihood:threshold_sweep", *VOLUMES)
def the_sweep_scores_one_threshold(right, likelihood, target, thresholds=(0.5,), *args, **kwargs):
    found = right(likelihood, target, thresholds, *args, **kwargs)
    return dict.fromkeys(found, next(iter(found.values())))


@fault(f"{METRICS}.instance_metrics:InstanceMetric._target_ids", *VOLUMES)
def the_truth_has_other_neighbours_than_the_prediction(right, self, *rest):
    kept, self.segmentation = self.segmentation, None
    try:
        return right(self, *rest)
    finally:
        self.segmentation = kept


@fault(f"{METRICS}.instance_metrics:ThresholdSweepMetric.best", *VOLUMES)
def the_worst_threshold_is_best(right, self, score=None):
    right(self, score)
    values = self.aggregate("mean_batch")
    curve = values if len(self.scores) == 1 else values[self.scores.index(score or self.scores[0])]
    return self.thresholds[int(curve.argmax())]


@fault(f"{METRICS}.ignite:ThresholdSweepScores.load_state_dict", *VOLUMES)
def the_checkpoint_forgets_the_threshold(right, self, state):
    return None


@fault(f"{METRICS}.ignite:ScoresHandler.compute", *MASKS, *VOLUMES)
def all_scores_have_the_name_of_the_first(right, self):
    value = right(self)
    for score in self.metric_fn.scores[1:]:
        self._engine.state.metrics[f"{self._name}_{score}"] = value
    return value


@fault(f"{METRICS}.instances:id_borders", *INSTANCES, *VOLUMES)
def borders_lie_one_slice_off(right, *args, **kwargs):
    return np.roll(right(*args, **kwargs), 1, axis=0)


@fault(f"{METRICS}.surface_elements:element_areas", *ELEMENTS)
def elements_count_alike_whatever_their_area(right, spacing):
    return (right(spacing) > 0).astype(float)


@fault(f"{METRICS}.surface:_area_percentile", *ELEMENTS)
def the_percentile_counts_elements_whatever_their_area(right, distances, areas, rank):
    return right(distances, np.ones_like(areas), rank)


@fault(f"{METRICS}.surface_elements:element_areas", *ELEMENTS)
def areas_are_those_of_cubic_voxels(right, spacing):
    return right([1.0] * len(spacing))


@fault(f"{METRICS}.surface_elements:element_codes", *ELEMENTS)
def a_mask_at_the_edge_goes_on_beyond_it(right, mask):
    codes = right(np.pad(mask, 1, mode="edge"))
    return codes[(slice(1, -1),) * mask.ndim]


@fault(f"{METRICS}.lesion_pairs:pair_lesions", *LESIONS)
def only_the_largest_overlap_of_a_lesion_counts(right, pred, target):
    pairs = right(pred, target)
    best = [at for at, one in enumerate(pairs.target) if pairs.shared[at] == pairs.shared[pairs.target == one].max()]
    return dataclasses.replace(pairs, target=pairs.target[best], pred=pairs.pred[best], shared=pairs.shared[best])


@fault(f"{METRICS}.lesion_pairs:_meets", *LESIONS)
def a_share_of_0_needs_no_voxel(right, shared, sizes, overlap):
    return shared / sizes >= overlap


@fault(f"{METRICS}.lesion_pairs:LesionPairs.matches", *LESIONS)
def a_component_may_match_several_lesions(right, self, iou):
    union = self.target_sizes[self.target] + self.pred_sizes[self.pred] - self.shared
    return (self.shared / union)[self.shared / union > iou]


@fault(f"{METRICS}.component_scores:ComponentScores.cc_dice", *LESIONS)
def the_cell_of_a_lesion_is_what_the_dilation_reaches(right, self):
    pairs, cells = self.pairs, self._dilated
    predicted = np.bincount(cells[self.pred > 0], minlength=pairs.target_sizes.size + 1)[1:][: pairs.target_sizes.size]
    if len(predicted) < pairs.target_sizes.size:
        return right(self)
    return float(np.mean(2 * pairs.target_shared / (pairs.target_sizes + predicted)))


@fault(f"{METRICS}.component_scores:ComponentScores.cc_dice", *LESIONS)
def cells_are_those_of_cubic_voxels(right, self):
    return right(dataclasses.replace(self, spacing=(1.0,) * self.target.ndim))


@fault(f"{METRICS}.component_scores:ComponentScores.panoptic_quality", *LESIONS)
def quality_is_a_mean_over_the_lesions_of_the_target(right, self):
    return float(self.matches.sum()) / max(self.counts.target, 1)


@fault(f"{METRICS}.component_scores:ComponentScores.false_lesions_without_target", *LESIONS)
def every_scan_is_free_of_lesions(right, self):
    return self.false_lesions


@fault(f"{METRICS}.component_scores:ComponentScores._by_size", *LESIONS)
def sizes_are_in_voxels(right, self, sizes):
    return right(self, sizes / self.voxel_mm3)


@fault(f"{METRICS}.lesion_scores:LesionScores._dilated", *LESIONS)
def lesions_grow_by_all_neighbours(right, self):
    from scipy import ndimage

    if not self.settings.dilation:
        return right(self)
    return ndimage.label(
        ndimage.binary_dilation(self.target > 0, np.ones((3,) * self.target.ndim), self.settings.dilation),
        np.ones((3,) * self.target.ndim),
    )[0]


@fault(f"{METRICS}.lesion_scores:LesionScores._merged", *LESIONS)
def what_the_dilation_adds_is_lesion(right, self):
    return self._dilated


@fault(f"{METRICS}.lesion_scores:LesionScores.dices", *LESIONS)
def only_the_overlap_of_a_component_is_compared(right, self):
    own = self._lesions[0]
    predicted = np.bincount(own.target, own.pred_sizes[own.pred], own.target_sizes.size)
    return 2 * own.target_shared / (own.target_sizes + predicted)


@fault(f"{METRICS}.lesion_scores:LesionScores.false_volumes_mm3", *LESIONS)
def components_near_a_small_lesion_are_false(right, self):
    near = self._lesions[1]
    kept = self.volumes_mm3 > self.settings.min_volume_mm3
    met = np.unique(near.pred[kept[near.target]])
    return np.delete(near.pred_sizes, met) * self.voxel_mm3


@fault(f"{METRICS}.lesion_scores:LesionScores._lesion_wise", *LESIONS)
def false_lesions_cost_nothing(right, self, values, wrong, none):
    return right(self, values, np.nan, none)


@fault(f"{METRICS}.lesion_surfaces:_surfaces", *LESIONS)
def points_are_in_voxels(right, ids, spacing, definition):
    return dataclasses.replace(right(ids, spacing, definition), points=right(ids, (1.0,) * ids.ndim, definition).points)
