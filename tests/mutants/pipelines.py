"""Faults of the converters, the scores, the evaluation and the cache."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

_V, _A = "datasets/convert/", "evaluation/"
LAYOUT, HOSTILE, FOLDERS = "convert/test_layouts.py", "convert/test_hostile.py", "evaluation/test_evaluation.py"
SURFACE, METRIC, CACHE = "unit/test_surface.py", "unit/test_protocol_metric.py", "unit/test_cache.py"
_M, _F, _P, _K = "metrics/cumulative.py", "metrics/surface.py", "metrics/protocols.py", "datasets/cache.py"

PIPELINES = [
    Mutant("links out of the download are followed", f"{_V}tree.py", "return not path.resolve().is_relative_to(self.root)", "return False", HOSTILE),
    Mutant("one of two cases of a name wins", f"{_V}run.py", "case.problems.insert(0", "[].insert(0", HOSTILE),
    Mutant("FLAIR resampled by the nearest voxel", f"{_V}case.py", "order=1, mode", "order=0, mode", LAYOUT),
    Mutant("another draw than the published", f"{_V}run.py", "random.Random(0)", "random.Random(1)", LAYOUT),
    Mutant("a damaged case moves the split", f"{_V}run.py", "for case in cases if not case.test), key", "for case in cases if not case.problems), key", LAYOUT),
    Mutant("changed sources pass unseen", f"{_V}run.py", "if done != _sources(found[name]):", "if False:", HOSTILE),
    Mutant("images on another grid pass", f"{_V}case.py", "shape, affine, own):\n            if channel", "shape, affine, affine):\n            if channel", HOSTILE),
    Mutant("second readers become cases", f"{_V}challenges.py", '"additional_annotations" not in tree.parts(file)', "True", LAYOUT),
    Mutant("unknown labels pass", f"{_V}case.py", "if not np.isin(values, known).all():", "if False:", HOSTILE),
    Mutant("frames of a patient on both sides", f"{_V}challenges.py", "FoundCase(name, found[1],", "FoundCase(name, name,", LAYOUT),
    Mutant("a prediction goes to the shortest name", f"{_A}pairs.py", "max(owners, key=len)", "min(owners, key=len)", FOLDERS),
    Mutant("ignored voxels are counted as predicted", f"{_A}run.py", "(pred.array == label) & (target.array != settings.ignore_label)", "(pred.array == label)", FOLDERS),
    Mutant("ignored voxels are scored", f"{_A}run.py", "label, settings.ignore_label,", "label, None,", FOLDERS),
    Mutant("spread of the population", f"{_A}run.py", "ddof=1", "ddof=0", FOLDERS),
    Mutant("names are markup", f"{_A}report.py", "autoescape=True", "autoescape=False", FOLDERS),
    Mutant("misses left out of the mean", f"{_A}run.py", "if math.isfinite(value)])", "if math.isfinite(value) and value > 0])", FOLDERS),
    Mutant("slices along the first axis in MONAI's arrays", _M, "slice_axis: int = -1", "slice_axis: int = 0", METRIC),
    Mutant("spacing of the target not looked at", _M, "return image_spacing(target, spacing, target.ndim - 1)", "return spacing or (1.0,) * (target.ndim - 1)", METRIC),
    Mutant("nothing to measure becomes 0", _M, "torch.where(counts > 0, values, math.nan)", "values", METRIC),
    Mutant("false alarm for what is ignored", _M, "found = found & (target != self.ignore_label)", "pass", METRIC),
    Mutant("classes shifted by one", _M, "for label in range(first, self.num_classes)]", "for label in range(first - 1, self.num_classes - 1)]", METRIC),
    Mutant("HD is HD95", _P, "surface.hausdorff_mm(None, empty)", "surface.hausdorff_mm(95, empty)", METRIC),
    Mutant("shared voxels swapped", _F, "(points[1], points[0], shared[1])", "(points[1], points[0], ~shared[1])", SURFACE),
    Mutant("tree in voxels", _F, "* np.asarray(sizes) for index", "for index", SURFACE),
    Mutant("slices eroded through the plane", _F, "if through_plane is None or axis != through_plane % mask.ndim", "if True", SURFACE),
    Mutant("checksum not compared", _K, "if entry[-TRAILER_SIZE:] == MAGIC + digest:", "if entry[-TRAILER_SIZE:-DIGEST_SIZE] == MAGIC:", CACHE),
    Mutant("plain MONAI entries trusted", _K, "if entry[-TRAILER_SIZE:] == MAGIC + digest:", "if MAGIC not in entry or entry[-TRAILER_SIZE:] == MAGIC + digest:", CACHE),
]  # fmt: skip
