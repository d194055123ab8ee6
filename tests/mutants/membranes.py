"""Faults of the experiment on membranes, its tables, and the pictures of leaks and thresholds."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

_P = "protocols/membrane"
_R, _D, _L, _T, _S = (f"{_P}{name}.py" for name in ("s", "_data", "_losses", "_table", "_settings"))
_K, _H = "reports/leaks.py", "reports/thresholds.py"
RUNS, LEAKS = "em/test_membrane_runs.py", "em/test_leaks.py"
IMAGES, TABLE = "em/test_membrane_data.py", "em/test_membrane_table.py"

MEMBRANES = [
    Mutant(
        "training and test slices swapped",
        _D,
        'for split in ("training", "validation"))',
        'for split in ("validation", "training"))',
        IMAGES,
    ),
    Mutant(
        "the same half trains and is scored",
        _D,
        "return parts[:fold] + parts[fold + 1 :], [parts[fold]]",
        "return parts[fold : fold + 1], [parts[fold]]",
        IMAGES,
    ),
    Mutant(
        "objects keep one id across the cut",
        _D,
        "connected_regions(regions[0])",
        "np.asarray(regions[0], np.int32)",
        IMAGES,
    ),
    Mutant(
        "images keep their grey values", _D, 'NormalizeIntensity()(item["image"][part])', 'item["image"][part]', IMAGES
    ),
    Mutant("other images are not noticed", _D, "    if changed:\n", "    if False:\n", IMAGES),
    Mutant(
        "other ids are not noticed",
        _D,
        "zlib.crc32(one.ids.tobytes(), zlib.crc32(one.image.tobytes()))",
        "zlib.crc32(one.image.tobytes())",
        IMAGES,
    ),
    Mutant("known images are forgotten", _D, "    before.update(found)\n", "    known[data] = found\n", IMAGES),
    Mutant(
        "images are not compared",
        _R,
        '        check_same_images(out.with_name("images.json"), data, (*train, *test))\n',
        "        pass\n",
        RUNS,
    ),
    Mutant(
        "seeds made before the crop",
        _D,
        "    steps: list[Any] = [RandSpatialCropd(keys, crop, random_size=False)] if crop else []\n",
        '    steps: list[Any] = [RegionSeedsd("ids", "distance_map", "label", spacing=spacing), RandSpatialCropd(keys, crop, random_size=False)] if companion == "seeds" else [RandSpatialCropd(keys, crop, random_size=False)]\n    companion = None if companion == "seeds" else companion\n',
        IMAGES,
    ),
    Mutant(
        "the width of membranes is ignored", _D, "membrane_width=shared.membrane_width", "membrane_width=0.0", IMAGES
    ),
    Mutant(
        "regions reach under the membranes to learn",
        _D,
        "np.where(self.membrane, 0, self.ids[None])",
        "self.ids[None]",
        IMAGES,
    ),
    Mutant("membranes are not filled", _R, "LikelihoodSegmentation(membrane=filled)", "None", RUNS),
    Mutant("augmentation not seeded", _D, "    transform.set_random_state(seed=seed)\n", "", IMAGES),
    Mutant("all augment alike", _D, "set_random_state(seed=seed)", "set_random_state(seed=0)", IMAGES),
    Mutant(
        "plain base under the weighted row",
        _L,
        '"published"),\n        "seeds",\n        "wbce",\n',
        '"published"),\n        "seeds",\n        "bce",\n',
        RUNS,
    ),
    Mutant(
        "weights of the boundary loss stay",
        _L,
        "        loss.weights = schedule.weights(epoch, epochs)\n",
        "        pass\n",
        RUNS,
    ),
    Mutant(
        "weighted cross-entropy is plain",
        _L,
        "BinaryCrossEntropyLoss(_CLASS_BALANCE)",
        "BinaryCrossEntropyLoss()",
        RUNS,
    ),
    Mutant("padding cut off at the wrong end", _R, "(there - here) // 2", "(there - here + 1) // 2 + 1", RUNS),
    Mutant("diverged networks are scored", _R, "if not logits.isfinite().all():", "if False:", RUNS),
    Mutant(
        "split and merge swapped",
        _R,
        "(scores.voi_split, scores.voi_merge, scores.adapted_rand_index)",
        "(scores.voi_merge, scores.voi_split, scores.adapted_rand_index)",
        RUNS,
    ),
    Mutant(
        "weights of another pretraining are taken",
        _R,
        '"features", "pretrain", "membrane_width")',
        '"features", "membrane_width")',
        RUNS,
    ),
    Mutant(
        "losses start from drawn weights",
        _R,
        "        network.load_state_dict(torch.load(",
        "        dict(torch.load(",
        RUNS,
    ),
    Mutant("pretraining is repeated", _R, "if not path.exists():", "if True:", RUNS),
    Mutant(
        "the continuation is not seeded",
        _R,
        '        train, test = self.images\n        set_determinism(self.run["seed"])\n        row',
        "        train, test = self.images\n        row",
        RUNS,
    ),
    Mutant(
        "maps of the training images are kept",
        _R,
        "maps = {image.case: predict(network, image) for image in test}",
        "maps = {image.case: predict(network, image) for image in train}",
        RUNS,
    ),
    Mutant(
        "threshold chosen on the test images",
        _T,
        'scores_at(row["train_cases"], threshold)["cremi"]',
        'scores_at(row["cases"], threshold)["cremi"]',
        TABLE,
    ),
    Mutant("the worst threshold is chosen", _T, "return min(known", "return max(known", TABLE),
    Mutant("CREMI score without its root", _T, "math.sqrt(voi * (1 - index))", "voi * (1 - index)", TABLE),
    Mutant(
        "differences of unlike folds",
        _T,
        "runs.get((LOSSES[name].base, fold, seed))",
        "runs.get((LOSSES[name].base, 0, seed))",
        TABLE,
    ),
    Mutant("a lower index counts as better", _T, "value > 0 if higher_is_better else value < 0", "value < 0", TABLE),
    Mutant(
        "the report mixes settings",
        "protocols/membrane_report.py",
        "if all(row.get(key) == value for key, value in described.items())",
        "if True",
        RUNS,
    ),
    Mutant("networks too shallow to build", _S, "if len(self.features) < 3:", "if False:", RUNS),
    Mutant(
        "given epochs are ignored",
        _S,
        "further = replace(further, epochs=epochs, score_every=max(1, epochs // 4))",
        "pass",
        RUNS,
    ),
    Mutant("closed gaps off the true membrane count", _K, "if label in on_truth and ", "if ", LEAKS),
    Mutant(
        "narrowed gaps count as closed",
        _K,
        "_cells_beside(blob, before | blob, truth, min_size) > _cells_beside(",
        "_cells_beside(blob, before | blob, truth, min_size) >= _cells_beside(",
        LEAKS,
    ),
    Mutant(
        "gaps within one cell count",
        _K,
        "return len(set(names[large[beside] & (beside > 0) & (names > 0)].tolist()))",
        "return int((large[beside] & (beside > 0)).sum())",
        LEAKS,
    ),
    Mutant(
        "specks count as regions",
        _K,
        "np.bincount(regions.ravel()) >= min_size",
        "np.bincount(regions.ravel()) >= 1",
        LEAKS,
    ),
    Mutant(
        "closed and opened swapped",
        _K,
        "closed, opened = closed_leaks(before, after, one.truth), closed_leaks(after, before, one.truth)",
        "opened, closed = closed_leaks(before, after, one.truth), closed_leaks(after, before, one.truth)",
        LEAKS,
    ),
    Mutant("change of the likelihood reversed", _K, "one.after - one.before", "one.before - one.after", LEAKS),
    Mutant(
        "regions named after the smallest share",
        _K,
        "names = shared.argmax(axis=1)",
        "names = np.where(shared > 0, shared, shared.max() + 1).argmin(axis=1)",
        LEAKS,
    ),
    Mutant("curves of the first run alone", _H, "runs.mean(axis=0)", "runs[0]", LEAKS),
]
