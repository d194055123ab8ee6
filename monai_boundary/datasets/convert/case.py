"""One case: read and checked whole, then written so that no part of it ever looks finished."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from monai_boundary._files import replacing
from monai_boundary.datasets.convert.challenge import Challenge, FoundCase
from monai_boundary.datasets.nifti import load_nifti, near_integers, same_affine

__all__ = ["ReadCase", "case_files", "read_case", "write_case"]


@dataclass(frozen=True, eq=False)
class ReadCase:
    """The arrays of a case on one grid.

    Args:
        images: Float32 `(x, y, z)`, one per channel.
        label: Uint8 `(x, y, z)`; ``None`` for test cases without one.
        affine: `(4, 4)`, from voxel indices to mm.
        notes: What a user should know: channels that were resampled, an empty label.
    """

    images: list[np.ndarray]
    label: np.ndarray | None
    affine: np.ndarray
    notes: list[str]


def read_case(found: FoundCase, challenge: Challenge) -> ReadCase:
    """Read the files of a case and bring them onto the grid of the first channel.

    Raises:
        ValueError: A file is missing, unreadable, holds values that are not finite or not labels, or lies on another
            grid although the challenge's layout does not have that.
        OSError: A file may not be read.
    """
    if found.problems:
        raise ValueError("; ".join(found.problems))
    files = found.images(challenge)
    first, affine = load_nifti(files[0])
    images, notes = [_finite(first, files[0])], []
    for channel, file in zip(challenge.channels[1:], files[1:], strict=True):
        values, own = load_nifti(file)
        if channel in challenge.resampled and _lies_elsewhere(values, own, first, affine):
            values = _resample(values, own, first.shape, affine)
            notes.append(f"{channel} resampled onto the grid of {challenge.channels[0]} (linear)")
        else:
            _check_grid(file, values, own, files[0], first, affine)
        images.append(_finite(values, file))
    if found.label is None:
        return ReadCase(images, None, affine, notes)
    values, own = load_nifti(found.label)
    _check_grid(found.label, values, own, files[0], first, affine)
    label = _labels(values, found.label, sorted(challenge.labels.values()))
    if not (label == 1).any():
        notes.append("the label holds no voxel of class 1")
    return ReadCase(images, label, affine, notes)


def _finite(values: np.ndarray, file: Path) -> np.ndarray:
    wrong = int(values.size - np.isfinite(values).sum())
    if wrong:
        raise ValueError(f"{file.name} must hold finite values, got NaN or infinity in {wrong} voxels")
    return values


def _labels(values: np.ndarray, file: Path, known: list[int]) -> np.ndarray:
    values = near_integers(values)
    if not np.isin(values, known).all():
        wrong = np.unique(values[~np.isin(values, known)])[:3].tolist()
        raise ValueError(f"{file.name} must hold the labels {known}, got {wrong}")
    return values.astype(np.uint8)


def _lies_elsewhere(values: np.ndarray, own: np.ndarray, first: np.ndarray, affine: np.ndarray) -> bool:
    return values.shape != first.shape or not same_affine(first.shape, affine, own)


def _check_grid(
    file: Path, values: np.ndarray, own: np.ndarray, reference: Path, first: np.ndarray, affine: np.ndarray
) -> None:
    if _lies_elsewhere(values, own, first, affine):
        place = " at other places in space" if values.shape == first.shape else ""
        raise ValueError(
            f"{file.name} must lie on the grid of {reference.name}, got shapes {values.shape} and {first.shape}{place}"
        )


def _resample(values: np.ndarray, own: np.ndarray, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    moved = resample_from_to(nib.Nifti1Image(values, own), (shape, affine), order=1, mode="constant", cval=0.0)
    return np.asarray(moved.dataobj, np.float32)


def case_files(case: str, test: bool, channels: int) -> tuple[list[str], str]:
    """Return the names of a case's images and of its label below the data set's folder, as nnU-Net has them."""
    kind = "Ts" if test else "Tr"
    images = [f"images{kind}/{case}_{channel:04d}.nii.gz" for channel in range(channels)]
    return images, f"labels{kind}/{case}.nii.gz"


def write_case(read: ReadCase, folder: Path, found: FoundCase) -> None:
    """Write a case below `folder`.

    All files are written beside their places first and then moved, so that a full disk or a kill leaves no file that
    is half a volume.
    """
    images, label = case_files(found.name, found.place.test, len(read.images))
    arrays = dict(zip(images, read.images, strict=True)) | ({} if read.label is None else {label: read.label})
    with ExitStack() as stack:
        for name, array in arrays.items():
            image = nib.Nifti1Image(array, read.affine)
            image.set_qform(read.affine, 1)
            image.set_sform(read.affine, 1)
            image.header.set_xyzt_units("mm")
            part = stack.enter_context(replacing(folder / name))
            part.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
