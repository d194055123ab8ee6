"""Faults of the evaluation: which prediction belongs to which case, and what a failure leaves in the tables."""

import numpy as np

from tests.faults.registry import fault

CASES = ("evaluation/test_evaluation.py",)
COMPARE = ("evaluation/test_compare.py",)
PICTURE = ("reports/test_paired.py",)
TILES = ("evaluation/test_tiles.py",)
GAPS = ("datasets/remote/test_no_data.py",)
SURVEY = ("evaluation/test_label_survey.py",)
CONSENSUS = ("evaluation/test_consensus.py",)
ADVICE = ("evaluation/test_advice.py",)
EVALUATION = "monai_boundary.evaluation"


@fault(f"{EVALUATION}.matching:find_pairs", *CASES)
def every_prediction_is_scored_against_the_first_case(right, *args):
    import dataclasses

    pairs = right(*args)
    truth = next(iter(pairs.cases.values()))[1]
    return dataclasses.replace(pairs, cases={case: (pred, truth) for case, (pred, _) in pairs.cases.items()})


@fault(f"{EVALUATION}.matching:read_pair", *CASES)
def two_grids_are_compared_voxel_by_voxel(right, pred_file, target_file):
    from monai_boundary.datasets.nifti import read_labels

    return (read_labels(pred_file), read_labels(target_file))


@fault(f"{EVALUATION}.matching:_label_maps", *CASES)
def shadow_files_are_predictions(right, name, folder, below):
    return sorted(folder.glob("**/*.nii*" if below else "*.nii*")) or right(name, folder, below)


@fault(f"{EVALUATION}.volumes:evaluate_folder", *CASES)
def cases_that_failed_are_passed_over(right, *args, **kwargs):
    result = right(*args, **kwargs)
    result.failed.clear()
    return result


@fault(f"{EVALUATION}.volumes:_classes_of", *CASES)
def classes_are_those_of_the_first_case(right, gt_dir, cases, settings):
    return right(gt_dir, dict(list(cases.items())[:1]), settings)


@fault(f"{EVALUATION}.tables:statistics", *CASES)
def cases_without_a_score_count_as_0(right, values):
    return right(values.fillna(0))


@fault(f"{EVALUATION}.tables:write_tables", *CASES)
def a_case_may_be_a_formula(right, result, folder):
    paths = right(result, folder)
    paths["cases"].write_text(paths["cases"].read_text().replace("'", ""))
    return paths


@fault("monai_boundary.metrics.lesion_scores:LesionScores.rows", *CASES)
def places_of_lesions_are_those_of_the_reversed_array(right, self, affine):
    return right(self, affine[[2, 1, 0, 3]])


@fault("monai_boundary.metrics.lesion_scores:LesionScores._centres", *CASES)
def places_of_lesions_are_those_of_the_part_that_was_scored(right, self, ids, numbers):
    return right(self, ids, numbers) - self.corner


@fault(f"{EVALUATION}.report:worst_rows", *CASES)
def the_best_cases_are_shown_as_the_worst(right, rows, count):
    return right(rows, len(rows))[::-1][:count]


@fault(f"{EVALUATION}.report:_ground", *CASES)
def contours_stand_on_an_image_of_another_grid(right, file, target):
    from monai_boundary.datasets.nifti import read_image

    return right(file, target) if file is None else read_image(file).array


@fault(f"{EVALUATION}.tiles:_metres", *TILES)
def metres_per_row_and_column_change_places(right, *args):
    return right(*args)[::-1]


@fault(f"{EVALUATION}.tiles:_ground_steps", *GAPS)
def metres_of_the_projection_are_those_on_the_ground(right, place, *at):
    return tuple(
        np.hypot(*pair) for pair in ((place.transform.b, place.transform.e), (place.transform.a, place.transform.d))
    )


@fault("monai_boundary.datasets.remote.georeference:Georeference.profile", *GAPS)
def control_points_are_dropped(right, self):
    return {"crs": self.crs, "transform": self.transform}


@fault("monai_boundary.datasets.remote.sources:Source.missing", *GAPS)
def alpha_says_nothing_of_data(right, self, *args):
    import dataclasses

    return right(dataclasses.replace(self, alpha=None), *args)


@fault("monai_boundary.datasets.remote.raster:MaskReader.check_values", *GAPS)
def a_mask_is_not_looked_at_as_a_whole(right, self):
    return None


@fault("monai_boundary.inference.geotiff:_without_data", *GAPS)
def predictions_have_data_everywhere(right, parts, tile, empty):
    return iter(parts)


@fault(f"{EVALUATION}.tiles:TileEvaluation.iou", *TILES)
def the_iou_is_a_mean_over_tiles(right, self):
    return float(np.mean([row.iou for row in self.rows.values()]))


@fault(f"{EVALUATION}.tiles:_labels", *TILES)
def every_strip_holds_the_first_rows(right, path, codes):
    found = right(path, codes)
    for top in range(512, len(found), 512):
        found[top : top + 512] = found[: len(found[top : top + 512])]
    return found


@fault(f"{EVALUATION}.tiles:_by_name", *TILES)
def the_second_file_of_a_tile_wins(right, argument, folder):
    from monai_boundary.evaluation import tiles

    named = {}
    for path in tiles.raster_files(folder):
        place = tiles._POTSDAM.match(path.stem)
        named[f"potsdam_{place[1]}_{place[2]}" if place else path.stem.lower()] = path
    return named or right(argument, folder)


@fault(f"{EVALUATION}.label_figures:connected_components", *SURVEY)
def lesions_that_touch_by_a_corner_are_two(right, labels, connectivity=1):
    return right(labels)


@fault(f"{EVALUATION}.label_figures:_measure", *SURVEY)
def ignored_voxels_count(right, labels, wanted, boxes, counted):
    return right(labels, wanted, boxes, labels.size)


@fault(f"{EVALUATION}.label_figures:CaseLabels.voxel_size", *SURVEY)
def every_voxel_is_1_mm(right, self):
    return 1.0


@fault(f"{EVALUATION}.label_figures:_round_boundary", *SURVEY)
def a_disc_has_the_boundary_of_a_ball(right, sizes, ndim):
    return right(sizes, 3)


@fault(f"{EVALUATION}.label_survey:LabelSurvey.without", *SURVEY)
def empty_cases_are_passed_over(right, self, name):
    return []


@fault(f"{EVALUATION}.advice:Advice.fits", *ADVICE)
def names_decide_alone(right, self, name, figures):
    import re

    return bool(re.search(self.named, name, re.IGNORECASE))


@fault(f"{EVALUATION}.advice:Finding.summary", *ADVICE)
def data_without_a_gain_start_from_the_boundary_trainer(right, self):
    return right(self) | {"start_from": self.advice.tool}


@fault("monai_boundary.datasets.label_maps:_spacing", "datasets/test_label_maps.py")
def the_resolution_of_a_screen_is_a_spacing(right, path, stored):
    return ((1.0, *stored)[-3:], "mm")


@fault("monai_boundary.datasets.label_maps:label_files", "datasets/test_label_maps.py")
def test_cases_are_looked_at(right, dataset):
    from monai_boundary.datasets import label_maps

    label_maps._LOOKED_AT = ("training", "validation", "test")
    return right(dataset)


@fault(f"{EVALUATION}.paired_tests:holm", *COMPARE)
def p_values_are_multiplied_by_the_number_of_tests_each(right, p_values):
    return [min(1.0, p * len(p_values)) if p is not None else float("nan") for p in p_values]


@fault(f"{EVALUATION}.paired_tests:certain_places", *COMPARE)
def what_only_rounding_tells_apart_is_ranked(right, scores):
    return 17


@fault(f"{EVALUATION}.paired_tests:wilcoxon_p", *COMPARE)
def p_is_approximate_beside_equal_pairs(right, steps):
    from scipy import stats

    return float(stats.wilcoxon(steps).pvalue)


@fault(f"{EVALUATION}.paired_tests:bootstrap_interval", *COMPARE)
def the_interval_is_that_of_the_median(right, steps, seed):
    from scipy import stats

    low, high = stats.bootstrap((steps,), np.median, random_state=np.random.default_rng(seed)).confidence_interval
    return float(low), float(high)


@fault(f"{EVALUATION}.paired_tests:undecided", *COMPARE)
def a_test_of_five_pairs_decides(right, steps):
    return "" if np.count_nonzero(steps) == 5 else right(steps)


@fault(f"{EVALUATION}.paired_tests:undecided", *COMPARE)
def equal_pairs_count_as_evidence(right, steps):
    return "" if len(steps) >= 6 and np.count_nonzero(steps) else right(steps)


@fault(f"{EVALUATION}.compare:_why", *COMPARE)
def an_infinite_score_is_called_nan(right, row):
    return right(row).replace("infinite", "NaN")


@fault(f"{EVALUATION}.compare:Comparison.ranks", *COMPARE)
def runs_are_ranked_by_their_means(right, self):
    table = right(self)
    return table.rank(axis=1)


@fault(f"{EVALUATION}.compare:Comparison.values", *COMPARE)
def every_class_is_the_first(right, self, label, score):
    return right(self, self.labels[0], score)


@fault(f"{EVALUATION}.runs:common_cases", *COMPARE)
def cases_are_dropped_without_a_word(right, runs, common=False):
    return right(runs, True)


@fault(f"{EVALUATION}.runs:_check_alike", *COMPARE)
def runs_of_two_protocols_are_compared(right, runs):
    return None


@fault(f"{EVALUATION}.runs:_cases_file", *COMPARE)
def one_folder_has_several_names(right, path):
    file = right(path)
    return path / "cases.csv" if path.is_dir() else file


@fault(f"{EVALUATION}.runs:_read_summary", *COMPARE)
def why_a_case_is_absent_is_forgotten(right, file):
    return right(file)[0], {}


@fault("monai_boundary.reports.paired:_draw_cases", *PICTURE)
def cases_without_a_score_are_not_drawn(right, axis, panel, first, longest):
    import dataclasses

    known = np.isfinite(panel.values).all(axis=1)
    cases = [case for case, kept in zip(panel.cases, known, strict=True) if kept]
    return right(axis, dataclasses.replace(panel, cases=cases, values=panel.values[known]), first, longest)


@fault("monai_boundary.reports.paired:_draw_differences", *PICTURE)
def differences_are_the_wrong_way_round(right, axis, panel, runs, longest):
    import dataclasses

    return right(axis, dataclasses.replace(panel, values=-panel.values), runs, longest)


@fault(f"{EVALUATION}.consensus:_confirmed", *CONSENSUS)
def any_class_confirms_a_lesion(right, labels, other, spacing, rule):
    return right(labels, np.where((other > 0) & (labels > 0), labels, other), spacing, rule)


@fault(f"{EVALUATION}.consensus:_confirmed", *CONSENSUS)
def distances_of_consensus_are_in_voxels(right, labels, other, spacing, rule):
    return right(labels, other, (1.0,) * labels.ndim, rule)


@fault(f"{EVALUATION}.consensus:consensus", *CONSENSUS)
def the_outline_is_that_of_both(right, first, second, *args):
    labels, counts = right(first, second, *args)
    return np.where(first == second, labels, 0), counts


@fault(f"{EVALUATION}.consensus:consensus", *CONSENSUS)
def the_union_is_that_of_voxels(right, first, second, spacing=None, rule=None):
    labels, counts = right(first, second, spacing, rule)
    return (np.where(labels == 0, second, labels) if rule is not None and rule.union else labels), counts


@fault(f"{EVALUATION}.consensus_folder:_earlier_cases", *CONSENSUS)
def earlier_results_are_written_over(right, folder, overwrite):
    return right(folder, True)


@fault(f"{EVALUATION}.consensus_folder:_earlier_cases", *CONSENSUS)
def cases_of_an_earlier_run_stay(right, folder, overwrite):
    right(folder, overwrite)
    return []


@fault("monai_boundary.datasets.nifti:write_labels", *CONSENSUS)
def label_maps_are_written_upright(right, path, array, like):
    import dataclasses

    return right(path, array, dataclasses.replace(like, axcodes="RAS"))
