"""Whether the files of images are whole, where SimpleITK does not notice it and returns voxels all the same.

It reads on behind the end of a BMP or GIPL, and takes compressed data of MetaIO, NRRD and GIPL whose checksum or length
is wrong.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import SimpleITK as sitk  # noqa: N813 - as everywhere

__all__ = ["check_whole"]

_BLOCK = 1 << 16  # bytes read at once; decompressed they are at most a thousand times as many
_ZLIB_OR_GZIP = 47  # window bits: the header of the data says which
_CORE_HEADER, _FULL_HEADER = 12, 40  # bytes of a header of a BMP
_GIPL_HEADER = 256  # bytes
_RUN_LENGTHS = (1, 2)  # compression of a BMP: the rows have no fixed length


@dataclass(frozen=True)
class _Compressed:
    """Where the compressed voxels of an image lie: in each file behind `start` bytes and `lines` lines, `size` bytes.

    `skip` bytes come before the voxels once they are decompressed; -1 for any number.
    """

    files: Sequence[Path]
    start: int = 0
    size: int | None = None
    lines: int = 0
    skip: int = 0


def check_whole(path: Path, reader: sitk.ImageFileReader) -> None:
    """Raise ``RuntimeError``, as SimpleITK does, when a file lacks bytes or its compressed voxels are damaged.

    Args:
        path: The file.
        reader: It has read the header.
    """
    kind = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    voxel = sitk.GetArrayViewFromImage(sitk.Image((1,) * reader.GetDimension(), reader.GetPixelID())).dtype
    numbers = math.prod(reader.GetSize()) * (1 if voxel.kind == "c" else reader.GetNumberOfComponents())
    size = numbers * voxel.itemsize
    try:
        if kind == "BMPImageIO":
            _check_length(path, _bmp_bytes(path))
        elif kind == "GiplImageIO" and path.suffix.lower() != ".gz":
            _check_length(path, _GIPL_HEADER + size)
        elif kind in _FINDERS and (found := _FINDERS[kind](path)) is not None:
            for file in found.files:
                if file.is_file():  # SimpleITK tells of one that is not there
                    _check_compressed(file, found, size // len(found.files))
    except (ValueError, TypeError, OverflowError) as error:  # of numbers and patterns in a header
        raise RuntimeError(f"a header that cannot be understood: {error}") from error


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


def _in_metaio(path: Path) -> _Compressed | None:
    """Return where MetaIO finds compressed voxels; ``None`` where they are not compressed."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while "ElementDataFile" not in fields and (line := file.readline()):
            key, *value = re.split("[=:]", os.fsdecode(line), maxsplit=1)
            fields[key.strip()] = "".join(value).strip()
        start, name = file.tell(), fields.get("ElementDataFile", "")
        local = name.lower() == "local"
        files = [path] if local else _named_files(path, name, file)
    if not fields.get("CompressedData", "").startswith(("T", "t", "1")):
        return None
    size = int(float(fields.get("CompressedDataSize", 0)))
    if not size:  # then it takes all of the file, with the header that may be in it
        return _Compressed(files)
    before = int(fields.get("HeaderSize", 0))
    return _Compressed(files, before if before > 0 else start * local, size)


def _in_nrrd(path: Path) -> _Compressed | None:
    """Return where NRRD has its compressed voxels; ``None`` where they are not compressed."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while not fields.get("datafile", "").startswith("LIST") and (line := os.fsdecode(file.readline()).strip()):
            key, _, value = line.partition(": ")  # others are "key:=value", and mean nothing
            fields[key.replace(" ", "").lower()] = value.strip()
        name = fields.get("datafile")
        files, start = ([path], file.tell()) if name is None else (_named_files(path, name, file), 0)
    if fields.get("encoding", "").lower() not in ("gz", "gzip"):
        return None
    return _Compressed(files, start, lines=int(fields.get("lineskip", 0)), skip=int(fields.get("byteskip", 0)))


def _in_gipl(path: Path) -> _Compressed:
    return _Compressed([path], skip=_GIPL_HEADER)


_FINDERS = {"MetaImageIO": _in_metaio, "NrrdImageIO": _in_nrrd, "GiplImageIO": _in_gipl}


def _named_files(path: Path, name: str, rest: BinaryIO) -> list[Path]:
    """Return the files that a header names: one, those of a pattern with first, last and step, or one in each line."""
    pattern, *numbers = name.split() or [""]
    names = [name]
    if pattern == "LIST":
        names = [text for line in rest if (text := os.fsdecode(line).strip())]
    elif "%" in pattern and len(numbers) > 2:
        first, last, step = map(int, numbers[:3])
        names = [pattern % number for number in range(first, last + (1 if step > 0 else -1), step)]
    return [path.parent / one for one in names]


def _check_compressed(file: Path, where: _Compressed, size: int) -> None:
    """Raise ``RuntimeError`` unless a file holds `size` bytes of voxels, with the checksum behind them."""
    limit = size + where.skip if where.skip >= 0 else math.inf
    with file.open("rb") as stream:
        stream.seek(where.start)
        for _ in range(where.lines):
            stream.readline()
        try:
            count = _count_bytes(_blocks(stream, where.size), limit)
        except (zlib.error, EOFError) as error:
            raise RuntimeError(f"damaged data in {file.name}: {error}") from error
    if count < size + max(where.skip, 0) or count > limit:
        held = "more" if count > limit else f"{count}"
        raise RuntimeError(f"{held} bytes in {file.name}, where the header says {size}")


def _blocks(stream: BinaryIO, size: int | None) -> Iterator[bytes]:
    left = math.inf if size is None else size
    while block := stream.read(int(min(_BLOCK, left))):
        left -= len(block)
        yield block


def _count_bytes(blocks: Iterator[bytes], limit: float) -> int:
    """Return how many bytes compressed data are, `limit` at most or more; what follows the whole of them may be."""
    count, data = 0, zlib.decompressobj(_ZLIB_OR_GZIP)
    for block in blocks:
        rest = block
        while rest and not (data.eof and count >= limit):
            if data.eof:  # gzip may be of several members
                data = zlib.decompressobj(_ZLIB_OR_GZIP)
            count += len(data.decompress(rest))
            rest = data.unused_data
        if count > limit:
            return count
    if not data.eof:
        raise EOFError("it ends too early")
    return count
