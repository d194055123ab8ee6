"""An array on disk in one of three forms: a HDF5 data set, a TIFF stack, a folder of slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_boundary.datasets.em.hdf5 import open_hdf5
from monai_boundary.datasets.em.stacks import (
    TIFF_ENDINGS,
    folder_shape,
    folder_slices,
    read_folder,
    read_tiff,
    slice_number,
    tiff_shape,
)

__all__ = ["HDF5_ENDINGS", "Stored"]

HDF5_ENDINGS = (".h5", ".hdf", ".hdf5")


@dataclass(frozen=True)
class Stored:
    """Where an array `(D, H, W)` is stored.

    Args:
        path: A HDF5 file, a TIFF stack, or a folder with one PNG or TIFF per slice.
        key: Name of the data set in a HDF5 file.
    """

    path: Path
    key: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (D, H, W); the file is opened, its voxels are not read.

        Raises:
            ImportError: h5py or tifffile is not installed.
            FileNotFoundError: Nothing is stored there.
            ValueError: The file is damaged or holds no volume.
        """
        if self._is_hdf5:
            with open_hdf5(self.path, self.key) as dataset:
                shape = tuple(dataset.shape)
        else:
            shape = tiff_shape(self.path) if self._is_tiff else folder_shape(folder_slices(self.path))
        if len(shape) != 3 or 0 in shape:
            raise ValueError(f"{self} must hold a volume (D, H, W), got shape {shape}")
        return shape

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the slices from `start` up to `stop` as stored; raises as `shape`."""
        if self._is_hdf5:
            with open_hdf5(self.path, self.key) as dataset:
                return np.asarray(dataset[start:stop])
        if self._is_tiff:
            return read_tiff(self.path, start, stop)
        return read_folder(folder_slices(self.path)[start:stop])

    @property
    def numbers(self) -> list[int | None] | None:
        """Numbers in the names of a folder's slices; ``None`` for a file."""
        if self._is_hdf5 or self._is_tiff:
            return None
        return [slice_number(path) for path in folder_slices(self.path)]

    @property
    def _is_hdf5(self) -> bool:
        return self.path.suffix.lower() in HDF5_ENDINGS

    @property
    def _is_tiff(self) -> bool:
        return self.path.suffix.lower() in TIFF_ENDINGS

    def __str__(self) -> str:
        return f"{self.path}, {self.key}," if self.key else str(self.path)
