"""PNG and BMP as label maps: the numbers that the file stores, or an error."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_boundary.datasets.em import Stored
from monai_boundary.datasets.label_maps import read_any_image, read_any_labels

#: First row, first column, step of rows and of columns of the seven passes of an interlaced PNG.
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
GREY, COLOURS, PALETTE, GREY_AND_OPACITY, COLOURS_AND_OPACITY = 0, 2, 3, 4, 6


def chunk(name: bytes, content: bytes) -> bytes:
    body = name + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def packed(values: np.ndarray, bits: int) -> bytes:
    rows = ["".join(f"{value:0{bits}b}" for value in row.ravel()) for row in values]
    sizes = [-(-len(row) // 8) for row in rows]
    return b"".join(
        b"\0" + int(row.ljust(size * 8, "0"), 2).to_bytes(size, "big") for row, size in zip(rows, sizes, strict=True)
    )


def write_png(path: Path, values: np.ndarray, bits: int, kind: int = GREY, before: bytes = b"", passes=()) -> None:
    """Write a PNG `(y, x)` or `(y, x, samples)` as its standard has it; `before` are chunks before the pixels."""
    parts = [values[y::dy, x::dx] for y, x, dy, dx in passes] if passes else [values]
    content = b"".join(packed(part, bits) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, kind, 0, 0, int(bool(passes)))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(content))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def labels(*shape: int, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, classes, shape).astype(np.uint8)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("passes", [(), ADAM7], ids=["plain", "interlaced"])
@pytest.mark.parametrize("before", [b"", chunk(b"gAMA", struct.pack(">I", 45455))], ids=["", "gamma"])
def test_grey_of_any_depth_is_the_numbers_that_the_file_holds(tmp_path: Path, bits, passes, before) -> None:
    array = np.random.default_rng(0).integers(0, 2**bits, (9, 11))
    write_png(tmp_path / "a.png", array, bits, GREY, before, passes)
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.png").array[0], array)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_ids_of_slices_are_the_numbers_that_the_file_holds(tmp_path: Path, bits) -> None:
    array = np.random.default_rng(0).integers(0, 2**bits, (3, 9, 11))
    for number, one in enumerate(array):
        write_png(tmp_path / f"{number}.png", one, bits)
    np.testing.assert_array_equal(Stored(tmp_path).read(), array)


@pytest.mark.parametrize(
    ("bits", "kind", "before", "text"),
    [
        (8, PALETTE, chunk(b"PLTE", bytes(range(9))), "numbers of colours"),
        (2, PALETTE, chunk(b"PLTE", bytes(range(9))), "numbers of colours"),
        (8, GREY, chunk(b"sBIT", b"\4"), r"values of 8 bits of which 4 count \(sBIT\)"),
        (8, GREY, chunk(b"tRNS", b"\0\1"), "transparent values"),
        (8, GREY_AND_OPACITY, b"", "transparent values"),
    ],
    ids=["palette", "palette of 2 bits", "sBIT", "tRNS", "opacity"],
)
def test_a_png_whose_numbers_would_change_is_named(tmp_path: Path, bits, kind, before, text) -> None:
    array = labels(9, 11, 2) if kind == GREY_AND_OPACITY else labels(9, 11)
    write_png(tmp_path / "a.png", array, bits, kind, before)
    with pytest.raises(
        ValueError, match=rf"a\.png must hold one channel of labels, got {text}; save it as grey values"
    ):
        read_any_labels(tmp_path / "a.png")


def test_sbit_of_all_bits_changes_nothing(tmp_path: Path) -> None:
    array = labels(9, 11)
    write_png(tmp_path / "a.png", array, 8, GREY, chunk(b"sBIT", b"\x08"))
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.png").array[0], array)


def test_three_equal_colours_are_grey_unless_opacity_says_something_else(tmp_path: Path) -> None:
    array = labels(9, 11)
    full = np.full_like(array, 255)
    write_png(tmp_path / "a.png", np.stack([array] * 3, -1), 8, COLOURS)
    write_png(tmp_path / "b.png", np.stack([array] * 3 + [full], -1), 8, COLOURS_AND_OPACITY)
    for name in "ab":
        np.testing.assert_array_equal(read_any_labels(tmp_path / f"{name}.png").array[0], array)
    write_png(tmp_path / "c.png", np.stack([0 * array] * 3 + [array], -1), 8, COLOURS_AND_OPACITY)
    with pytest.raises(ValueError, match=r"c\.png must hold one channel of labels, got shape \(9, 11, 4\); convert"):
        read_any_labels(tmp_path / "c.png")


def test_a_grey_bmp_is_read_and_a_palette_refused(tmp_path: Path) -> None:
    array = labels(9, 11)
    Image.fromarray(array).save(tmp_path / "a.bmp")
    np.testing.assert_array_equal(read_any_labels(tmp_path / "a.bmp").array[0], array)
    for number, palette in enumerate(([0, 0, 0, 85, 85, 85, 170, 170, 170], [0, 0, 0, 255, 0, 0, 0, 255, 0])):
        image = Image.fromarray(array)
        image.putpalette(palette)
        image.save(tmp_path / f"{number}.bmp")
        with pytest.raises(ValueError, match=rf"{number}\.bmp must hold one channel of labels, got numbers of colours"):
            read_any_labels(tmp_path / f"{number}.bmp")
    seen = np.array(image.convert("RGB"))
    np.testing.assert_allclose(read_any_image(tmp_path / "1.bmp").array[0], seen.mean(-1), rtol=1e-6)


def test_a_bmp_of_one_bit_is_no_silent_255(tmp_path: Path) -> None:
    Image.fromarray(labels(9, 11, classes=2) * 255).convert("1").save(tmp_path / "a.bmp")
    with pytest.raises(ValueError, match=r"a\.bmp must "):
        read_any_labels(tmp_path / "a.bmp")
