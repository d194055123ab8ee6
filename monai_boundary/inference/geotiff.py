"""From a tile to a GeoTIFF of its prediction, written from top to bottom, which is whole or not there."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from monai.networks.utils import eval_mode

from monai_boundary._check import check_choice, check_number
from monai_boundary._files import replacing
from monai_boundary.datasets.remote import Layer, MaskCodes, TileReader
from monai_boundary.datasets.remote.raster import import_rasterio, without_georeference_warning
from monai_boundary.inference.augment import Network
from monai_boundary.inference.tiles import TileInferer

__all__ = ["predict_tile"]

_CACHE = 64 * 2**20  # bytes of GDAL's block cache, which otherwise takes 5 % of the memory
_BLOCK = 256  # side of the blocks in the file


def predict_tile(
    source: str | os.PathLike[str] | Sequence[Layer],
    target: str | os.PathLike[str],
    network: Network,
    inferer: TileInferer | None = None,
    output: Literal["labels", "values"] = "labels",
    codes: MaskCodes | None = None,
    threshold: float = 0.5,
    overwrite: bool = False,
) -> Path:
    """Predict a tile and write the result as a GeoTIFF with the tile's georeference.

    The file is compressed and tiled. It is written beside `target` and moved there once whole, so that a run that
    fails or is killed leaves nothing that looks finished. Neither the tile nor the prediction is ever held whole.

    Args:
        source: A file, or the layers of a `Tile`. A tile without georeference gives a file without one.
        target: The file to write, usually ``*.tif``; its folder must exist.
        network: From float32 `(B, C, h, w)` with values as stored to `(B, K, h, w)`, a module or any callable. A module
            is put into evaluation mode meanwhile.
        inferer: Windows, overlap, weights, augmentation and device; by default those of `TileInferer`.
        output: ``"labels"``: uint8, the class with the largest mean, with K = 1 whether the mean exceeds `threshold`;
            ``"values"``: the means as float32 bands.
        codes: How to store labels, such as the ``codes`` of a `Tile`: 255 for INRIA's buildings, colours for Potsdam;
            ``None`` stores the labels.
        threshold: For K = 1, in the unit of what the network returns: 0.5 for probabilities, 0 for logits.
        overwrite: Replace `target` where it exists.

    Returns:
        `target`.

    Raises:
        ImportError: rasterio is not installed.
        FileExistsError: `target` exists and `overwrite` is off.
        FileNotFoundError: `source` or the folder of `target` does not exist.
        ValueError: `source` is damaged, `target` is one of its files, or the network returns something unusable.
        OSError: The disk is full.
    """
    check_choice("output", output, ("labels", "values"))
    limit = check_number("threshold", threshold, low=-float("inf"))
    path = Path(target)
    if codes is not None and output == "values":
        raise ValueError("codes must be None for output='values', which has no labels; drop one of the two")
    with import_rasterio().Env(GDAL_CACHEMAX=_CACHE), TileReader(source) as reader:
        _check_target(path, reader, overwrite)
        rows = (inferer or TileInferer()).rows(reader, network)
        with (
            eval_mode(network) if isinstance(network, torch.nn.Module) else nullcontext(),
            _geotiff(path, reader) as write,
        ):
            for values in rows:
                write(values if output == "values" else _stored(values, codes, limit))
    return path


def _stored(values: np.ndarray, codes: MaskCodes | None, threshold: float) -> np.ndarray:
    """Uint8 `(bands, rows, W)` of the means `(K, rows, W)`."""
    if len(values) > 256:
        raise ValueError(f"network must return at most 256 classes for output='labels', got {len(values)}")
    labels = (values.argmax(0) if len(values) > 1 else values[0] > threshold).astype(np.uint8)
    return labels[None] if codes is None else codes.encode(labels)


def _check_target(path: Path, reader: TileReader, overwrite: bool) -> None:
    if path.exists() and any(path.samefile(file) for file in reader.files):
        raise ValueError(f"target must not be a file of the source, got {path}; choose another name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} must not exist yet; choose another name or pass overwrite=True")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder of target must exist, got {path.parent}; make it first")


class _ReadBackError(Exception):
    """What is in the file is not what was written."""


@contextmanager
def _geotiff(path: Path, tile: TileReader) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that takes the next rows `(bands, rows, W)` of a file on the grid of `tile`."""
    try:
        with replacing(path) as part:
            writer = _RowWriter(part, tile)
            try:
                yield writer.add
                writer.write_rest()
            finally:
                writer.close()
            writer.read_back()
    except (import_rasterio().errors.RasterioIOError, _ReadBackError) as error:
        raise OSError(
            f"{path} must be written whole, got: {str(error) or 'a file that reads back differently'}; "
            "check the free space and the permissions"
        ) from error


class _RowWriter:
    """Writes rows as they come, in whole rows of blocks: a block that is compressed twice would leave a hole."""

    def __init__(self, path: Path, tile: TileReader) -> None:
        self._path, self._tile = path, tile
        self._file: Any = None
        self._waiting = np.empty((0, 0, 0))
        self._sums: list[tuple[slice, int]] = []  # rows in the file and the checksum of their values

    def add(self, rows: np.ndarray) -> None:
        """Take the next rows `(bands, rows, W)`."""
        if self._file is None:
            self._open(len(rows), rows.dtype)
            self._waiting = rows[:, :0]
        self._waiting = np.concatenate([self._waiting, rows], axis=1)
        self._write(self._waiting.shape[1] // _BLOCK * _BLOCK)

    def write_rest(self) -> None:
        """Write what does not fill a row of blocks."""
        self._write(self._waiting.shape[1])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def read_back(self) -> None:
        """Compare the file with what was written: GDAL does not report a disk that was full when it was closed."""
        try:
            with TileReader(self._path) as reader:
                same = [_checksum(reader.read(rows, slice(0, reader.shape[1]))) == one for rows, one in self._sums]
        except ValueError as error:  # a file that was cut short
            raise _ReadBackError from error
        if not all(same):
            raise _ReadBackError

    def _open(self, bands: int, dtype: np.dtype) -> None:
        (height, width), place = self._tile.shape, self._tile.georeference
        options = {} if place is None else {"crs": place.crs, "transform": place.transform}
        with without_georeference_warning():
            self._file = import_rasterio().open(
                self._path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=dtype,
                compress="deflate", predictor=3 if dtype.kind == "f" else 2, tiled=True, blockxsize=_BLOCK,
                blockysize=_BLOCK, interleave="pixel", bigtiff="if_safer", **options,
            )  # fmt: skip

    def _write(self, count: int) -> None:
        if not count:
            return
        done, self._waiting = self._waiting[:, :count], self._waiting[:, count:]
        top = self._sums[-1][0].stop if self._sums else 0
        rows = slice(top, top + count)
        self._file.write(done, window=import_rasterio().windows.Window.from_slices(rows, slice(0, done.shape[2])))
        self._sums.append((rows, _checksum(done)))


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).tobytes())
