"""Check and measure on a GPU: maps on the device, the boundary loss against its traffic, and nnU-Net's step.

    python -m benchmarks.gpu --json gpu.json
    python -m benchmarks.gpu --cpu              (the same code, small, where there is no GPU)

Nothing is measured unless the maps of ``backend="torch"`` agree with those of `edt` to 1e-4 mm, and the loss and its
gradient with the plain form in float64 to 1e-6, as a share of the largest value. Times are the lowest wall time of
repeats that take turns, and each call is waited for.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.case import installed
from benchmarks.cases.nnunet import training_step
from benchmarks.phantoms import ellipsoids
from monai_boundary import BoundaryLoss, DistanceMapOptions
from monai_boundary.kernels.distance import ROBUST, batch_labels_map

__all__ = ["main"]

SPACING, CLASSES, BATCH = (3.0, 1.0, 1.0), 4, 2
SETTINGS = {"whole": DistanceMapOptions(), "robust": ROBUST, "published": DistanceMapOptions(convention="kervadec")}
MAP_TOLERANCE_MM, LOSS_TOLERANCE = 1e-4, 1e-6
PEERS = {"cupy": "cupyx.scipy.ndimage", "cucim": "cucim.core.operations.morphology"}
TARGETS = "on a GPU at 128^3: maps under 5 ms and 5 times as fast as cupy, one pass under twice the traffic, step +5 %"
Calls = Mapping[str, Callable[[], Any]]


def batch_of_labels(size: int, device: torch.device) -> torch.Tensor:
    """Labels `(B, 1, size, size, size)` of three foreground classes."""
    samples = [torch.from_numpy(ellipsoids((size,) * 3, CLASSES, seed))[None] for seed in range(BATCH)]
    return torch.stack(samples).to(device)


def maps_of(labels: torch.Tensor, setting: str, backend: Any, ignore_index: int | None = None) -> torch.Tensor:
    """Maps of the foreground classes."""
    return batch_labels_map(labels, CLASSES, SPACING, SETTINGS[setting], False, ignore_index, backend)


def check_maps(size: int, device: torch.device) -> float:
    """Return the largest difference to `edt` in all settings, in mm."""
    labels = batch_of_labels(size, device)
    differences = [
        float((maps_of(labels, name, "torch", ignored).cpu() - maps_of(labels.cpu(), name, "edt", ignored)).abs().max())
        for name in SETTINGS
        for ignored in (None, 2)
    ]
    return _refuse_above(MAP_TOLERANCE_MM, differences, "maps", "edt, in mm")


def check_loss(device: torch.device) -> float:
    """Return the largest difference of value and gradient to the plain form in float64, relatively."""
    generator = torch.Generator().manual_seed(0)
    logits, maps = (torch.randn(BATCH, CLASSES, 23, 24, 25, generator=generator).to(device) for _ in range(2))
    differences = []
    for activation in ("softmax", "sigmoid"):
        found = []
        for kind, fused in ((torch.float32, True), (torch.float64, False)):
            loss = BoundaryLoss(include_background=False, reduction="sum", fused=fused, **{activation: True})
            leaf = logits.to(kind).requires_grad_()
            value = loss(leaf, None, maps.to(kind)) * leaf[0, 0].numel()
            found.append((value.detach().double(), torch.autograd.grad(value, leaf)[0].double()))
        (value, gradient), (exact_value, exact) = found
        differences.append(float((value - exact_value).abs() / maps.abs().sum()))
        differences.append(float((gradient - exact).abs().max() / exact.abs().max()))
    return _refuse_above(LOSS_TOLERANCE, differences, "boundary loss", "the plain form in float64, relatively")


def _refuse_above(tolerance: float, differences: list[float], what: str, truth: str) -> float:
    largest = float(torch.tensor(differences).max())  # NaN where one of them is
    if not largest <= tolerance:
        sys.exit(f"the {what} must be within {tolerance:g} of {truth}, got {largest:g}; nothing is measured")
    return largest


def map_calls(size: int, setting: str, device: torch.device) -> Calls:
    """On the device; on the CPU, as a loader's workers do, and sent there; and by other libraries on the device."""
    labels = batch_of_labels(size, device)
    host = labels.cpu()
    calls: dict[str, Callable[[], Any]] = {
        "maps on the device": lambda: maps_of(labels, setting, "torch"),
        "maps on the CPU, one core": lambda: maps_of(host, setting, "auto").to(device),
    }
    if setting == "whole" and labels.is_cuda:
        calls |= {name: _peer(labels, module) for name, module in PEERS.items() if installed(module.split(".")[0])}
    return calls


def _peer(labels: torch.Tensor, module: str) -> Callable[[], Any]:
    """Outside less inside distance of every foreground class of every sample."""
    cupy, transform = importlib.import_module("cupy"), importlib.import_module(module).distance_transform_edt

    def signed(mask: torch.Tensor) -> torch.Tensor:
        inside = cupy.from_dlpack(mask.to(torch.uint8))
        outside, within = (transform(of, sampling=SPACING, float64_distances=False) for of in (1 - inside, inside))
        return torch.from_dlpack(outside - within)

    return lambda: [signed(sample[0] == index) for sample in labels for index in range(1, CLASSES)]


def loss_calls(size: int, device: torch.device) -> Calls:
    """Forward and backward; what the memory traffic alone takes; and the map and the loss from labels, as in a step."""
    labels = batch_of_labels(size, device)
    logits = torch.randn(BATCH, CLASSES, *labels.shape[2:], device=device, requires_grad=True)
    maps = batch_labels_map(labels, CLASSES, SPACING, ROBUST)
    target = torch.empty_like(maps)

    def run(activation: str, distance_map: torch.Tensor | None, fused: bool = True) -> None:
        loss = BoundaryLoss(to_onehot_y=True, options=ROBUST, spacing=SPACING, fused=fused, **{activation: True})
        logits.grad = None
        loss(logits, labels, distance_map).backward()

    def traffic() -> None:
        """Read logits and maps, write the gradient: three times the bytes, where a copy moves two."""
        target.copy_(maps)
        target[: BATCH // 2].copy_(maps[: BATCH // 2])

    found: dict[str, Callable[[], Any]] = {}
    for activation in ("softmax", "sigmoid"):
        found[f"one pass, {activation}"] = functools.partial(run, activation, maps)
        found[f"plain, {activation}"] = functools.partial(run, activation, maps, fused=False)
    half = functools.partial(run, "softmax", maps.half())
    return found | {"traffic": traffic, "float16 map": half, "map from labels": functools.partial(run, "softmax", None)}


def timed(calls: Calls, device: torch.device, repeats: int) -> dict[str, list[float]]:
    """Wall ms of each call, after one to warm up; on a GPU each is waited for."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: values[1:] for name, values in times.items()}


def peak_mb(call: Callable[[], Any], device: torch.device) -> float | None:
    """Peak memory on the device beyond what was in use before."""
    if device.type == "cpu":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="run on the CPU, on one thread")
    parser.add_argument("--size", type=int, help="voxels along each axis; 128, on the CPU 16")
    parser.add_argument("--repeats", type=int, help="20, on the CPU 3")
    parser.add_argument("--json", type=Path, help="all times go here")
    options = parser.parse_args(arguments)
    if not options.cpu and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu needs a CUDA device, and torch finds none; --cpu runs a small version of it")
    device = torch.device("cpu" if options.cpu else "cuda")
    if options.cpu:
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"
    size, repeats = options.size or (16 if options.cpu else 128), options.repeats or (3 if options.cpu else 20)
    report: dict[str, Any] = {"device": "CPU" if options.cpu else torch.cuda.get_device_name(), "size": size}
    report["largest_difference_of_maps_mm"] = check_maps(min(size, 64), device)
    report["largest_difference_of_loss"] = check_loss(device)
    print(f"{report['device']}, B={BATCH}, {CLASSES} classes, {size}^3. Targets {TARGETS}.\n")
    report["rows"] = measure(size, device, repeats)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def measure(size: int, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Measure and print all parts; a ratio is that to the first call of a part."""
    parts = {f"maps, {name}": map_calls(size, name, device) for name in ("whole", "robust")}
    parts["boundary loss"] = loss_calls(size, device)
    if installed("nnunetv2"):
        parts["nnU-Net step"] = training_step(size, device.type).by_name
    rows: list[dict[str, Any]] = []
    print("| what | call | ms | of the first | peak MB |\n| --- | --- | --- | --- | --- |")
    for what, calls in parts.items():
        times = timed(calls, device, repeats)
        first = min(next(iter(times.values())))
        for name, values in times.items():
            peak = peak_mb(calls[name], device)
            rows.append({"what": what, "call": name, "ms": values, "peak_mb": peak})
            memory = "-" if peak is None else f"{peak:.0f}"
            print(f"| {what} | {name} | {min(values):.3g} | {min(values) / first:.2f} | {memory} |")
    return rows


if __name__ == "__main__":
    main()
