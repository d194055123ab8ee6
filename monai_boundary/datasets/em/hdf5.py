"""Volumes in HDF5 files, read slice by slice through h5py."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_boundary.datasets.checks import check_readable, import_extra

__all__ = ["hdf5_holds", "import_h5py", "open_hdf5"]


def import_h5py() -> Any:
    """Return the module h5py, with the compression filters of hdf5plugin where that is installed."""
    h5py = import_extra("h5py", "em", "HDF5 volumes")
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401 - importing it registers its filters
    return h5py


@contextmanager
def open_hdf5(path: Path, key: str) -> Iterator[Any]:
    """Open the data set `key` of an HDF5 file; what goes wrong while it is open is told with file and data set.

    Raises as `Stored`, and ``ValueError`` when there is no such data set.
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
            settings = found.id.get_create_plist()
            filters = [settings.get_filter(index) for index in range(settings.get_nfilters())]
            absent = [f"{code} {name.decode()}".strip() for code, _, _, name in filters if not _available(code)]
            if absent:
                raise RuntimeError(
                    f"{path}: data set {found.name} is compressed with the HDF5 filter {absent[0]}, which is not "
                    "available; pip install hdf5plugin, or store the file with gzip"
                ) from error
            raise _damage(path, f"{error} in {found.name}") from error


def hdf5_holds(path: Path, key: str) -> bool:
    """Whether a file holds the data set `key`, of its own or by a link; raises as `open_hdf5`."""
    with _opened(path) as file:
        return hasattr(file.get(key), "shape")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    check_readable(path)
    try:
        file = import_h5py().File(path, "r")
    except OSError as error:
        raise _damage(path, str(error)) from error
    with file:
        yield file


def _available(code: int) -> bool:
    return bool(import_h5py().h5z.filter_avail(code))


def _damage(path: Path, reason: str) -> ValueError:
    remedy = "close the program that writes it" if "lock file" in reason else "download or copy it again"
    return ValueError(f"{path} must be a complete HDF5 file, got: {reason}; {remedy}")
