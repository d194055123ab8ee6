"""TIFF as label maps and images: the samples that the file stores, one slice or a volume.

Read by tifffile, as nnU-Net reads and writes volumes. SimpleITK inverts samples whose 0 is white, puts colours in place
of their numbers, and takes the three or four slices of a volume for colours, as tifffile marks them.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from monai_boundary.datasets.checks import TooLargeError, UnfitError, check_readable, check_real, check_size

__all__ = ["TIFF_ENDINGS", "TiffLayout", "is_tiff", "open_tiff", "read_tiff_image", "read_tiff_labels", "tiff_layout"]

TIFF_ENDINGS = (".tif", ".tiff")
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # little and big endian, of TIFF and BigTIFF


def is_tiff(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a TIFF does, whatever its name ends in; `OSError` where it cannot be read."""
    check_readable(Path(path))
    with Path(path).open("rb") as file:
        return file.read(4) in _MAGIC


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """Open a TIFF as tifffile's ``TiffFile``; what goes wrong while it is open is told with its name.

    Raises:
        ValueError: The file is damaged, or its compression needs imagecodecs.
        OSError: The file does not exist or may not be read.
    """
    check_readable(path)
    with _logged_errors("tifffile") as complaints:
        try:
            with tifffile.TiffFile(path) as file:
                yield file
        except (UnfitError, TooLargeError):
            raise
        # RuntimeError: imagecodecs' own of compressed data
        except (tifffile.TiffFileError, ValueError, IndexError, EOFError, RuntimeError) as error:
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


@dataclass(frozen=True)
class TiffLayout:
    """How the samples of a TIFF lie.

    Args:
        shape: Slices, rows, columns, samples per pixel.
        planar: Each sample is a plane of its own, before the rows.
        kind: Name of what the samples are, such as ``"MINISBLACK"`` or ``"PALETTE"``.
        as_given: tifffile wrote the array as it was given, and noted its shape.
    """

    shape: tuple[int, int, int, int]
    planar: bool
    kind: str
    as_given: bool


def tiff_layout(path: Path, file: Any) -> TiffLayout:
    """Find out how the samples of an open TIFF lie; ``UnfitError`` where they are neither a slice nor a volume."""
    series, page = file.series, file.pages[0]
    if len({(one.shape, str(one.dtype), _kind(one.keyframe)) for one in series}) != 1:
        raise UnfitError(f"{path} must hold pages of one size, got {len(series)} kinds; split them into one file each")
    axes, shape = series[0].get_axes(squeeze=False), series[0].get_shape(squeeze=False)
    rows = axes.rfind("Y")
    sizes = dict(zip(axes[rows:], shape[rows:], strict=True))
    planes = [(axis, size) for axis, size in zip(axes[:rows], shape[:rows], strict=True) if size > 1]
    samples, as_given = sizes.get("S", 1), bool(page.is_shaped)
    planar = bool(planes) and planes[-1][0] == "S"
    if planar and as_given and len(planes) == 1:  # tifffile takes the slices of (3, y, x) and (4, y, x) for colours
        planes, planar = [("Z", planes[0][1])], False
    if planar:
        samples = planes.pop()[1]
    if len(series) > 1:  # each page was written by itself
        planes.append(("Z", len(series)))
    others = math.prod(size for axis, size in sizes.items() if axis not in "YXS")
    if len(planes) > 1 or others != 1 or not {"Y", "X"} <= sizes.keys():
        raise UnfitError(
            f"{path} must hold one slice (y, x) or one volume (z, y, x), got shape {tuple(series[0].shape)} with axes "
            f"{series[0].axes}; split it into one file each"
        )
    depth = planes[0][1] if planes else 1
    return TiffLayout((depth, sizes["Y"], sizes["X"], samples), planar, _kind(page), as_given)


def _kind(page: Any) -> str:
    return str(getattr(page.photometric, "name", page.photometric))


def _samples(path: Path, file: Any, layout: TiffLayout, bytes_per_value: int) -> np.ndarray:
    """Return the samples `(z, y, x, samples)` as they are stored."""
    check_size(path, math.prod(layout.shape) * bytes_per_value)
    check_real(path, file.series[0].dtype)
    values = np.stack([one.asarray() for one in file.series])
    depth, rows, columns, samples = layout.shape
    if layout.planar:
        return np.moveaxis(values.reshape(depth, samples, rows, columns), 1, -1)
    return values.reshape(layout.shape)


def read_tiff_labels(path: Path) -> np.ndarray:
    """Return the labels `(z, y, x)` of a TIFF, exactly as they are stored.

    Raises:
        ValueError: The file is damaged, or holds several channels, colours, or numbers whose meaning is not certain.
        OSError: The file does not exist or may not be read.
    """
    with open_tiff(path) as file:
        layout = tiff_layout(path, file)
        if layout.shape[-1] != 1:
            raise UnfitError(
                f"{path} must hold one channel of labels, got {layout.shape[-1]} samples per pixel; convert colours to "
                "labels"
            )
        # tifffile marks 0 as white in what it writes of a boolean array, and leaves the samples as they are
        if layout.kind == "MINISWHITE" and not layout.as_given:
            raise UnfitError(
                f"{path} must hold labels whose 0 is black (MINISBLACK), got 0 as white (MINISWHITE), where programs "
                "differ in what is background; save it as grey values of 8 bits"
            )
        if layout.kind == "PALETTE":
            raise UnfitError(f"{path} must hold one channel of labels, got numbers of colours; save it as grey values")
        if layout.kind not in ("MINISBLACK", "MINISWHITE") and not (layout.kind == "RGB" and layout.as_given):
            raise UnfitError(f"{path} must hold labels as grey values, got {layout.kind}; save it as grey values")
        return np.asarray(_samples(path, file, layout, 8)[..., 0])


def read_tiff_image(path: Path) -> np.ndarray:
    """Return the image `(z, y, x)` of a TIFF as float32; of colours the mean.

    Raises:
        ValueError: The file is damaged, or is neither a slice nor a volume.
        OSError: The file does not exist or may not be read.
    """
    with open_tiff(path) as file:
        layout = tiff_layout(path, file)
        values = _samples(path, file, layout, 4)
        if layout.kind == "PALETTE":
            return np.asarray(file.pages[0].colormap[:, values[..., 0]].mean(0, dtype=np.float32))
        if layout.kind == "MINISWHITE" and not layout.as_given and values.dtype.kind in ("b", "u"):
            values = ~values
        values = values.astype(np.float32)
        return np.asarray(values[..., :3].mean(-1) if layout.shape[-1] > 2 else values[..., 0])
