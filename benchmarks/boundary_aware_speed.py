"""Time and accuracy of the boundary-aware loss: one propagation for all regions against a pair of them per region.

    python benchmarks/boundary_aware_speed.py --json docs/results/boundary_aware_speed.json --docs docs/benchmarks.md
    python benchmarks/boundary_aware_speed.py --quick

Both forms are compiled by numba and run on one thread; ratios are medians of CPU time of interleaved repeats in one
process. The pairs are timed on some regions, from which the time of all follows. The loss on two threads, where torch
too has two, is measured by the lowest wall time, beside what two threads gain at all on the machine. Accuracy is that
on the reference maps of the data folder (MONAI_BOUNDARY_DATA), which are left out without it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from boundary_aware_accuracy import NAMES, accuracy, load_reference
from boundary_aware_peers import RegionPairs, spin, voronoi_membranes
from measure import interleaved, machine, replace_between
from monai.networks.nets import UNet
from rich.console import Console
from rich.progress import track

from monai_boundary.kernels.barrier import minimum_barrier_cut
from monai_boundary.kernels.regions import connected_regions, region_seeds
from monai_boundary.losses import BoundaryAwareLoss, CrossEntropyBoundaryAwareLoss

BEGIN, END = "<!-- boundary_aware_speed.py writes from here -->", "<!-- to here: boundary_aware_speed.py -->"
REPEATS = 5
Image = tuple[np.ndarray, np.ndarray]
HEADER = ("what", "regions", "ours, ms", "peer, ms", "peer", "at least", "measured", "met")


def real_volume(data: Path) -> Image | None:
    """Likelihood and seeds of the FIB-SEM volume, where it and h5py are there."""
    folder = data / "fibsem_gala"
    try:
        import h5py
    except ImportError:
        return None
    if not folder.is_dir():
        return None
    arrays = {}
    for name in ("gt.lzf.h5", "p1.lzf.h5"):
        with h5py.File(folder / name) as file:
            arrays[name] = file["stack"][...]
    seeds = region_seeds(connected_regions(arrays["gt.lzf.h5"]), min_region_size=50)
    return (255 * arrays["p1.lzf.h5"].clip(0, 1)).astype(np.uint8), seeds


def images(data: Path, quick: bool) -> dict[str, tuple[Image, float, float | None]]:
    """Likelihood and seeds, least ratio to the pairs, and seconds of the published code where they are stored."""
    if quick:
        return {"Voronoi cells, 96x96": (voronoi_membranes((96, 96), 12)[:2], 0.0, None)}
    found: dict[str, tuple[Image, float, float | None]] = {}
    for name in NAMES:
        if (data / "isbi2012" / "reference" / f"{name}.npz").is_file():
            stored = load_reference(data, name)
            image = stored["likelihood_u8"], stored["seed_map"]
            found[f"ISBI 2012 {name}, 512x512"] = (image, 60.0, float(stored["published_seconds"]))
    found["Voronoi cells, 512x512"] = (voronoi_membranes((512, 512), 100)[:2], 60.0, None)
    volume = real_volume(data)
    if volume is not None:
        found["FIB-SEM, " + "x".join(map(str, volume[0].shape))] = (volume, 20.0, None)
    found["Voronoi cells, 50x100x200"] = (voronoi_membranes((50, 100, 200), 50)[:2], 20.0, None)
    return found


def row(title: str, regions: int | str, ours: float, peer: float, peer_name: str, target: float) -> dict[str, Any]:
    """One line of the table; times in seconds."""
    ratio = peer / ours
    return {"what": title, "regions": regions, "ours_ms": 1e3 * ours, "peer_ms": 1e3 * peer, "peer": peer_name,
            "target": target, "ratio": ratio, "met": ratio >= target}  # fmt: skip


def measure_cut(title: str, image: Image, target: float, published: float | None, quick: bool) -> list[dict[str, Any]]:
    """Propagation, cut and contours of all regions."""
    count = int((image[1] > 0).sum())
    timed = min(count, 20 if image[0].ndim == 2 else 6)
    pairs = RegionPairs(*image)
    calls = {
        "ours": lambda: minimum_barrier_cut(*image),
        "float32": lambda: minimum_barrier_cut(image[0].astype(np.float32), image[1]),
        "pairs": lambda: pairs(timed),
    }
    for call in calls.values():
        call()  # compile
    times = {name: median(found["cpu_s"]) for name, found in interleaved(calls, 3 if quick else REPEATS).items()}
    first = row(title, count, times["ours"], times["pairs"] * count / timed, "pairs per region, numba", target)
    first |= {"float32_ms": 1e3 * times["float32"], "microseconds_per_voxel": 1e6 * times["ours"] / image[0].size}
    stored = [] if published is None else [
        row(title, count, times["ours"], published, "published C++, another machine", 90.0)
    ]  # fmt: skip
    return [first, *stored]


def measure_threads(quick: bool) -> dict[str, Any]:
    """Forward and backward of the loss on a batch of 4, wall time of one thread over that of two.

    Times are the lowest of the repeats: other processes on the same cores lengthen wall time.
    """
    side, cells = (96, 12) if quick else (512, 100)
    parts = [voronoi_membranes((side, side), cells, seed) for seed in range(4)]
    likelihood, seeds, membrane = (torch.from_numpy(np.stack(group))[:, None] for group in zip(*parts, strict=True))
    logits = torch.logit((likelihood.float() + 0.5) / 256).requires_grad_(True)

    def run(threads: int) -> Callable[[], None]:
        loss = BoundaryAwareLoss()  # takes the threads of torch

        def call() -> None:
            torch.set_num_threads(threads)
            loss(logits, membrane, seeds).backward()

        return call

    def spin_in(threads: int) -> Callable[[], None]:
        def call() -> None:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(spin, 4 * [10_000 if quick else 10_000_000]))

        return call

    calls = {"one": run(1), "two": run(2), "spin one": spin_in(1), "spin two": spin_in(2)}
    for call in calls.values():
        call()
    times = {name: min(found["wall_s"]) for name, found in interleaved(calls, 3 if quick else 2 * REPEATS).items()}
    torch.set_num_threads(1)
    title = f"loss forward + backward, 4x{side}x{side}, 2 threads"
    found = row(title, 4 * cells, times["two"], times["one"], "1 thread, wall time", 0.0 if quick else 1.7)
    return found | {"ceiling": times["spin one"] / times["spin two"]}


def measure_step(quick: bool) -> dict[str, float]:
    """Share of the boundary term in a training step of a small U-Net on one thread."""
    side, cells = (96, 12) if quick else (512, 100)
    likelihood, seeds, membrane = (
        torch.from_numpy(array)[None, None] for array in voronoi_membranes((side, side), cells)
    )
    network = UNet(2, 1, 1, (16, 32, 64, 128), (2, 2, 2), norm="instance")
    loss = CrossEntropyBoundaryAwareLoss(threads=1)
    image = likelihood.float() / 255

    def step(alpha: float) -> Callable[[], None]:
        def call() -> None:
            loss.alpha = alpha
            network.zero_grad()
            loss(network(image), membrane, seeds).backward()

        return call

    calls = {"without": step(0.0), "with": step(1.0)}
    calls["with"]()
    times = {name: median(found["cpu_s"]) for name, found in interleaved(calls, 3 if quick else REPEATS).items()}
    share = 1 - times["without"] / times["with"]
    return {"side": side, "without_ms": 1e3 * times["without"], "with_ms": 1e3 * times["with"], "share": share}


def measure(data: Path, quick: bool, console: Console) -> dict[str, Any]:
    """Everything."""
    report: dict[str, Any] = {"machine": machine(), "numba": version("numba"), "quick": quick, "rows": []}
    for title, case in track(images(data, quick).items(), description="timing", console=console):
        report["rows"] += measure_cut(title, *case, quick)
    report["rows"].append(measure_threads(quick))
    report["step"] = measure_step(quick)
    known = [name for name in NAMES if (data / "isbi2012" / "reference" / f"{name}.npz").is_file() and not quick]
    report["accuracy"] = {name: accuracy(load_reference(data, name)) for name in known}
    return report


def markdown(report: dict[str, Any]) -> str:
    """The part of docs/benchmarks.md that comes from a run."""
    host, step = report["machine"], report["step"]
    lines = [
        f"{host['cpu']}, {host['cores']} cores; {host['date']}; load average at the start "
        f"{host['load_average_at_start'][0]:g}; numba {report['numba']}, torch {host['versions']['torch']}.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---" * len(HEADER) + "|",
    ]
    for found in report["rows"]:
        cells = (found["what"], found["regions"], f"{found['ours_ms']:.0f}", f"{found['peer_ms']:.0f}", found["peer"],
                 f"{found['target']:g}x", f"{found['ratio']:.1f}x", "yes" if found["met"] else "no")  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        f"\nThe loss gains {found['ratio']:.2f}x from two threads; a loop that touches no memory gained "
        f"{found['ceiling']:.2f}x in the same run."
        for found in report["rows"]
        if "ceiling" in found
    ]
    per_voxel = [found for found in report["rows"] if "microseconds_per_voxel" in found]
    lines += ["", "| what | microseconds per voxel | float32 likelihood, ms |", "|---|---|---|"]
    lines += [
        f"| {found['what']} | {found['microseconds_per_voxel']:.2f} | {found['float32_ms']:.0f} |"
        for found in per_voxel
    ]
    lines += [
        "",
        f"A training step of a small U-Net (16 to 128 channels, one image of {step['side']}x{step['side']}) takes "
        f"{step['without_ms']:.0f} ms with cross-entropy alone and {step['with_ms']:.0f} ms with the boundary term: "
        f"a share of {100 * step['share']:.0f} %.",
    ]
    if report["accuracy"]:
        lines += [
            "",
            "| measure | " + " | ".join(report["accuracy"]) + " |",
            "|---" * (len(report["accuracy"]) + 1) + "|",
        ]
        for name in next(iter(report["accuracy"].values())):
            values = (found[name] for found in report["accuracy"].values())
            lines.append(f"| {name} | " + " | ".join(f"{value:.3g}" for value in values) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MONAI_BOUNDARY_DATA", "../shared/data")))
    parser.add_argument("--quick", action="store_true", help="one small image, a few seconds")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    parser.add_argument("--docs", type=Path, help="replace the tables in this Markdown file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    report = measure(options.data, options.quick, Console(width=150))
    print(markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        replace_between(options.docs, BEGIN, END, markdown(report))


if __name__ == "__main__":
    main()
