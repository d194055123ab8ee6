"""Time and memory of the scores of objects, against scikit-image on one thread.

    python benchmarks/instances_speed.py --docs docs/benchmarks.md

Median CPU time of interleaved repeats in one process, and the growth of memory at its peak; the values that both define
alike are compared, too.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import h5py
import numpy as np
from measure import interleaved, machine, peak_growth_mb, replace_between
from skimage.metrics import adapted_rand_error, variation_of_information

from monai_boundary.datasets import membrane_phantom
from monai_boundary.metrics import LikelihoodSegmentation, instance_scores

BEGIN, END = "<!-- instances_speed.py writes from here -->", "<!-- to here: instances_speed.py -->"


def phantom_pair() -> tuple[np.ndarray, np.ndarray]:
    """Likelihood and ids of 49 million voxels: a phantom of cells, each voxel as a box of 2 x 7 x 7."""
    phantom = membrane_phantom(0, (50, 100, 100), cell_size=20)
    sizes = np.ones((2, 7, 7), np.int32)
    return np.kron(1 - phantom.image, sizes.astype(np.float32)), np.kron(phantom.ids, sizes)


def fib_sem_pair() -> tuple[np.ndarray, np.ndarray] | None:
    """The real likelihood and ids, where the data folder is there."""
    folder = Path(os.environ.get("MONAI_BOUNDARY_DATA", "../shared/data")) / "fibsem_gala"
    if not folder.is_dir():
        return None
    with h5py.File(folder / "p1.lzf.h5") as likelihood, h5py.File(folder / "gt.lzf.h5") as ids:
        return likelihood["stack"][:], ids["stack"][:]


def row(title: str, pred: np.ndarray, ids: np.ndarray, repeats: int) -> str:
    """Return the line of a pair of maps of ids."""

    def ours() -> tuple[float, float]:
        scores = instance_scores(pred, ids)
        return scores.voi_split, scores.voi_merge

    def peer() -> tuple[float, float]:
        adapted_rand_error(ids, pred)
        return tuple(variation_of_information(ids, pred, ignore_labels=(0,)))  # type: ignore[return-value]

    gap = float(np.abs(np.subtract(ours(), peer())).max())
    times = {name: median(found["cpu_s"]) for name, found in interleaved({"o": ours, "p": peer}, repeats).items()}
    memory = [peak_growth_mb(call) for call in (ours, peer)]
    return (
        f"| {title} | {times['o']:.2f} | {times['p']:.2f} | {times['p'] / times['o']:.1f}x | {memory[0]:.0f} | "
        f"{memory[1]:.0f} | {gap:.0e} |"
    )


def measure(repeats: int) -> list[str]:
    """Return the lines of the table and of what follows it."""
    lines = [
        "| pair | ours, s | scikit-image, s | ratio | ours, MB | scikit-image, MB | difference of VOI, bits |",
        "|---|---|---|---|---|---|---|",
    ]
    segmentation: Any = LikelihoodSegmentation(0.5)
    real = fib_sem_pair()
    if real is not None:
        lines.append(row("FIB-SEM, 1 M voxels", segmentation(real[0]), real[1], repeats))
    likelihood, ids = phantom_pair()
    timed = interleaved({"segmentation": lambda: segmentation(likelihood)}, 1)["segmentation"]["cpu_s"][0]
    pred = segmentation(likelihood)
    lines.append(row("phantom, 49 M voxels, int32", pred, ids, repeats))
    pred, ids = pred.astype(np.uint64) << np.uint64(33), ids.astype(np.uint64) << np.uint64(33)
    seconds = median(interleaved({"o": lambda: instance_scores(pred, ids)}, repeats)["o"]["cpu_s"])
    lines.append(f"| the same, ids beyond 2^33, uint64 | {seconds:.2f} | cannot | | | | |")
    return [*lines, "", f"Segmentation of the 49 M likelihoods: {timed:.1f} s."]


def main() -> None:
    """Measure, print, and write the docs if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--docs", type=Path, help="replace the table in this Markdown file")
    options = parser.parse_args()
    host = machine()
    table = "\n".join(measure(options.repeats))
    print(table)
    if options.docs:
        about = f"{host['cpu']}, one core; {host['date']}."
        replace_between(options.docs, BEGIN, END, f"{about}\n\n{table}")


if __name__ == "__main__":
    main()
