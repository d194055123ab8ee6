"""Whether the files of images are whole, where SimpleITK does not notice it and returns voxels all the same."""

from __future__ import annotations

import struct
from pathlib import Path

import SimpleITK as sitk  # noqa: N813 - as everywhere

__all__ = ["check_whole"]

_CORE_HEADER, _FULL_HEADER = 12, 40  # bytes of a header of a BMP
_RUN_LENGTHS = (1, 2)  # compression of a BMP: the rows have no fixed length


def check_whole(path: Path) -> None:
    """Raise ``RuntimeError``, as SimpleITK does, when a file lacks bytes: a BMP is read beyond its end."""
    if sitk.ImageFileReader.GetImageIOFromFileName(str(path)) == "BMPImageIO":
        _check_length(path, _bmp_bytes(path))


def _check_length(path: Path, size: int) -> None:
    if (held := path.stat().st_size) < size:
        raise RuntimeError(f"{held} bytes of {size}")


def _bmp_bytes(path: Path) -> int:
    """Return how many bytes a BMP must have."""
    with path.open("rb") as file:
        head = file.read(54).ljust(54, b"\0")
    offset, header = struct.unpack("<II", head[10:18])
    old = header == _CORE_HEADER
    width, height, _, bits = struct.unpack("<HHHH", head[18:26]) if old else struct.unpack("<iiHH", head[18:30])
    compression, stored = struct.unpack("<II", head[30:38]) if header >= _FULL_HEADER else (0, 0)
    if compression not in _RUN_LENGTHS:
        return int(offset + (width * bits + 31) // 32 * 4 * abs(height))  # < 0 where rows go down
    if not stored:
        raise RuntimeError("rows of run lengths without their size in the header")
    return int(offset + stored)
