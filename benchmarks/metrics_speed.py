"""Time of HD95, and of all surface scores together, against MONAI's metrics on one thread.

    python benchmarks/metrics_speed.py --docs docs/benchmarks.md

Median CPU time of interleaved repeats in one process; the values are compared, too.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from measure import interleaved, machine, replace_between
from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric, SurfaceDistanceMetric
from scipy import ndimage
from speed_cases import lesion_file

from monai_boundary.datasets.nifti import read_labels
from monai_boundary.metrics import ProtocolMetric

BEGIN, END = "<!-- metrics_speed.py writes from here -->", "<!-- to here: metrics_speed.py -->"
SPACING = (3.0, 1.0, 1.0)


def blobs(share: float, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping random masks that fill `share` of a cube."""
    noise = np.random.default_rng(0).normal(size=(2, size, size, size)).astype(np.float32)
    base, other = (ndimage.gaussian_filter(field, 4) for field in noise)
    fields = base, base + 0.5 * other
    return tuple(field > np.quantile(field, 1 - share) for field in fields)  # type: ignore[return-value]


def lesions() -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """A real lesion mask on its raw grid of 50 million voxels, and the same 3 voxels aside."""
    volume = read_labels(lesion_file())  # type: ignore[arg-type]
    mask = volume.array == 1
    return np.roll(mask, 3, axis=2), mask, volume.spacing


def calls(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...]) -> dict[str, Callable[[], list[float]]]:
    """Return one call per way to score the pair; both get the same one-hot tensors."""
    pair = [torch.from_numpy(mask)[None, None].float() for mask in (pred, target)]

    def run(*metrics: object) -> list[float]:
        found: list[float] = []
        for metric in metrics:
            metric(*pair, spacing=spacing)  # type: ignore[operator]
            value = metric.aggregate()  # type: ignore[attr-defined]
            found += [float(item) for item in (value if isinstance(value, list) else [value])]
        return found

    everything = ("hd95_mm", "hausdorff_mm", "average_mm", "surface_dice")
    options = {"include_background": True}
    return {
        "HD95, ours": lambda: run(ProtocolMetric("surface", "hd95_mm", **options)),
        "HD95, MONAI": lambda: run(HausdorffDistanceMetric(percentile=95, **options)),
        "HD95, HD, ASSD, surface Dice, ours": lambda: run(ProtocolMetric("surface", everything, **options)),
        "HD95, HD, ASSD, surface Dice, MONAI": lambda: run(
            HausdorffDistanceMetric(percentile=95, **options),
            HausdorffDistanceMetric(**options),
            SurfaceDistanceMetric(symmetric=True, **options),
            SurfaceDiceMetric(class_thresholds=[1.0], **options),
        ),
    }


def measure(repeats: int) -> list[str]:
    """Return the lines of the table."""
    cases = {f"128^3, mask fills {100 * share:g} %": (*blobs(share), SPACING) for share in (0.005, 0.1)}
    if lesion_file() is not None:
        cases["MS lesion mask, 50 M voxels"] = lesions()
    lines = ["| what | pair | ours, ms | MONAI, ms | ratio | difference of HD95, mm |", "|---|---|---|---|---|---|"]
    for title, case in cases.items():
        named = calls(*case)
        values = {name: call() for name, call in named.items()}  # the first call loads what the libraries need
        times = {name: median(found["cpu_s"]) for name, found in interleaved(named, repeats).items()}
        for what in ("HD95", "HD95, HD, ASSD, surface Dice"):
            ours, peer = times[f"{what}, ours"], times[f"{what}, MONAI"]
            difference = abs(values[f"{what}, ours"][0] - values[f"{what}, MONAI"][0])
            numbers = f"{1e3 * ours:.0f} | {1e3 * peer:.0f} | {peer / ours:.1f}x | {difference:.1e}"
            lines.append(f"| {what} | {title} | {numbers} |")
    return lines


def main() -> None:
    """Measure, print, and write the docs if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--docs", type=Path, help="replace the table in this Markdown file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    host = machine()
    table = "\n".join(measure(options.repeats))
    print(table)
    if options.docs:
        about = f"{host['cpu']}, one core; {host['date']}; MONAI {host['versions']['monai']}."
        replace_between(options.docs, BEGIN, END, f"{about}\n\n{table}")


if __name__ == "__main__":
    main()
