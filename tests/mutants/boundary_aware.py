"""Hand-made faults in the minimum-barrier cut, the seeds, and the boundary-aware loss."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

CUT = "unit/test_barrier.py property/test_barrier_laws.py"
REGIONS, SEEDS = "unit/test_regions.py", "unit/test_region_seeds.py"
LOSS, TOTAL = "unit/test_boundary_aware_loss.py", "unit/test_cross_entropy_boundary_aware.py"
_P, _K, _B = "kernels/_propagation.py", "kernels/_contours.py", "kernels/barrier.py"
_R, _E, _C = "kernels/regions.py", "kernels/_engines.py", "_check.py"
_T, _L = "transforms/region_seeds.py", "losses/boundary_aware.py"
_X, _S, _G = "losses/binary_cross_entropy.py", "losses/cross_entropy_boundary_aware.py", "losses/_target.py"
BOUNDARY_AWARE = [
    Mutant("one label takes both slots", _P, "if slots[first].label == label:", "if False:", CUT),
    Mutant("the better slot is given up", _P, "slots[first].barrier <= slots[second].barrier:", "slots[first].barrier > slots[second].barrier:", CUT),
    Mutant("levels: lowest value forgotten", _P, "lowest, highest = min(low, value), max(high, value)\n                found", "lowest, highest = low, max(high, value)\n                found", CUT),
    Mutant("levels: fronts wait in the wrong line", _P, "_enter(queue, ends, uintp(highest - lowest), found)", "_enter(queue, ends, level, found)", CUT),
    Mutant("levels: a full queue counts as done", _P, "                return False", "                return True", CUT),
    Mutant("floats: lowest value forgotten", _P, "lowest, highest = min(low, value), max(high, value)\n            found", "lowest, highest = low, max(high, value)\n            found", CUT),
    Mutant("floats: heap gives any child", _P, "if child + 1 < size - 1 and keys[child + 1] < keys[child]:", "if False:", CUT),
    Mutant("no folder for the cache is fatal", "kernels/_numba.py", "except RuntimeError:", "except ZeroDivisionError:", CUT),
    Mutant("ties go to a label", _K, "        if low < high:", "        if low <= high:", CUT),
    Mutant("contours stop at other regions", _K, "elif regions[near] != FRAME:", "elif regions[near] == 0:", CUT),
    Mutant("contours on the frame", _K, "elif regions[near] != FRAME:", "else:", CUT),
    Mutant("regions not tied to their seed", _K, "if winners[near] == label:", "if winners[near] == label or regions[near] == 0:", CUT),
    Mutant("dilation wraps around the edge", _K, "range(max(-reach, -place), min(reach, length - 1 - place) + 1)", "range(-reach if voxel >= reach * stride else 0, (reach if voxel + reach * stride < len(mark) else 0) + 1)", CUT),
    Mutant("dilation one short", _K, "min(reach, length - 1 - place) + 1)", "min(reach, length - 1 - place))", CUT),
    Mutant("area not divided by the regions", _K, "share = 1.0 / (num_regions * len(members))", "share = 1.0 / len(members)", CUT),
    Mutant("published weights swapped", _K, "+= on if membrane[members[index]] else off", "+= off if membrane[members[index]] else on", CUT),
    Mutant("published balance missing", _K, "PUBLISHED_BALANCE = 1.1", "PUBLISHED_BALANCE = 1.0", CUT),
    Mutant("mean over all voxels", _B, '"mean": lambda: weights.sum(dtype=np.float64),', '"mean": lambda: weights.size,', CUT),
    Mutant("published factor of ten missing", _B, "num_regions * weights.size / 10", "num_regions * weights.size", CUT),
    Mutant("unreached levels are finite", _K, "second[voxel] = high if high < empty else np.inf", "second[voxel] = high", CUT),
    Mutant("labels of the regions not given back", _B, "labels[fronts.regions],", "fronts.regions,", CUT),
    Mutant("labels of the contours not given back", _B, "np.repeat(labels[1:], np.diff(fronts.bounds))", "np.repeat(np.arange(1, len(labels)), np.diff(fronts.bounds))", CUT),
    Mutant("all corners are neighbours", _B, "if 0 < sum(map(abs, step)) <= connectivity]", "if 0 < sum(map(abs, step))]", CUT),
    Mutant("seeds not sorted by label", _B, "return np.ascontiguousarray(values), voxels[order], ids", "return np.ascontiguousarray(values), voxels, ids", CUT),
    Mutant("NaN likelihood accepted", _B, "if not np.isfinite(values).all():", "if False:", CUT),
    Mutant("negative seeds accepted", _B, "if found.size and (found.min() < 0 or", "if found.size and (", CUT),
    Mutant("contour raster of the framed image", _B, "[place - 1 for place in np.unravel_index(contour, framed.shape)], shape", "np.unravel_index(contour, framed.shape), framed.shape", CUT),
    Mutant("connectivity not checked", _C, "if not 1 <= connectivity <= ndim:", "if False:", CUT),
    Mutant("negative dilation accepted", _C, "len(values) != ndim or any(value < 0 for value in values)", "len(values) != ndim", CUT),
    Mutant("components of any connectivity", _R, "connectivity=max(neighbours, 4)", "connectivity=4 if array.ndim < 3 else 6", REGIONS),
    Mutant("image edge never bounds", _R, "(int(image_edge and size > 1),) * 2", "(0,) * 2", REGIONS),
    Mutant("edge along an axis of one voxel", _R, "(int(image_edge and size > 1),) * 2", "(int(image_edge),) * 2", REGIONS),
    Mutant("last of the farthest voxels", _R, "found, first = np.unique(places[candidates], return_index=True)", "candidates = candidates[::-1]\n    found, first = np.unique(places[candidates], return_index=True)", REGIONS),
    Mutant("small regions keep seeds", _R, "(sizes[found] >= smallest)", "(sizes[found] >= 0)", REGIONS),
    Mutant("region of the asked size dropped", _R, "(sizes[found] >= smallest)", "(sizes[found] > smallest)", f"{REGIONS} {SEEDS}"),
    Mutant("spacing of seeds ignored", _R, "region_distance(array, spacing, image_edge).ravel()", "region_distance(array, None, image_edge).ravel()", REGIONS),
    Mutant("scipy: one region has no inside", _E, "if not own.all() else math.inf", "if True else math.inf", REGIONS),
    Mutant("mask of membranes taken for cells", _T, 'ids = ~check_mask("labels", array[0]) if', 'ids = check_mask("labels", array[0]) if', SEEDS),
    Mutant("components not found anew within ids", _T, "regions = connected_regions(ids, self.connectivity)", "regions = connected_regions(np.asarray(ids) > 0, self.connectivity)", SEEDS),
    Mutant("width leaves cells whole", _T, "regions = connected_regions(np.where(thin, 0, regions), self.connectivity)", "regions = np.where(thin, 0, regions)", SEEDS),
    Mutant("width counts the image edge", _T, "spacing, image_edge=False)", "spacing, image_edge=True)", SEEDS),
    Mutant("slices number anew", _T, "np.where(found > 0, found + count, 0)", "found", SEEDS),
    Mutant("slices take the spacing across them", _T, "if index != axis]", "if index != (axis if axis is None else len(spacing) - 1 - axis)]", SEEDS),
    Mutant("size not handed on", _T, "int(self.min_region_size), self.image_edge", "0, self.image_edge", SEEDS),
    Mutant("gradient through one channel too many", _L, "if logits.shape[1] != 1:", "if False:", LOSS),
    Mutant("probability rounded to a level", _L, "(probs * 255).to(torch.uint8)", "(probs * 255).round().to(torch.uint8)", LOSS),
    Mutant("always quantized", _L, "if self.quantize else probs.float()", "if True else probs.float()", LOSS),
    Mutant("second sigmoid forgotten", _L, "torch.sigmoid(logits) if self.double_sigmoid else logits", "logits", LOSS),
    Mutant("slices summed", _L, " / np.float32(count)", "", LOSS),
    Mutant("slices put back along another axis", _L, "np.moveaxis(weights, 1, 1 + axis)", "np.moveaxis(weights, 1, weights.ndim - 1 - axis)", LOSS),
    Mutant("batch averaged by voxels", _L, ".flatten(1).sum(1)", ".flatten(1).mean(1)", LOSS),
    Mutant("settings of the cut not handed on", _L, "*sample, dilation=self.dilation, weighting=self.weighting, connectivity=self.connectivity", "*sample", LOSS),
    Mutant("float seeds accepted", _L, "if seeds.is_floating_point() or seeds.dtype == torch.bool:", "if False:", TOTAL),
    Mutant("target of 255 accepted", _G, "not (target.min() >= 0 and target.max() <= 1)", "not target.min() >= 0", LOSS),
    Mutant("seeds of an engine not found", _G, 'target[key] if key in target else target["distance_map"]', 'target["distance_map"]', TOTAL),
    Mutant("balance of the whole batch", _X, ".flatten(1).mean(1).view(-1,", ".mean().expand(len(labels)).view(-1,", TOTAL),
    Mutant("classes weighed by their own share", _X, "torch.where(foreground, 1 - share, self.balance * share)", "torch.where(foreground, share, self.balance * (1 - share))", TOTAL),
    Mutant("preset of the paper is dilated", _S, '"weighting": "count", "dilation": 0', '"weighting": "count", "dilation": 3', TOTAL),
    Mutant("region weight falls with alpha", _S, 'mode="increase"', 'mode="rebalance"', TOTAL),
    Mutant("cut while alpha is 0", _S, "self.boundary(input, membrane, seeds) if self.alpha else torch.zeros_like(region))", "self.boundary(input, membrane, seeds))", TOTAL),
    Mutant("seeds not asked for during the warm-up", _S, "        self.boundary.check_input(input, membrane, seeds)  # also", "        # also", TOTAL),
    Mutant("heads: seeds not asked for during the warm-up", _S, "        self.loss.boundary.check_input(first, membrane, seeds)\n", "", TOTAL),
    Mutant("heads: cut while alpha is 0", _S, "boundary = self.boundary(input, membrane, seeds) if self.alpha else torch.zeros_like(region)\n", "boundary = self.boundary(input, membrane, seeds)\n", TOTAL),
    Mutant("heads of equal weight", _S, "heads, self.head_weights)", "heads, [1 / len(heads)] * len(heads))", TOTAL),
]  # fmt: skip
