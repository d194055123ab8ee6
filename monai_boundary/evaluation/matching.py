"""Which prediction belongs to which ground truth, and the reading of such a pair."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from monai_boundary.datasets.checks import data_files
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, Volume, case_name, read_labels, same_grid

__all__ = ["Pairs", "find_image", "find_pairs", "read_pair"]


@dataclass(frozen=True)
class Pairs:
    """Files by case.

    Args:
        cases: Prediction and ground truth by the name of the case.
        without_prediction: Cases of the ground truth that have no prediction.
        without_target: Predictions that belong to no ground truth.
    """

    cases: dict[str, tuple[Path, Path]]
    without_prediction: list[str]
    without_target: list[Path]


def find_pairs(
    pred_dir: str | os.PathLike[str], gt_dir: str | os.PathLike[str], names: tuple[str, str] = ("pred_dir", "gt_dir")
) -> Pairs:
    """Find the prediction of every ground truth.

    nnU-Net names a prediction as the case, ``case.nii.gz``. MONAI's `SaveImage` names it after the image and may append
    a word and make a folder: ``case_0000.nii.gz``, ``case/case_trans.nii.gz``. A prediction belongs to the longest name
    of a case that it starts with, followed by nothing or by an underscore.

    Args:
        pred_dir: Folder with predictions, searched with its subfolders.
        gt_dir: Folder with one label map per case.
        names: What errors call the two.

    Raises:
        ValueError: A folder is none, holds no NIfTI file, a case has two predictions, or no case has one.
    """
    truths = _nifti_files(names[1], Path(gt_dir), below=False)
    targets = {case_name(file): file for file in truths}
    if len(targets) < len(truths):
        twice = next(file.name for file in truths if targets[case_name(file)] != file)
        raise ValueError(
            f"{names[1]} must hold one label map per case, got {twice} and another of its name in {gt_dir}"
        )
    found: dict[str, list[Path]] = defaultdict(list)
    stray = []
    for file in _nifti_files(names[0], Path(pred_dir), below=True):
        name = case_name(file)
        owners = [case for case in targets if name == case or name.startswith(f"{case}_")]
        if owners:
            found[max(owners, key=len)].append(file)
        else:
            stray.append(file)
    for case, files in found.items():
        if len(files) > 1:
            raise ValueError(
                f"{names[0]} must hold one prediction per case, got {len(files)} for {case}: "
                f"{', '.join(str(file.relative_to(pred_dir)) for file in files[:3])}; move the others away"
            )
    if not found:
        raise ValueError(
            f"{names[0]} must hold predictions named as the files of {gt_dir}, such as {next(iter(targets))}.nii.gz, "
            f"got {stray[0].name} and no other that fits"
        )
    return Pairs(
        {case: (found[case][0], target) for case, target in sorted(targets.items()) if case in found},
        sorted(case for case in targets if case not in found),
        stray,
    )


def _nifti_files(name: str, folder: Path, below: bool) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{name} must be a folder, got {folder}")
    files = data_files(folder, NIFTI_ENDINGS, below)
    if not files:
        raise ValueError(f"{name} must hold .nii.gz or .nii files, got none in {folder}")
    return files


def read_pair(pred_file: Path, target_file: Path) -> tuple[Volume, Volume]:
    """Read a predicted label map and its ground truth.

    Raises:
        ValueError: A file is no label map, or the two lie on different grids.
        OSError: A file does not exist or may not be read.
    """
    pred, target = read_labels(pred_file), read_labels(target_file)
    if not same_grid(pred, target):
        raise ValueError(
            f"{target_file.name} must lie on one grid in both folders, got shapes {pred.array.shape} and "
            f"{target.array.shape}, spacings {pred.spacing} and {target.spacing}; resample the prediction"
        )
    return pred, target


def find_image(case: str, gt_dir: Path, images: Path | None) -> Path | None:
    """Return the first channel of a case: in `images`, or beside an nnU-Net folder of labels."""
    gt_dir = gt_dir.absolute()  # "." has no name
    beside = gt_dir.with_name(gt_dir.name.replace("labels", "images"))
    folder = images if images is not None else beside if beside != gt_dir else None
    names = [f"{case}{part}{ending}" for part in ("_0000", "") for ending in NIFTI_ENDINGS]
    return next((folder / name for name in names if folder is not None and (folder / name).is_file()), None)
