"""Faults of the kernels: a wrong axis, a side taken for the other, voxels that should not count."""

import numpy as np
import torch

from tests.faults.registry import fault

MAPS = ("kernels/distance/test_backends.py", "kernels/distance/test_options.py")
ENGINE = ("kernels/distance/test_numba_engine.py",)
CUT = ("kernels/test_barrier.py", "kernels/test_barrier_laws.py")
PLAN = "monai_boundary.kernels.distance.plan"
NEAREST = "monai_boundary.kernels.distance.nearest"
NUMBA = "monai_boundary.kernels.distance.numba_engine"


@fault(f"{PLAN}:make_plan", *MAPS)
def spacing_is_read_from_the_last_axis_to_the_first(right, name, array, spacing, *rest):
    return right(name, array, None if spacing is None else spacing[::-1], *rest)


@fault(f"{PLAN}:make_plan", *MAPS)
def arrays_in_fortran_order_keep_the_spacing_of_c_order(right, name, array, spacing, *rest):
    plan = right(name, array, spacing, *rest)
    return plan._replace(order=tuple(range(len(plan.order))))


@fault(f"{NUMBA}:self_check", *ENGINE)
def an_engine_that_measures_wrongly_is_taken(right):
    return None


@fault(f"{NUMBA}:_measure_both", *MAPS)
def ignored_voxels_are_a_contour(right, out, inside, valid, *rest):
    return right(out, inside, None if valid is None else valid | True, *rest)


@fault(f"{NUMBA}:_finish", *MAPS)
def the_other_side_of_a_pair_is_balanced_like_the_mask(right, channel, mask, box, own, *rest):
    return right(channel, mask, box, 1, *rest)


@fault(f"{NUMBA}:seed_distance", "kernels/distance/test_backends.py")
def distances_start_at_the_background(right, seeds, plan):
    return right(~seeds, plan)


@fault("monai_boundary.kernels.distance.api:labels_distance_map", *MAPS)
def classes_are_counted_from_the_background(
    right, labels, num_classes, spacing, options, include_background=True, *rest
):
    maps = right(labels, num_classes, spacing, options, True, *rest)
    return maps if include_background else maps[:-1]


@fault("monai_boundary.kernels.distance.api:_write_maps", *MAPS)
def maps_come_back_in_the_order_of_the_memory(right, count, shape, masks, valid, plan, *paired):
    return right(count, shape, masks, valid, plan._replace(order=tuple(sorted(plan.order))), *paired)


@fault("monai_boundary.kernels.distance.api:batch_masks_map", *MAPS)
def every_sample_gets_the_ignored_voxels_of_the_first(right, masks, spacing, options, valid=None, backend="auto"):
    return right(masks, spacing, options, None if valid is None else valid[:1].expand_as(valid), backend)


@fault("monai_boundary.kernels.distance.api:batch_labels_map", "kernels/distance/test_torch_engine.py", *MAPS)
def every_sample_gets_the_map_of_the_first(right, labels, *rest):
    return right(labels[:1].expand_as(labels), *rest)


@fault("monai_boundary.kernels.compiled:_private_folder", *ENGINE)
def compiled_code_is_taken_from_a_folder_that_anybody_may_write_to(right):
    import tempfile
    from pathlib import Path

    return str(next(Path(tempfile.gettempdir()).glob("monai-boundary-*"), None) or right())


@fault(f"{NEAREST}:_by_label", "kernels/distance/test_nearest.py")
def of_labels_that_are_equally_far_the_largest_is_taken(right, ids):
    largest = int(ids.max()) + 1
    ranks = np.where(ids > 0, largest - np.minimum(ids, largest), 0).astype(np.int32)
    return ranks, np.array([0, *range(largest - 1, 0, -1)], ids.dtype), None


@fault(f"{NEAREST}:_by_voxel", "kernels/distance/test_nearest.py")
def of_voxels_that_are_equally_far_the_last_is_taken(right, ids):
    ranks, names, places = right(ids)
    back = np.concatenate([[0], np.arange(len(names) - 1, 0, -1)])
    return np.where(ranks > 0, len(names) - ranks, 0).astype(np.int32), names[back], places[:, back]


@fault(f"{NEAREST}:_whole_weights", "kernels/distance/test_nearest.py")
def spacings_are_added_up_unsquared(right, plan, bits):
    return right(plan._replace(volume_spacing=tuple(np.sqrt(plan.volume_spacing))), bits)


@fault(f"{NEAREST}:_whole_weights", "kernels/distance/test_nearest.py")
def spacings_that_do_not_fit_are_rounded(right, plan, bits):
    return right(plan, bits) or right(plan._replace(volume_spacing=(1.0, 1.0, 1.0)), 1)


@fault(f"{NEAREST}:_by_numba", "kernels/distance/test_nearest.py")
def labels_in_fortran_order_are_measured_in_c_order(right, ranks, plan, *rest):
    return right(ranks, plan._replace(order=tuple(range(len(plan.order)))), *rest)


@fault("monai_boundary.kernels.distance.nearest_torch:_pass", "kernels/distance/test_nearest.py")
def labels_reach_no_farther_than_a_few_voxels(right, tile, weight):
    for start in range(0, tile.shape[1], 4):
        right(tile[:, start : start + 4], weight)


@fault("monai_boundary.kernels.components:components", "kernels/test_components.py", "metrics/test_mask_metrics.py")
def lesions_that_touch_at_a_corner_are_two(right, mask, connectivity=None):
    return right(mask, 1 if connectivity is None else connectivity)


@fault("monai_boundary.kernels.components:_class_masks", "kernels/test_components.py")
def ignored_voxels_are_a_lesion(right, array, num_classes, include_background, ignore_index):
    return right(np.where(array == ignore_index, 1, array), num_classes, include_background, None)


@fault("monai_boundary.kernels.components:lesion_cells", "kernels/test_components.py")
def numbers_beyond_int16_wrap(right, labels, num_classes=None, spacing=None, **settings):
    return right(labels, num_classes, spacing, **{**settings, "dtype": torch.int32}).astype(np.int16)


@fault("monai_boundary.kernels.components:lesion_cells", "kernels/test_components.py")
def cells_are_measured_in_voxels(right, labels, num_classes=None, spacing=None, **settings):
    return right(labels, num_classes, **settings)


@fault("monai_boundary.kernels.pooling:box_max_pool", "kernels/test_pooling.py")
def windows_are_applied_to_the_axes_in_reverse(right, values, window, *rest):
    return right(values, window[::-1] if isinstance(window, list | tuple) else window, *rest)


@fault("monai_boundary.kernels.pooling:soft_boundary", "kernels/test_pooling.py", "losses/test_boundary_f1.py")
def the_image_edge_is_a_boundary(right, values, *rest):
    padded = torch.nn.functional.pad(values, (1, 1) * (values.ndim - 2))
    return right(padded, *rest)[(..., *[slice(1, -1)] * (values.ndim - 2))]


@fault("monai_boundary.kernels.barrier:minimum_barrier_cut", *CUT)
def seeds_are_renumbered(right, likelihood, seeds, *rest):
    return right(likelihood, np.asarray(seeds) * 2, *rest)


@fault("monai_boundary.kernels.barrier:_cut", *CUT, "losses/test_boundary_aware_loss.py")
def fronts_run_through_voxels_that_do_not_count(right, values, seeds, steps, valid):
    return right(np.where(np.isfinite(values), values, 0).astype(values.dtype), seeds, steps, None)


@fault("monai_boundary.kernels.barrier_contours:stamp_weights", *CUT)
def contours_are_not_widened(right, contour, bounds, shape, reach, *rest):
    return right(contour, bounds, shape, np.zeros_like(reach), *rest)


@fault("monai_boundary.kernels.regions:connected_components", "kernels/test_regions.py")
def components_that_touch_at_a_corner_are_one(right, labels, connectivity=1):
    return right(labels, np.ndim(labels))


@fault("monai_boundary.kernels.regions:connected_components", "kernels/test_regions.py")
def neighbours_of_another_label_are_one_component(right, labels, connectivity=1):
    return right((np.asarray(labels) > 0).astype(np.uint8), connectivity)


@fault("monai_boundary.kernels.regions:id_overlaps", "kernels/test_regions.py")
def prediction_and_target_are_swapped(right, pred, target):
    return right(target, pred)


@fault("monai_boundary.kernels.distance.finish:balance_maps", *MAPS)
def lesions_are_balanced_whole_whatever_the_power(right, maps, inside, plan):
    return right(maps, inside, plan._replace(balance_lesions=float(plan.balance_lesions > 0)))


@fault("monai_boundary.kernels.distance.finish:balance_maps", *MAPS)
def the_sides_are_balanced_before_the_lesions(right, maps, inside, plan):
    right(maps, inside, plan._replace(balance_lesions=0.0))
    return right(maps, inside, plan._replace(balance=0.0))
