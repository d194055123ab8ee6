"""Cloud-optimised GeoTIFFs on the grid of a tile, written from top to bottom."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np

from monai_boundary._files import replacing
from monai_boundary.datasets.remote.georeference import import_rasterio, without_georeference_warning
from monai_boundary.datasets.remote.raster import TileReader

__all__ = ["BLOCK_CACHE", "check_target", "write_raster"]

BLOCK_CACHE = 64 * 2**20  # bytes of GDAL's block cache, which otherwise takes 5 % of the memory
_BLOCK = 256  # side of the blocks in the file

#: Rows, and the checksum of their values.
Sums = list[tuple[slice, int]]


def check_target(path: Path, reader: TileReader, overwrite: bool) -> None:
    """Raise where `path` is a file of the source, is there and may not be replaced, or has no folder."""
    if path.exists() and any(file.exists() and path.samefile(file) for file in reader.files):
        raise ValueError(f"target must not be a file of the source, got {path}; choose another name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} must not exist yet; choose another name or pass overwrite=True")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder of target must exist, got {path.parent}; make it first")


def write_raster(path: Path, tile: TileReader, parts: Iterator[np.ndarray], empty: np.ndarray | None = None) -> None:
    """Write a GeoTIFF on the grid of a tile; it takes the place of `path` once it is whole.

    It is cloud-optimised (COG): tiled, with overviews, so that programs show it at any scale without reading all.

    Args:
        path: The file.
        tile: An open tile.
        parts: Its next rows `(bands, some rows, W)`, from top to bottom.
        empty: What stands for no data `(bands,)`: the nodata value of one band, of several a mask.

    Raises:
        OSError: It could not be written whole.
    """
    try:
        with replacing(path) as part, _folder(part) as folder:
            sums = _write(folder / "rows.tif", tile, parts, empty)
            _optimise(folder / "rows.tif", folder / "whole.tif")
            _check_whole(folder / "whole.tif", sums)
            (folder / "whole.tif").replace(part)
    except (import_rasterio().errors.RasterioError, import_rasterio()._err.CPLE_BaseError) as error:
        raise OSError(
            f"{path} must be written whole, got: {error}; check the free space and the permissions"
        ) from error


@contextmanager
def _folder(part: Path) -> Iterator[Path]:
    """A folder for what GDAL writes on the way, overviews among it."""
    folder = part.with_suffix(".work")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _write(path: Path, tile: TileReader, parts: Iterator[np.ndarray], empty: np.ndarray | None) -> Sums:
    """Write the rows as they come, and return their checksums."""
    rasterio, first = import_rasterio(), next(parts)
    sums: Sums = []
    (height, width), place = tile.shape, tile.georeference
    options = {} if place is None else place.profile()
    if empty is not None and len(empty) == 1:
        options["nodata"] = empty[0].item()
    with without_georeference_warning():
        file = rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=len(first), dtype=first.dtype,
            compress="deflate", zlevel=1, tiled=True, blockxsize=_BLOCK,
            blockysize=_BLOCK, interleave="pixel", bigtiff="if_safer", **options,
        )  # fmt: skip
    with file:
        for rows, values in _whole_blocks(chain([first], parts)):
            window = rasterio.windows.Window.from_slices(rows, slice(0, width))
            file.write(values, window=window)
            if empty is not None and len(empty) > 1:
                file.write_mask((values != empty[:, None, None]).any(0), window=window)
            sums.append((rows, _checksum(values)))
    return sums


def _optimise(source: Path, target: Path) -> None:
    """Copy a GeoTIFF with overviews; labels are thinned out, as their mean is none, and values are averaged."""
    rasterio = import_rasterio()
    with without_georeference_warning(), rasterio.open(source) as file:
        labels = np.dtype(file.dtypes[0]).kind != "f"
        rasterio.shutil.copy(
            file, target, driver="COG", compress="deflate", predictor="yes", blocksize=_BLOCK, bigtiff="if_safer",
            overview_resampling="nearest" if labels else "average",
        )  # fmt: skip


def _check_whole(path: Path, sums: Sums) -> None:
    """Read a file again: GDAL does not report a disk that was full when the file was closed."""
    try:
        with TileReader(path) as reader:
            same = all(_checksum(reader.stored(rows, slice(0, reader.shape[1]))) == one for rows, one in sums)
    except ValueError:  # a file that was cut short
        same = False
    if not same:
        raise import_rasterio().errors.RasterioIOError("a file that reads back differently")


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
