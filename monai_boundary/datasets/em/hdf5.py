"""Volumes in HDF5 files, read slice by slice through h5py."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_boundary.datasets.checks import check_readable, import_extra

__all__ = ["hdf5_holds", "import_h5py", "missing_chunks", "open_hdf5"]


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
        found = _look_up(file, path, key)
        if not isinstance(found, h5py.Dataset):
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            held = ", ".join(names) or "none"
            raise ValueError(f"{path} must hold the data set {key}, got {held}; pass the key of the volume")
        _check_sources(found, path)
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
        return hasattr(_look_up(file, path, key), "shape")


def _look_up(file: Any, path: Path, key: str) -> Any:
    """Return what has a name in a file, by whatever links, ``None`` where nothing has it.

    Raises:
        ValueError: A link on the way leads nowhere: what it stands for is lost, and not left out.
    """
    parts = key.strip("/").split("/")
    for name in ("/".join(parts[:count]) for count in range(1, len(parts) + 1)):
        try:
            found = file[name]
            continue
        except (KeyError, RuntimeError, OSError, ValueError) as error:
            reason = str(error).strip("'\"")
        link = file.get(name, getlink=True)
        target = getattr(link, "path", None)  # only those of soft and external links have one
        if target is not None:
            where = f" in {link.filename}" if hasattr(link, "filename") else ""
            raise ValueError(
                f"{path}: {name} must lead to an object, got a link to {target}{where} that does not: {reason}; put "
                "what it links to back, or remove the link"
            )
        return None
    return found


def missing_chunks(dataset: Any) -> tuple[int, int]:
    """Return how many chunks of an open data set were never written, and how many it has; without chunks it is one.

    They read as the fill value. Those of a virtual data set are those of its sources.
    """
    if dataset.is_virtual:
        counts = [(0, 1)]
        for file, key in {*_sources(dataset)}:
            with open_hdf5(file, key) as source:
                counts.append(missing_chunks(source))
        absent, count = zip(*(counts[1:] or counts), strict=True)
        return sum(absent), sum(count)
    if dataset.chunks is None:
        return int(not dataset.external and dataset.size > 0 and dataset.id.get_storage_size() == 0), 1
    count = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    return count - dataset.id.get_num_chunks(), count


def _sources(dataset: Any) -> Iterator[tuple[Path, str]]:
    """Give file and name of what a virtual data set consists of, but patterns for files that may still come."""
    own = Path(dataset.file.filename)
    for source in dataset.virtual_sources():
        if "%" not in source.file_name:
            yield own if source.file_name == "." else own.parent / source.file_name, source.dset_name


def _check_sources(dataset: Any, path: Path) -> None:
    """Raise ``ValueError`` when a data set misses what lies in other files: HDF5 would read zeros in its place."""
    _check_raw_files(dataset, path)
    for file, key in _sources(dataset) if dataset.is_virtual else ():
        try:
            with _opened(file) as source:
                found = _look_up(source, file, key)
                if held := hasattr(found, "shape"):
                    _check_sources(found, file)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {dataset.name} must have all its files, got none of: {error}") from error
        if not held:
            raise ValueError(f"{path}: {dataset.name} must have all its files, got no {key} in {file}; restore it")


def _check_raw_files(dataset: Any, path: Path) -> None:
    """Raise ``ValueError`` when a file in which HDF5 keeps the bare voxels of a data set is not there, or cut off."""
    prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(Path(dataset.file.filename).parent))
    left = dataset.nbytes
    for name, offset, size in dataset.external or ():
        file, part = Path(prefix) / name, min(size, left)  # without a prefix in the working directory
        left -= part
        held = file.stat().st_size if file.is_file() else 0
        if part and held < offset + part:
            raise ValueError(
                f"{path}: {dataset.name} must have {offset + part} bytes in {file.absolute()}, got {held}; copy that "
                "file again, or set HDF5_EXTFILE_PREFIX to its folder"
            )


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
