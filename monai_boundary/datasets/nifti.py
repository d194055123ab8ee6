"""NIfTI volumes in one fixed orientation: axes z, y, x, which point to superior, anterior and right.

So spacing is always (z, y, x), the order in which nnU-Net and this package hold arrays. Imports no torch, so that the
reports can read files quickly.
"""

from __future__ import annotations

import gzip
import io
import itertools
import math
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from nibabel.spatialimages import HeaderDataError

from monai_boundary._files import write_bytes
from monai_boundary._geometry import affine_spacing, mm_per_unit
from monai_boundary._labels import whole_numbers
from monai_boundary.datasets.checks import TooLargeError, UnfitError, check_real, check_size

__all__ = [
    "NIFTI_ENDINGS",
    "Volume",
    "case_name",
    "corner_shift",
    "load_nifti",
    "names_orientation",
    "nifti_bytes",
    "read_image",
    "read_labels",
    "same_affine",
    "same_grid",
    "write_labels",
    "write_volume",
]

NIFTI_ENDINGS = (".nii.gz", ".nii")
_GZIP = b"\x1f\x8b"
_HEADER, _CHUNK = 540, 1 << 20  # bytes: of the header of NIfTI 2, the larger one; read at once
_FLAT = 1e-3  # of the smallest singular value of three unit axes: the third is within 0.1 degree of their plane
_SAME_SIZE = 1e-3  # relative: programs round what they write
#: What nibabel, gzip and NumPy raise for a damaged file.
_DAMAGE = (ImageFileError, HeaderDataError, EOFError, OverflowError, TypeError, ValueError, MemoryError, zlib.error)


@dataclass(frozen=True, eq=False)
class Volume:
    """One 3-D array with its geometry.

    Args:
        array: `(z, y, x)`, towards superior, anterior, right.
        spacing: Voxel size in mm, in the order of `array`.
        affine: `(4, 4)`, from voxel indices (x, y, z) to mm.
        axcodes: Orientation of the axes in the file before reordering, such as ``"LPS"``.
        unit: Of `spacing`: ``"mm"``, or ``"px"`` for a picture, whose rows go down and columns right.
    """

    array: np.ndarray
    spacing: tuple[float, ...]
    affine: np.ndarray
    axcodes: str = "RAS"
    unit: str = "mm"


def read_image(path: str | os.PathLike[str]) -> Volume:
    """Read the one 3-D volume (or 2-D slice) in a NIfTI file as float32.

    Raises:
        ValueError: The file is no readable NIfTI, is truncated, holds several channels, or has an unusable affine.
        OSError: The file does not exist or may not be read.
    """
    return _read(Path(path), np.float32)


def read_labels(path: str | os.PathLike[str]) -> Volume:
    """Read a NIfTI label map as int64; float files are accepted when every value is an integer.

    Raises as `read_image`, and ``ValueError`` when values are negative, fractional or not finite.
    """
    volume = _read(Path(path), None)
    return Volume(label_values(volume.array, path), volume.spacing, volume.affine, volume.axcodes)


def label_values(array: np.ndarray, source: object) -> np.ndarray:
    """Return what was read from `source` as int64; ``ValueError`` unless all values are integers >= 0."""
    check_real(source, array.dtype)
    values = array if array.dtype.kind in "biu" else whole_numbers(array)
    if values is None or values.min() < 0:
        raise ValueError(
            f"{source} must hold labels (integers >= 0), got values in [{array.min():g}, {array.max():g}], some "
            "negative, fractional or not finite; pass the label map, not the image; resample it with nearest neighbour"
        )
    if (largest := float(values.max())) >= 2.0**63:
        raise ValueError(f"{source} must hold labels below 2^63, got {largest:g}; give its labels small numbers")
    return values.astype(np.int64)


def same_grid(first: Volume, second: Volume, tolerance_mm: float = 1e-2) -> bool:
    """Whether two volumes have the same shape and each voxel lies at the same place, to `tolerance_mm`."""
    shapes = first.array.shape[::-1], second.array.shape[::-1]
    return shapes[0] == shapes[1] and same_affine(shapes[0], first.affine, second.affine, tolerance_mm)


def case_name(path: Path) -> str:
    """Return the name of a NIfTI file without its ending."""
    return re.sub(r"(\.nii)?(\.gz)?$", "", path.name, count=1, flags=re.IGNORECASE)


def same_affine(shape: tuple[int, ...], first: np.ndarray, second: np.ndarray, tolerance_mm: float = 1e-2) -> bool:
    """Whether two affines put each voxel of `shape` `(x, y, z)` at the same place, to `tolerance_mm`."""
    return corner_shift(shape, first, second) <= tolerance_mm


def corner_shift(shape: Sequence[int] | np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Return by how many mm two affines put a corner of `shape` `(x, y, z)` apart; no place inside is moved further."""
    corners = np.array([*itertools.product(*((0, count) for count in shape))], np.float64)
    moved = corners @ (first - second)[:3, :3].T + (first - second)[:3, 3]
    return float(np.linalg.norm(moved, axis=1).max())


def write_volume(path: str | os.PathLike[str], array: np.ndarray, spacing: tuple[float, ...]) -> None:
    """Write `array` `(z, y, x)` as NIfTI with its centre at the origin and axes towards superior, anterior, right.

    Integers of 8 bytes are written in the smallest of uint8, int16 and int32 that holds them; ``ValueError`` where none
    does. Booleans become uint8, half precision becomes float32.
    """
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = [-(count - 1) * size / 2 for count, size in zip(array.shape[::-1], spacing[::-1], strict=True)]
    _write(path, array.T, affine)


def write_labels(path: str | os.PathLike[str], array: np.ndarray, like: Volume) -> None:
    """Write labels `(z, y, x)` on the grid of another volume, in the orientation that this has in its file.

    Their type is as in `write_volume`.
    """
    turns = ornt_transform(io_orientation(like.affine), axcodes2ornt(like.axcodes))
    _write(path, apply_orientation(array.T, turns), like.affine @ inv_ornt_aff(turns, array.T.shape))


def _write(path: str | os.PathLike[str], values: np.ndarray, affine: np.ndarray) -> None:
    """Write voxels `(x, y, z)`; those of a type that NIfTI, or its readers, do not know in one that holds them all."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "b" or (kind == "f" and size == 2):
        values = values.astype(np.uint8 if kind == "b" else np.float32)
    elif kind in "iu" and size == 8:
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        known = [np.iinfo(one) for one in (np.uint8, np.int16, np.int32)]
        fit = next((one for one in known if one.min <= low and high <= one.max), None)
        if fit is None:
            raise ValueError(
                f"{path} must hold integers from {known[-1].min} to {known[-1].max}, got values in [{low}, {high}]; "
                "give its labels small numbers, or write floating point"
            )
        values = values.astype(fit.dtype)
    image = nib.Nifti1Image(np.ascontiguousarray(values), affine)
    write_bytes(path, nifti_bytes(image, os.fspath(path).endswith(".gz")))


def nifti_bytes(image: nib.Nifti1Image, compressed: bool = True) -> bytes:
    """Return the file of an image in mm; the same image gives the same bytes."""
    image.header.set_xyzt_units("mm")
    content: bytes = image.to_bytes()
    return gzip.compress(content, compresslevel=1, mtime=0) if compressed else content


def load_nifti(
    path: str | os.PathLike[str], dtype: type[np.floating] | None = np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """Return the voxels `(x, y, z)` of a NIfTI file as they are stored, and its affine in mm; slices get a third axis.

    Args:
        path: The file.
        dtype: Of the voxels; ``None`` for that of the file where it has unscaled integers, else float64.

    Raises as `read_image`.
    """
    try:
        image = _whole_image(Path(path), np.dtype(dtype or np.float64))
        check_real(path, image.get_data_dtype())
        values = np.asarray(image.dataobj, dtype=dtype)  # the data are read here, so truncation shows here
        if dtype is None and values.dtype.kind not in "iu":
            values = values.astype(np.float64)
    except (TooLargeError, UnfitError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist; check the path") from error
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # a real one, such as a missing permission
            raise
        reason = str(error) or "sizes that do not fit into memory"
        raise ValueError(f"{path} must be a complete NIfTI file (.nii or .nii.gz), got: {reason}") from error
    if set(values.shape[3:]) == {1}:
        values = values.reshape(values.shape[:3])
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(
            f"{path} must hold one 3-D volume, got shape {values.shape}; split channels into one file each"
        )
    return values.reshape((*values.shape, 1)[:3]), _affine(path, image)


def _affine(path: str | os.PathLike[str], image: Any) -> np.ndarray:
    """Return the affine in mm that fits the voxel sizes of the header.

    nibabel takes the sform without a look at them; MONAI and ITK, with which a network is trained, take them.
    """
    header, mm = image.header, np.diag([*[mm_per_unit(image.header)] * 3, 1.0])
    affine: np.ndarray = mm @ image.affine
    _check_affine(path, affine)
    sizes = np.abs(header.get_zooms()[:3]) * mm[0, 0]  # of a slice two
    spaces = {"sform": affine} if header["sform_code"] else {}
    if header["qform_code"]:
        spaces["qform"] = mm @ image.get_qform()
    lengths = {name: np.linalg.norm(space[:3, : len(sizes)], axis=0) for name, space in spaces.items()}
    fit = next((name for name in spaces if np.allclose(lengths[name], sizes, rtol=_SAME_SIZE, atol=0)), None)
    if spaces and fit is None:
        found = " and ".join(f"{length.round(6).tolist()} mm by its {name}" for name, length in lengths.items())
        raise ValueError(
            f"{path} must have one voxel size, got {sizes.round(6).tolist()} mm by its pixdim and {found}; repair its "
            "header, as with nibabel's set_zooms and set_sform"
        )
    return affine if fit is None else spaces[fit]


def _check_affine(path: str | os.PathLike[str], affine: np.ndarray) -> None:
    """Raise ``ValueError`` unless the axes of an affine have a length, and span a volume."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or lengths.min() <= 0:
        raise ValueError(
            f"{path} must have an affine with voxel sizes > 0, got {lengths.tolist()} mm; repair its header"
        )
    flatness = np.linalg.svd(affine[:3, :3] / lengths, compute_uv=False)[-1]  # 1 where the axes are orthogonal
    if flatness < _FLAT:
        raise ValueError(
            f"{path} must have an affine whose axes point in three directions, got "
            f"{affine[:3, :3].round(4).tolist()}, where they lie in a plane; repair its header"
        )


def names_orientation(path: str | os.PathLike[str]) -> bool:
    """Whether a NIfTI file says where its axes point; without sform and qform readers assume it."""
    header = _whole_image(Path(path), np.dtype(np.uint8)).header
    return bool(header["sform_code"] or header["qform_code"])


def _whole_image(path: Path, dtype: np.dtype) -> Any:
    """Read what the header announces, and to the end of the stream: there gzip keeps its checksum.

    nibabel stops before, and a flipped bit passes. Size and voxels of `dtype` are checked before they are in memory.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    with gzip.open(path) if compressed else path.open("rb") as stream:
        content = stream.read(_HEADER)
        kinds = (nib.Nifti1Image, nib.Nifti2Image)
        kind = next((kind for kind in kinds if kind.header_class.may_contain_header(content)), None)
        if kind is None:
            raise ImageFileError("no header of a NIfTI file")
        header = kind.header_class.from_fileobj(io.BytesIO(content))
        voxels = math.prod(int(size) for size in header.get_data_shape())
        size = header.get_data_offset() + voxels * header.get_data_dtype().itemsize
        check_size(path, max(size, voxels * dtype.itemsize))
        content += stream.read(max(size - len(content), 0))
        while compressed and (rest := stream.read(_CHUNK)):
            size += len(rest)
            check_size(path, size)
    return kind.from_bytes(content)


def _read(path: Path, dtype: type[np.floating] | None) -> Volume:
    values, affine = load_nifti(path, dtype)
    turns = io_orientation(affine)
    upright = affine @ inv_ornt_aff(turns, values.shape)
    # the header holds float32: 0.1 reads as 0.10000000149
    spacing = tuple(float(f"{step:.7g}") for step in affine_spacing(upright, 3)[::-1])
    codes = "".join(code or "?" for code in aff2axcodes(affine))
    return Volume(apply_orientation(values, turns).T, spacing, upright, codes)
