"""How much of the boundary F1 of the synthetic experiment comes from pinholes.

Trains the boundary F1 loss and the IoU loss as docs/remote_evidence.md does (three seeds), keeps the predictions of all
200 scored images in the file, and scores them before and after a median of 5 x 5 pixels that closes pinholes.
Finished runs are not repeated.

    python -m experiments.buildings.pinholes pinholes.jsonl
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_fill_holes, median_filter

from experiments.buildings.aicd import AicdSettings, run_aicd, unpack_mask
from experiments.buildings.losses import iou
from experiments.shared.journal import finished_runs
from monai_boundary.datasets import BuildingPhantoms
from monai_boundary.metrics import boundary_f1


def scores(pred: np.ndarray, true: np.ndarray) -> list[float]:
    """Return precision, recall and F1 of the boundary, IoU, and the share of the prediction that its holes have."""
    found = boundary_f1(pred, true, 3)
    holes = (binary_fill_holes(pred) & ~pred).sum() / max(1, pred.sum())
    return [found.precision, found.recall, found.f1, iou(pred, true), float(holes)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSON lines file of the runs")
    parser.add_argument("--losses", nargs="+", default=["bf1+iou", "iou"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    shared = AicdSettings(size=192, epochs=12, features=(8, 16, 32, 64), score_every=12)
    run_aicd(options.results, options.losses, range(options.seeds), shared, keep_all=True)
    groups = defaultdict(list)
    for row in finished_runs(options.results):
        shape = (row["size"],) * 2
        first = row["images"] - AicdSettings(images=row["images"], size=row["size"]).scored
        for index, packed in row["examples"].items():
            true = BuildingPhantoms(row["images"], 0, shape).phantom(first + int(index)).mask > 0
            pred = unpack_mask(packed, shape)
            weight = f", weight {'0 to ' if row['ramp'] else ''}{row['weight']}" if row["loss"] == "bf1+iou" else ""
            name = row["loss"] + weight + (", cross-entropy" if row["cross_entropy"] else "")
            groups[name, "as predicted"].append(scores(pred, true))
            smooth = median_filter(pred.astype(np.uint8), 5) > 0
            groups[name, "5 x 5 median"].append(scores(smooth, true))
    print("| loss | mask | images x seeds | precision | recall | BF1, theta 3 | IoU | holes |\n" + "|---" * 8 + "|")
    for (loss, mask), values in groups.items():
        cells = " | ".join(f"{100 * value:.1f}" for value in np.nanmean(values, axis=0))
        print(f"| {loss} | {mask} | {len(values)} | {cells} |")


if __name__ == "__main__":
    main()
