"""Likelihood and ids of a volume in files, written from the first slice to the last, which are whole or not there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from monai_boundary._check import check_choice
from monai_boundary._files import replacing
from monai_boundary.datasets.em.hdf5 import import_h5py
from monai_boundary.datasets.em.stacks import import_tifffile

__all__ = ["FORMATS", "IDS_KEY", "LIKELIHOOD_KEY", "VolumeGrid", "volume_files", "volume_writer"]

IDS_KEY, LIKELIHOOD_KEY = "volumes/labels/neuron_ids", "volumes/predictions/membrane_likelihood"
FORMATS = ("hdf5", "tiff")
_CHUNK = 256  # pixels of a slice that HDF5 compresses together


@dataclass(frozen=True)
class VolumeGrid:
    """Where the voxels of a result lie.

    Args:
        shape: Voxels (D, H, W).
        spacing: Voxel size in nm (z, y, x).
        offset: First voxel of the result in the image, in nm (z, y, x).
        per_slice: Ids are those of slices: an object has another id in each.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    per_slice: bool = False


class _Writer(ABC):
    """One output of a volume; closed by the ``with`` statement, whether it is whole or not."""

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def add(self, likelihood: np.ndarray, ids: np.ndarray) -> None:
        """Take the next slices `(d, H, W)`."""

    @abstractmethod
    def close(self) -> None:
        """Close the files."""


class _Hdf5(_Writer):
    """Data sets and attributes as CREMI has them."""

    def __init__(self, paths: Sequence[Path], grid: VolumeGrid) -> None:
        self._file, self._next = import_h5py().File(paths[0], "w"), 0
        chunks = tuple(min(size, limit) for size, limit in zip(grid.shape, (1, _CHUNK, _CHUNK), strict=True))
        for key, dtype in ((LIKELIHOOD_KEY, np.float32), (IDS_KEY, np.uint64)):
            dataset = self._file.create_dataset(
                key, grid.shape, dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
            )
            dataset.attrs["resolution"] = grid.spacing
            dataset.attrs["offset"] = grid.offset
        self._file[IDS_KEY].attrs["per_slice"] = grid.per_slice

    def add(self, likelihood: np.ndarray, ids: np.ndarray) -> None:
        stop = self._next + len(ids)
        self._file[LIKELIHOOD_KEY][self._next : stop] = likelihood
        self._file[IDS_KEY][self._next : stop] = ids
        self._next = stop

    def close(self) -> None:
        self._file.close()


class _Tiff(_Writer):
    """Two stacks, likelihood as float32 and ids as uint32, readable by ImageJ and others."""

    def __init__(self, paths: Sequence[Path], grid: VolumeGrid) -> None:
        tifffile = import_tifffile()
        large = 4 * int(np.prod(grid.shape)) > 2**32 - 2**25
        self._files = [tifffile.TiffWriter(path, bigtiff=large) for path in paths]
        _, y, x = grid.spacing
        self._settings: dict[str, Any] = {
            "photometric": "minisblack", "contiguous": True, "resolution": (1e7 / x, 1e7 / y),
            "resolutionunit": "CENTIMETER", "metadata": {"spacing_nm": grid.spacing, "offset_nm": grid.offset},
        }  # fmt: skip

    def add(self, likelihood: np.ndarray, ids: np.ndarray) -> None:
        for file, array in zip(self._files, (likelihood.astype(np.float32), ids.astype(np.uint32)), strict=True):
            for one in array:
                file.write(one, **self._settings)

    def close(self) -> None:
        for file in self._files:
            file.close()


_WRITERS: dict[str, Callable[[Sequence[Path], VolumeGrid], _Writer]] = {"hdf5": _Hdf5, "tiff": _Tiff}


def volume_files(folder: Path, name: str, formats: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each format: ``<name>.hdf``, ``<name>_likelihood.tif`` and ``<name>_ids.tif``.

    Raises:
        ValueError: A format is none, or none is given.
    """
    if not formats or isinstance(formats, str):
        raise ValueError(f"formats must be a list of {', '.join(FORMATS)}, got {formats!r}")
    endings = {"hdf5": (".hdf",), "tiff": ("_likelihood.tif", "_ids.tif")}
    return {
        check_choice("formats", one, FORMATS): [folder / f"{name}{ending}" for ending in endings[one]]
        for one in formats
    }


@contextmanager
def volume_writer(files: dict[str, list[Path]], grid: VolumeGrid) -> Iterator[Callable[..., None]]:
    """Give a function that takes the next slices, likelihood and ids `(d, H, W)`; move files into place at the end.

    Args:
        files: Of `volume_files`; their folder must exist.
        grid: Shape and place of the volume.

    Raises:
        ImportError: h5py or tifffile is not installed.
        OSError: A file cannot be written whole.
        ValueError: Slices have another size, or are fewer or more than those of the grid.
    """
    given = 0
    with ExitStack() as stack:  # closes the files before it moves them into place
        parts = {kind: [stack.enter_context(replacing(path)) for path in paths] for kind, paths in files.items()}
        writers = [stack.enter_context(_WRITERS[kind](paths, grid)) for kind, paths in parts.items()]

        def add(likelihood: np.ndarray, ids: np.ndarray) -> None:
            nonlocal given
            if likelihood.shape != ids.shape or ids.shape[1:] != grid.shape[1:]:
                height, width = grid.shape[1:]
                raise ValueError(f"slices must be (d, {height}, {width}), got {likelihood.shape} and {ids.shape}")
            given += len(ids)
            for writer in writers:
                writer.add(likelihood, ids)

        yield add
        if given != grid.shape[0]:
            raise ValueError(f"the volume must get its {grid.shape[0]} slices, got {given}")
