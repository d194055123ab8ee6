"""Truncated and damaged files that SimpleITK returns voxels of all the same: each is named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.label_maps import read_any_image, read_any_labels

LABELS = np.random.default_rng(0).integers(0, 3, (6, 20, 21)).astype(np.uint8)
PICTURE = LABELS[0, :9, :11]
DAMAGE = r"must be a complete image that SimpleITK reads, got: .*; download or copy it again"
GREYS = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))


def write_bmp(path: Path, rows: np.ndarray | bytes, height: int = 9, bits: int = 8, compression: int = 0) -> None:
    """Write rows as its format has them: from the bottom, where `height` is > 0, padded to 4 bytes."""
    content = rows if isinstance(rows, bytes) else np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    palette = GREYS if bits == 8 else b""
    header = struct.pack(
        "<IiiHHIIiiII", 40, 11, height, 1, bits, compression, len(content) if compression else 0, 0, 0, 0, 0
    )
    start = 14 + len(header) + len(palette)
    path.write_bytes(struct.pack("<2sIHHI", b"BM", start + len(content), 0, 0, start) + header + palette + content)


def run_lengths(rows: np.ndarray) -> bytes:
    return b"".join(bytes([count for value in row for count in (1, value)]) + b"\0\0" for row in rows) + b"\0\1"


BMPS = {
    "from the bottom": (PICTURE[::-1],),
    "from the top": (PICTURE, -9),
    "colours": (np.repeat(PICTURE[::-1], 3, axis=1), 9, 24),
    "run lengths": (run_lengths(PICTURE[::-1]), 9, 8, 1),
}


@pytest.mark.parametrize("given", BMPS.values(), ids=BMPS)
def test_a_bmp_without_its_last_bytes_is_named(tmp_path: Path, given: tuple) -> None:
    path = tmp_path / "a.bmp"
    write_bmp(path, *given)
    np.testing.assert_array_equal(read_any_labels(path).array[0], PICTURE)
    whole = path.read_bytes()
    for lost in (1, 2, 40, 95):
        path.write_bytes(whole[:-lost])
        for read in (read_any_labels, read_any_image):
            with pytest.raises(ValueError, match=rf"a\.bmp {DAMAGE}"):
                read(path)


def test_run_lengths_of_a_bmp_need_their_size(tmp_path: Path) -> None:
    write_bmp(tmp_path / "a.bmp", run_lengths(PICTURE[::-1]), 9, 8, 1)
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[34:38] = bytes(4)
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.bmp .* got: rows of run lengths without their size in the header"):
        read_any_labels(tmp_path / "a.bmp")
