"""The volumes of the medical bundles: those of a split of a datalist, those of a folder, and how they are predicted."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
from monai.data.image_writer import NibabelWriter
from monai.data.utils import to_affine_nd
from monai.inferers import Inferer, SliceInferer, SlidingWindowInferer

from monai_boundary._files import write_bytes
from monai_boundary._jobs import share_of
from monai_boundary.bundles.running import say_kept
from monai_boundary.datasets.checks import CHANNEL, check_readable, data_files
from monai_boundary.datasets.datalist import CaseFiles, read_datalist
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, case_name

__all__ = [
    "CaseNames", "WholeNiftiWriter", "cases_to_predict", "cases_without_prediction", "labelled_cases", "volume_inferer"
]  # fmt: skip


def labelled_cases(datalist: str | os.PathLike[str], split: str, fold: int = 0) -> list[dict[str, Any]]:
    """Return the cases of a split as items for MONAI's readers: ``{"image": [...], "label": ...}``.

    Args:
        datalist: See `read_datalist`.
        split: ``"training"``, ``"validation"`` or ``"test"``.
        fold: Which cases validate where the datalist has folds.

    Raises:
        FileNotFoundError: There is no datalist.
        ValueError: It cannot be read, has no such cases, or one of them has no label.
    """
    cases = _cases_of_split(datalist, split, fold, labels=True)
    bare = [case.case for case in cases if case.label is None]
    if bare:
        raise ValueError(f"{datalist} must list a label for every case that is scored, got none for {bare[0]}")
    return [{"image": [str(file) for file in case.image], "label": str(case.label)} for case in cases]


def cases_to_predict(
    datalist: str | os.PathLike[str],
    channels: Sequence[str],
    split: str = "validation",
    images: str | os.PathLike[str] | None = None,
    fold: int = 0,
    shard: str | None = None,
) -> list[CaseFiles]:
    """Return what is to be predicted.

    Args:
        datalist: Of the data set; not read where `images` are given.
        channels: Names of the channels that the model was trained with.
        split: Of the datalist.
        images: A folder of NIfTI files, or one file, instead of a split. Names are nnU-Net's: ``case_0000.nii.gz`` is
            the first channel; a file of another name holds all channels of its case.
        fold: Which cases validate where the datalist has folds.
        shard: ``"I/N"``, I from 1 to N: every N-th case from the I-th on, which may be none.

    Raises:
        FileNotFoundError: There is no datalist, or no file at `images`.
        ValueError: There is nothing to predict, a case has other channels, numbers in the names of `images` are not
            those of channels, or `shard` is none.
    """
    cases = _cases_of_split(datalist, split, fold, labels=False) if images is None else _cases_of_files(Path(images))
    cases = share_of(cases, shard)
    for case in cases:
        count = sum(_channels_of(file) for file in case.image)
        if count != len(channels):
            names = ", ".join(f"{case.case}_{number:04d}.nii.gz" for number in range(len(channels)))
            raise ValueError(
                f"{case.case} must have {len(channels)} channels as in training ({', '.join(channels)}), got {count} "
                f"in {', '.join(file.name for file in case.image)}; name its files {names}"
            )
    return cases


def cases_without_prediction(
    cases: Sequence[CaseFiles], output_dir: str | os.PathLike[str], overwrite: bool = True
) -> list[CaseFiles]:
    """Return the cases that are still to be predicted: all, or without `overwrite` those of which no file is there."""
    missing = [case for case in cases if overwrite or not (Path(output_dir) / f"{case.case}.nii.gz").exists()]
    if len(missing) < len(cases):
        say_kept(len(cases) - len(missing), "prediction", output_dir)
    return missing


def _cases_of_split(datalist: str | os.PathLike[str], split: str, fold: int, labels: bool) -> list[CaseFiles]:
    if not Path(datalist).exists():
        raise FileNotFoundError(
            f"datalist must be the list of cases, got none at {datalist}; run monai-boundary convert first, and pass "
            "the folder that it made as --dataset_dir"
        )
    splits = read_datalist(datalist, fold, ("image", "label") if labels else ("image",), (split,))
    if not splits.get(split):
        known = ", ".join(name for name, cases in splits.items() if cases)
        raise ValueError(f"split must be one that {datalist} has cases of, {known}, got {split!r}")
    return splits[split]


def _cases_of_files(path: Path) -> list[CaseFiles]:
    files = data_files(path if path.is_dir() else path.parent, NIFTI_ENDINGS)
    cases: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        cases[_name(file)[0]].append(file)
    if path.is_dir():
        if not cases:
            raise ValueError(f"images must be a folder with .nii.gz or .nii files, got none in {path}")
        return [_case(name, found) for name, found in cases.items()]
    check_readable(path)
    name = _name(path)[0]
    return [_case(name, cases[name] if path in files else [path])]


def _case(name: str, files: list[Path]) -> CaseFiles:
    """Return a case; ``ValueError`` where the numbers in the names may be those of patients, not of channels."""
    numbers = [_name(file)[1] for file in files]
    if numbers not in ([""], [f"{number:04d}" for number in range(len(files))]):
        raise ValueError(
            f"images must hold all channels of {name} in one file, or one file for each, numbered from 0000, got "
            f"{', '.join(file.name for file in files)}; name the files of a case {name}_0000.nii.gz, "
            f"{name}_0001.nii.gz and so on, or {name}_0007_0000.nii.gz where 0007 is a patient"
        )
    return CaseFiles(name, tuple(files), None)


def _name(file: Path) -> tuple[str, str]:
    """Return the name of the case, and the number of the channel, empty where the name has none."""
    match = CHANNEL.fullmatch(case_name(file))
    return (match[1], match[2]) if match else (case_name(file), "")


def _channels_of(file: Path) -> int:
    check_readable(file)
    try:
        shape = nib.load(file).shape
    except nib.filebasedimages.ImageFileError as error:
        raise ValueError(f"{file} must be a NIfTI file, got: {error}") from error
    return int(shape[3]) if len(shape) > 3 else 1


class CaseNames:
    """Names predictions as their cases, for the `output_name_formatter` of MONAI's `SaveImage`.

    Args:
        cases: What is predicted.
    """

    def __init__(self, cases: Sequence[CaseFiles]) -> None:
        self._names = {str(case.image[0]): case.case for case in cases}

    def __call__(self, metadata: Mapping[str, Any], _saver: Any = None) -> dict[str, Any]:
        """Return the name of the file."""
        return {"subject": f"{self._names[str(metadata['filename_or_obj'])]}.nii.gz", "idx": None}


class WholeNiftiWriter(NibabelWriter):
    """MONAI's writer of NIfTI files, whose files are whole or not there, and of any orientation."""

    def set_metadata(self, meta_dict: Mapping | None, resample: bool = True, **options: Any) -> None:
        """Take the affine as it is where nothing is to be resampled.

        MONAI sends such an image through its resampling, which takes a volume without channels for a 2D image with them
        and inverts the upper left 2 x 2 of the affine: singular where the slices are not stored last.
        """
        if resample or meta_dict is None:
            super().set_metadata(meta_dict, resample, **options)
            return
        self.affine = to_affine_nd(3, self.get_meta_info(meta_dict)[1])
        self.data_obj = np.asarray(self.data_obj, self.output_dtype)  # type: ignore[has-type]

    def write(self, filename: str | os.PathLike[str], verbose: bool = False, **obj_kwargs: Any) -> None:
        """Write the image elsewhere, and put its file in place in one step."""
        with TemporaryDirectory() as folder:
            part = Path(folder) / Path(filename).name
            super().write(part, verbose, **obj_kwargs)
            write_bytes(filename, part.read_bytes())


def volume_inferer(patch_size: Sequence[int], overlap: float = 0.5, sw_batch_size: int = 4) -> Inferer:
    """Return the inferer of whole volumes: windows of the patch size, in each slice where the patch is one slice.

    Args:
        patch_size: Voxels (x, y, z) of a patch.
        overlap: Of neighbouring windows.
        sw_batch_size: Windows that the network gets at once.
    """
    windows: dict[str, Any] = {"sw_batch_size": sw_batch_size, "overlap": overlap}
    if patch_size[-1] == 1:
        return SliceInferer(roi_size=patch_size[:-1], spatial_dim=2, **windows)
    return SlidingWindowInferer(roi_size=patch_size, **windows)
