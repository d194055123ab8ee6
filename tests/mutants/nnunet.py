"""Hand-made faults of the nnU-Net trainers, in the form of mutants.py; files are beside the package."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

MAPS, EPOCHS, MODES = "nnunet/test_maps.py", "nnunet/test_schedule.py", "nnunet/test_modes.py"
FIND, WRONG = "nnunet/test_discovery.py", "nnunet/test_bad_input.py"

_M, _T, _L, _I = (f"../nnunet_trainers/{name}.py" for name in ("mixin", "targets", "losses", "__init__"))
_GUARD = "            self.boundary_guard.update(*shares)\n        for warning"
NNUNET = [
    Mutant("maps of another sample", _M, "maps.to(self.device, non_blocking=True)", "maps.flip(0).to(self.device, non_blocking=True)", MAPS),
    Mutant("spacing reversed", _M, "labels.num_segmentation_heads, spacing, self", "labels.num_segmentation_heads, spacing[::-1], self", MAPS),
    Mutant("spacing in voxels", _M, "tuple(float(size) for size in configuration.spacing)", "tuple(1.0 for size in configuration.spacing)", MAPS),
    Mutant("ignored label not masked", _T, "ignore_index=self.ignore_label,\n            )\n        return self.half", "ignore_index=None,\n            )\n        return self.half", MAPS),
    Mutant("ignored channel not masked", _T, "None if self.ignore_label is None else ~array[-1]", "None if self.ignore_label is not None else ~array[-1]", MAPS),
    Mutant("ignored channel inverted", _T, "~array[-1].astype(bool)", "array[-1].astype(bool)", MAPS),
    Mutant("background has a map", _T, "include_background=False,\n                ignore", "include_background=True,\n                ignore", MAPS),
    Mutant("map options dropped", _T, "            maps = masks_distance_map(masks, self.spacing, self.options, valid)", "            maps = masks_distance_map(masks, self.spacing, DistanceMapOptions(), valid)", MAPS),
    Mutant("float16 overflow passes", _T, "if not self._fits and not half.isfinite().all():", "if False:", MAPS),
    Mutant("maps of a lower head", _T, "self.distance_maps(heads[0])", "self.distance_maps(heads[-1])", MAPS),
    Mutant("maps first", _T, "return [*heads, self.distance_maps(heads[0])]", "return [self.distance_maps(heads[0]), *heads]", MAPS),
    Mutant("maps before nnU-Net's own last transform", _M, "transforms.transforms.append(self._map_transform())", "transforms.transforms.insert(-1, self._map_transform())", MAPS),
    Mutant("schedule off by one", _M, "            epoch - sum(paused), ", "            epoch + 1 - sum(paused), ", EPOCHS),
    Mutant("schedule counts paused epochs", _M, "            epoch - sum(paused), ", "            epoch, ", EPOCHS),
    Mutant("schedule does not see the region terms", _M, 'log["region_term"][:epoch]', 'log["boundary_term"][:epoch]', EPOCHS),
    Mutant("pause ignored", _M, "(1.0, 0.0) if pause else ", "", EPOCHS),
    Mutant("pause keeps some alpha", _M, "(1.0, 0.0) if pause", "(1.0, 0.01) if pause", EPOCHS),
    Mutant("pause not logged", _M, "alpha_paused=float(pause)", "alpha_paused=0.0", EPOCHS),
    Mutant("pause cannot be turned off", _M, "self.boundary_pause and self", "self", EPOCHS),
    Mutant("weights computed but not set", _M, "self.loss.weights = weights", "_ = weights", EPOCHS),
    Mutant("term weights swapped", _L, "self.weights[0] * region + self.weights[1] * boundary", "self.weights[1] * region + self.weights[0] * boundary", MAPS),
    Mutant("terms swapped", _L, "(region.detach(), boundary.detach())", "(boundary.detach(), region.detach())", MAPS),
    Mutant("head weights recomputed as equal", _L, "DeepSupervisionBoundary(boundary, head_weights or (1.0,))", "DeepSupervisionBoundary(boundary, [1 / len(w) for _ in w] if (w := head_weights) else (1.0,))", MAPS),
    Mutant("head weights of generalized Dice recomputed", _M, "DeepSupervisionWrapper(loss, stock.weight_factors)", "DeepSupervisionWrapper(loss, [2 / 3, 1 / 3, 0])", MAPS),
    Mutant("background counted by the boundary term", _L, "BoundaryLoss(include_background=regions,", "BoundaryLoss(include_background=True,", MODES),
    Mutant("maps of the batch before", _L, "maps, self.distance_maps = self.distance_maps, None", "maps = self.distance_maps", MAPS),
    Mutant("regions by softmax", _L, "sigmoid=regions, softmax=not regions", "softmax=True", MAPS),
    Mutant("ignored channel counted by generalized Dice", _L, "~target[:, -1:].bool()", "None", MAPS),
    Mutant("validation batch not stripped", _M, "super().validation_step(self._hand_over_maps(batch))", "super().validation_step(batch)", MODES),
    Mutant("list of one target without deep supervision", _M, "else targets[0]", "else targets", MODES),
    Mutant("batch without maps passes", _M, "elif isinstance(target, list) and target[-1].dtype == torch.float16:", "elif isinstance(target, list):", MAPS),
    Mutant("log not padded", _M, "self._pad_log(self.current_epoch)", "self._pad_log(0)", EPOCHS),
    Mutant("log padded with 0", _M, "[math.nan] * (epochs", "[0.0] * (epochs", EPOCHS),
    Mutant("guard never updated", _M, _GUARD, "            pass\n        for warning", EPOCHS),
    Mutant("guard not brought up to date on resume", _M, "                self.boundary_guard.update(*shares)\n", "                pass\n", EPOCHS),
    Mutant("guard counts loaded epochs twice", _M, "self._pad_log(self.current_epoch)  # type: ignore[attr-defined]\n        self.boundary_guard = _new_guard()", "self._pad_log(self.current_epoch)", EPOCHS),
    Mutant("predicted and true swapped", _M, 'for key in ("fp_hard", "fn_hard")]', 'for key in ("fn_hard", "fp_hard")]', EPOCHS),
    Mutant("share of one step", _M, "self.batch_size * len(val_outputs)", "self.batch_size", EPOCHS),
    Mutant("warning lost", _M, 'self.print_to_log_file(f"WARNING: {warning.message}")', "pass", EPOCHS),
    Mutant("labels with a hole pass", _M, "values != list(range(len(values)))", "values[0] != 0", WRONG),
    Mutant("truncated checkpoint passes", _M, "not zipfile.is_zipfile(path)", "False", WRONG),
    Mutant("read-only results pass", _M, "not os.access(folder, os.W_OK)", "False", WRONG),
    Mutant("error of the results folder passes through", _M, "except OSError as error", "except EOFError as error", WRONG),
    Mutant("run length set too late", "../nnunet_trainers/boundary.py", "        super().initialize()  # type: ignore[misc]\n", "", EPOCHS),
    Mutant("release candidate of nnU-Net not understood", _I, 're.findall(r"\\d+", found)[:2]', 'found.split(".")[:2]', FIND),
    Mutant("old nnU-Net passes", _I, "MINIMUM_NNUNET = (2, 8)", "MINIMUM_NNUNET = (2, 7)", FIND),
    Mutant("a trainer left out of the discovery", "../nnunet_trainers/boundary.py", "class nnUNetTrainerGDL_10epochs", "class nnUNetTrainerGDL_10_epochs", FIND),
]  # fmt: skip
