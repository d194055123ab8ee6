"""An array on disk: a HDF5 data set, an array of Zarr or N5, a TIFF stack, a folder of slices."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary.datasets.checks import check_size
from monai_boundary.datasets.em.chunks import stores
from monai_boundary.datasets.em.hdf5 import missing_chunks, open_hdf5
from monai_boundary.datasets.em.stacks import SliceFolder, TiffStack, open_stack
from monai_boundary.datasets.em.zarrs import ZarrArray, open_zarr
from monai_boundary.datasets.tiffs import TIFF_ENDINGS

__all__ = ["HDF5_ENDINGS", "Stored"]

HDF5_ENDINGS = (".h5", ".hdf", ".hdf5")


@dataclass(frozen=True)
class Stored:
    """Where an array `(D, H, W)` is stored.

    Args:
        path: A HDF5 file, a TIFF stack, a folder with one PNG or TIFF per slice, or a container of Zarr or N5.
        key: Name of the data set in a HDF5 file, or of the array in a container.
        axes: Of an array in a container, a letter per axis of t, c, z, y, x; ``None`` takes the metadata's.
        channel: Which of several channels in a container.
        time: Which of several points in time in a container.

    Raises:
        ImportError: When the shape or slices are asked for: h5py, tifffile, zarr or z5py is not installed.
        FileNotFoundError: Nothing is stored there.
        PermissionError: A file may not be read.
        ValueError: A file is damaged or holds no volume.
        RuntimeError: A HDF5 file is compressed with a filter that is absent.
    """

    path: Path
    key: str = ""
    axes: str | None = None
    channel: int | None = None
    time: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (D, H, W); the file is opened, its voxels are not read."""
        with self._open() as array:
            shape = tuple(array.shape)
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"{self} must hold a volume (D, H, W), got shape {shape}")
        return shape

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the slices from `start` up to `stop` as stored."""
        with self._open() as array:
            if not isinstance(array, SliceFolder):  # whose slices are checked one by one
                depth = len(range(*slice(start, stop).indices(array.shape[0])))
                check_size(self, depth * math.prod(array.shape[1:]) * array.dtype.itemsize)
            return np.asarray(array[start:stop])

    def window(self, part: Sequence[slice]) -> np.ndarray:
        """Return the voxels of a window (z, y, x) as stored; of HDF5, Zarr and N5 only its chunks are read."""
        z, y, x = part
        with self._open() as array:
            if isinstance(array, (SliceFolder, TiffStack)):
                return np.asarray(array[z][:, y, x])
            sizes = (len(range(*one.indices(size))) for one, size in zip(part, array.shape, strict=True))
            check_size(self, math.prod(sizes) * array.dtype.itemsize)
            return np.asarray(array[z, y, x])

    def check_chunks(self) -> None:
        """Warn of chunks of HDF5, Zarr or N5 that are not there: they read as the fill value.

        Writers leave out chunks of that value alone, and an incomplete copy has lost some: nothing tells one from the
        other.

        Raises:
            ValueError: There is no chunk at all.
        """
        with self._open() as array:
            if isinstance(array, ZarrArray):
                (absent, count), fill = array.missing(), array.fill
            elif self.path.suffix.lower() in HDF5_ENDINGS:
                (absent, count), fill = missing_chunks(array), array.fillvalue
            else:
                return
        if absent == count > 0:
            raise ValueError(f"{self} must have chunks, got none of {count}; copy it again, with all its files")
        if absent:
            warnings.warn(
                f"{self} lacks {absent} of {count} chunks, which read as {fill}: either they hold nothing else, or the "
                "copy is incomplete; compare with its source",
                stacklevel=3,
            )

    @property
    def numbers(self) -> list[int | None] | None:
        """Numbers in the names of a folder's slices; ``None`` for a file."""
        return SliceFolder(self.path).numbers if self.path.is_dir() and not stores(self.path) else None

    def _open(self) -> AbstractContextManager[Any]:
        """Give what has a shape and reads the slices it is asked for."""
        ending = self.path.suffix.lower()
        if ending in HDF5_ENDINGS:
            return open_hdf5(self.path, self.key)
        if stores(self.path):
            return open_zarr(self.path, self.key, self.axes, self.channel, self.time)
        return open_stack(self.path) if ending in TIFF_ENDINGS else nullcontext(SliceFolder(self.path))

    def __str__(self) -> str:
        return f"{self.path}, {self.key}," if self.key else str(self.path)
