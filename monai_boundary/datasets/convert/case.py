"""The cases of a download: found, read and checked whole, then written so that no part of one ever looks finished."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.processing import resample_from_to

from monai_boundary._files import replacing
from monai_boundary._labels import near_integers
from monai_boundary.datasets.convert.challenges import Challenge, Place
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, case_name, corner_shift, load_nifti, nifti_bytes, same_affine

__all__ = ["FoundCase", "ReadCase", "case_files", "find_cases", "read_case", "write_case"]


@dataclass
class FoundCase:
    """One case in a download: its name, group, path and set as in `Place`, its files, and why it cannot be converted.

    Args:
        place: Of its first file.
        files: By role.
        problems: Reasons; empty where every channel has one file, and training cases a label.
    """

    place: Place
    files: dict[str, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name in the converted data set."""
        return self.place.case

    @property
    def label(self) -> Path | None:
        """The label map; test cases may have none."""
        return self.files["label"][0] if "label" in self.files else None

    def sources(self) -> list:
        """Return name, size and time of every file, to know later whether they are the same."""
        files = [file for role in sorted(self.files) for file in self.files[role]]
        return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


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


def find_cases(challenge: Challenge, source: str | os.PathLike[str]) -> tuple[list[FoundCase], list[str]]:
    """Return the cases of a download by their paths, and its folders that are links, which are not followed.

    Left out are hidden files, and ``__MACOSX``, the shadow that macOS puts into zip files.

    Raises:
        ValueError: `source` is no folder.
    """
    if not Path(source).is_dir():
        raise ValueError(f"source must be the unpacked folder of the challenge, got {source}; unpack its zip first")
    root, links = Path(source).resolve(), []
    cases: dict[tuple[str, ...], FoundCase] = {}
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != "__MACOSX" and not name.startswith("."))
        links += [Path(folder, name) for name in names if Path(folder, name).is_symlink()]
        parts = (root.name, *Path(folder).relative_to(root).parts)
        for file in sorted(name for name in files if name.endswith(NIFTI_ENDINGS) and not name.startswith(".")):
            place = challenge.place(parts, case_name(Path(file)))
            if place is not None:
                case = cases.setdefault(tuple(place.path), FoundCase(place))
                if place.role is not None:
                    case.files.setdefault(place.role, []).append(Path(folder, file))
    found = [case for _, case in sorted(cases.items())]
    counts = Counter(case.name for case in found)
    for case in found:
        case.problems = _problems(case, challenge, root)
        if counts[case.name] > 1:
            case.problems.insert(0, f"{counts[case.name]} cases have this name; remove or rename all but one")
    return found, [link.relative_to(root).as_posix() for link in links]


def _problems(case: FoundCase, challenge: Challenge, root: Path) -> list[str]:
    problems = []
    for role in (*challenge.channels, *(() if case.place.test and case.label is None else ("label",))):
        files = case.files.get(role, [])
        if len(files) != 1:
            problems.append(f"{role} is missing" if not files else f"{role} is there {len(files)} times")
        elif not files[0].resolve().is_relative_to(root):
            problems.append(f"{role} is a link that leads out of the source folder")
        elif not files[0].exists():
            problems.append(f"{role} is a link to a file that is not there")
    return problems


def read_case(found: FoundCase, challenge: Challenge) -> ReadCase:
    """Read the files of a case and bring them onto the grid of the first channel.

    Raises:
        ValueError: A file is missing, unreadable, holds values that are not finite or not labels, or lies on another
            grid although the challenge's layout does not have that.
        OSError: A file may not be read.
    """
    if found.problems:
        raise ValueError("; ".join(found.problems))
    files = [found.files[channel][0] for channel in challenge.channels]
    first, affine = load_nifti(files[0])
    images, notes = [first], []
    for channel, file in zip(challenge.channels[1:], files[1:], strict=True):
        values, moved = _on_grid(file, files[0], first, affine, channel in challenge.resampled)
        images.append(values)
        if moved:
            notes.append(f"{channel} resampled onto the grid of {challenge.channels[0]} (linear)")
    for file, values in zip(files, images, strict=True):
        wrong = int(values.size - np.isfinite(values).sum())
        if wrong:
            raise ValueError(f"{file.name} must hold finite values, got NaN or infinity in {wrong} voxels")
    if found.label is None:
        return ReadCase(images, None, affine, notes)
    values, known = near_integers(_on_grid(found.label, files[0], first, affine)[0]), sorted(challenge.labels.values())
    wrong_labels = values[~np.isin(values, known)]
    if wrong_labels.size:
        raise ValueError(f"{found.label.name} must hold the labels {known}, got {np.unique(wrong_labels)[:3].tolist()}")
    if not (values == 1).any():
        notes.append("the label holds no voxel of class 1")
    return ReadCase(images, values.astype(np.uint8), affine, notes)


def _on_grid(
    file: Path, reference: Path, first: np.ndarray, affine: np.ndarray, resample: bool = False
) -> tuple[np.ndarray, bool]:
    """Return the voxels of a file on the grid of `first`, and whether they were resampled."""
    values, own = load_nifti(file)
    if values.shape == first.shape and same_affine(first.shape, affine, own):
        return values, False
    if resample:
        moved = resample_from_to(nib.Nifti1Image(values, own), (first.shape, affine), order=1)
        return np.asarray(moved.dataobj, np.float32), True
    place = ""
    if values.shape == first.shape:
        shift = corner_shift(np.subtract(first.shape, 1), affine, own)
        place = f" at other places in space, up to {shift:.3g} mm apart"
    raise ValueError(
        f"{file.name} must lie on the grid of {reference.name}, got shapes {values.shape} and {first.shape}{place}"
    )


def case_files(case: str, test: bool, channels: int) -> tuple[list[str], str]:
    """Return the names of a case's images and of its label below the data set's folder, as nnU-Net has them."""
    kind = "Ts" if test else "Tr"
    images = [f"images{kind}/{case}_{channel:04d}.nii.gz" for channel in range(channels)]
    return images, f"labels{kind}/{case}.nii.gz"


def write_case(read: ReadCase, folder: Path, found: FoundCase) -> dict[str, str]:
    """Write a case below `folder`, and return the SHA-256 of each file by its name there.

    All files are written beside their places first and then moved, so that a full disk or a kill leaves no file that
    is half a volume.
    """
    images, label = case_files(found.name, found.place.test, len(read.images))
    arrays = dict(zip(images, read.images, strict=True)) | ({} if read.label is None else {label: read.label})
    digests = {}
    with ExitStack() as stack:
        for name, array in arrays.items():
            image = nib.Nifti1Image(array, read.affine)
            image.set_qform(read.affine, 1)
            image.set_sform(read.affine, 1)
            content = nifti_bytes(image)
            stack.enter_context(replacing(folder / name, len(content))).write_bytes(content)
            digests[name] = hashlib.sha256(content).hexdigest()
    return digests
