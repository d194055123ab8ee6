"""From a map of membrane likelihood to objects, and how their scores depend on the threshold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from monai_boundary._check import (
    as_numpy,
    check_choice,
    check_connectivity,
    check_count,
    check_fraction,
    check_same_shape,
    check_spacing,
    check_spatial_ndim,
)
from monai_boundary.kernels.distance import nearest_label
from monai_boundary.kernels.regions import connected_components, unlabelled_voxels
from monai_boundary.metrics.instances import InstanceScores, instance_scores

__all__ = ["THRESHOLDS", "LikelihoodSegmentation", "Membrane", "check_thresholds", "threshold_sweep"]

#: Of figure 6 of the paper.
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

#: What becomes of the membrane, see `LikelihoodSegmentation`.
Membrane = Literal["keep", "nearest", "watershed"]


@dataclass(frozen=True)
class LikelihoodSegmentation:
    """Objects are the connected components of the voxels whose membrane likelihood is at most the threshold.

    Called with a likelihood `(*S)` of 1 to 3 axes it returns int32 ids `(*S)`, 0 on membranes. A membrane mask gives
    the objects that it parts, at any threshold below 1.

    Args:
        threshold: In [0, 1]; voxels equal to it are inside an object.
        connectivity: Axes along which neighbours may differ: 1 for 4 neighbours (6 in 3D), as in the paper.
        min_size: Objects of fewer voxels become membrane.
        membrane: What becomes of the membrane: ``"keep"`` leaves it 0, as the paper does; ``"nearest"`` gives each of
            its voxels to the nearest object; ``"watershed"`` floods it from the objects in the order of the likelihood
            (needs scikit-image, of the extra `em`). Filled membranes change scores much: say which you report.

    Raises:
        TypeError: A number is of the wrong kind; the likelihood is no float map or mask.
        ValueError: A setting is wrong; the likelihood leaves [0, 1] or is not finite.
        ImportError: For the watershed, scikit-image is not installed.

    References:
        Vu Ngoc et al., BMVC 2021, section 5.

    Example:
        >>> LikelihoodSegmentation()(np.array([0.1, 0.2, 0.9, 0.5])).tolist()
        [1, 1, 0, 2]
    """

    threshold: float = 0.5
    connectivity: int = 1
    min_size: int = 0
    membrane: Membrane = "keep"

    def __post_init__(self) -> None:
        check_fraction("threshold", self.threshold)
        check_connectivity(self.connectivity, 3)
        check_count("min_size", self.min_size, 0)
        check_choice("membrane", self.membrane, ("keep", "nearest", "watershed"))

    def __call__(self, likelihood: Any, spacing: Sequence[float] | None = None) -> np.ndarray:
        """Return int32 ids of `likelihood` `(*S)`; `spacing` is used to find the nearest object."""
        values = _check_likelihood(likelihood)
        spacing = check_spacing(spacing, values.ndim)
        ids = connected_components(values <= self.threshold, self.connectivity)
        if self.min_size > 1:
            ids[(np.bincount(ids.ravel()) < self.min_size)[ids]] = 0
        return self.fill(values, ids, spacing)

    def fill(self, likelihood: np.ndarray, ids: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
        """Give the membrane of a likelihood `(*S)` to the objects `ids` `(*S)`, as `membrane` says."""
        if self.membrane == "keep" or not ids.any():
            return ids
        if self.membrane == "nearest":
            return np.asarray(nearest_label(ids, spacing))
        return _watershed(likelihood, ids, self.connectivity)


def threshold_sweep(
    likelihood: np.ndarray | torch.Tensor,
    target: np.ndarray | torch.Tensor,
    thresholds: Sequence[float] = THRESHOLDS,
    segmentation: LikelihoodSegmentation | None = None,
    spacing: Sequence[float] | None = None,
    progress: bool = True,
) -> dict[float, InstanceScores]:
    """Score a likelihood map at several thresholds, the curve of figure 6 of the paper.

    Args:
        likelihood: Of membrane, floats in [0, 1] `(*S)`, 1 to 3 axes.
        target: Ids `(*S)`, see `instance_scores`. No object runs through voxels with an id that CREMI reserves.
        thresholds: In [0, 1], each once.
        segmentation: All other settings; ``None`` for the defaults.
        spacing: Voxel size, for membranes given to the nearest object.
        progress: Show a progress bar.

    Returns:
        Scores by threshold, in the given order.

    Raises:
        TypeError: As `LikelihoodSegmentation` and `instance_scores`.
        ValueError: As these, or a threshold is out of range or named twice.

    Example:
        >>> map, ids = np.array([0.1, 0.4, 0.1]), np.array([1, 0, 2])
        >>> {t: scores.voi_merge for t, scores in threshold_sweep(map, ids, (0.3, 0.5), progress=False).items()}
        {0.3: 0.0, 0.5: 1.0}
    """
    settings = segmentation or LikelihoodSegmentation()
    likelihood, unlabelled = as_numpy("likelihood", likelihood), unlabelled_voxels(as_numpy("target", target))
    check_same_shape("likelihood", likelihood, "target", unlabelled)
    if unlabelled.any():
        likelihood = np.where(unlabelled, 1, likelihood)
    bar = tqdm(check_thresholds(thresholds), desc="thresholds", unit="threshold", disable=not progress)
    return {value: instance_scores(replace(settings, threshold=value)(likelihood, spacing), target) for value in bar}


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Return `thresholds` as floats in [0, 1], each once."""
    if isinstance(thresholds, str) or not isinstance(thresholds, Iterable):
        raise TypeError(f"thresholds must be a sequence of numbers, got {thresholds!r}")
    values = tuple(check_fraction("thresholds", value) for value in thresholds)
    if not values or len(set(values)) < len(values):
        raise ValueError(f"thresholds must hold at least one number, each once, got {tuple(thresholds)}")
    return values


def _check_likelihood(likelihood: Any) -> np.ndarray:
    values = as_numpy("likelihood", likelihood)
    check_spatial_ndim("likelihood", values.shape)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"likelihood must hold floats in [0, 1] or be a mask, got dtype {values.dtype}")
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # also where one is NaN
        raise ValueError(
            f"likelihood must lie in [0, 1], got values in [{low:g}, {high:g}]; apply sigmoid to logits, divide bytes "
            "by 255"
        )
    return values


def _watershed(values: np.ndarray, ids: np.ndarray, connectivity: int) -> np.ndarray:
    try:
        from skimage.segmentation import watershed
    except ImportError as error:
        raise ImportError(
            "membrane='watershed' needs scikit-image, which is not installed; pip install \"monai-boundary[em]\", or "
            "pass membrane='nearest'"
        ) from error
    return np.asarray(watershed(values, ids, connectivity=connectivity), np.int32)
