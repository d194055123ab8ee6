"""Memory and time of prediction block by block: ``python -m benchmarks.volume_blocks [SIDE] [FOLDER]``, Linux only.

A volume of SIDE^3 voxels (512 by default) in a container of Zarr is predicted by a network of two small convolutions on
the CPU, and its objects, which are known, are counted. The line of JSON says the peak of the resident memory of the
whole process and the seconds, and what they are for 2,048^3 voxels: as many blocks of the same cost, and 24 bytes for
each component of a block, of which the volume has as many per voxel.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.memory import _status_kb
from monai_boundary.datasets.em import zarr_volumes
from monai_boundary.inference import predict_blocks
from monai_boundary.inference.blocks import Blocks
from monai_boundary.inference.ome_zarr import create_array, create_group

__all__ = ["measure"]

CELL, BLOCK, HALO = 32, (128, 128, 128), (4, 4, 4)
LARGE = 2048
_BYTES = 24  # of a component: ids, sizes, and the graph that joins them


def write_cells(path: Path, side: int) -> int:
    """Write cubes of dark membrane around bright cells, with noise; return the number of cells."""
    array = create_array(create_group(path), "raw", (side,) * 3, (64,) * 3, np.uint8)
    array.attrs["resolution"] = [10, 10, 10]
    rng = np.random.default_rng(0)
    wall = np.arange(side) % CELL < 3
    plane = wall[:, None] | wall
    for start in range(0, side, 64):
        depth = slice(start, min(start + 64, side))
        membrane = wall[depth, None, None] | plane
        noise = rng.integers(-25, 25, membrane.shape, np.int16)
        array[depth] = (np.where(membrane, 60, 190) + noise).astype(np.uint8)
    return math.ceil(max(0, side - 3) / CELL) ** 3


class Darkness(torch.nn.Module):
    """The likelihood of membrane of voxels darker than their surroundings' mean, by two fixed convolutions."""

    def __call__(self, voxels: np.ndarray) -> np.ndarray:
        """Return the likelihood of `(d, h, w)`."""
        with torch.no_grad():
            values = torch.from_numpy(voxels.astype(np.float32))[None, None] / 255
            for _ in range(2):
                values = torch.nn.functional.avg_pool3d(values, (1, 1, 3), 1, (0, 0, 1), count_include_pad=False)
            return torch.sigmoid((0.5 - values) * 20)[0, 0].numpy()


def measure(side: int, folder: Path) -> dict[str, Any]:
    """Predict a volume of `side`^3 voxels below `folder`, and return what it took.

    Raises:
        RuntimeError: The objects are not the cells.
    """
    cells = write_cells(folder / "cells.zarr", side)
    (volume,) = zarr_volumes(folder / "cells.zarr")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again at the present size
    begin, processor = time.perf_counter(), time.process_time()
    predict_blocks(
        volume.image, folder / "out.zarr", Darkness(), spacing=volume.spacing, block_size=BLOCK, halo=HALO,
        min_size=100, progress=sys.stderr.isatty(),
    )  # fmt: skip
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    peak = _status_kb("VmHWM") / 1024**2
    (result,) = zarr_volumes(folder / "out.zarr")
    found = max(int(result.labels.read(z, z + 1).max()) for z in range(0, side, 8))  # type: ignore[union-attr]
    if found != cells:
        raise RuntimeError(f"the volume must have {cells} cells, got {found}")
    blocks, many = len(Blocks((side,) * 3, BLOCK)), len(Blocks((LARGE,) * 3, BLOCK))
    parts = 8 * cells * (LARGE / side) ** 3  # a cell that blocks cut is in up to eight
    return {
        "side": side, "blocks": blocks, "cells": cells, "peak_gib": round(peak, 2), "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1), "processor_seconds_per_block": round(processor / blocks, 2),
        f"blocks_{LARGE}": many, f"peak_gib_{LARGE}": round(peak + _BYTES * parts / 2**30, 2),
        f"processor_hours_{LARGE}": round(processor / blocks * many / 3600, 2),
    }  # fmt: skip


def main(side: str = "512", folder: str | None = None) -> None:
    """Measure in a temporary folder, below `folder`."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        print(json.dumps(measure(int(side), Path(place))))


if __name__ == "__main__":
    main(*sys.argv[1:])
