"""GeoTIFFs on the grid of a tile, written from top to bottom."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from monai_boundary._files import replacing
from monai_boundary.datasets.remote.georeference import import_rasterio, without_georeference_warning
from monai_boundary.datasets.remote.raster import TileReader

__all__ = ["BLOCK_CACHE", "check_target", "write_raster"]

BLOCK_CACHE = 64 * 2**20  # bytes of GDAL's block cache, which otherwise takes 5 % of the memory
_BLOCK = 256  # side of the blocks in the file


def check_target(path: Path, reader: TileReader, overwrite: bool) -> None:
    """Raise where `path` is a file of the source, is there and may not be replaced, or has no folder."""
    if path.exists() and any(path.samefile(file) for file in reader.files):
        raise ValueError(f"target must not be a file of the source, got {path}; choose another name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} must not exist yet; choose another name or pass overwrite=True")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder of target must exist, got {path.parent}; make it first")


def write_raster(path: Path, tile: TileReader, parts: Iterator[np.ndarray], empty: np.ndarray | None = None) -> None:
    """Write a GeoTIFF on the grid of a tile; it takes the place of `path` once it is whole.

    Args:
        path: The file.
        tile: An open tile.
        parts: Its next rows `(bands, some rows, W)`, from top to bottom.
        empty: What stands for no data `(bands,)`: the nodata value of one band, of several a mask.

    Raises:
        OSError: It could not be written whole.
    """
    try:
        with replacing(path) as part:
            _write(part, tile, parts, empty)
    except import_rasterio().errors.RasterioIOError as error:
        raise OSError(
            f"{path} must be written whole, got: {error}; check the free space and the permissions"
        ) from error


def _write(path: Path, tile: TileReader, parts: Iterator[np.ndarray], empty: np.ndarray | None) -> None:
    """Write the file, and read it again."""
    rasterio, first, sums = import_rasterio(), next(parts), []
    (height, width), place = tile.shape, tile.georeference
    options = {} if place is None else place.profile()
    if empty is not None and len(empty) == 1:
        options["nodata"] = empty[0].item()
    with without_georeference_warning():
        file = rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=len(first), dtype=first.dtype,
            compress="deflate", predictor=3 if first.dtype.kind == "f" else 2, tiled=True, blockxsize=_BLOCK,
            blockysize=_BLOCK, interleave="pixel", bigtiff="if_safer", **options,
        )  # fmt: skip
    with file:
        for rows, values in _whole_blocks(chain([first], parts)):
            window = rasterio.windows.Window.from_slices(rows, slice(0, width))
            file.write(values, window=window)
            if empty is not None and len(empty) > 1:
                file.write_mask((values != empty[:, None, None]).any(0), window=window)
            sums.append((rows, _checksum(values)))
    # GDAL does not report a disk that was full when the file was closed
    try:
        with TileReader(path) as reader:
            same = all(_checksum(reader.stored(rows, slice(0, width))) == one for rows, one in sums)
    except ValueError:  # a file that was cut short
        same = False
    if not same:
        raise rasterio.errors.RasterioIOError("a file that reads back differently")


def _whole_blocks(parts: Iterable[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Regroup rows into whole rows of blocks, with their place: a block that is compressed twice would leave a hole."""
    top, waiting = 0, None
    for part in parts:
        waiting = part if waiting is None else np.concatenate([waiting, part], axis=1)
        if count := waiting.shape[1] // _BLOCK * _BLOCK:
            yield slice(top, top + count), waiting[:, :count]
            top, waiting = top + count, waiting[:, count:]
    if waiting is not None and waiting.shape[1]:
        yield slice(top, top + waiting.shape[1]), waiting


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).tobytes())
