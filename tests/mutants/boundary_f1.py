"""Hand-made faults in pooling, the boundary F1 loss, its transform and its metric."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

POOL, BAND, METRIC = (f"unit/test_{name}.py" for name in ("pooling", "boundary_band", "boundary_f1_metric"))
LOSS = "unit/test_boundary_f1.py unit/test_boundary_f1_iou.py unit/test_boundary_f1_numerics.py"
_C, _P, _F, _I = "_check.py", "kernels/pooling.py", "losses/boundary_f1.py", "losses/boundary_f1_iou.py"
_S, _T, _M = "losses/sensitivity_specificity.py", "transforms/boundary_band.py", "metrics/boundary_f1.py"
BOUNDARY_F1 = [
    Mutant("even window accepted", _C, "width < 1 or width % 2 == 0", "width < 1", POOL),
    Mutant("number of windows not checked", _C, "len(widths) != ndim or any(width < 1", "any(width < 1", POOL),
    Mutant("ties go to the last", _P, "torch.where(second > first, far, near)", "torch.where(second >= first, far, near)", POOL),
    Mutant("first axis pooled first", _P, "reversed(range(2, values.ndim))", "range(2, values.ndim)", POOL),
    Mutant("window one too narrow", _P, "while covered < 2 * reach + 1:", "while covered < 2 * reach:", POOL),
    Mutant("window wraps around the edge", _P, "for index in (0, values.shape[axis] - 1))", "for index in (values.shape[axis] - 1, 0))", POOL),
    Mutant("gradient overwrites instead of adding", _P, ".index_add(0, source.flatten(), grad.flatten())", ".index_copy(0, source.flatten().long(), grad.flatten())", POOL),
    Mutant("eight bytes kept per voxel", _P, "torch.int32 if values.numel() < 2**31 else torch.int64", "torch.int64", POOL),
    Mutant("unsigned integers negated", _P, "return ~box_max_pool(~values, window)", "return -box_max_pool(-values.int(), window)", POOL),
    Mutant("boundary on the outside", _P, "        return box_max_pool(inverse, theta0) - inverse\n", "        return box_max_pool(probs, theta0) - probs\n", POOL),
    Mutant("ignored voxels make a boundary", _P, "inverse = torch.where(valid, inverse, 0)", "inverse = torch.where(valid, inverse, 1)", LOSS),
    Mutant("ignored voxels are boundary", _P, "return torch.where(valid, box_max_pool(inverse, theta0) - inverse, 0)", "return box_max_pool(inverse, theta0) - inverse", LOSS),
    Mutant("ignored voxels make a target boundary", _P, "masks if valid is None else masks | ~valid", "masks", POOL),
    Mutant("ignored voxels are target boundary", _P, "        boundary &= valid\n", "        pass\n", f"{POOL} {BAND}"),
    Mutant("target boundary not extended", _P, "band = band + box_max_pool(band, theta)", "band = band + band", POOL),
    Mutant("theta not checked by the band", _P, '    check_windows("theta", theta, check_spatial_ndim("masks", masks.shape, channels=2))\n', "", POOL),
    Mutant("precision and recall not harmonic", _F, "2 * precision * recall / (precision + recall)", "(precision + recall) / 2", LOSS),
    Mutant("extension of the prediction takes theta0", _F, "box_max_pool(predicted, self.theta)", "box_max_pool(predicted, self.theta0)", LOSS),
    Mutant("precision over the boundary, not its extension", _F, "near_target = (band == 1) | on_target", "near_target = on_target", LOSS),
    Mutant("recall counts the extension", _F, "target = on_target.to(predicted.dtype)", "target = near_target.to(predicted.dtype)", LOSS),
    Mutant("smooth below only", _F, "(part.sum(over) + self.smooth) / (whole", "part.sum(over) / (whole", LOSS),
    Mutant("batch ignored", _F, "[0] if self.batch else []", "[]", LOSS),
    Mutant("ignored channels of one-hot targets shifted", _F, "valid = valid[:, first:]", "valid = valid[:, : valid.shape[1] - first]", LOSS),
    Mutant("ignored voxels of a given boundary counted", _F, "masked = _check_codes(band)", "masked = _check_codes(band) and False", LOSS),
    Mutant("probabilities of the background kept", _F, "self.other_act)[:, first:]", "self.other_act)[:, : logits.shape[1] - first]", LOSS),
    Mutant("codes not checked", _F, "if wrong.any():", "if False:", LOSS),
    Mutant("bool boundary accepted", _F, "if band.dtype == torch.bool:", "if False:", LOSS),
    Mutant("soft targets cut at zero", _F, "onehot > 0.5", "onehot > 0.0", LOSS),
    Mutant("weights swapped", _I, "weight * boundary + (1 - weight) * region", "weight * region + (1 - weight) * boundary", LOSS),
    Mutant("weight frozen when compiled", _I, "weight = self._weight.to(region.dtype)", "weight = self._number", LOSS),
    Mutant("given target boundary not passed on", _I, "settings(probs, target, target_boundary)", "settings(probs, target)", LOSS),
    Mutant("cross-entropy of ignored voxels", _I, "torch.where(counted, values, 0).sum()", "values.sum()", LOSS),
    Mutant("cross-entropy over all voxels", _I, "counted.sum().clamp(min=1)", "values.numel()", LOSS),
    Mutant("IoU of ignored voxels", _I, "probs if valid is None else torch.where(valid, probs, 0)", "probs", LOSS),
    Mutant("Dice for IoU", _I, "onehot.sum(over) - overlap\n", "onehot.sum(over)\n", LOSS),
    Mutant("IoU counts the background", _I, "probs, onehot = probs[:, first:], onehot[:, first:]", "pass", LOSS),
    Mutant("lam weighs the sensitivity", _S, "1 - self.lam * specificity - (1 - self.lam) * sensitivity", "1 - self.lam * sensitivity - (1 - self.lam) * specificity", LOSS),
    Mutant("specificity of ignored voxels", _S, "torch.where(valid, outside, 0)", "outside", LOSS),
    Mutant("band of the wrong classes", _T, "for index in range(first, self.num_classes)]", "for index in range(self.num_classes - first)]", BAND),
    Mutant("band with swapped windows", _T, "self.theta0, self.theta, counted", "self.theta, self.theta0, counted", BAND),
    Mutant("band without the ignored label", _T, "self.theta, counted)", "self.theta, None)", BAND),
    Mutant("distance equal to theta is right", _M, "[own] < theta)", "[own] <= theta)", METRIC),
    Mutant("distance without spacing", _M, "seed_distance(other, sizes, limit=theta)", "seed_distance(other, (1.0,) * other.ndim, limit=theta)", METRIC),
    Mutant("precision is recall", _M, "((first, second), (second, first))", "((second, first), (first, second))", METRIC),
    Mutant("one missing boundary is no case", _M, "value = 0.0 if first.any() or second.any() else math.nan", "value = math.nan", METRIC),
    Mutant("metric: ignored voxels make a boundary", _M, "mask if valid is None else mask | ~valid", "mask", METRIC),
    Mutant("metric: ignored voxels are boundary", _M, "surface if valid is None else surface & valid", "surface", METRIC),
    Mutant("image edge always a boundary", _M, "    if image_edge:\n", "    if True:\n", METRIC),
    Mutant("image edge never a boundary", _M, "    if image_edge:\n", "    if False:\n", METRIC),
    Mutant("metric: classes shifted", _M, "0 if self.include_background or len(target) == 1 else 1", "0", METRIC),
    Mutant("metric: spacing of the call ignored", _M, "self.spacing if spacing is None else spacing", "self.spacing", METRIC),
]  # fmt: skip
