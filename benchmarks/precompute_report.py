"""What benchmarks/precompute.py writes: tables, a picture, and the hours of many volumes, calculated from a few."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

__all__ = ["markdown", "picture", "simulate"]

PICTURE = "![CPU time by voxels and by classes, hours by shards](results/precompute_growth.png)"
VOLUMES, VOXELS, SHARDS, WORKERS = 1000, 50_000_000, (1, 8, 50), (1, 2, 8)  # of the simulation


def simulate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Hours that the largest of N shares of 1,000 volumes takes, by workers of a share, and the size of all maps."""
    voxels = [int(np.prod(row["shape"])) for row in rows]
    cpu = [median(row["times"]["whole"]["cpu_s"]) for row in rows]
    each, size = (VOXELS * sum(values) / sum(voxels) for values in (cpu, [row["bytes"] for row in rows]))
    hours = {
        shards: {number: ceil(ceil(VOLUMES / shards) / number) * each / 3600 for number in WORKERS} for shards in SHARDS
    }
    return {"cpu_s_per_volume": each, "hours": hours, "gigabytes": VOLUMES * size / 1e9}


def markdown(report: dict[str, Any]) -> str:
    """The tables of docs/scale.md."""
    host, rows = report["machine"], report["volumes"]
    lines = [
        f"{host['cpu']}, {host['cores']} cores, one used; {host['date']}; load average at the start "
        f"{host['load_average_at_start'][0]:g}.",
        "",
        "| volume | voxels | whole, CPU s (wall s) | read labels, alone | map, alone | file | of raw float16 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cpu = {key: median(times["cpu_s"]) for key, times in row["times"].items()}
        lines.append(
            f"| {row['case']} | {np.prod(row['shape']) / 1e6:.1f} M | {cpu['whole']:.2f} "
            f"({median(row['times']['whole']['wall_s']):.2f}) | {cpu['read labels']:.2f} | {cpu['map']:.2f} "
            f"| {row['bytes'] / 1e6:.1f} MB | {100 * row['bytes'] / row['raw_bytes']:.0f} % |"
        )
    patch = report["patch"]
    cpu = {key: 1e3 * median(times["cpu_s"]) for key, times in patch["times"].items()}
    wall = {key: 1e3 * median(times["wall_s"]) for key, times in patch["times"].items()}
    lines += [
        "",
        f"| patch of {patch['edge']}^3, {patch['places']} places | CPU ms | wall ms |",
        "|---|---|---|",
        f"| read from the volume's map | {cpu['read']:.1f} | {wall['read']:.1f} |",
        f"| compute from the patch's labels | {cpu['compute']:.1f} | {wall['compute']:.1f} |",
        f"| ratio | {cpu['compute'] / cpu['read']:.1f} | {wall['compute'] / wall['read']:.1f} |",
        f"| compare the checksum, once per case and process | {cpu['checksum']:.1f} | {wall['checksum']:.1f} |",
    ]
    lines += ["", *_simulation_lines(report["simulation"]), "", PICTURE]
    return "\n".join(lines)


def _simulation_lines(simulation: dict[str, Any]) -> list[str]:
    heads = [f"{number} worker{'s' * (number > 1)} each, hours" for number in WORKERS]
    return [
        f"{VOLUMES} volumes of {VOXELS / 1e6:.0f} M voxels, not run but calculated from the volumes above: "
        f"{simulation['cpu_s_per_volume']:.2f} CPU s per volume, every worker with a core of its own, no waiting for "
        f"disks. The largest shard ends after the hours below; the maps take {simulation['gigabytes']:.1f} GB.",
        "",
        f"| shards | {' | '.join(heads)} |",
        "|---" * (1 + len(heads)) + "|",
        *(
            f"| {shards} | {' | '.join(f'{row[number]:.2g}' for number in WORKERS)} |"
            for shards, row in simulation["hours"].items()
        ),
    ]


def picture(found: dict[str, list[dict[str, float]]], simulation: dict[str, Any], path: Path) -> None:
    """Draw both curves with the line of proportional growth, and the simulated hours; all axes are logarithmic."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    millions = [row["voxels"] / 1e6 for row in found["voxels"]]
    numbers = [row["classes"] for row in found["classes"]]
    size = f"{found['classes'][0]['voxels'] / 1e6:.2g} M voxels"
    for axes, key, x in ((left, "voxels", millions), (middle, "classes", numbers)):
        seconds = [row["cpu_s"] for row in found[key]]
        axes.plot(x, seconds, "o-", label="measured")
        axes.plot(x, [seconds[-1] * value / x[-1] for value in x], ":", color="grey", label="proportional")
        axes.set(ylabel="CPU s per volume", title="map and compression")
    for number in WORKERS:
        hours = [row[number] for row in simulation["hours"].values()]
        right.plot(list(simulation["hours"]), hours, "o-", label=f"{number} worker{'s' * (number > 1)} each")
    left.set_xlabel("million voxels, one foreground class")
    middle.set_xlabel(f"foreground classes, {size}")
    right.set(xlabel="shards", ylabel="hours, simulated", title=f"{VOLUMES} volumes of {VOXELS / 1e6:.0f} M voxels")
    for axes, ticks in ((left, millions), (middle, numbers), (right, SHARDS)):
        _logarithmic(axes, ticks)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _logarithmic(axes: Any, ticks: Sequence[float]) -> None:
    """Logarithmic axes with plain numbers: `ticks` below, steps of 1, 2 and 5 to the left."""
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(ticks, [f"{value:.2g}" for value in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(True, alpha=0.3)
    axes.legend()
