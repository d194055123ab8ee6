"""Time and peak memory of the boundary F1 loss against the same loss from torch's box max pooling, on one thread.

    python benchmarks/boundary_f1_speed.py --json docs/results/boundary_f1_speed.json
    python benchmarks/boundary_f1_speed.py --quick

Forward and backward from logits, the target a mask. Both forms give one value and one gradient, bit by bit, which is
checked before anything is timed. Ratios are medians of CPU time of interleaved repeats in one process; peak memory is
that of a fresh process per case, the input not counted.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measure import fresh_peak_mb, interleaved, machine, peak_growth_mb
from phantoms_speed import ellipsoids
from rich.console import Console
from rich.progress import track
from rich.table import Table

from monai_boundary.losses import BoundaryF1Loss

SMOOTH = 1e-5


@dataclass(frozen=True)
class Row:
    """One shape and window, with the least ratio of the naive time to ours and the largest memory share."""

    shape: tuple[int, ...]
    theta: int
    target: float
    memory_target: float = 1.3

    @property
    def title(self) -> str:
        """What is measured."""
        return f"{'x'.join(map(str, (self.shape[0], *self.shape[2:])))}, theta {self.theta}"


def rows(quick: bool) -> list[Row]:
    """The table of targets; `quick` takes small arrays, whose ratios say nothing about the targets."""
    volume, image = ((1, 1, 48, 48, 48), (2, 1, 96, 96)) if quick else ((1, 1, 128, 128, 128), (8, 1, 512, 512))
    return [Row(volume, 5, 1.9), Row(volume, 9, 6.0), Row(image, 5, 1.0), Row(image, 9, 1.0)]


def naive_pool(values: torch.Tensor, window: int) -> torch.Tensor:
    """Torch's box pooling with stride 1."""
    box_pool = F.max_pool3d if values.ndim == 5 else F.max_pool2d
    return box_pool(values, window, stride=1, padding=window // 2)


def naive_boundary(probs: torch.Tensor, theta: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boundary and extended boundary, equations 1 and 2 of Bokhovkin and Burnaev as they stand."""
    boundary = naive_pool(1 - probs, 3) - (1 - probs)
    return boundary, naive_pool(boundary, theta)


def naive(logits: torch.Tensor, of_target: tuple[torch.Tensor, torch.Tensor], theta: int) -> torch.Tensor:
    """Equations 3 and 4."""
    target_boundary, target_extended = of_target
    boundary, extended = naive_boundary(torch.sigmoid(logits), theta)
    over = list(range(2, logits.ndim))
    precision = ((boundary * target_extended).sum(over) + SMOOTH) / (boundary.sum(over) + SMOOTH)
    recall = ((target_boundary * extended).sum(over) + SMOOTH) / (target_boundary.sum(over) + SMOOTH)
    return (1 - 2 * precision * recall / (precision + recall)).mean()


def cases(row: Row) -> dict[str, Callable[[], tuple[torch.Tensor, torch.Tensor]]]:
    """Calls that return the loss and its gradient."""
    masks = [ellipsoids((1,) * (5 - len(row.shape)) + row.shape[2:], 2, seed) > 0 for seed in range(row.shape[0])]
    target = torch.from_numpy(np.stack(masks).astype(np.float32)).view(row.shape)
    generator = torch.Generator().manual_seed(0)
    logits = (4 * target - 2 + torch.randn(row.shape, generator=generator)).requires_grad_(True)
    loss = BoundaryF1Loss(theta=row.theta, sigmoid=True, smooth=SMOOTH)
    band, naive_band = loss.compute_target_boundary(logits, target), naive_boundary(target, row.theta)

    def run(forward: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        logits.grad = None
        value = forward()
        value.backward()
        assert logits.grad is not None  # noqa: S101 - a leaf that needs one
        return value.detach(), logits.grad

    return {
        "naive": lambda: run(lambda: naive(logits, naive_boundary(target, row.theta), row.theta)),
        "naive, target given": lambda: run(lambda: naive(logits, naive_band, row.theta)),
        "ours": lambda: run(lambda: loss(logits, target)),
        "ours, target given": lambda: run(lambda: loss(logits, None, band)),
    }


def _peak(row: Row, name: str) -> float:
    torch.set_num_threads(1)
    cases(Row((1, 1, *[16] * (len(row.shape) - 2)), row.theta, 0))[name]()  # what the first call loads is no part
    return peak_growth_mb(cases(row)[name])


def measure_row(row: Row, repeats: int) -> dict[str, Any]:
    """Check that the forms agree, time them in turn, then take each one's peak memory."""
    calls = cases(row)
    value, gradient = calls["naive"]()
    for name in list(calls)[1:]:
        found = calls[name]()
        if not (torch.equal(found[0], value) and torch.equal(found[1], gradient)):
            raise RuntimeError(f"{name} must have the value and gradient of the naive form, got others at {row.title}")
    times = interleaved(calls, repeats)
    peaks = {name: fresh_peak_mb(_peak, row, name) for name in calls}
    cpu = {name: median(time["cpu_s"]) for name, time in times.items()}
    ratios = {given: cpu[f"naive{given}"] / cpu[f"ours{given}"] for given in ("", ", target given")}
    share = peaks["ours"] / peaks["naive"]
    met = ratios[""] >= row.target and share <= row.memory_target
    return {**asdict(row), "title": row.title, "times": times, "peak_mb": peaks, "cpu_s": cpu, "ratios": ratios,
            "memory_share": share, "pass": met}  # fmt: skip


def show(records: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(title="Boundary F1 loss, forward + backward, median CPU time, one thread")
    for name in ("what", "naive, ms", "target given", "ours, ms", "target given", "at least", "measured",
                 "target given", "peak MB, naive", "ours", "share (at most 1.3)", "met"):  # fmt: skip
        table.add_column(name)
    for record in records:
        cpu, ratios, peak = record["cpu_s"], record["ratios"], record["peak_mb"]
        table.add_row(
            record["title"],
            *(f"{1e3 * cpu[name]:.0f}" for name in cpu),
            f"{record['target']:g}x",
            *(f"{ratio:.1f}x" for ratio in ratios.values()),
            *(f"{peak[name]:.0f}" for name in ("naive", "ours")),
            f"{record['memory_share']:.2f}",
            "yes" if record["pass"] else "no",
        )
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small arrays, a few seconds")
    parser.add_argument("--json", type=Path, help="write all raw times here")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    console, about = Console(width=180), machine()
    wanted = track(rows(options.quick), description="measuring", console=console)
    records = [measure_row(row, 3 if options.quick else 7) for row in wanted]
    show(records, console)
    if options.json:
        report = {"machine": about, "quick": options.quick, "rows": records}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
