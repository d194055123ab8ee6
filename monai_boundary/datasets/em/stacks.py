"""Volumes as TIFF stacks, or as folders with one image per slice."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere

__all__ = [
    "TIFF_ENDINGS",
    "folder_slices",
    "import_tifffile",
    "read_folder",
    "read_tiff",
    "slice_number",
    "slice_shape",
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


def slice_shape(path: Path) -> tuple[int, int]:
    """Return the pixels (H, W) of a slice."""
    height, width = _read_slice(path).shape
    return height, width


def _read_slice(path: Path) -> np.ndarray:
    if path.suffix.lower() in TIFF_ENDINGS:
        stack = read_tiff(path, 0, None)
        if len(stack) != 1:
            raise ValueError(f"{path} must hold one slice, got {len(stack)}; pass a stack as a file, not its folder")
        return np.asarray(stack[0])
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; change its permissions")
    try:
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{path} must be a complete PNG, got: {reason}; download or copy it again") from error
    return _grey(path, array, 2)


def tiff_shape(path: Path) -> tuple[int, ...]:
    """Return the voxels (D, H, W) of a TIFF stack; raises as `read_tiff`."""
    with _opened_tiff(path) as file:
        shape = _series(path, file).shape
        return (1, *shape) if len(shape) == 2 else tuple(shape)


def read_tiff(path: Path, start: int, stop: int | None) -> np.ndarray:
    """Read slices `(D, H, W)` of a TIFF stack.

    Raises:
        ImportError: tifffile is not installed.
        FileNotFoundError: The file does not exist.
        PermissionError: It may not be read.
        ValueError: It is damaged, has several channels or pages of several sizes, or its compression needs imagecodecs.
    """
    with _opened_tiff(path) as file:
        series = _series(path, file)
        if len(series.shape) == 2:
            return np.asarray(series.asarray()[None][start:stop])
        if len(file.pages) == series.shape[0]:  # ImageJ may store a stack behind one page
            return np.stack([file.pages[index].asarray() for index in range(*slice(start, stop).indices(len(series)))])
        return np.asarray(series.asarray()[start:stop])


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


@contextmanager
def _opened_tiff(path: Path) -> Iterator[Any]:
    tifffile = import_tifffile()
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} must be readable; change its permissions")
    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    propagate, logger.propagate = logger.propagate, False
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    except (tifffile.TiffFileError, ValueError, IndexError, EOFError) as error:
        if isinstance(error, _WrongStackError):
            raise ValueError(str(error)) from None
        raise ValueError(f"{path} must be a complete TIFF, got: {error}; download or copy it again") from error
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagate
    # tifffile only logs that a stack breaks off between two pages, and returns the pages before
    if complaints.texts:
        raise ValueError(f"{path} must be a complete TIFF, got: {complaints.texts[0]}; download or copy it again")


class _WrongStackError(ValueError):
    """A whole TIFF that is no stack of slices."""


class _Complaints(logging.Handler):
    """Keeps the errors that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _series(path: Path, file: Any) -> Any:
    """The one series of pages of a stack."""
    if len(file.series) != 1:
        raise _WrongStackError(
            f"{path} must hold pages of one size, got {len(file.series)} kinds; split them into one file each"
        )
    series = file.series[0]
    if len(series.shape) not in (2, 3) or file.pages[0].samplesperpixel != 1:
        raise _WrongStackError(
            f"{path} must hold grey slices (D, H, W), got shape {tuple(series.shape)} with "
            f"{file.pages[0].samplesperpixel} samples per pixel; convert colours to grey"
        )
    return series


def _grey(path: Path, array: np.ndarray, ndim: int) -> np.ndarray:
    if array.ndim != ndim:
        raise ValueError(f"{path} must hold one grey channel, got shape {array.shape}; convert colours to grey")
    return array
