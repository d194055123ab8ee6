"""Dice and the 95th percentile Hausdorff distance (HD95) per case and class.

MONAI leaves a class that is empty on one side at NaN or infinity, and averages over cases then drop the failures.
Here a failure keeps a finite, bad score: Dice 0 and HD95 = the diagonal of the volume.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_boundary._check import check_labels, check_spacing, check_spatial_ndim
from monai_boundary.datasets.nifti import NIFTI_ENDINGS, Volume, case_name, read_labels, same_grid
from monai_boundary.metrics.surface import dice_score, surface_distances

__all__ = ["CaseScores", "LabelScore", "read_pair", "score_case", "score_folder"]


@dataclass(frozen=True)
class LabelScore:
    """Scores of one class in one case.

    Args:
        label: The class.
        dice: In [0, 1]; NaN where neither prediction nor target holds the class.
        hd95_mm: Larger of the two 95th percentile surface distances; the diagonal of the volume where only one of
            prediction and target holds the class, NaN where neither does.
        missed: The target holds the class and the prediction does not.
        target_voxels: Voxels of the class in the target.
        predicted_voxels: Voxels of the class in the prediction.
    """

    label: int
    dice: float
    hd95_mm: float
    missed: bool
    target_voxels: int
    predicted_voxels: int


@dataclass(frozen=True)
class CaseScores:
    """The scores of one case, one entry per foreground class."""

    case: str
    scores: tuple[LabelScore, ...]


def score_case(
    pred: np.ndarray, target: np.ndarray, spacing: Sequence[float] | None, num_classes: int
) -> list[LabelScore]:
    """Score every foreground class of a predicted label map.

    Args:
        pred: Integers `(*S)` in [0, num_classes).
        target: Integers of the same shape, the ground truth.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        num_classes: Number of classes including the background, at least 2.

    Returns:
        One `LabelScore` for each of the classes 1 to num_classes - 1.

    Raises:
        ValueError: Shapes differ, labels are out of range, or `spacing` is wrong.

    Example:
        >>> target = np.zeros((4, 4), int); target[1, 1] = 1
        >>> score_case(np.zeros((4, 4), int), target, (3.0, 4.0), num_classes=2)
        [LabelScore(label=1, dice=0.0, hd95_mm=20.0, missed=True, target_voxels=1, predicted_voxels=0)]
    """
    pred, target = np.asarray(pred), np.asarray(target)
    if pred.shape != target.shape:
        raise ValueError(f"pred and target must have the same shape, got {pred.shape} and {target.shape}")
    sizes = check_spacing(spacing, check_spatial_ndim("target", target.shape))
    if num_classes < 2:
        raise ValueError(f"num_classes must be >= 2 (background counts), got {num_classes}")
    pred, target = check_labels(pred, num_classes, None), check_labels(target, num_classes, None)
    return [_score_label(pred == label, target == label, sizes, label) for label in range(1, num_classes)]


def score_folder(
    pred_dir: str | os.PathLike[str],
    gt_dir: str | os.PathLike[str],
    labels: Sequence[int],
    cases: Sequence[str] | None = None,
) -> Iterator[CaseScores]:
    """Score every ground truth file of `gt_dir` against the file of the same name in `pred_dir`.

    Args:
        pred_dir: Folder with predicted label maps, ``.nii.gz`` or ``.nii``.
        gt_dir: Folder with the ground truth; every case to score needs a prediction.
        labels: Foreground classes to score.
        cases: Names of the cases to score, without file ending; ``None`` for every file of `gt_dir`.

    Yields:
        The scores of one case, cases sorted by name.

    Raises:
        ValueError: There is no ground truth, a prediction is missing, or the two lie on different grids.
    """
    truths = sorted(path for path in Path(gt_dir).iterdir() if path.name.endswith(NIFTI_ENDINGS))
    if cases is not None:
        truths = [path for path in truths if case_name(path) in cases]
    if len(truths) < (1 if cases is None else len(cases)):
        wanted = "" if cases is None else f"the {len(cases)} cases to score, as "
        raise ValueError(f"gt_dir must hold {wanted}.nii.gz or .nii files, got {len(truths) or 'none'} in {gt_dir}")
    missing = [path.name for path in truths if not (Path(pred_dir) / path.name).is_file()]
    if missing:
        raise ValueError(
            f"pred_dir must hold a prediction for every case, got none for {', '.join(missing[:5])} in {pred_dir}"
        )
    for path in truths:
        pred, target = read_pair(Path(pred_dir) / path.name, path)
        pairs = [(pred.array == label, target.array == label, label) for label in labels]
        yield CaseScores(case_name(path), tuple(_score_label(*pair[:2], target.spacing, pair[2]) for pair in pairs))


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


def _score_label(pred: np.ndarray, target: np.ndarray, spacing: tuple[float, ...], label: int) -> LabelScore:
    counts = int(target.sum()), int(pred.sum())
    missed = counts[0] > 0 and counts[1] == 0
    hd95 = surface_distances(pred, target, spacing).hausdorff_mm(95)
    return LabelScore(label, dice_score(pred, target), hd95, missed, *counts)
