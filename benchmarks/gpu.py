"""Build, check and measure on a GPU: maps on the device, the boundary term against its traffic, and nnU-Net's step.

    python benchmarks/gpu.py --json docs/results/gpu.json
    python benchmarks/gpu.py --cpu              (the same code, small, where there is no GPU)
    python benchmarks/gpu.py --cpu --size 128   (the torch engine against edt on one core)

The maps are checked against `edt` on the CPU in several settings, the boundary term and its gradient against the plain
form in float64, and nothing is measured unless the maps agree to 1e-4 mm and the term to 1e-6, as a share of its sum of
magnitudes. Times are medians of wall time of interleaved repeats, and each call is waited for.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from benchmark import installed
from gpu_peers import peer_calls, records
from gpu_step import STEP_TARGET, step_calls
from gpu_term import BATCH, NUM_CLASSES, SPACING, Calls, batch_of_labels, check_term, loss_calls
from measure import fresh_peak_mb, interleaved, machine, peak_growth_mb
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tables import new_run

from monai_boundary import DistanceMapOptions
from monai_boundary.kernels.distance import ROBUST, batch_labels_map

TOLERANCE_MM = 1e-4
SETTINGS = {"whole": DistanceMapOptions(), "robust": ROBUST, "published": DistanceMapOptions(convention="kervadec")}
MAPS_TARGET_MS, TRAFFIC_TARGET = 5.0, 2.0
OF_TARGET = ("one pass",)
HEADER = ("what", "case", "ms", "peak MB", "compared with", "ratio", "target", "met")


def maps_of(labels: torch.Tensor, name: str, backend: str, ignore_index: int | None = None) -> torch.Tensor:
    """Maps of the foreground classes."""
    return batch_labels_map(labels, NUM_CLASSES, SPACING, SETTINGS[name], False, ignore_index, backend)


def check(labels: torch.Tensor, device: torch.device) -> dict[str, float]:
    """Return the largest difference to `edt` in each setting; exit if it is too large."""
    found = {}
    there = labels.to(device)
    for name in SETTINGS:
        for ignore_index in (None, 2):
            expected = maps_of(labels, name, "edt", ignore_index)
            key = f"{name}, ignore_index={ignore_index}"
            found[key] = float((maps_of(there, name, "torch", ignore_index).cpu() - expected).abs().max())
    wrong = {key: value for key, value in found.items() if not value <= TOLERANCE_MM}  # also where it is NaN
    if wrong:
        sys.exit(f"the maps differ from those of edt, in mm: {wrong}; nothing is measured")
    return found


def map_calls(size: int, name: str, device: torch.device) -> Calls:
    """The maps by our engines and, of the whole map, by the peers that can be imported."""
    labels = batch_of_labels(size).to(device)
    host = labels.cpu()
    calls: dict[str, Callable[[], object]] = {"torch": lambda: maps_of(labels, name, "torch")}
    calls["edt on the CPU"] = lambda: maps_of(host, name, "edt").to(device)
    return calls | (peer_calls(labels, NUM_CLASSES, SPACING) if name == "whole" else {})


def copy_seconds(elements: int, device: torch.device, repeats: int) -> float:
    """Seconds to read or write `elements` float32 once: half the time of a copy of so many, which does both."""
    source = torch.ones(elements, device=device)
    target = torch.empty_like(source)
    times = timed({"copy": lambda: target.copy_(source)}, device, repeats)
    return median(times["copy"]) / 2


def timed(calls: Calls, device: torch.device, repeats: int) -> dict[str, list[float]]:
    """Wall seconds of each run, after one to warm up; on a GPU each is waited for."""

    def waited(call: Callable[[], object]) -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()

    waiting = {name: functools.partial(waited, call) for name, call in calls.items()}
    interleaved(waiting, 1)
    return {name: times["wall_s"] for name, times in interleaved(waiting, repeats).items()}


def cases(what: str, size: int, device: torch.device) -> Calls:
    """The calls of one row, by its key."""
    made = {"loss": loss_calls, "step": step_calls}.get(what)
    return made(size, device) if made else map_calls(size, what, device)


def host_growth(what: str, size: int, name: str) -> float:
    """Growth of the resident set during one call."""
    torch.set_num_threads(1)
    cases(what, 16, torch.device("cpu"))[name]()  # what the libraries load at their first call is no part of any case
    return peak_growth_mb(cases(what, size, torch.device("cpu"))[name])


def peak_mb(what: str, size: int, name: str, call: Callable[[], object], device: torch.device) -> float | None:
    """Peak memory of one call beyond what was in use before; ``None`` where the arrays are too small to show."""
    if device.type == "cpu":
        return fresh_peak_mb(host_growth, what, size, name) if size >= 64 else None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    del result
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def measure(what: str, size: int, device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """Measure all cases of a row, and compare them with the target: ours with 5 ms, the term with its traffic."""
    calls = cases(what, size, device)
    times = timed(calls, device, repeats)
    voxels = BATCH * size**3
    # logits and maps are read, the gradient is written: three times C values per voxel
    floor = copy_seconds(3 * NUM_CLASSES * voxels, device, repeats) if what == "loss" else None
    title = {
        "loss": f"boundary term, forward + backward, B={BATCH} C={NUM_CLASSES} {size}^3",
        "step": f"nnU-Net step, 3d_fullres, B={BATCH} C={NUM_CLASSES} {size}^3",
    }.get(what, f"maps ({what}), B={BATCH}, {NUM_CLASSES - 1} classes, {size}^3")
    base = "stock" if what == "step" else "torch"
    real = device.type == "cuda" and size == 128
    found = []
    for name, seconds in times.items():
        milliseconds = 1e3 * median(seconds)
        row = {"what": title, "case": name, "ms": milliseconds, "wall_s": seconds}
        row["peak_mb"] = peak_mb(what, size, name, calls[name], device)
        if floor is not None:
            ratio = median(seconds) / floor
            row |= {"floor_ms": 1e3 * floor, "ratio": ratio, "target": f"at most {TRAFFIC_TARGET:g}x"}
            row["met"] = ratio <= TRAFFIC_TARGET if real and name in OF_TARGET else None
        elif name != base:
            row |= {"base": base, "ratio": median(seconds) / median(times[base])}
            if name == "maps on the device":
                row["target"] = f"at most {STEP_TARGET:g}x"
                row["met"] = row["ratio"] <= STEP_TARGET if real else None
        elif base == "torch":
            row["target"] = f"under {MAPS_TARGET_MS:g} ms"
            row["met"] = milliseconds < MAPS_TARGET_MS if real else None
        found.append(row)
    return found


def show(rows: Sequence[Mapping[str, Any]], console: Console, title: str) -> None:
    """Print the table."""
    table = Table(title=title)
    for name in HEADER:
        table.add_column(name)
    for row in rows:
        floor = f"traffic, {row['floor_ms']:.3g} ms" if "floor_ms" in row else row.get("base", "-")
        peak, ratio = row["peak_mb"], row.get("ratio")
        met = {True: "yes", False: "no", None: "-"}[row.get("met")]
        cells = [row["what"], row["case"], f"{row['ms']:.3g}", "-" if peak is None else f"{peak:.0f}", floor]
        table.add_row(*cells, "-" if ratio is None else f"{ratio:.2f}x", row.get("target", "-"), met)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="run on the CPU, on one thread")
    parser.add_argument("--size", type=int, help="voxels along each axis; 128, on the CPU 16")
    parser.add_argument("--repeats", type=int, help="20, on the CPU 3")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="all times go here")
    options = parser.parse_args(arguments)
    if not options.cpu and not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device, and torch finds none; --cpu runs a small version of it")
    device = torch.device("cpu" if options.cpu else "cuda")
    if options.cpu:
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"
    size, repeats = options.size or (16 if options.cpu else 128), options.repeats or (3 if options.cpu else 20)
    start = time.perf_counter()
    maps_of(batch_of_labels(8).to(device), "whole", "torch")
    report: dict[str, Any] = {"machine": machine(), "device": str(device), "size": size}
    report["device_name"] = report["machine"]["cpu"] if options.cpu else torch.cuda.get_device_name()
    report["first_call_s"] = time.perf_counter() - start
    report["largest_difference_to_edt_mm"] = check(batch_of_labels(min(size, 64)), device)
    report["largest_difference_of_the_term"] = check_term(device)
    console = Console(width=None if sys.stdout.isatty() else 170)
    report["rows"] = []
    with_nnunet = installed("nnunetv2")
    if not with_nnunet:
        console.print("nnU-Net is not installed: its training step is left out")
    whats = ("whole", "robust", "loss", *(["step"] if with_nnunet else []))
    for what in track(whats, description="measuring", console=console):
        report["rows"] += measure(what, size, device, repeats)
    show(report["rows"], console, f"{report['device_name']}, medians of wall time")
    console.print(f"largest difference to edt: {max(report['largest_difference_to_edt_mm'].values()):.1e} mm")
    found = records(report["rows"], NUM_CLASSES, BATCH * size**3, TRAFFIC_TARGET)
    report["runs"] = [new_run(options.cpu or size != 128, found)]
    console.print(f"of the term, to the plain form: {max(report['largest_difference_of_the_term'].values()):.1e}")
    options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
