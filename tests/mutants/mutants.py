"""Hand-made faults, each of which some test must catch: (what, file, old text, new text, tests that see it)."""

from __future__ import annotations

from typing import NamedTuple

# ruff: noqa: E501 - a table reads best with one row per line


class Mutant(NamedTuple):
    """One fault: `old`, which occurs once in `file`, becomes `new`; `tests` are paths below tests/."""

    what: str
    file: str
    old: str
    new: str
    tests: str


MAP, DIST, SLICES = "unit/test_distance_map.py", "unit/test_distance.py", "unit/test_slices.py"
BAD, ODD = "unit/test_bad_input.py", "unit/test_odd_input.py"
MAKE, CARRY = "unit/test_transforms.py", "unit/test_transforms_carry.py"
BL, GDL, RB = "unit/test_boundary_loss.py", "unit/test_generalized_dice.py", "unit/test_region_boundary.py"
HEADS = "unit/test_deep_supervision_heads.py"
NUM, GUARD, SCHED = "unit/test_loss_numerics.py", "unit/test_collapse.py", "unit/test_schedules.py"

_D, _G, _E = "kernels/distance.py", "kernels/_signed.py", "kernels/_engines.py"
_S, _C, _N = "kernels/_slices.py", "_check.py", "kernels/_finish.py"
KERNELS = [
    Mutant("wrong axis of spacing", _C, "values = tuple(float(value) for value in spacing)", "values = tuple(float(value) for value in spacing)[::-1]", DIST),
    Mutant("spacing of 0 accepted", _C, "math.isfinite(value) and value > 0", "math.isfinite(value) and value >= 0", BAD),
    Mutant("NaN spacing accepted", _C, "math.isfinite(value) and value > 0", "not value <= 0", BAD),
    Mutant("ignored label out of range refused", _C, "wrong &= labels != ignore_index", "wrong &= labels == ignore_index", MAP),
    Mutant("sign flip", _G, "np.negative(out, out=out, where=inside)", "np.negative(out, out=out, where=~inside)", DIST),
    Mutant("ignored voxels not masked", _G, "            channel[~valid] = 0.0\n", "            pass\n", MAP),
    Mutant("ignored voxels of the complement not masked", _G, "            channel[~valid] = 0.0\n", "            channel[~valid & (sign > 0)] = 0.0\n", MAP),
    Mutant("ignored voxels are a boundary", _G, "outside = None if valid is None else ~mask & valid", "outside = None if valid is None else ~inside", MAP),
    Mutant("half offset uses the largest spacing", _G, "beyond = min(spacing) / 2", "beyond = max(spacing) / 2", DIST),
    Mutant("half offset is a whole voxel", _G, "beyond = min(spacing) / 2", "beyond = min(spacing)", DIST),
    Mutant("kervadec -1 dropped", _G, '"kervadec": 1.0', '"kervadec": 0.0', DIST),
    Mutant("kervadec_mm uses the largest spacing", _G, '"kervadec_mm": min(spacing)', '"kervadec_mm": max(spacing)', DIST),
    Mutant("complement without its offset", _G, "np.subtract(np.float32(total), out, out=complement)", "np.negative(out, out=complement)", MAP),
    Mutant("clip margin without the offset", _G, "+ max(1.0, min(spacing)))", "+ 0.0)", MAP),
    Mutant("clip margin too small", _S, "margin = math.ceil(min(reach / size, mask.shape[axis]))", "margin = int(min(reach / size, mask.shape[axis])) // 2", f"{MAP} {SLICES}"),
    Mutant("outside the crop nothing is written", _N, "    if box is not None:\n        fill_beyond(channel, box, beyond)\n", "", MAP),
    Mutant("clip of the complement has the wrong sign", _N, "edge if inside else -edge", "edge", MAP),
    Mutant("far has the wrong sign", _G, "out[...] = -far if present else far", "out[...] = far if present else -far", MAP),
    Mutant("far of the complement has the wrong sign", _G, "complement[...] = far if present else -far", "complement[...] = -far if present else far", MAP),
    Mutant("far is not the clip", _G, "(options.clip or diagonal(mask.shape, spacing))", "diagonal(mask.shape, spacing)", MAP),
    Mutant("diagonal in voxels", _N, "count * size for count, size", "count for count, size", MAP),
    Mutant("full mask handed to the engine", _G, "if not present or (inside.all() if outside is None else not outside.any()):", "if not present:", f"{DIST} {ODD}"),
    Mutant("inside distances without spacing", _G, "seed_distance(outside, spacing, backend)", "seed_distance(outside, (1.0,) * inside.ndim, backend)", MAP),
    Mutant("classes shifted without background", _D, "enumerate(range(first, num_classes))", "enumerate(range(num_classes - first))", MAP),
    Mutant("two classes swapped", _D, "two_class_map(classes == 1,", "two_class_map(classes == 0,", MAP),
    Mutant("max normalises by the outside alone", _N, "float(max(values.max(), -values.min(), edge))", "float(values.max())", f"{MAP} property/test_distance_laws.py"),
    Mutant("balance without its cap", _N, "min((sums[1] / sums[0]) ** options.balance, options.balance_cap)", "(sums[1] / sums[0]) ** options.balance", MAP),
    Mutant("balance applied outside", _N, "where=mask if inside else ~mask)", "where=~mask if inside else mask)", MAP),
    Mutant("balance takes negative values for inside", _N, "    held = values[mask]", "    held = values[(values < 0) == inside]", MAP),
    Mutant("balance inverted", _N, "(sums[1] / sums[0]) ** options.balance", "(sums[0] / sums[1]) ** options.balance", MAP),
    Mutant("balance exponent ignored", _N, "(sums[1] / sums[0]) ** options.balance", "(sums[1] / sums[0])", MAP),
    Mutant("distance to the background", _E, "_edt((~seeds).view(np.uint8), spacing, out)", "_edt(seeds.view(np.uint8), spacing, out)", DIST),
    Mutant("extreme spacing not scaled back", _E, "distance *= np.float32(scale)", "pass", DIST),
    Mutant("slice offset without spacing", _S, "offset = (size * (z - int(occupied[index]))) ** 2", "offset = (z - int(occupied[index])) ** 2", SLICES),
    Mutant("slices with the spacing of other axes", _S, "crops[index], spacing[1:], squared[index]", "crops[index], spacing[:2], squared[index]", SLICES),
    Mutant("slice ranges too narrow", _S, "start[index + 1] = float(difference.min())", "start[index + 1] = float(difference.max())", SLICES),
    Mutant("clip of ignored voxels' maps in one channel only", _G, "fill_beyond(channel, box, np.float32(sign * (options.clip or 0.0)))", "fill_beyond(channel, box, np.float32(options.clip or 0.0))", MAP),
    Mutant("beyond the clip not normalised", _N, "            beyond /= largest\n", "", MAP),
    Mutant("beyond the clip not balanced", _N, "beyond *= np.float32(1) if inside else factor", "pass", MAP),
    Mutant("beyond the clip balanced outside", _N, "beyond *= np.float32(1) if inside else factor", "beyond *= factor", MAP),
    Mutant("beyond the clip missing in the sums", _N, "rest = count * float(abs(beyond))", "rest = 0.0", MAP),
    Mutant("beyond the clip counted inside", _N, "(inner, outer + rest) if inside else (inner + rest, outer)", "(inner + rest, outer)", MAP),
    Mutant("sums of an asymmetric map handed on", _G, "inside_offset(spacing, options.convention) == 0", "True", MAP),
    Mutant("sums handed on unswapped", _G, "sums = (outer, inner)", "sums = (inner, outer)", MAP),
    Mutant("fill leaves out what lies before", _N, "values[before] = values[behind]", "values[behind]", MAP),
    Mutant("fill leaves out what lies behind", _N, "values[before] = values[behind]", "values[before]", MAP),
    Mutant("presets swapped", "kernels/map_options.py", '{"robust": ROBUST, "published": PUBLISHED}', '{"robust": PUBLISHED, "published": ROBUST}', MAP),
]  # fmt: skip

_A, _M, _Z = "transforms/_affine.py", "transforms/distance_map.py", "transforms/rescale.py"
TRANSFORMS = [
    Mutant("spacing from the rows of the affine", _A, "np.linalg.norm(steps, axis=0)", "np.linalg.norm(steps, axis=1)", MAKE),
    Mutant("affine beats the given spacing", _A, "if spacing is not None:", "if spacing is not None and not isinstance(image, MetaTensor):", MAKE),
    Mutant("shear passes in silence", _A, "if np.abs(cosines - np.eye(len(lengths))).max() > 1e-3:", "if False:", MAKE),
    Mutant("oblique taken for sheared", _A, "cosines = (steps / lengths).T @ (steps / lengths)", "cosines = steps / lengths", MAKE),
    Mutant("map of the first key everywhere", "transforms/_derived.py", "self.transform(d[key])", "self.transform(d[self.keys[0]])", MAKE),
    Mutant("ignore_index not handed on", _M, "self.include_background, self.ignore_index, self.engine", "self.include_background, None, self.engine", MAKE),
    Mutant("background channel kept", _M, "channels = values if self.include_background else values[1:]", "channels = values", MAKE),
    Mutant("float16 guard removed", _M, "if dtype == torch.float16 and not self.options.bounded:", "if False:", MAKE),
    Mutant("record of a wrong spacing", _M, "= list(spacing)", "= [1.0] * ndim", f"{MAKE} {CARRY}"),
    Mutant("preset ignored", _M, "DistanceMapOptions() if preset is None else preset_options(preset)", "DistanceMapOptions()", MAKE),
    Mutant("rescale factor inverted", _Z, "np.asarray(recorded, dtype=float) / present", "present / np.asarray(recorded, dtype=float)", CARRY),
    Mutant("rescaling does not update its record", _Z, "result.meta[SPACING_META_KEY] = list(present)", "pass", CARRY),
    Mutant("anisotropic zoom accepted", _Z, "> self.tolerance", "> 1e9", CARRY),
]  # fmt: skip

_F, _B, _G, _R, _T = (
    "losses/_fused.py",
    "losses/boundary.py",
    "losses/generalized_dice.py",
    "losses/region_boundary.py",
    "losses/_target.py",
)
_K, _P = "losses/collapse.py", "losses/deep_supervision.py"
LOSSES = [
    Mutant("fused gradient sign", _F, "torch.sub(maps, voxel_sums, out=products)", "torch.sub(voxel_sums, maps, out=products)", BL),
    Mutant("fused first off by one", _F, "products = probs[first:] *", "products = probs[: len(probs) - first] *", BL),
    Mutant("map of the wrong sample", _F, "maps[sample].flatten(1)", "maps[0].flatten(1)", BL),
    Mutant("last voxel of a chunk lost", _F, "piece = slice(start, start + step)", "piece = slice(start, start + step - 1)", BL),
    Mutant("fused gradient ignores what is above it", _F, "return gradient.mul_(factor)", "return gradient", BL),
    Mutant("buffer of the gradient handed out twice", _F, "gradient, ctx.gradient = ctx.gradient, None", "gradient = ctx.gradient", BL),
    Mutant("fused NaN hidden", _F, "return total.to(work_dtype)", "return total.nan_to_num().to(work_dtype)", NUM),
    Mutant("plain NaN hidden", _T, "return torch.softmax(logits, dim=1)", "return torch.softmax(logits, dim=1).nan_to_num()", NUM),
    Mutant("sums in half precision", _T, "return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor", "return tensor", NUM),
    Mutant("ignored label is a class", _T, "valid = None if ignore_index is None else target != ignore_index", "valid = None", f"{GDL} {RB}"),
    Mutant("batch ignored in the sum", _B, "voxels * (logits.shape[0] if self.batch else 1)", "voxels", BL),
    Mutant("batch summed in place of averaged", _B, "per_channel = per_channel.mean(dim=0)", "per_channel = per_channel.sum(dim=0)", BL),
    Mutant("offset uses the outside", _B, "clamp(max=0)", "clamp(min=0)", BL),
    Mutant("offset added", _B, "loss = loss - self._reduce(", "loss = loss + self._reduce(", BL),
    Mutant("wrong channel of the map dropped", "losses/_target.py", "values = values[:, first:]", "values = values[:, :-first]", BL),
    Mutant("wrong channel of the output dropped", _B, "self.other_act)[:, first:]", "self.other_act)[:, : logits.shape[1] - first]", BL),
    Mutant("target read although a map is given", _B, "if distance_map is None:", "if target is not None:", BL),
    Mutant("map options ignored", _B, "spacing, self.options, first == 0", "spacing, DistanceMapOptions(), first == 0", BL),
    Mutant("ignore_index not handed to the kernel", _B, "first == 0, self.ignore_index, self.engine", "first == 0, None, self.engine", BL),
    Mutant("soft targets cut at 0", _B, "target[:, first:] > 0.5", "target[:, first:] > 0", BL),
    Mutant("sigmoid taken for softmax", _B, "known = self.sigmoid or (self.softmax", "known = (self.softmax", BL),
    Mutant("one channel's softmax is fused", _B, "(self.softmax and logits.shape[1] > 1)", "self.softmax", BL),
    Mutant("map gets a gradient", _B, "        maps = maps.detach()\n", "", BL),
    Mutant("slope of the fused sigmoid", _F, "probs.neg_().add_(1)", "probs.neg_().add_(2)", BL),
    Mutant("uncounted channels keep what was in memory", _F, "        gradient[:first] = 0\n", "        gradient[:first] = 1\n", BL),
    Mutant("small chunks for several threads", _F, "_CPU_CHUNK_PER_THREAD * threads", "_CPU_CHUNK * threads", BL),
    Mutant("the whole sample is converted", _F, "flat_maps[:, piece].to(work_dtype)", "flat_maps.to(work_dtype)[:, piece]", BL),
    Mutant("gradient of the gradient is 0", _F, "if torch.is_grad_enabled():", "if False:", NUM),
    Mutant("second derivative of the softmax", _F, "return probs * (full - (probs * full).sum(dim=1, keepdim=True))", "return probs * (full - (probs * full).sum(dim=1, keepdim=True).detach())", NUM),
    Mutant("second derivative of the sigmoid", _F, "return probs * (1 - probs) * full", "return probs.detach() * (1 - probs) * full", NUM),
    Mutant("forward mode taken for reverse", _F, "return not transformed and forward_ad.unpack_dual(logits).tangent is None", "return not transformed", NUM),
    Mutant("torch.func taken for reverse mode", _F, "return not transformed and", "return", NUM),
    Mutant("generalized Dice weights not squared", _G, ".square().reciprocal()", ".reciprocal()", GDL),
    Mutant("absent class has weight 0", _G, "weights.amax(dim=1, keepdim=True)", "torch.zeros_like(weights)", GDL),
    Mutant("absent class has the weight of another sample", _G, "weights.amax(dim=1, keepdim=True)", "weights.amax()", GDL),
    Mutant("ignored voxels count as predictions", _G, "probs, onehot = probs * valid, onehot * valid", "onehot = onehot * valid", GDL),
    Mutant("smooth above only", _G, "((weights * total).sum(1) + self.smooth)", "(weights * total).sum(1)", GDL),
    Mutant("region floor dropped in the loss", _R, "max(self.region_floor, 1.0 - number)", "max(0.0, 1.0 - number)", RB),
    Mutant("weights swapped", _R, "weights[0] * region + weights[1] * boundary", "weights[1] * region + weights[0] * boundary", RB),
    Mutant("alpha is compiled in", _R, "weights = self._weights.to(region.dtype)", "weights = self._pair", NUM),
    Mutant("alpha set but not used", _R, "self._weights.copy_(", "self._weights.clone().copy_(", RB),
    Mutant("weights in the checkpoint", _R, "persistent=False", "persistent=True", RB),
    Mutant("preset counts the background", _R, "include_background=include_background or sigmoid", "include_background=True", RB),
    Mutant("map of a head interpolated", _P, 'mode="nearest-exact"', 'mode="bilinear"', RB),
    Mutant("map of a head off by a voxel", _P, 'mode="nearest-exact"', 'mode="nearest"', RB),
    Mutant("head weights ignored", _P, "[weight * term(head) for", "[term(head) for", RB),
    Mutant("default head weights not normalised", _P, "half / sum(halves) for", "half for", HEADS),
    Mutant("default head weights equal", _P, "0.5**index", "0.5", HEADS),
    Mutant("heads of weight 0 evaluated", _P, "strict=True) if weight]", "strict=True)]", f"{RB} {HEADS}"),
    Mutant("heads stacked on the batch axis", _P, "output.unbind(1)", "output.unbind(0)", HEADS),
    Mutant("map of each head from its own label", _P, "self._compute_map(heads[0], target)", "self._compute_map(heads[-1], _resample(target, heads[-1].shape[2:]))", HEADS),
    Mutant("integer labels of lower heads become floats", _P, ".to(volume.dtype)", "", HEADS),
    Mutant("heads from low to high resolution accepted", _P, "if not heads or sizes[0] != tuple(label.shape[2:]):", "if not heads:", HEADS),
    Mutant("wrong number of head weights accepted", _P, "if len(heads) != len(weights):", "if len(heads) > len(weights):", HEADS),
    Mutant("weights set on the loss of several heads lost", _P, "self.loss.weights = pair", "pass", HEADS),
    Mutant("guard warns at every step", _K, "            self._warned.add(index)\n", "", GUARD),
    Mutant("guard keeps NaN", _K, "if not all(map(math.isfinite, predictions + truths)):", "if False:", GUARD),
    Mutant("guard's warm-up off by one", _K, "seen >= max(1, self.warmup)", "seen > max(1, self.warmup)", GUARD),
    Mutant("guard's warm-up counts epochs without the class", _K, "self._seen[k] += self._true[k] > 0", "self._seen[k] += 1", GUARD),
    Mutant("guard looks at the best class", _K, "return min((ratio", "return max((ratio", GUARD),
    Mutant("guard counts ignored voxels", _K, "((map_ == k) & valid).sum()", "(map_ == k).sum()", GUARD),
]  # fmt: skip

_H = "schedules.py"
_THEN = "return self.then.weights(epoch - first, max(1, max_epochs - first), history[first:])"
_WARM = f"        if epoch < first:\n            return 1.0, 0.0\n        {_THEN}"
_WAIT = f"        if first is None or epoch < first:\n            return 1.0, 0.0\n        {_THEN}"
SCHEDULES = [
    Mutant("schedule off by one", _H, "epoch / (max_epochs - 1)", "epoch / max_epochs", SCHED),
    Mutant("schedule one epoch early", _H, "min(1.0, epoch / (max_epochs - 1))", "min(1.0, (epoch + 1) / (max_epochs - 1))", SCHED),
    Mutant("schedule not held at its end", _H, "min(1.0, epoch / (max_epochs - 1))", "epoch / (max_epochs - 1)", SCHED),
    Mutant("region floor dropped", _H, "max(self.floor, 1.0 - (boundary - self.start))", "1.0 - (boundary - self.start)", SCHED),
    Mutant("start taken from the region", _H, "1.0 - (boundary - self.start)", "1.0 - boundary", SCHED),
    Mutant("pace ignored", _H, "max_epochs if self.pace is None else self.pace", "max_epochs", SCHED),
    Mutant("increase takes from the region", _H, "return 1.0, self.start + (self.end - self.start) * progress", "return 1.0 - progress, self.start + (self.end - self.start) * progress", SCHED),
    Mutant("Warmup does not shift the epoch", _H, _WARM, _WARM.replace("epoch - first,", "epoch,"), SCHED),
    Mutant("Warmup does not shorten the run", _H, _WARM, _WARM.replace("max(1, max_epochs - first)", "max_epochs"), SCHED),
    Mutant("Warmup does not shift the history", _H, _WARM, _WARM.replace("history[first:]", "history"), SCHED),
    Mutant("Warmup one epoch long", _H, _WARM, _WARM.replace("epoch < first", "epoch <= first"), SCHED),
    Mutant("wait does not shift the history", _H, _WAIT, _WAIT.replace("history[first:]", "history"), SCHED),
    Mutant("wait does not shift the epoch", _H, _WAIT, _WAIT.replace("epoch - first,", "epoch,"), SCHED),
    Mutant("wait one epoch late", _H, "                return epoch\n", "                return epoch + 1\n", SCHED),
    Mutant("wait compares with the epoch before", _H, "history[epoch - 2 * self.window : epoch - self.window]", "history[epoch - self.window - 1 : epoch - 1]", SCHED),
    Mutant("wait without an end", _H, "latest = round(self.latest * max_epochs)", "latest = max_epochs", SCHED),
    Mutant("suggested share inverted", _H, "share / (1 - share) * region_norm", "(1 - share) / share * region_norm", SCHED),
    Mutant("suggestion compares the region with itself", _H, 'loss.region(leaf, target) if term == "region" else', 'loss.region(leaf, target) if term != "" else', SCHED),
]  # fmt: skip

MUTANTS = [*KERNELS, *TRANSFORMS, *LOSSES, *SCHEDULES]
