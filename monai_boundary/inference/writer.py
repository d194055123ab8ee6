"""A GeoTIFF written from top to bottom, which is either whole or not there."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._files import replacing
from monai_boundary.datasets.remote.raster import (
    Georeference,
    TileReader,
    import_rasterio,
    without_georeference_warning,
)

__all__ = ["RowWriter", "row_writer"]

_BLOCK = 256  # side of the blocks in the file


class ReadBackError(Exception):
    """What is in the file is not what was written."""


class RowWriter:
    """Writes rows as they come, in whole rows of blocks: a block that is compressed twice would leave a hole."""

    def __init__(self, part: Path, shape: tuple[int, int], place: Georeference | None) -> None:
        self._part, self._shape, self._place = part, shape, place
        self._file: Any = None
        self._waiting: list[np.ndarray] = []
        self._written: list[tuple[slice, int]] = []  # rows and the checksum of their values

    def add(self, rows: np.ndarray) -> None:
        """Take the next rows `(bands, rows, W)`."""
        if self._file is None:
            self._open(rows.shape[0], rows.dtype)
        self._waiting.append(rows)
        held = sum(part.shape[1] for part in self._waiting)
        if held >= _BLOCK:
            self._write(held // _BLOCK * _BLOCK)

    def finish(self) -> None:
        """Write the rest, close the file and read it back."""
        if self._waiting:
            self._write(sum(part.shape[1] for part in self._waiting))
        self.close()
        self._verify()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, bands: int, dtype: np.dtype) -> None:
        options = {} if self._place is None else {"crs": self._place.crs, "transform": self._place.transform}
        with without_georeference_warning():
            self._file = import_rasterio().open(
                self._part, "w", driver="GTiff", height=self._shape[0], width=self._shape[1], count=bands, dtype=dtype,
                compress="deflate", predictor=3 if dtype.kind == "f" else 2, tiled=True, blockxsize=_BLOCK,
                blockysize=_BLOCK, interleave="pixel", bigtiff="if_safer", **options,
            )  # fmt: skip

    def _write(self, count: int) -> None:
        rows = np.concatenate(self._waiting, axis=1)
        top = self._written[-1][0].stop if self._written else 0
        done = rows[:, :count]
        self._file.write(done, window=import_rasterio().windows.Window(0, top, self._shape[1], count))
        self._written.append((slice(top, top + count), _checksum(done)))
        self._waiting = [rows[:, count:]] if rows.shape[1] > count else []

    def _verify(self) -> None:
        """Read everything back: GDAL does not report a disk that was full when the file was closed."""
        try:
            with TileReader(self._part) as reader:
                same = [
                    _checksum(reader.read(rows, slice(0, self._shape[1]))) == checksum
                    for rows, checksum in self._written
                ]
        except ValueError as error:  # a file that was cut short
            raise ReadBackError from error
        if not all(same):
            raise ReadBackError


@contextmanager
def row_writer(path: Path, shape: tuple[int, int], place: Georeference | None) -> Iterator[RowWriter]:
    """Give a writer whose file is moved to `path` once it is finished, and removed when anything fails.

    Args:
        path: The file.
        shape: Pixels (H, W).
        place: Georeference of the file, or ``None``.

    Raises:
        OSError: The file cannot be written whole.
    """
    try:
        with replacing(path) as part, closing(RowWriter(part, shape, place)) as writer:
            yield writer
    except (import_rasterio().errors.RasterioIOError, ReadBackError) as error:
        raise OSError(
            f"{path} must be written whole, got: {str(error) or 'a file that reads back differently'}; "
            "check the free space and the permissions"
        ) from error


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).tobytes())
