"""Signed maps of a whole volume on the CPU against what the memory alone would take, one thread.

    python benchmarks/map_floor.py --json docs/results/map_floor.json --docs docs/benchmarks.md

The floor of an exact separable transform is three passes, each reading and writing the float32 map once: three times a
warm copy of one map, timed between the cases. Calls return both channels of two classes, so they write two maps.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import interleaved, machine, replace_between
from rich.progress import track
from scipy import ndimage

from monai_boundary.kernels.distance import signed_distance_map

BEGIN, END = "<!-- map_floor.py writes from here -->", "<!-- to here: map_floor.py -->"
SHAPE, PASSES = (256, 256, 180), 3
SETTINGS: dict[str, dict[str, Any]] = {
    "3x1x1 mm": {"spacing": (3.0, 1.0, 1.0)},
    "isotropic": {"spacing": (1.0, 1.0, 1.0)},
    "3x1x1 mm, clip 10 mm": {"spacing": (3.0, 1.0, 1.0), "clip": 10.0},
}


def _ellipsoid(shape: tuple[int, ...], centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, count) for count in shape)]
    inside: np.ndarray = sum(((x - c) / r) ** 2 for x, c, r in zip(axes, centre, radii, strict=True)) < 1
    return inside


def masks(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Masks from few small lesions to a full volume."""
    rng = np.random.default_rng(0)
    scale = np.array(shape) / 256
    lesions = np.zeros(shape, bool)
    for _ in range(60):
        lesions |= _ellipsoid(shape, rng.uniform(0.2, 0.8, 3) * shape, rng.uniform((3, 5, 5), (8, 16, 16)) * scale + 1)
    sheet = np.indices(shape, sparse=True)
    surface = 0.5 * shape[0] + 0.35 * shape[0] * np.sin(sheet[1] / 40) * np.cos(sheet[2] / 30)
    return {
        "two small lesions": _ellipsoid(shape, 0.5 * scale * 256, 9 * scale + 1)
        | _ellipsoid(shape, 0.4 * scale * 256, 6 * scale + 1),
        "60 lesions": lesions,
        "one organ": _ellipsoid(shape, 0.5 * scale * 256, (105 * scale[0], 110 * scale[1], 102 * scale[2])),
        "tissue": ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 2) > 0,
        "noise": rng.random(shape) < 0.5,
        "thin sheet": (sheet[0] >= surface) & (sheet[0] < surface + 2),
        "empty": np.zeros(shape, bool),
        "full": np.ones(shape, bool),
    }


def measure_mask(mask: np.ndarray, settings: dict[str, Any], repeats: int) -> dict[str, float]:
    """Milliseconds of CPU: the floor, and the map by each backend."""
    labels = mask.astype(np.uint8)[None]
    source, target = np.ones(mask.shape, np.float32), np.zeros(mask.shape, np.float32)
    calls: dict[str, Callable[[], object]] = {"copy": lambda: np.copyto(target, source)}
    for backend in ("edt", "numba"):
        calls[backend] = functools.partial(signed_distance_map, labels, 2, backend=backend, **settings)
    found = {name: 1e3 * median(times["cpu_s"]) for name, times in interleaved(calls, repeats).items()}
    difference = calls["edt"]() - calls["numba"]()  # type: ignore[operator]
    return {"floor": PASSES * found["copy"], **found, "difference_mm": float(np.abs(difference).max())}


def markdown(report: dict[str, Any]) -> str:
    """The table of the docs."""
    host = report["machine"]
    rows = [
        f"| {row['mask']} ({row['share']:.2%}) | {row['setting']} | {row['floor']:.0f} | {row['edt']:.0f} | {row['numba']:.0f} "  # noqa: E501
        f"| {row['edt'] / row['numba']:.1f}x | {row['edt'] / row['floor']:.1f}x | {row['numba'] / row['floor']:.1f}x |"
        for row in report["rows"]
    ]
    worst = max(row["difference_mm"] for row in report["rows"])
    return "\n".join(
        [
            f"{host['cpu']}, {host['cores']} cores, one used; {host['date']}; load average at the start "
            f"{host['load_average_at_start'][0]:g}. CPU ms, medians; {'x'.join(map(str, report['shape']))}.",
            "",
            "| mask (share) | setting | floor | edt | numba | edt / numba | edt / floor | numba / floor |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Largest difference between the two: {worst:.1e} mm.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="an eighth of each axis")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all times here")
    parser.add_argument("--docs", type=Path, help="replace the table in this Markdown file")
    options = parser.parse_args(arguments)
    shape = tuple(count // 8 for count in SHAPE) if options.quick else SHAPE
    report: dict[str, Any] = {"machine": machine(), "shape": shape, "rows": []}
    signed_distance_map(np.eye(4, dtype=np.uint8)[None], 2, backend="numba")  # compiles
    for name, mask in track(masks(shape).items(), description="measuring"):
        for setting, keywords in SETTINGS.items():
            times = measure_mask(mask, keywords, options.repeats)
            report["rows"].append({"mask": name, "setting": setting, "share": float(mask.mean()), **times})
    print(markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.docs:
        replace_between(options.docs, BEGIN, END, markdown(report))


if __name__ == "__main__":
    main()
