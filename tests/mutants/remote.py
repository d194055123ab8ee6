"""Hand-made faults in aerial tiles, their prediction and scores, and the parts of their bundle."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

_R, _N = "datasets/remote/", "inference/"
CODES, LISTS, WINDOWS = (f"remote/test_{name}.py" for name in ("codes", "lists", "windows"))
MERGE, PREDICT, TILES = "remote/test_merge.py", "remote/test_predict.py", "evaluation/test_tiles.py"
METRIC, ENGINE = "unit/test_building_metric.py", "unit/test_boundary_f1_engine.py"
_B = "bundles/test_buildings.py::test_"
WEIGHTS = f"{_B}weights_of_the_network_or_of_its_encoder_alone_are_loaded"
RESNET34 = f"{_B}torchvisions_resnet34_has_other_shortcuts_and_is_refused"
SPLITS, RUN = f"{_B}named_tiles_validate_and_no_longer_train", f"{_B}a_prediction_run_goes_on_where_it_was_broken_off"
SCALE, SAME = f"{_B}a_predictor_scales_as_training_does", f"{_B}validation_and_prediction_see_the_same_picture"
SEED, TREE = f"{_B}the_bundle_learns_and_is_the_same_from_one_seed", f"{_B}every_geotiff_of_a_folder_is_a_tile"
_T, _E, _M, _J = (
    "bundles/tiles.py",
    "evaluation/tiles.py",
    "metrics/buildings.py",
    "bundles/buildings_boundary_f1/configs/",
)
REMOTE = [
    Mutant("black is background", f"{_R}potsdam.py", "({_BLACK: IGNORE} if", "({_BLACK: 0} if", f"{CODES} {LISTS}"),
    Mutant("another class is building", f"{_R}potsdam.py", 'int(name == "building")', 'int(name == "tree")', LISTS),
    Mutant("infrared last", f"{_R}potsdam.py", '("rgbir", (4, 1, 2))', '("rgbir", (1, 2, 4))', LISTS),
    Mutant("a test tile trains", f"{_R}potsdam.py", 'return "training" if place in _TRAINING else "test"', 'return "training"', LISTS),
    Mutant("masks for participants come first", f"{_R}potsdam.py", "found = complete or found", "found = found or complete", LISTS),
    Mutant("six tiles of a city validate", f"{_R}inria.py", "range(1, 6)", "range(1, 7)", LISTS),
    Mutant("two files of one tile pass", f"{_R}tiles.py", "if counts[tile.name] > 1:", "if False:", LISTS),
    Mutant("shadow files are tiles", f"{_R}tiles.py", 'part.startswith(".") or', "", f"{LISTS} {TREE}"),
    Mutant("red and blue swapped", f"{_R}codes.py", "return np.asarray((red << 16) | (green << 8) | blue)", "return np.asarray((blue << 16) | (green << 8) | red)", CODES),
    Mutant("unknown colours are background", f"{_R}codes.py", "        if not self.nearest:\n            raise ValueError(self.refusal(self.unknown(stored), source))\n", "        if not self.nearest:\n            labels[rest] = 0\n            return labels.astype(np.uint8)\n", f"{CODES} {WINDOWS}"),
    Mutant("farthest colour", f"{_R}codes.py", "(steps**2).sum(-1).argmin(1)", "(steps**2).sum(-1).argmax(1)", CODES),
    Mutant("nearest by the sum of differences", f"{_R}codes.py", "(steps**2).sum(-1)", "abs(steps).sum(-1)", CODES),
    Mutant("unknown values pass", f"{_R}codes.py", "if (labels < 0).any():", "if False:", f"{CODES} {WINDOWS} {TILES}"),
    Mutant("labels without a code are stored as 0", f"{_R}codes.py", "    if wrong.size:\n", "    if False:\n", f"{CODES} {PREDICT}"),
    Mutant("mask of another size passes", f"{_R}windows.py", "if mask.shape != shape:", "if False:", f"{WINDOWS} {TILES}"),
    Mutant("mask from elsewhere passes", f"{_R}windows.py", "if apart > 1:", "if False:", f"{WINDOWS} {TILES}"),
    Mutant("windows overlap by the rest", f"{_R}windows.py", "int(one * (1 - overlap))", "int(one * (1 - overlap / 2))", WINDOWS),
    Mutant("rows and columns swapped in a window", f"{_R}raster.py", "Window.from_slices(rows, columns)", "Window.from_slices(columns, rows)", WINDOWS),
    Mutant("bands in the order of the file", f"{_R}raster.py", "file.read(list(bands), window=window)", "file.read(sorted(bands), window=window)", LISTS),
    Mutant("layers of two sizes pass", f"{_R}raster.py", "if (file.height, file.width) != (first.height, first.width):", "if False:", WINDOWS),
    Mutant("turned back the wrong way", f"{_N}augment.py", "values.rot90(-turns, (-2, -1))", "values.rot90(turns, (-2, -1))", MERGE),
    Mutant("mirror not undone", f"{_N}augment.py", "(values.flip(-1) if mirrored else values)", "values", MERGE),
    Mutant("seven symmetries", f"{_N}augment.py", "for turns in range(4))", "for turns in range(4) if turns or not mirrored)", MERGE),
    Mutant("NaN of the network passes", f"{_N}augment.py", "if not torch.isfinite(values).all():", "if False:", MERGE),
    Mutant("overlaps are summed", f"{_N}merge.py", "self._sums[:, :done] / self._weights[:done]", "self._sums[:, :done]", MERGE),
    Mutant("weights kept from the rows before", f"{_N}merge.py", "array[..., kept:, :] = 0", "array[..., kept:, :] += 0", MERGE),
    Mutant("the last rows are cut", f"{_N}merge.py", "yield strip.advance(padded[0])[:, : height - strip.before, :width]", "yield strip.advance(padded[0])[:, : height - strip.before - 1, :width]", MERGE),
    Mutant("the whole tile is read", f"{_N}merge.py", "last = min(top + height, source.shape[0])", "last = source.shape[0]", MERGE),
    Mutant("a small tile is padded with zeros", f"{_N}merge.py", 'mode="reflect")', 'mode="constant")', MERGE),
    Mutant("gradients are kept", f"{_N}merge.py", "with torch.no_grad():", "if True:", MERGE),
    Mutant("a network predicts while it trains", f"{_N}predict.py", "eval_mode(network) if isinstance(network, torch.nn.Module) else nullcontext(),", "nullcontext(),", PREDICT),
    Mutant("the source is overwritten", f"{_N}predict.py", "if path.exists() and any(path.samefile(file) for file in reader.files):", "if False:", PREDICT),
    Mutant("earlier predictions are overwritten unasked", f"{_N}predict.py", "if path.exists() and not overwrite:", "if False:", PREDICT),
    Mutant("georeference dropped", f"{_N}predict.py", "row_writer(path, reader.shape, reader.georeference)", "row_writer(path, reader.shape, None)", PREDICT),
    Mutant("a full disk passes unseen", f"{_N}writer.py", "        self.close()\n        self._verify()\n", "        self.close()\n", PREDICT),
    Mutant("half a file keeps its name", f"{_N}writer.py", 'part = path.with_name(f".{path.name}.part")', "part = path", PREDICT),
    Mutant("false alarms on ignored pixels", _M, "first = first & valid", "pass", METRIC),
    Mutant("union counted twice", _M, "int((first | second).sum())", "int(first.sum() + second.sum())", f"{METRIC} {TILES}"),
    Mutant("IoU is a mean over windows", _M, "return [intersection / union if union else union.new_tensor(math.nan), *boundary]", "return [buffer[..., 0].nanmean(), *boundary]", METRIC),
    Mutant("precision and recall swapped", _M, "edge.precision, edge.recall,", "edge.recall, edge.precision,", METRIC),
    Mutant("the edge of a window is a boundary", _M, "spacing, valid=valid, image_edge=image_edge)", "spacing, valid=valid)", METRIC),
    Mutant("the name of the first score for all", "metrics/ignite.py", 'f"{self._name}_{score}" for score', 'f"{self._name}" for score', METRIC),
    Mutant("metres per column for rows", _E, "math.hypot(matrix.b, matrix.e) * factor, math.hypot(matrix.a, matrix.d) * factor", "math.hypot(matrix.a, matrix.d) * factor, math.hypot(matrix.b, matrix.e) * factor", TILES),
    Mutant("pixels taken for metres", _E, 'if unit == "m" else None', "if False else None", TILES),
    Mutant("grey masks are colours", _E, "if _POTSDAM.match(path.stem):", "if True:", TILES),
    Mutant("spread of the population", _E, "known.std(ddof=1)", "known.std()", TILES),
    Mutant("NaN in a summary", _E, "None if math.isnan(self.iou) else self.iou", "math.nan", TILES),
    Mutant("a second file of a tile wins", _E, "        if name in named:\n", "        if False:\n", TILES),
    Mutant("tiles that failed pass in silence", "cli/evaluate.py", '    if result.failed:\n        raise click.ClickException(f"{len(result.failed)} tiles', '    if False:\n        raise click.ClickException(f"{len(result.failed)} tiles', TILES),
    Mutant("validation tiles train, too", _T, '("validation" if tile.name in validation else tile.split) == split', 'split in (tile.split, "validation" if tile.name in validation else "")', SPLITS),
    Mutant("encoder of other layers passes", "bundles/weights.py", '"unknown": given - needed, ', "", RESNET34),
    Mutant("weights of the encoder are not loaded", "bundles/weights.py", "            module.load_state_dict(\n", "            name == 'encoder' or module.load_state_dict(\n", WEIGHTS),
    Mutant("probabilities are logits", _T, "return torch.sigmoid(self.network(", "return (self.network(", f"{SCALE} {SAME}"),
    Mutant("prediction scaled in another order", _T, "(batch - self.subtrahend) / self.divisor", "batch / self.divisor - self.subtrahend", f"{SCALE} {SAME}"),
    Mutant("what is there is predicted again", _T, "if overwrite or not paths[tile.name].exists()", "if True", RUN),
    Mutant("the network is made before the seed is set", f"{_J}train.json", '    "initialize": [\n        {"_target_": "monai.utils.set_determinism", "seed": "@seed"},', '    "initialize": [', SEED),
    Mutant("scaling of the inference is another", f"{_J}inference.json", '"divisor": "@divisor"', '"divisor": "@subtrahend"', SAME),
    Mutant("the weight of the boundary is not set", "losses/boundary_f1_iou.py", "        _, self.weight = values\n", "        pass\n", ENGINE),
    Mutant("the weight of the region is taken", "losses/boundary_f1_iou.py", "        _, self.weight = values\n", "        self.weight, _ = values\n", ENGINE),
    Mutant("the band of the loader is not used", "losses/_target.py", 'return target["label"], target[key]', 'return target["label"], None', ENGINE),
    Mutant("boundary for distance map", "engines.py", '_name, _transform = "target_boundary", "BoundaryBandd"', '_name, _transform = "distance_map", "SignedDistanceMapd"', ENGINE),
]  # fmt: skip
