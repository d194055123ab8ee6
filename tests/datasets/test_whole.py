"""Truncated and damaged files that SimpleITK returns voxels of all the same: each is named."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everywhere

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


#: The image, and the file of its voxels.
PARTS = {
    "a.mha": "a.mha", "a.mhd": "a.zraw", "a.nrrd": "a.nrrd", "a.nhdr": "a.raw.gz", "a.gipl.gz": "a.gipl.gz",
}  # fmt: skip


def written(path: Path, compressed: bool = True) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(LABELS), str(path), compressed)
    return path


@pytest.mark.parametrize("name", PARTS)
def test_a_changed_bit_in_compressed_voxels_is_named(tmp_path: Path, name: str) -> None:
    path, part = written(tmp_path / name), tmp_path / PARTS[name]
    np.testing.assert_array_equal(read_any_labels(path).array, LABELS)
    whole = part.read_bytes()
    for place in (3, 40, 300, 600):
        content = bytearray(whole)
        content[-place] ^= 16
        part.write_bytes(content)
        for read in (read_any_labels, read_any_image):
            with pytest.raises(ValueError, match=rf"{name} {DAMAGE}"):
                read(path)


@pytest.mark.parametrize("lost", [1, 9, 300])
@pytest.mark.parametrize(
    ("name", "part"), [*PARTS.items(), *((one, one) for one in ("b.mha", "b.nrrd", "b.gipl")), ("b.mhd", "b.raw")]
)
def test_voxels_that_end_too_early_are_named(tmp_path: Path, name: str, part: str, lost: int) -> None:
    path = written(tmp_path / name, name.startswith("a"))
    np.testing.assert_array_equal(read_any_labels(path).array, LABELS)
    (tmp_path / part).write_bytes((tmp_path / part).read_bytes()[:-lost])
    with pytest.raises(ValueError, match=rf"{name} {DAMAGE}"):
        read_any_labels(path)


@pytest.mark.parametrize("change", [-7, 7])
@pytest.mark.parametrize(("name", "pack"), [("a.mhd", zlib.compress), ("a.nhdr", gzip.compress)])
def test_another_number_of_voxels_than_the_header_says_is_named(tmp_path: Path, name: str, pack, change: int) -> None:
    path = written(tmp_path / name)
    path.write_text(path.read_text().replace("CompressedDataSize", "Comment"))  # which then is that of the file
    voxels = LABELS.tobytes()
    (tmp_path / PARTS[name]).write_bytes(pack(voxels[:change] if change < 0 else voxels + bytes(change)))
    with pytest.raises(ValueError, match=rf"{name} {DAMAGE}"):
        read_any_labels(path)


@pytest.mark.parametrize("kind", ["list", "pattern"])
@pytest.mark.parametrize(("name", "pack"), [("a.mhd", zlib.compress), ("a.nhdr", gzip.compress)])
def test_each_of_several_files_of_voxels_is_looked_at(tmp_path: Path, name: str, pack, kind: str) -> None:
    path = written(tmp_path / name)
    names = "LIST\n" + "".join(f"{number}.z\n" for number in range(6)) if kind == "list" else "%d.z 0 5 1\n"
    text = path.read_text().replace("CompressedDataSize", "Comment")
    path.write_text(text.replace(f"{PARTS[name]}\n", names))
    for number, one in enumerate(LABELS):
        (tmp_path / f"{number}.z").write_bytes(pack(one.tobytes()))
    np.testing.assert_array_equal(read_any_labels(path).array, LABELS)
    content = bytearray((tmp_path / "4.z").read_bytes())
    content[-40] ^= 1
    (tmp_path / "4.z").write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} must be .*damaged data in 4\.z: "):
        read_any_labels(path)


@pytest.mark.parametrize(
    ("field", "before", "members"),
    [
        ("encoding: gzip\nbyte skip: 7", b"", (b"1234567", LABELS.tobytes())),
        ("encoding: gzip\nbyte skip: -1", b"", (b"123", LABELS.tobytes())),
        ("encoding: gzip\nline skip: 2", b"one\ntwo\n", (LABELS.tobytes(),)),
        ("encoding: gz", b"", (LABELS.tobytes(), b"")),
    ],
)
def test_what_nrrd_skips_and_several_members_of_gzip_are_no_damage(tmp_path: Path, field, before, members) -> None:
    path = written(tmp_path / "a.nhdr")
    path.write_text(path.read_text().replace("encoding: gzip", field))
    (tmp_path / "a.raw.gz").write_bytes(before + b"".join(map(gzip.compress, members)))
    np.testing.assert_array_equal(read_any_labels(path).array, LABELS)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.int16, np.float64])
def test_whole_images_of_several_channels_are_read(tmp_path: Path, ending: str, kind: type) -> None:
    image = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 2)).astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(image, isVector=True), str(tmp_path / f"a{ending}"), True)
    np.testing.assert_array_equal(read_any_image(tmp_path / f"a{ending}").array, image[..., 0].astype(np.float32))
