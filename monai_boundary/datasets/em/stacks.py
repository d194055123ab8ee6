"""Volumes as TIFF stacks, or as folders with one image per slice."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary.datasets.em.hdf5 import check_readable

__all__ = [
    "TIFF_ENDINGS",
    "folder_shape",
    "folder_slices",
    "import_tifffile",
    "read_folder",
    "read_tiff",
    "slice_number",
    "tiff_shape",
]

TIFF_ENDINGS = (".tif", ".tiff")
_ENDINGS = (".png", *TIFF_ENDINGS)


def folder_slices(folder: Path) -> list[Path]:
    """Return the slices in a folder, PNG or TIFF, in the order of the numbers in their names.

    Raises:
        FileNotFoundError: `folder` does not exist.
        ValueError: It holds no slice, or slices of both kinds.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; check the path")
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _ENDINGS and path.is_file() and not path.name.startswith(".")
    ]
    kinds = sorted({path.suffix.lower() for path in files})
    if len(kinds) != 1:
        raise ValueError(
            f"{folder} must hold slices of one kind among {', '.join(_ENDINGS)}, got {' and '.join(kinds) or 'none'}; "
            "move other images elsewhere"
        )
    return sorted(files, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Order in which slice_2 comes before slice_10."""
    parts = re.split(r"(\d+)", path.stem)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts], path.name


def slice_number(path: Path) -> int | None:
    """Return the last number in the name of a slice, ``None`` where there is none."""
    found = re.findall(r"\d+", path.stem)
    return int(found[-1]) if found else None


def folder_shape(files: list[Path]) -> tuple[int, ...]:
    """Return the voxels (D, H, W) of slices; the first is read."""
    return (len(files), *_read_slice(files[0]).shape)


def read_folder(files: list[Path]) -> np.ndarray:
    """Read slices `(D, H, W)` of one size.

    Raises:
        ImportError: tifffile is not installed and the slices are TIFFs.
        ValueError: A slice is damaged, has several channels, or another size than the first.
    """
    slices = [_read_slice(path) for path in files]
    for path, one in zip(files, slices, strict=True):
        if one.shape != slices[0].shape:
            raise ValueError(
                f"{path} must have the size of {files[0].name}, {slices[0].shape} pixels (H, W), got {one.shape}; "
                "move slices of other volumes elsewhere"
            )
    return np.stack(slices)


def _read_slice(path: Path) -> np.ndarray:
    if path.suffix.lower() in TIFF_ENDINGS:
        stack = read_tiff(path, 0, None)
        if len(stack) != 1:
            raise ValueError(f"{path} must hold one slice, got {len(stack)}; pass a stack as a file, not its folder")
        return np.asarray(stack[0])
    check_readable(path)
    try:
        array: np.ndarray = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{path} must be a complete PNG, got: {reason}; download or copy it again") from error
    if array.ndim != 2:
        raise ValueError(f"{path} must hold one grey channel, got shape {array.shape}; convert colours to grey")
    return array


def tiff_shape(path: Path) -> tuple[int, ...]:
    """Return the voxels (D, H, W) of a TIFF stack; raises as `read_tiff`."""
    with _stack(path) as (_, pages):
        return (1, *pages.shape) if len(pages.shape) == 2 else tuple(pages.shape)


def read_tiff(path: Path, start: int, stop: int | None) -> np.ndarray:
    """Read slices `(D, H, W)` of a TIFF stack.

    Raises:
        ImportError: tifffile is not installed.
        FileNotFoundError: The file does not exist.
        PermissionError: It may not be read.
        ValueError: It is damaged, has several channels or pages of several sizes, or its compression needs imagecodecs.
    """
    with _stack(path) as (file, pages):
        if len(pages.shape) == 2:
            return np.asarray(pages.asarray()[None][start:stop])
        if len(file.pages) == pages.shape[0]:  # ImageJ may store a stack behind one page
            return np.stack([file.pages[index].asarray() for index in range(*slice(start, stop).indices(len(pages)))])
        return np.asarray(pages.asarray()[start:stop])


def import_tifffile() -> Any:
    """Return the module tifffile.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import tifffile
    except ImportError as error:
        raise ImportError(
            'TIFF stacks need tifffile, which is not installed; pip install "monai-boundary[em]"'
        ) from error
    return tifffile


class _NoStackError(ValueError):
    """A whole TIFF that is no stack of slices."""


@contextmanager
def _stack(path: Path) -> Iterator[tuple[Any, Any]]:
    """Give an open TIFF and its one series of pages; what goes wrong while it is open is told with its name."""
    tifffile = import_tifffile()
    check_readable(path)
    with _logged_errors("tifffile") as complaints:
        try:
            with tifffile.TiffFile(path) as file:
                yield file, _one_series(path, file)
        except _NoStackError:
            raise
        except (tifffile.TiffFileError, ValueError, IndexError, EOFError) as error:
            remedy = "pip install imagecodecs" if "imagecodecs" in str(error) else "download or copy it again"
            raise ValueError(f"{path} must be a complete TIFF, got: {error}; {remedy}") from error
    # tifffile only logs that a stack breaks off between two pages, and returns the pages before
    if complaints:
        raise ValueError(f"{path} must be a complete TIFF, got: {complaints[0]}; download or copy it again")


@contextmanager
def _logged_errors(name: str) -> Iterator[list[str]]:
    """Gather the errors that a logger is given, instead of printing them."""
    texts: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _one_series(path: Path, file: Any) -> Any:
    if len(file.series) != 1:
        raise _NoStackError(
            f"{path} must hold pages of one size, got {len(file.series)} kinds; split them into one file each"
        )
    series, samples = file.series[0], file.pages[0].samplesperpixel
    if len(series.shape) not in (2, 3) or samples != 1:
        raise _NoStackError(
            f"{path} must hold grey slices (D, H, W), got shape {tuple(series.shape)} with {samples} samples per "
            "pixel; convert colours to grey"
        )
    return series
