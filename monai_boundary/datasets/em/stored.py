"""An array on disk in one of three forms: a HDF5 data set, a TIFF stack, a folder of slices."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary.datasets.checks import check_size
from monai_boundary.datasets.em.hdf5 import open_hdf5
from monai_boundary.datasets.em.stacks import TIFF_ENDINGS, SliceFolder, open_tiff

__all__ = ["HDF5_ENDINGS", "Stored"]

HDF5_ENDINGS = (".h5", ".hdf", ".hdf5")


@dataclass(frozen=True)
class Stored:
    """Where an array `(D, H, W)` is stored.

    Args:
        path: A HDF5 file, a TIFF stack, or a folder with one PNG or TIFF per slice.
        key: Name of the data set in a HDF5 file.

    Raises:
        ImportError: When the shape or slices are asked for: h5py or tifffile is not installed.
        FileNotFoundError: Nothing is stored there.
        PermissionError: A file may not be read.
        ValueError: A file is damaged or holds no volume.
        RuntimeError: A HDF5 file is compressed with a filter that is absent.
    """

    path: Path
    key: str = ""

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

    @property
    def numbers(self) -> list[int | None] | None:
        """Numbers in the names of a folder's slices; ``None`` for a file."""
        return SliceFolder(self.path).numbers if self.path.is_dir() else None

    def _open(self) -> AbstractContextManager[Any]:
        """Give what has a shape and reads the slices it is asked for."""
        ending = self.path.suffix.lower()
        if ending in HDF5_ENDINGS:
            return open_hdf5(self.path, self.key)
        return open_tiff(self.path) if ending in TIFF_ENDINGS else nullcontext(SliceFolder(self.path))

    def __str__(self) -> str:
        return f"{self.path}, {self.key}," if self.key else str(self.path)
