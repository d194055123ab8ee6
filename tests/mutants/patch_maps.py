"""Faults in the comparison of maps of patches with maps of volumes."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

HERE = "unit/test_patch_maps.py"
_P, _M, _T, _S = (f"protocols/{name}.py" for name in ("patches", "patch_maps", "patch_training", "patch_scores"))

PATCH_MAPS = [
    Mutant("patches end beyond the volume", _P, "generator.integers(size - count + 1)", "generator.integers(size)", HERE),
    Mutant("forced patches beyond the volume", _P, "min(max(start, 0), size - count)", "max(start, 0)", HERE),
    Mutant("large classes are forced more often", _P, "voxels = volume.foreground[generator.integers(len(volume.foreground))]", "voxels = np.concatenate(volume.foreground)", HERE),
    Mutant("forced patches start at the voxel", _P, "int(place) - count // 2", "int(place) + 1", HERE),
    Mutant("maps are changed in their place", _P, "result = maps.astype(np.float32)", "result = maps", HERE),
    Mutant("map of the patch of the whole volume", _P, "np.ascontiguousarray(cut(volume.labels, box))", "volume.labels", HERE),
    Mutant("one class further", _P, "for label in range(1, len(maps) + 1)", "for label in range(len(maps))", HERE),
    Mutant("signed differences", _M, "error = np.abs(local - whole)", "error = local - whole", HERE),
    Mutant("half a mm is off", _M, "OFF = 1.0", "OFF = 0.5", HERE),
    Mutant("the volume's map is not clipped", _M, "right = whole if clip is None else np.clip(whole, -clip, clip)", "right = whole", HERE),
    Mutant("class of the wrong channel", _M, "volume.labels[0][box] == channel + 1", "volume.labels[0][box] == 1", HERE),
    Mutant("patches are forced first", _M, "forced=index >= free", "forced=index < free", HERE),
    Mutant("loss compared at every clip", _M, "if clip == ROBUST.clip:", "if clip is not None:", HERE),
    Mutant("loss of the other map", _M, "ROBUST.replace(absent=absent)", "ROBUST", HERE),
    Mutant("patches with one class count as without foreground", _M, "not any(each.present", "not all(each.present", HERE),
    Mutant("zero maps of every setting are counted", _M, 'each.clip is None and each.absent == "zero"]', "each.present]", HERE),
    Mutant("mean of ratios", _M, "sum(each.loss_difference for each in group) / total", "sum(each.loss_difference / each.loss_total for each in group)", HERE),
    Mutant("same patches in every epoch", _T, "        self.epoch = epoch\n", "        pass\n", HERE),
    Mutant("the map of the volume lies elsewhere", _T, "cut(self.maps[number], box)", "cut(np.flip(self.maps[number], 1), box)", HERE),
    Mutant("maps are not flipped", _T, "np.flip(part, axes).copy())", 'np.flip(part, () if key == "distance_map" else axes).copy())', HERE),
    Mutant("zero and far swapped", _T, '"zero" if self.arm == "patch-zero" else "far"', '"far" if self.arm == "patch-zero" else "zero"', HERE),
    Mutant("boundary term in the arm without it", _T, 'Constant(0.0) if arm == "region" else Rebalance()', "Rebalance()", HERE),
    Mutant("far from 5 mm on", _S, "FAR = 10.0", "FAR = 9.0", HERE),
    Mutant("components by their farthest voxel", _S, "ndimage.minimum(", "ndimage.maximum(", HERE),
    Mutant("distance in voxels", _S, "distance_transform(target, spacing)", "distance_transform(target)", HERE),
    Mutant("voxels of all components", _S, "np.isin(labels, far).sum()", "(labels > 0).sum()", HERE),
    Mutant("surfaces in voxels", _S, "surface_distances(found, target, volume.spacing)", "surface_distances(found, target, None)", HERE),
]  # fmt: skip
