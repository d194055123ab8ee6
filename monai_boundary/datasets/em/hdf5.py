"""Volumes in HDF5 files, read slice by slice through h5py."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["check_readable", "hdf5_attribute", "hdf5_holds", "import_h5py", "open_hdf5"]


def import_h5py() -> Any:
    """Return the module h5py, with the compression filters of hdf5plugin where that is installed.

    Raises:
        ImportError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError('HDF5 volumes need h5py, which is not installed; pip install "monai-boundary[em]"') from error
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401 - importing it registers its filters
    return h5py


@contextmanager
def open_hdf5(path: Path, key: str) -> Iterator[Any]:
    """Open the data set `key` of an HDF5 file; what goes wrong while it is open is told with file and data set.

    Raises:
        ImportError: h5py is not installed.
        FileNotFoundError: The file does not exist.
        PermissionError: It may not be read.
        ValueError: It is no complete HDF5 file or holds no such data set.
        RuntimeError: The data are compressed with a filter that this HDF5 library lacks.
    """
    h5py = import_h5py()
    with _opened(path) as file:
        found = file.get(key)
        if not isinstance(found, h5py.Dataset):
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            held = ", ".join(names) or "none"
            raise ValueError(f"{path} must hold the data set {key}, got {held}; pass the key of the volume")
        try:
            yield found
        except OSError as error:
            _explain(h5py, found, path, error)


def hdf5_holds(path: Path, key: str) -> bool:
    """Whether a file holds the data set `key`, of its own or by a link; raises as `open_hdf5`."""
    with _opened(path) as file:
        return hasattr(file.get(key), "shape")


def hdf5_attribute(path: Path, key: str, name: str) -> tuple[float, ...] | None:
    """Return an attribute of a data set with one number per axis, ``None`` where there is none.

    Raises:
        ValueError: It does not hold one finite number per axis.
    """
    with open_hdf5(path, key) as dataset:
        if name not in dataset.attrs:
            return None
        value, ndim = np.asarray(dataset.attrs[name]), dataset.ndim
    if value.dtype.kind not in "iuf" or value.shape != (ndim,) or not np.isfinite(value.astype(float)).all():
        raise ValueError(
            f"{path}: attribute {name} of {key} must hold one number per axis ({ndim}), got {value.tolist()!r}; "
            "repair the file"
        )
    return tuple(float(number) for number in value)


def check_readable(path: Path) -> None:
    """Raise ``FileNotFoundError`` or ``PermissionError`` when a file is not there or may not be read."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; change its permissions")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    check_readable(path)
    try:
        file = import_h5py().File(path, "r")
    except OSError as error:
        remedy = "close the program that writes it" if "lock file" in str(error) else "download or copy it again"
        raise ValueError(f"{path} must be a complete HDF5 file, got: {error}; {remedy}") from error
    with file:
        yield file


def _explain(h5py: Any, dataset: Any, path: Path, error: OSError) -> None:
    """Raise what an error while reading means: an absent filter, or damage."""
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(index) for index in range(settings.get_nfilters())]
    absent = [(code, name) for code, _, _, name in filters if not h5py.h5z.filter_avail(code)]
    if absent:
        code, name = absent[0]
        label = f"{code} ({name.decode(errors='replace')})" if name else str(code)
        raise RuntimeError(
            f"{path}: data set {dataset.name} is compressed with the HDF5 filter {label}, which is not available; "
            "pip install hdf5plugin, or store the file with gzip"
        ) from error
    raise ValueError(
        f"{path} must be a complete HDF5 file, got: {error} in {dataset.name}; download or copy it again"
    ) from error
