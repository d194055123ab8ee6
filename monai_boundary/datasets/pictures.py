"""Headers of PNG and BMP: whether what SimpleITK reads are the numbers that the file stores."""

from __future__ import annotations

import struct
from pathlib import Path

from monai_boundary.datasets.checks import check_readable

__all__ = ["stored_scale"]

_PNG, _BMP = b"\x89PNG\r\n\x1a\n", b"BM"
_PALETTE, _TRANSPARENT = 3, 4  # colour types in the header of a PNG
_HEAD = 1 << 20  # bytes in which the pixels begin, behind any colour profile
_CORE_HEADER = 12  # bytes of the oldest header of a BMP, whose colours have three bytes


def stored_scale(path: Path, what: str = "labels") -> int:
    """Return by how much SimpleITK multiplies the values of a file: those of a PNG of 1, 2 or 4 bits become 0 to 255.

    Args:
        path: The file, of any kind; 1 for others than PNG and BMP.
        what: That the file must hold, for errors.

    Raises:
        ValueError: SimpleITK does not read the stored numbers: they are numbers of colours, have fewer bits that count
            than they have (sBIT), or are transparent.
        OSError: The file does not exist or may not be read.
    """
    check_readable(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    scale, wrong = 1, ""
    if head.startswith(_PNG) and len(head) > 25:
        scale, wrong = _png_scale(head)
    elif head.startswith(_BMP) and len(head) > 50 and _has_palette(head):
        wrong = "numbers of colours"
    if wrong:
        raise ValueError(f"{path} must hold one channel of {what}, got {wrong}; save it as grey values")
    return scale


def _png_scale(head: bytes) -> tuple[int, str]:
    """Return the scale, and what is wrong with the numbers of the file."""
    bits, kind = head[24], head[25]
    if kind == _PALETTE:
        return 1, "numbers of colours"
    chunks = _chunks_before_the_image(head)
    if kind == _TRANSPARENT or (kind == 0 and b"tRNS" in chunks):
        return 1, "transparent values"
    if any(count < bits for count in chunks.get(b"sBIT", b"")):
        return 1, f"values of {bits} bits of which {min(chunks[b'sBIT'])} count (sBIT)"
    return (255 // (2**bits - 1) if bits < 8 else 1), ""


def _chunks_before_the_image(head: bytes) -> dict[bytes, bytes]:
    """Return the content of the chunks of a PNG by name, up to the pixels."""
    chunks, place = {}, len(_PNG)
    while place + 8 <= len(head):
        size, name = struct.unpack(">I4s", head[place : place + 8])
        if name == b"IDAT":
            break
        chunks[name] = head[place + 8 : place + 8 + size]
        place += 12 + size
    return chunks


def _has_palette(head: bytes) -> bool:
    """Whether a number has another colour than its own grey in a BMP."""
    (header,) = struct.unpack("<I", head[14:18])
    old = header == _CORE_HEADER
    (bits,) = struct.unpack("<H", head[24:26] if old else head[28:30])
    if bits > 8:
        return False
    count = 0 if old else struct.unpack("<I", head[46:50])[0]
    entry = 3 if old else 4
    colours = head[14 + header :]
    shown = range(min(count or 2**bits, 2**bits, len(colours) // entry))
    return any(colours[number * entry : number * entry + 3] != bytes([number] * 3) for number in shown)
