"""Faults of the bundles: what is saved with a model and compared, what a killed training goes on from, what is read."""

from tests.faults.registry import fault

MEDICAL = ("bundles/test_medical.py",)
PAGES = ("evaluation/test_pages.py",)
LEAKS = ("reports/test_leaks.py",)
SPREAD = ("bundles/test_spread.py",)
BUNDLES = "monai_boundary.bundles"


@fault(f"{BUNDLES}.models:check_same", *MEDICAL)
def other_settings_than_in_training_pass(right, where, saved, given):
    return None


@fault(f"{BUNDLES}.training:TrainingCheckpoint._go_on", *MEDICAL)
def a_run_begins_again_and_forgets_the_last(right, self, engine):
    return None


@fault(f"{BUNDLES}.training:TrainingCheckpoint.__call__", *MEDICAL)
def every_network_is_the_best(right, self, engine):
    state = self._evaluator.state
    best, state.best_metric_epoch = state.best_metric_epoch, engine.state.epoch
    right(self, engine)
    state.best_metric_epoch = max(best, 1)


@fault(f"{BUNDLES}.volumes:_name", *MEDICAL)
def every_channel_is_a_case(right, file):
    from monai_boundary.datasets.nifti import case_name

    return case_name(file), ""


@fault(f"{BUNDLES}.volumes:volume_inferer", *MEDICAL)
def slices_are_given_to_the_network_as_volumes(right, patch_size, *args):
    from monai.inferers import SlidingWindowInferer

    return SlidingWindowInferer(roi_size=patch_size, overlap=0.5, sw_batch_size=4)


@fault(f"{BUNDLES}.running:_check_entries", *MEDICAL)
def an_entry_that_nothing_reads_is_set(right, files, settings):
    return None


@fault("monai_boundary.evaluation.matching:Pairs.only", *PAGES)
def cases_nobody_asked_for_are_missing(right, self, cases):
    import dataclasses

    return dataclasses.replace(right(self, cases), without_prediction=self.without_prediction)


@fault("monai_boundary.evaluation.tile_pictures:_densest", *PAGES)
def the_part_of_a_tile_is_its_corner(right, wrong, side):
    return (slice(0, min(side, size)) for size in wrong.shape)


@fault("monai_boundary.reports.leaks:merged_borders", *LEAKS)
def every_border_is_a_leak(right, predicted, truth, *args):
    return (truth == 0) & (predicted > 0)


@fault("monai_boundary._jobs:share_of", *SPREAD)
def a_shard_lacks_its_first_case(right, cases, shard):
    return right(cases, shard)[shard is not None :]


@fault(f"{BUNDLES}.volumes:cases_without_prediction", *SPREAD)
def what_is_there_is_predicted_again(right, cases, *args):
    return list(cases)


@fault(f"{BUNDLES}.volumes:WholeNiftiWriter.write", *SPREAD)
def a_prediction_is_written_in_place(right, self, filename, verbose=False, **given):
    from monai.data.image_writer import NibabelWriter

    NibabelWriter.write(self, filename, verbose, **given)


@fault(f"{BUNDLES}.training:BestNetwork.__call__", "kill/test_checkpoints.py")
def the_last_network_is_the_best(right, self, engine):
    engine.state.best_metric_epoch = engine.state.epoch
    right(self, engine)


@fault("monai_boundary.evaluation.tiles:chosen_tiles", "evaluation/test_tiles.py")
def every_tile_of_a_split_is_chosen(right, text, gt_dir):
    return [name for split in ("training", "validation") for name in right(split, gt_dir)]
