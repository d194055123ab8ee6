"""Volumes as TIFF stacks, or as folders with one image per slice, as arrays whose slices are read when asked for."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - as everywhere

from monai_boundary.datasets.checks import TooLargeError, check_readable, check_size, data_files, import_extra
from monai_boundary.datasets.label_maps import read_itk

__all__ = ["TIFF_ENDINGS", "SliceFolder", "TiffStack", "import_tifffile", "open_tiff"]

TIFF_ENDINGS = (".tif", ".tiff")
_ENDINGS = (".png", *TIFF_ENDINGS)


class SliceFolder:
    """The slices in a folder, PNG or TIFF, in the order of the numbers in their names.

    Raises as `Stored`, and ``ValueError`` for slices of both kinds and, once they are read, of several sizes.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} does not exist; check the path")
        found = data_files(folder, _ENDINGS)
        kinds = sorted({path.suffix.lower() for path in found})
        if len(kinds) != 1:
            raise ValueError(
                f"{folder} must hold slices of one kind among {', '.join(_ENDINGS)}, got "
                f"{' and '.join(kinds) or 'none'}; move other images elsewhere"
            )
        self._files = sorted(found, key=lambda path: (_natural(path.stem), path.name))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels (D, H, W); the first slice is read for it."""
        return (len(self._files), *_read_slice(self._files[0]).shape)

    @property
    def numbers(self) -> list[int | None]:
        """The last number in the name of each slice, ``None`` where there is none."""
        found = [re.findall(r"\d+", path.stem) for path in self._files]
        return [int(digits[-1]) if digits else None for digits in found]

    def __getitem__(self, part: slice) -> np.ndarray:
        files = self._files[part]
        slices = [_read_slice(path) for path in files]
        for path, one in zip(files, slices, strict=True):
            if one.shape != slices[0].shape:
                raise ValueError(
                    f"{path} must have the size of {files[0].name}, {slices[0].shape} pixels (H, W), got {one.shape}; "
                    "move slices of other volumes elsewhere"
                )
        return np.stack(slices)


def _natural(text: str) -> list[int | str]:
    """Order in which slice_2 comes before slice_10: texts and numbers in turn."""
    return [int(part) if place % 2 else part.lower() for place, part in enumerate(re.split(r"(\d+)", text))]


def _read_slice(path: Path) -> np.ndarray:
    if path.suffix.lower() in TIFF_ENDINGS:
        with open_tiff(path) as stack:
            if (depth := stack.shape[0]) != 1:
                raise _NoStackError(f"{path} must hold one slice, got {depth}; pass a stack as a file, not its folder")
            check_size(path, math.prod(stack.shape) * stack.dtype.itemsize)
            return np.asarray(stack[:][0])
    array: np.ndarray = sitk.GetArrayFromImage(read_itk(path, bytes_per_value=2))
    if array.ndim != 2:
        raise ValueError(f"{path} must hold one grey channel, got shape {array.shape}; convert colours to grey")
    return array


class TiffStack:
    """The one series of grey pages in an open TIFF, as slices `(D, H, W)`."""

    def __init__(self, path: Path, file: Any) -> None:
        if len(file.series) != 1:
            raise _NoStackError(
                f"{path} must hold pages of one size, got {len(file.series)} kinds; split them into one file each"
            )
        shape, samples = tuple(file.series[0].shape), file.pages[0].samplesperpixel
        if len(shape) not in (2, 3) or samples != 1:
            raise _NoStackError(
                f"{path} must hold grey slices (D, H, W), got shape {shape} with {samples} samples per pixel; "
                "convert colours to grey"
            )
        self.shape, self.dtype = (1, *shape)[-3:], file.series[0].dtype
        self._file = file

    def __getitem__(self, part: slice) -> np.ndarray:
        if len(self._file.pages) != self.shape[0]:  # ImageJ may store a stack behind one page
            return np.asarray(self._file.series[0].asarray()[part])
        return np.stack([self._file.pages[index].asarray() for index in range(*part.indices(self.shape[0]))])


class _NoStackError(ValueError):
    """A whole TIFF that is no stack of slices."""


@contextmanager
def open_tiff(path: Path) -> Iterator[TiffStack]:
    """Open a TIFF stack; what goes wrong while it is open is told with its name.

    Raises as `Stored`, and ``ValueError`` when the compression needs imagecodecs.
    """
    tifffile = import_tifffile()
    check_readable(path)
    with _logged_errors("tifffile") as complaints:
        try:
            with tifffile.TiffFile(path) as file:
                yield TiffStack(path, file)
        except (_NoStackError, TooLargeError):
            raise
        except (tifffile.TiffFileError, ValueError, IndexError, EOFError) as error:
            remedy = "pip install imagecodecs" if "imagecodecs" in str(error) else "download or copy it again"
            raise ValueError(f"{path} must be a complete TIFF, got: {error}; {remedy}") from error
    # tifffile only logs that a stack breaks off between two pages, and returns the pages before
    if complaints:
        raise ValueError(f"{path} must be a complete TIFF, got: {complaints[0]}; download or copy it again")


def import_tifffile() -> Any:
    """Return the module tifffile."""
    return import_extra("tifffile", "em", "TIFF stacks")


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
