"""The chunk files of an array in Zarr (v2, v3) and N5: which there are, which are cut off.

The libraries that read them take a chunk that is not there for one of the fill value, and some take a truncated one for
whole: blosc reads on in memory that is not the chunk's.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ChunkFiles", "array_folders", "chunk_files", "is_array", "read_json", "stores"]

_BLOSC_HEADER = 16  # bytes; the last four are the number of bytes of the chunk
_MARKERS = ("zarr.json", ".zarray", ".zgroup", "attributes.json")


def stores(path: Path) -> str | None:
    """Return ``"zarr"`` or ``"n5"`` for a folder that is, or whose name says that it is, a container or its part."""
    if any((path / marker).is_file() for marker in _MARKERS[:3]) or path.suffix.lower() == ".zarr":
        return "zarr"
    return "n5" if (path / _MARKERS[3]).is_file() or path.suffix.lower() == ".n5" else None


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no such file.

    Raises:
        ValueError: The file is no JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} must be a whole JSON file, got: {error}; download or copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}; download or copy it again")
    return content


def is_array(folder: Path) -> bool:
    """Whether a folder is an array of Zarr or N5, not a group."""
    if read_json(folder / "zarr.json").get("node_type") == "array" or (folder / ".zarray").is_file():
        return True
    return "dimensions" in read_json(folder / "attributes.json")


def array_folders(root: Path, limit: int = 20) -> list[str]:
    """Return the keys of the arrays in a container, the first `limit` of them, without looking into arrays."""
    found: list[str] = []
    for place, folders, _ in os.walk(root):
        if is_array(Path(place)):
            found.append(Path(place).relative_to(root).as_posix())
            folders.clear()
        folders.sort()
        if len(found) >= limit:
            break
    return found


@dataclass(frozen=True)
class ChunkFiles:
    """Where the chunks of an array lie; axes as NumPy has them (N5 stores their sizes the other way round).

    Args:
        folder: Of the array.
        shape: Of the array.
        chunk: Shape of a chunk; of a shard, where chunks are gathered in shards.
        name: Pattern of the files, ``"{}"`` for the numbers.
        separator: Between the numbers.
        reverse: Whether the last axis is named first.
        header: Bytes before the data in each file.
        compressor: ``"blosc"``, ``None`` for none, or another name.
        fill: What a missing chunk reads as.
    """

    folder: Path
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    name: str
    separator: str
    reverse: bool = False
    header: int = 0
    compressor: str | None = "other"
    fill: Any = 0
    itemsize: int = 1

    def __call__(self, index: Sequence[int]) -> Path:
        """Return the file of the chunk of an index."""
        numbers = reversed(index) if self.reverse else index
        return self.folder / self.name.format(self.separator.join(map(str, numbers)))

    def touched(self, selection: Sequence[slice]) -> Iterator[tuple[Path, tuple[slice, ...]]]:
        """Give the file of each chunk that a part of the array lies in, and its voxels."""
        rows = zip(selection, self.shape, self.chunk, strict=True)
        grids = [range(part.start // size, -(-part.stop // size)) for part, _, size in rows]
        for index in itertools.product(*grids):
            ends = zip(index, self.chunk, self.shape, strict=True)
            yield self(index), tuple(slice(at * size, min((at + 1) * size, end)) for at, size, end in ends)

    def missing(self, selection: Sequence[slice]) -> tuple[int, int]:
        """Return how many chunks of a part of the array have no file, and how many there are."""
        there = [path.is_file() for path, _ in self.touched(selection)]
        return there.count(False), len(there)

    def cut_off(self, selection: Sequence[slice]) -> Path | None:
        """Return the first file of a part of the array whose length is not the one it must have."""
        if self.compressor not in ("blosc", None):
            return None  # others notice it themselves
        full = math.prod(self.chunk) * self.itemsize
        for path, voxels in self.touched(selection):
            try:
                size = path.stat().st_size - self.header
            except FileNotFoundError:
                continue
            held = {
                full,
                math.prod(part.stop - part.start for part in voxels) * self.itemsize,
            }  # N5 ends with the array
            if size not in held if self.compressor is None else size != _blosc_bytes(path, self.header):
                return path
        return None


def _blosc_bytes(path: Path, skip: int) -> int:
    with path.open("rb") as file:
        file.seek(skip)
        head = file.read(_BLOSC_HEADER)
    return int(struct.unpack("<I", head[-4:])[0]) if len(head) == _BLOSC_HEADER else -1


def chunk_files(folder: Path) -> ChunkFiles:
    """Return where the chunks of an array lie.

    Raises:
        ValueError: The description of the array cannot be read.
    """
    for name, parse in (("zarr.json", _zarr3), (".zarray", _zarr2), ("attributes.json", _n5)):
        if content := read_json(folder / name):
            try:
                return parse(folder, content)
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                raise ValueError(
                    f"{folder / name} must describe an array, got no {error}; download or copy it again"
                ) from error
    raise ValueError(f"{folder} must be an array of Zarr or N5, got no description of one; check the path")


def _zarr2(folder: Path, content: dict[str, Any]) -> ChunkFiles:
    compressor = content["compressor"]
    other = "other" if content.get("filters") else None
    return ChunkFiles(
        folder, tuple(content["shape"]), tuple(content["chunks"]), "{}", content.get("dimension_separator", "."),
        compressor=other if compressor is None else compressor["id"], fill=content["fill_value"],
        itemsize=np.dtype(content["dtype"]).itemsize if isinstance(content["dtype"], str) else 1,
    )  # fmt: skip


def _zarr3(folder: Path, content: dict[str, Any]) -> ChunkFiles:
    encoding, codecs = content["chunk_key_encoding"], [codec["name"] for codec in content["codecs"]]
    default = encoding["name"] == "default"
    separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
    only = codecs in (["bytes"], ["transpose", "bytes"])
    return ChunkFiles(
        folder, tuple(content["shape"]), tuple(content["chunk_grid"]["configuration"]["chunk_shape"]),
        f"c{separator}{{}}" if default else "{}", separator,
        compressor=None if only else "blosc" if codecs[-1] == "blosc" else "other", fill=content["fill_value"],
        itemsize=np.dtype(content["data_type"]).itemsize if only else 1,
    )  # fmt: skip


def _n5(folder: Path, content: dict[str, Any]) -> ChunkFiles:
    shape, compression = tuple(content["dimensions"][::-1]), content.get("compression", {})
    kind = compression.get("type", content.get("compressionType", "raw"))
    return ChunkFiles(
        folder, shape, tuple(content["blockSize"][::-1]), "{}", "/", reverse=True, header=4 + 4 * len(shape),
        compressor=None if kind == "raw" else kind, itemsize=np.dtype(content["dataType"]).itemsize,
    )  # fmt: skip
