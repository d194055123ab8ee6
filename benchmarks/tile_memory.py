"""Peak memory of predicting a large aerial tile to GeoTIFF, on one thread.

    python benchmarks/tile_memory.py --json docs/results/tile_memory.json
    python benchmarks/tile_memory.py --quick

The tile is noise, 3 bytes per pixel, written here. Each row is a fresh process, whose memory before the call, network
included, is not counted. `convolution` is one layer to 2 classes: what remains is the cost of reading, merging and
writing. `efficientnet-b0` is the network of the bundle buildings_boundary_f1, on a shorter tile because of its time.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by the libraries at import

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import fresh_peak_mb, machine, peak_growth_mb
from monai.networks.nets import FlexibleUNet
from rich.console import Console
from rich.progress import track
from rich.table import Table

from monai_boundary.datasets.remote.raster import import_rasterio, without_georeference_warning
from monai_boundary.inference import TileInferer, predict_tile

LIMIT_MB = 2048.0  # the target: less than 2 GiB beside the output


@dataclass(frozen=True)
class Row:
    """One tile and one network."""

    height: int
    width: int
    network: str
    output: str = "labels"
    overlap: float = 0.25
    window: int = 512

    @property
    def title(self) -> str:
        """What is measured."""
        return f"{self.height} x {self.width}, {self.network}, {self.output}, overlap {self.overlap:g}"


def rows(quick: bool) -> list[Row]:
    """Tiles of several heights, both kinds of output, and more overlap."""
    if quick:
        return [Row(300, 400, "convolution", window=64), Row(600, 400, "convolution", window=64)]
    return [
        Row(2_500, 10_000, "convolution"),
        Row(10_000, 10_000, "convolution"),
        Row(10_000, 10_000, "convolution", overlap=0.5),
        Row(10_000, 10_000, "convolution", "values"),
        Row(600, 10_000, "efficientnet-b0"),
    ]


def write_tile(path: Path, row: Row) -> None:
    """Write noise, a strip at a time."""
    rng = np.random.default_rng(0)
    rasterio = import_rasterio()
    with without_georeference_warning(), rasterio.open(
        path, "w", driver="GTiff", height=row.height, width=row.width, count=3, dtype="uint8", interleave="pixel"
    ) as file:  # fmt: skip
        for top in range(0, row.height, 500):
            count = min(500, row.height - top)
            strip = rng.integers(0, 256, (3, count, row.width), np.uint8)
            file.write(strip, window=rasterio.windows.Window(0, top, row.width, count))


def network(name: str) -> torch.nn.Module:
    """A network in evaluation mode."""
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 2, 3, padding=1) if name == "convolution" else FlexibleUNet(3, 1, name)
    return net.eval()


def _peak(row: Row, source: Path, target: Path) -> float:
    torch.set_num_threads(1)
    net, inferer = network(row.network), TileInferer(row.window, overlap=row.overlap)
    import_rasterio()
    return peak_growth_mb(lambda: predict_tile(source, target, net, inferer, row.output))  # type: ignore[arg-type]


def measure_row(row: Row, folder: Path) -> dict[str, Any]:
    """Write the tile, predict it in a fresh process, and remove both."""
    source, target = folder / "tile.tif", folder / "prediction.tif"
    write_tile(source, row)
    start = time.perf_counter()
    peak = fresh_peak_mb(_peak, row, source, target)
    seconds = time.perf_counter() - start
    sizes = {"tile_mb": source.stat().st_size / 2**20, "prediction_mb": target.stat().st_size / 2**20}
    for path in (source, target):
        path.unlink()
    return {**asdict(row), "title": row.title, "peak_mb": peak, "wall_s": seconds, **sizes, "pass": peak < LIMIT_MB}


def show(records: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    table = Table(title="Prediction of a tile to GeoTIFF: growth of the resident memory at its peak")
    for name in ("tile", "peak MB", "at most", "wall s", "tile MB", "prediction MB", "met"):
        table.add_column(name)
    for record in records:
        table.add_row(
            record["title"], f"{record['peak_mb']:.0f}", f"{LIMIT_MB:.0f}", f"{record['wall_s']:.0f}",
            f"{record['tile_mb']:.0f}", f"{record['prediction_mb']:.0f}", "yes" if record["pass"] else "no",
        )  # fmt: skip
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small tiles, a few seconds")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    console, about = Console(width=160), machine()
    with tempfile.TemporaryDirectory() as folder:
        wanted = track(rows(options.quick), description="measuring", console=console)
        records = [measure_row(row, Path(folder)) for row in wanted]
    show(records, console)
    if options.json:
        report = {"machine": about, "quick": options.quick, "rows": records}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
