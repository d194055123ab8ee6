"""Prediction of a large aerial tile to GeoTIFF: its peak memory in a fresh process, and the time of that process.

The tile is noise, 3 bytes per pixel. ``convolution`` is one layer to 2 classes: what remains is the cost of reading,
merging and writing. ``efficientnet-b0`` is the network of the bundle buildings_boundary_f1, on a strip as it is slow.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.case import Calls, Case

__all__ = ["CASES"]

LIMIT_MB = 2048.0


def tile(height: int, width: int, network: str, output: Any, overlap: float, window: int) -> Calls:
    """Write a tile to a folder that goes with the call, and predict it."""
    from monai.networks.nets import FlexibleUNet

    from monai_boundary.inference import TileInferer, predict_tile

    folder = Path(tempfile.mkdtemp())
    source = folder / "tile.tif"
    _write_noise(source, height, width)
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 2, 3, padding=1) if network == "convolution" else FlexibleUNet(3, 1, network)
    net.eval()
    inferer = TileInferer(window, overlap=overlap)

    def predict() -> None:
        predict_tile(source, folder / "prediction.tif", net, inferer, output)

    weakref.finalize(predict, shutil.rmtree, folder)
    return Calls({"ours": predict})


def _write_noise(path: Path, height: int, width: int) -> None:
    from monai_boundary.datasets.remote.georeference import import_rasterio, without_georeference_warning

    rng = np.random.default_rng(0)
    rasterio = import_rasterio()
    with without_georeference_warning(), rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8", interleave="pixel"
    ) as file:  # fmt: skip
        for top in range(0, height, 500):
            count = min(500, height - top)
            strip = rng.integers(0, 256, (3, count, width), np.uint8)
            file.write(strip, window=rasterio.windows.Window(0, top, width, count))


_ROWS = {
    "tile_2500": (2_500, 10_000, "convolution", "labels", 0.25),
    "tile_10000": (10_000, 10_000, "convolution", "labels", 0.25),
    "tile_overlap": (10_000, 10_000, "convolution", "labels", 0.5),
    "tile_values": (10_000, 10_000, "convolution", "values", 0.25),
    "tile_network": (600, 10_000, "efficientnet-b0", "labels", 0.25),
}
CASES = [
    Case(name, "tiles", "{} x {}, {}, {}, overlap {}".format(*full), tile, (*full, 512), (150, 200, *full[2:], 64),
         needs=("rasterio",), rounds=1, wall=True, long=name not in ("tile_2500", "tile_10000"), limit_mb=LIMIT_MB)
    for name, full in _ROWS.items()
]  # fmt: skip
