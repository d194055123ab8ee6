"""Hand-made faults in the bundle for electron microscopy: its parts, files, tables and configurations."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

_V, _P, _S, _W = (
    "bundles/volumes.py",
    "bundles/volume_prediction.py",
    "bundles/volume_scores.py",
    "inference/volume_writer.py",
)
_J, _I = "bundles/em_boundary_aware/configs/", "metrics/ignite.py"
_B, _R = "bundles/test_em_parts.py::test_", "bundles/test_em.py::test_"
FOLDS, CHOICES = (
    f"{_B}each_slice_validates_in_one_fold_and_trains_in_the_others",
    f"{_B}choices_that_are_none_are_refused",
)
CROP, FITS = f"{_B}a_crop_that_does_not_fit_is_refused", f"{_B}a_crop_of_the_whole_slice_fits"
SAVED, IDS = (
    f"{_B}the_threshold_is_that_of_the_file_unless_given",
    f"{_B}slices_get_ids_of_their_own_and_volumes_one_set",
)
TABLES, PADDED = (
    f"{_B}tables_hold_the_scores_of_each_volume_and_their_mean",
    f"{_B}padded_images_are_predicted_on_the_grid_of_their_labels",
)
ASKED, NAN = f"{_B}predictions_are_not_overwritten_unasked", f"{_B}a_network_that_returns_nan_leaves_no_file"
WHOLE, BEST = (
    f"{_R}the_bundle_trains_evaluates_and_predicts_cremi",
    f"{_R}the_key_metric_is_that_of_the_evaluation_and_the_best_is_kept",
)
CROPS, SEED = (
    f"{_R}crops_turn_with_their_membranes_and_have_seeds_of_their_own",
    f"{_R}the_bundle_learns_and_is_the_same_from_one_seed",
)
WRITER, VOLUMES = "em/test_volume_writer.py", f"{_R}the_bundle_trains_on_volumes"

EM_BUNDLE = [
    Mutant("all folds are the first", _V, "fold_volumes(volumes, fold, folds)", "fold_volumes(volumes, 0, folds)", FOLDS),
    Mutant("folds are always three", _V, "fold_volumes(volumes, fold, folds)", "fold_volumes(volumes, fold)", FOLDS),
    Mutant("validation slices train", _V, "if part.split == split]", 'if part.split == split or split == "training"]', FOLDS),
    Mutant("volumes without labels are scored", _V, "    if bare:\n", "    if False:\n", CHOICES),
    Mutant("oblong crops pass", _V, "sizes[-1] != sizes[-2] or", "", CROP),
    Mutant("crops of one voxel at the lowest level pass", _V, "uneven or sizes == steps", "uneven", CROP),
    Mutant("strides of the wrong axis", _V, "else step[axis] for step", "else step[0] for step", f"{CROP} {FITS}"),
    Mutant("crops of the whole slice are refused", _V, "any(number > limit for", "any(number >= limit for", FITS),
    Mutant("the threshold given is not taken", _V, "    if threshold is not None:\n", "    if False:\n", SAVED),
    Mutant("NaN of the network is written", _V, "if not np.isfinite(probs).all():", "if False:", NAN),
    Mutant("logits for likelihood", _V, "probs = torch.sigmoid(self.inferer(", "probs = (self.inferer(", f"{IDS} {NAN}"),
    Mutant("ids of slices meet", _P, "ids[ids > 0] += last", "ids[ids > 0] += 0", IDS),
    Mutant("membranes get ids", _P, "ids[ids > 0] += last", "ids += last", IDS),
    Mutant("predictions are overwritten unasked", _P, "if there and not overwrite:", "if False:", ASKED),
    Mutant("offset in voxels", _P, "(number * size for number, size in", "(float(number) for number, size in", f"{IDS} {PADDED}"),
    Mutant("the block of the fold has no offset", _P, "volume.offset[0] + start,", "volume.offset[0],", IDS),
    Mutant("the grid is that of the image", _P, "(volume.image if volume.labels is None else volume.labels).shape[1:]", "volume.image.shape[1:]", PADDED),
    Mutant("scores at another threshold", _S, 'lines[threshold])\n', "lines[_FIXED])\n", TABLES),
    Mutant("the mean is over slices of all volumes at 0.5", _S, '_named(curve[threshold][_MEAN])', "_named(curve[_FIXED][_MEAN])", TABLES),
    Mutant("the fixed threshold is left out", _S, "sorted({*thresholds, threshold, _FIXED})", "sorted({*thresholds, threshold})", TABLES),
    Mutant("membranes of volumes are found in slices", f"{_J}fibsem_3d.json", '"membranes_per_slice": false', '"membranes_per_slice": true', VOLUMES),
    Mutant("membranes of volumes stay thin", f"{_J}fibsem_3d.json", '"$@spacing[-1]"', "0", VOLUMES),
    Mutant("membranes of volumes are not filled", f"{_J}fibsem_3d.json", '"watershed"', '"keep"', VOLUMES),
    Mutant("ids are taken for membranes", _S, 'target_is_membrane=target == "membrane"', "target_is_membrane=True", TABLES),
    Mutant("each volume has the mean of all", _S, "for row in rows if row.volume == name]", "for row in rows]", TABLES),
    Mutant("files have their names before they are whole", _W, 'path.with_name(f".{path.name}.part")', "path", WRITER),
    Mutant("slices of another size are written", _W, "if likelihood.shape != ids.shape or ids.shape[1:] != grid.shape[1:]:", "if False:", WRITER),
    Mutant("slices that are missing pass", _W, "if given != grid.shape[0]:", "if False:", WRITER),
    Mutant("all slices in the first place", _W, "        self._next = stop\n", "", WRITER),
    Mutant("pixels per cm of the other axis", _W, '"resolution": (1e7 / x, 1e7 / y)', '"resolution": (1e7 / y, 1e7 / x)', WRITER),
    Mutant("the size of voxels is not written", _W, 'dataset.attrs["resolution"] = grid.spacing', "pass", WRITER),
    Mutant("the saved threshold is another", _I, 'return {"threshold": self.threshold}', 'return {"threshold": 0.5 if self.threshold != 0.5 else 0.4}', WHOLE),
    Mutant("scores of the first threshold", _I, "at = self.metric_fn.thresholds.index(self.threshold)  # type: ignore[arg-type]", "at = 0", WHOLE),
    Mutant("the worst network is kept", f"{_J}train.json", '"key_metric_negative_sign": true', '"key_metric_negative_sign": false', BEST),
    Mutant("more is better", "bundles/parts.py", "return current < best", "return current > best", BEST),
    Mutant("membranes do not turn with the image", f"{_J}train.json", '"keys": ["image", "membrane"],\n                "prob": 0.75,', '"keys": "image",\n                "prob": 0.75,', CROPS),
    Mutant("specks have seeds", f"{_J}train.json", '"min_region_size": "@min_region_size",\n', "", CROPS),
    Mutant("the EM network is made before the seed is set", f"{_J}train.json", '        {"_target_": "monai.utils.set_determinism", "seed": "@seed"},\n', "", SEED),
    Mutant("inference scales otherwise", f"{_J}inference.json", '{"_target_": "NormalizeIntensityd", "keys": "image"}', '{"_target_": "ScaleIntensityd", "keys": "image"}', WHOLE),
]  # fmt: skip
