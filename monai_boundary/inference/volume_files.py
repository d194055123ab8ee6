"""Likelihood and ids of a volume in files, written from the first slice to the last, which are whole or not there."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from monai_boundary._check import check_choice
from monai_boundary._files import replacing
from monai_boundary.datasets.em.hdf5 import import_h5py
from monai_boundary.inference.ome_zarr import create_ome_zarr

__all__ = ["IDS_KEY", "LIKELIHOOD_KEY", "VolumeGrid", "volume_files", "volume_writer"]

IDS_KEY, LIKELIHOOD_KEY = "volumes/labels/neuron_ids", "volumes/predictions/membrane_likelihood"
_ENDINGS = {"hdf5": (".hdf",), "tiff": ("_likelihood.tif", "_ids.tif"), "zarr": (".zarr",)}
_CHUNK = 256  # pixels of a slice that HDF5 compresses together
#: Takes the next slices `(d, H, W)`, likelihood and ids.
Add = Callable[[np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class VolumeGrid:
    """Where the voxels of a result lie.

    Args:
        shape: Voxels (D, H, W).
        spacing: Voxel size in nm (z, y, x).
        offset: Place of the first voxel, in nm (z, y, x).
        per_slice: Ids are those of slices: an object has another id in each.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    per_slice: bool = False


def volume_files(folder: Path, name: str, formats: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each format: ``<name>.hdf``, ``<name>.zarr``, ``<name>_likelihood.tif`` ``<name>_ids.tif``.

    Raises:
        ValueError: A format is none, or none is given.
    """
    if not formats or isinstance(formats, str):
        raise ValueError(f"formats must be a list of {', '.join(_ENDINGS)}, got {formats!r}")
    for one in formats:
        check_choice("formats", one, tuple(_ENDINGS))
    return {one: [folder / f"{name}{ending}" for ending in _ENDINGS[one]] for one in formats}


@contextmanager
def volume_writer(files: dict[str, list[Path]], grid: VolumeGrid) -> Iterator[Add]:
    """Give a function that takes the next slices, likelihood and ids `(d, H, W)`; move files into place at the end.

    Args:
        files: Of `volume_files`.
        grid: Shape and place of the volume.

    Raises:
        ImportError: h5py or zarr is not installed.
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
            for write in writers:
                write(likelihood, ids)

        yield add
        if given != grid.shape[0]:
            raise ValueError(f"the volume must get its {grid.shape[0]} slices, got {given}")


class _Stream(io.FileIO):
    """A file that keeps an error of writing for `check`: HDF5 that cannot write what it holds ends the process."""

    error: OSError | None = None

    def write(self, data: Any) -> int:  # type: ignore[override]
        """Write all of it, or keep the error."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self.error is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size

    def check(self) -> None:
        """Raise the error."""
        if self.error is not None:
            raise self.error


@contextmanager
def _hdf5(paths: Sequence[Path], grid: VolumeGrid) -> Iterator[Add]:
    """One file, with data sets and attributes as CREMI has them."""
    chunks = tuple(min(size, limit) for size, limit in zip(grid.shape, (1, _CHUNK, _CHUNK), strict=True))
    with _Stream(paths[0], "w+") as stream, import_h5py().File(stream, "w") as file:
        for key, dtype in ((LIKELIHOOD_KEY, np.float32), (IDS_KEY, np.uint64)):
            dataset = file.create_dataset(
                key, grid.shape, dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
            )
            dataset.attrs.update({"resolution": grid.spacing, "offset": grid.offset})
        file[IDS_KEY].attrs["per_slice"] = grid.per_slice
        start = 0

        def add(likelihood: np.ndarray, ids: np.ndarray) -> None:
            nonlocal start
            stop = start + len(ids)
            file[LIKELIHOOD_KEY][start:stop], file[IDS_KEY][start:stop] = likelihood, ids
            start = stop
            stream.check()

        yield add
    stream.check()


@contextmanager
def _tiff(paths: Sequence[Path], grid: VolumeGrid) -> Iterator[Add]:
    """Two stacks, likelihood as float32 and ids as uint32, readable by ImageJ and others."""
    large = 4 * int(np.prod(grid.shape)) > 2**32 - 2**25
    _, y, x = grid.spacing
    settings: dict[str, Any] = {
        "photometric": "minisblack", "contiguous": True, "resolution": (1e7 / x, 1e7 / y),
        "resolutionunit": "CENTIMETER", "metadata": {"spacing_nm": grid.spacing, "offset_nm": grid.offset},
    }  # fmt: skip
    with ExitStack() as stack:
        files = [stack.enter_context(tifffile.TiffWriter(path, bigtiff=large)) for path in paths]

        def add(likelihood: np.ndarray, ids: np.ndarray) -> None:
            for file, array in zip(files, (likelihood.astype(np.float32), ids.astype(np.uint32)), strict=True):
                for one in array:
                    file.write(one, **settings)

        yield add


@contextmanager
def _zarr(paths: Sequence[Path], grid: VolumeGrid) -> Iterator[Add]:
    """One container of OME-Zarr 0.4, which every version of zarr and all viewers read."""
    arrays = create_ome_zarr(paths[0], grid, (1, 512, 512) if grid.per_slice else (64, 128, 128))
    start = 0

    def add(likelihood: np.ndarray, ids: np.ndarray) -> None:
        nonlocal start
        stop = start + len(ids)
        arrays[0][start:stop], arrays[1][start:stop] = likelihood, ids
        start = stop

    yield add


_WRITERS: dict[str, Callable[[Sequence[Path], VolumeGrid], AbstractContextManager[Add]]] = {
    "hdf5": _hdf5,
    "tiff": _tiff,
    "zarr": _zarr,
}
