"""Prediction of a large aerial tile to GeoTIFF, of which the runner takes the peak memory.

The tile is noise, 3 bytes per pixel, written here. `convolution` is one layer to 2 classes: what remains is the cost of
reading, merging and writing. `efficientnet-b0` is the network of the bundle buildings_boundary_f1, on a shorter tile
because of its time. Memory before the call, network included, is not counted.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark import Cases
from monai.networks.nets import FlexibleUNet

from monai_boundary.datasets.remote.raster import import_rasterio, without_georeference_warning
from monai_boundary.inference import TileInferer, predict_tile

__all__ = ["tile"]


def tile(height: int, width: int, network: str, output: Any, overlap: float, window: int) -> Cases:
    """Write a tile to a folder that goes with the call, and predict it."""
    folder = Path(tempfile.mkdtemp())
    source = folder / "tile.tif"
    _write_noise(source, height, width)
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 2, 3, padding=1) if network == "convolution" else FlexibleUNet(3, 1, network)
    net.eval()
    inferer = TileInferer(window, overlap=overlap)
    target = folder / "prediction.tif"

    def predict() -> None:
        predict_tile(source, target, net, inferer, output)

    weakref.finalize(predict, shutil.rmtree, folder)
    return Cases({"ours": predict}, voxels=height * width)


def _write_noise(path: Path, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    rasterio = import_rasterio()
    with without_georeference_warning(), rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8", interleave="pixel"
    ) as file:  # fmt: skip
        for top in range(0, height, 500):
            count = min(500, height - top)
            strip = rng.integers(0, 256, (3, count, width), np.uint8)
            file.write(strip, window=rasterio.windows.Window(0, top, width, count))
