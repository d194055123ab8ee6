"""Hand-made faults in the maps that are made on the device."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

# ruff: noqa: E501 - a table reads best with one row per line

TORCH, ENGINES, TRAINERS = "unit/test_torch_distance.py", "unit/test_engines.py", "nnunet/test_maps.py"
_S, _F, _K = "kernels/_separable.py", "kernels/_torch_signed.py", "kernels/_triton_passes.py"
_M, _G = "kernels/_triton_map_sum.py", "kernels/_triton.py"
_B = "unit/test_boundary_loss.py::test_"
INTERPRETED, KNOWN = f"{_B}interpreted_kernel_equals_the_form_in_torch", f"{_B}the_kernel_is_for_what_it_knows"
_E, _N, _T = "engines.py", "../nnunet_trainers/mixin.py", "../nnunet_trainers/targets.py"
DEVICE = [
    Mutant("other side taken for its own distance", _S, "torch.maximum(candidate, cost, out=candidate)", "candidate.abs_()", TORCH),
    Mutant("pass looks one way", _S, "in ((ahead, behind), (behind, ahead)):", "in ((ahead, behind),):", TORCH),
    Mutant("pass stops a voxel short", _S, "for step in range(1, steps + 1):", "for step in range(1, steps):", TORCH),
    Mutant("pass without spacing", _S, "(sizes[axis] / unit) ** 2", "1.0", TORCH),
    Mutant("scan without spacing", _S, "out=before).mul_(size)", "out=before)", TORCH),
    Mutant("scan sees the change a voxel late", _S, "torch.where(changes, places[1:], math.inf)", "torch.where(changes, places[:-1], math.inf)", TORCH),
    Mutant("unit not multiplied back", _S, "field.abs_().sqrt_().mul_(unit)", "field.abs_().sqrt_()", TORCH),
    Mutant("first axis left out", _S, "range(len(counts) - 2, -1, -1)", "range(len(counts) - 2, 0, -1)", TORCH),
    Mutant("tiles overlap in the last columns", _S, "for left in range(0, inner, width):", "for left in range(0, inner, max(1, width - 1)):", TORCH),
    Mutant("whole field as one tile", _S, "_SCAN_SHARE, _PASS_SHARE, _TRITON_SHARE = 24, 12, 4", "_SCAN_SHARE, _PASS_SHARE, _TRITON_SHARE = 1, 1, 1", TORCH),
    Mutant("kernel forgets the other side", _K, "tl.maximum(sign * there[None, :], 0.0)", "tl.abs(there[None, :])", TORCH),
    Mutant("kernel stops a voxel short", _K, "rows + rows + reach, count)", "rows + rows + reach, count - 1)", TORCH),
    Mutant("kernel writes beyond the last column", _K, "tl.store(place, sign * best, mask=inside)", "tl.store(place, sign * best, mask=(row < count)[:, None])", TORCH),
    Mutant("failing kernel is fatal", _G, "    except Exception as error:", "    except ZeroDivisionError as error:", TORCH),
    Mutant("failing kernel is tried again", _G, "        _FAILED.add(kernel)", "        pass", TORCH),
    Mutant("full memory switches the kernel off", _G, "    except torch.cuda.OutOfMemoryError:\n        raise\n", "", TORCH),
    Mutant("failing kernel leaves its tile", _S, "                _pass(tile, weight, steps)", "                pass", TORCH),
    Mutant("term's kernel: map of the wrong channel", _M, "(channel - first)[:, None] * maps_channel", "channel[:, None] * maps_channel", INTERPRETED),
    Mutant("term's kernel: voxels beyond the last are summed", _M, "tl.where(voxel < voxels, total, 0.0)", "total", INTERPRETED),
    Mutant("term's kernel: gradient without the sum", _M, "slope = probs * (counted - total[None, :])", "slope = probs * counted", INTERPRETED),
    Mutant("term's kernel: slope of the sigmoid", _M, "slope = products * (1.0 - probs)", "slope = products", INTERPRETED),
    Mutant("term's kernel: uncounted channels reach the sum", _M, "tl.where(mapped, probs * counted, 0.0)", "probs * counted", INTERPRETED),
    Mutant("term's kernel: too many channels", _M, "<= _MOST_CHANNELS", "<= 2 * _MOST_CHANNELS", KNOWN),
    Mutant("term's kernel: float64 rounded", _M, "logits.dtype in _TYPES and", "", KNOWN),
    Mutant("float64 where there is none", "kernels/_devices.py", 'torch.float32 if device.type == "mps" else torch.float64', "torch.float64", f"{_B}no_float64_on_devices_without_it"),
    Mutant("device: half offset outside only", _F, "maps.sub_(min(spacing) / 2).add_(inside, alpha=min(spacing))", "maps.sub_(min(spacing) / 2)", TORCH),
    Mutant("device: full class taken for absent", _F, "torch.where(present, -far, far)", "torch.where(present, far, far)", TORCH),
    Mutant("device: ignored voxels keep a value", _F, "maps.masked_fill_(~valid, 0.0)", "pass", TORCH),
    Mutant("device: distances start at ignored voxels", _F, "outside = valid & ~inside", "outside = ~inside", TORCH),
    Mutant("device: balance inverted", _F, "(outer / torch.where(both, inner, 1.0))", "(torch.where(both, inner, 1.0) / outer)", TORCH),
    Mutant("device: max of the outside alone", _F, "torch.maximum(high, -low)", "high", TORCH),
    Mutant("device: classes shifted without background", _F, "torch.arange(first, num_classes, device", "torch.arange(num_classes - first, device", TORCH),
    Mutant("out of memory is fatal", _F, "except torch.cuda.OutOfMemoryError as error:", "except ZeroDivisionError as error:", TORCH),
    Mutant("fallback ignores the ignored", _F, "None if valid is None else valid[index, 0].numpy()", "None", TORCH),
    Mutant("maps on the device: one sample's for all", _E, "self.transform(label[index])", "self.transform(label[0])", ENGINES),
    Mutant("workers ship maps for the device", _N, 'if self.distance_maps_on == "workers":', "if True:", TRAINERS),
    Mutant("maps on the device: regions ignore nothing", _T, "None if self.ignore_label is None else ~target[:, -1:].bool()", "None", TRAINERS),
]  # fmt: skip
