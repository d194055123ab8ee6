"""Arrays in containers of Zarr and N5 as volumes `(D, H, W)`, of which only the chunks that are asked for are read."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._check import check_count
from monai_boundary.datasets.checks import import_extra
from monai_boundary.datasets.em.chunks import ChunkFiles, array_folders, chunk_files, is_array, read_json
from monai_boundary.datasets.em.ngff import array_place

__all__ = ["ZarrArray", "import_zarr", "open_zarr"]

_SPACE = "zyx"


def import_zarr() -> Any:
    """Return the module zarr."""
    return import_extra("zarr", "em", "Zarr volumes")


class ZarrArray:
    """An open array as a volume, whatever the order of its axes.

    Args:
        array: Of zarr or z5py.
        files: Its chunks.
        axes: A letter per axis, in array order.
        fixed: Index along the axes that are not of space.
        source: What errors call it.
    """

    def __init__(self, array: Any, files: ChunkFiles, axes: str, fixed: dict[str, int], source: str) -> None:
        self._array, self._files, self._axes, self._fixed, self._source = array, files, axes, fixed, source
        sizes = dict(zip(axes, array.shape, strict=True))
        self.shape, self.dtype = tuple(int(sizes[axis]) for axis in _SPACE), np.dtype(array.dtype)

    def __getitem__(self, part: slice | tuple[slice, ...]) -> np.ndarray:
        """Return voxels as stored.

        Raises:
            ValueError: A chunk is damaged or cut off.
        """
        selection = self._selection(part)
        if (cut := self._files.cut_off(selection)) is not None:
            raise ValueError(f"{cut} must be a whole chunk of {self._source} got a truncated one; {_REMEDY}")
        try:
            values = np.asarray(self._array[selection])
        except Exception as error:  # codecs raise what they like
            where = self._damaged(selection)
            raise ValueError(f"{where} must be a whole chunk of {self._source} got: {error}; {_REMEDY}") from error
        kept = [axis for axis in self._axes if axis in _SPACE]
        values = values.reshape([values.shape[self._axes.index(axis)] for axis in kept])
        volume: np.ndarray = values.transpose([kept.index(axis) for axis in _SPACE])
        return volume

    def missing(self) -> tuple[int, int]:
        """Return how many of the chunks have no file, and how many there are."""
        return self._files.missing(self._selection(slice(None)))

    @property
    def fill(self) -> Any:
        """What a missing chunk reads as."""
        return self._files.fill

    def _selection(self, part: slice | tuple[slice, ...]) -> tuple[slice, ...]:
        parts = part if isinstance(part, tuple) else (part,)
        parts = (*parts, *[slice(None)] * (3 - len(parts)))
        bounds = (one.indices(size) for one, size in zip(parts, self.shape, strict=True))
        space = {axis: slice(low, max(low, high)) for axis, (low, high, _) in zip(_SPACE, bounds, strict=True)}
        return tuple(
            space[axis] if axis in space else slice(self._fixed[axis], self._fixed[axis] + 1) for axis in self._axes
        )

    def _damaged(self, selection: Sequence[slice]) -> Path:
        for path, voxels in self._files.touched(selection):
            try:
                self._array[voxels]
            except Exception:
                return path
        return self._files.folder


_REMEDY = "download or copy it again"


@contextmanager
def open_zarr(
    path: Path, key: str, axes: str | None = None, channel: int | None = None, time: int | None = None
) -> Iterator[ZarrArray]:
    """Open the array `key` of a container.

    Args:
        path: The container, or a folder in it.
        key: Of the array; ``""`` where `path` is one.
        axes: A letter per axis, of t, c, z, y, x in array order; ``None`` takes the metadata's, and for three axes
            that nothing names z, y, x.
        channel: Which channel, where there are several.
        time: Which point in time, where there are several.

    Raises:
        ImportError: zarr or, for N5, z5py is not installed.
        FileNotFoundError: There is no such container.
        ValueError: There is no such array, its axes are not those of a volume, or it is damaged.
    """
    folder, source = path / key, f"{path}, {key}," if key else f"{path},"
    if not path.is_dir():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if not is_array(folder):
        held = ", ".join(array_folders(path)) or "none"
        raise ValueError(f"{path} must hold the array {key or 'itself'}, got {held}; pass the key of the volume")
    files = chunk_files(folder)
    letters = array_place(path, key).axes if axes is None else axes
    if letters is None and len(files.shape) == 3:
        letters = _SPACE
    fixed = _fixed(source, letters, files.shape, {"c": channel, "t": time})
    try:
        array = _open(path, folder)
    except ImportError:
        raise
    except Exception as error:  # unknown codecs and types, damaged metadata
        raise ValueError(f"{source} must be an array that can be read, got: {error}; {_REMEDY}") from error
    yield ZarrArray(array, files, letters or "", fixed, source)


def _open(path: Path, folder: Path) -> Any:
    if (folder / "attributes.json").is_file() and not (folder / ".zarray").is_file():
        if sys.version_info < (3, 11):
            raise ImportError("N5 volumes need z5py, which needs Python 3.11; convert them to Zarr")
        z5py = import_extra("z5py", "em", "N5 volumes")
        # groups may have attributes, too; those of the container tell its version
        root = next((above for above in folder.parents if "n5" in read_json(above / "attributes.json")), None)
        if root is None:
            raise ValueError(
                "no attributes.json above the array with the version, 'n5', which every container of N5 has"
            )
        return z5py.N5File(str(root), "r")[folder.relative_to(root).as_posix()]
    zarr = import_zarr()
    if (folder / "zarr.json").is_file() and int(zarr.__version__.split(".")[0]) < 3:
        raise ImportError(f"{path} is of Zarr v3, which needs zarr 3 and Python 3.11, got zarr {zarr.__version__}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's own of what has no specification yet
        return zarr.open_array(str(folder), mode="r")


def _fixed(source: str, axes: str | None, shape: Sequence[int], given: dict[str, int | None]) -> dict[str, int]:
    """Return the index of each axis that is not of space; several channels or times must be chosen from."""
    if (
        axes is None
        or len(axes) != len(shape)
        or len(set(axes)) < len(axes)
        or not set(_SPACE) <= set(axes) <= set("tczyx")
    ):
        raise ValueError(
            f"{source} must have the axes z, y, x and perhaps t and c, each once, got {axes or 'no names'} for shape "
            f"{tuple(shape)}; pass axes, a letter per axis, such as 'tczyx'"
        )
    fixed = {}
    for axis, size in zip(axes, shape, strict=True):
        if axis in _SPACE:
            continue
        name, index = {"c": "channel", "t": "time"}[axis], given[axis]
        if index is None and size != 1:
            raise ValueError(f"{source} must have one {name}, got {size}; pass {name}, a number from 0 to {size - 1}")
        if check_count(name, index or 0, 0) >= size:
            raise ValueError(f"{name} must lie in [0, {size - 1}] for {source} got {index}")
        fixed[axis] = index or 0
    return fixed
