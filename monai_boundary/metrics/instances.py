"""Scores of segmentations into many objects: variation of information, adapted Rand, and the CREMI score.

All as the evaluation of the CREMI challenge defines them, which scikit-image does not follow: its adapted Rand error
takes the voxels without object for one object and counts pairs without repetition, and returns precision and recall
the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
import torch

from monai_boundary._check import as_numpy, check_ids, check_number, check_spacing
from monai_boundary.kernels.distance import bounding_box, distance_transform
from monai_boundary.kernels.regions import id_overlaps, unlabelled_voxels

__all__ = ["INSTANCE_SCORES", "InstanceScores", "cremi_target", "id_borders", "instance_scores"]

#: Names of the scores, in the order in which tables show them.
INSTANCE_SCORES = (
    "voi_split",
    "voi_merge",
    "voi",
    "adapted_rand_error",
    "adapted_rand_precision",
    "adapted_rand_recall",
    "adapted_rand_index",
    "cremi_score",
)


@dataclass(frozen=True)
class InstanceScores:
    """Scores of one volume; all NaN where the target holds no object.

    Args:
        voi_split: H(prediction | target) in bits: how far objects of the target are cut into several. 0 is best.
        voi_merge: H(target | prediction) in bits: how far objects of the prediction span several of the target.
        adapted_rand_precision: Share of the voxel pairs in one object of the prediction that are in one of the target.
        adapted_rand_recall: Share of the voxel pairs in one object of the target that are in one of the prediction.
    """

    voi_split: float
    voi_merge: float
    adapted_rand_precision: float
    adapted_rand_recall: float

    @property
    def voi(self) -> float:
        """Variation of information in bits, split and merge together."""
        return self.voi_split + self.voi_merge

    @property
    def adapted_rand_index(self) -> float:
        """Harmonic mean of the adapted Rand precision and recall; 1 is best."""
        return float(harmonic_mean((self.adapted_rand_precision, self.adapted_rand_recall)))

    @property
    def adapted_rand_error(self) -> float:
        """One less the adapted Rand index, as CREMI and SNEMI3D report it."""
        return 1 - self.adapted_rand_index

    @property
    def cremi_score(self) -> float:
        """Geometric mean of the variation of information and the adapted Rand error."""
        return float(np.sqrt(np.maximum(0.0, self.voi * self.adapted_rand_error)))  # keeps NaN


def instance_scores(pred: np.ndarray | torch.Tensor, target: np.ndarray | torch.Tensor) -> InstanceScores:
    """Score a segmentation into objects, 1 to 3 axes, ids of any width.

    Voxels where the target is 0, or an id that CREMI reserves (2**64 - 3 and above), do not count. Where the prediction
    is 0 they do: for the variation of information they are one object like others, for the adapted Rand error each is
    an object of its own. Memory beside the arrays does not grow with their size.

    Args:
        pred: Ids `(*S)`, integers >= 0; 0 and reserved ids mean no object, such as membrane.
        target: The same of the ground truth; `cremi_target` makes it as CREMI does.

    Returns:
        The scores, each NaN where the target holds no object: nothing can be right or wrong there.

    Raises:
        TypeError: An array does not hold integers.
        ValueError: Shapes differ, an array is empty, or an id is negative.

    References:
        CREMI challenge, cremi.org; Meila, Comparing clusterings, J. Multivariate Analysis 2007; Arganda-Carreras et
        al., Crowdsourcing the creation of image segmentation algorithms for connectomics, Frontiers 2015.

    Example:
        >>> scores = instance_scores(np.array([1, 1, 2, 2]), np.array([7, 7, 7, 7]))
        >>> scores.voi_split, scores.voi_merge, scores.adapted_rand_precision, scores.adapted_rand_recall
        (1.0, 0.0, 1.0, 0.5)
    """
    table = id_overlaps(pred, target)
    if not table.counts.size:
        return InstanceScores(math.nan, math.nan, math.nan, math.nan)
    counts = table.counts.astype(np.float64)
    target_size, pred_size = (_object_sizes(ids, counts) for ids in (table.target, table.pred))
    split, merge = (float((counts * np.log2(size / counts)).sum() / counts.sum()) for size in (target_size, pred_size))
    # CREMI divides voxels without predicted object, each a pair with itself, by all voxels, so that they hardly count
    objects = table.pred > 0
    singles = float(counts[~objects].sum()) / table.voxels
    together, in_pred = (float((counts * size)[objects].sum()) + singles for size in (counts, pred_size))
    return InstanceScores(split, merge, together / in_pred, together / float((counts * target_size).sum()))


def _object_sizes(ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Voxels of the object that each pair lies in."""
    _, places = np.unique(ids, return_inverse=True)
    sizes: np.ndarray = np.bincount(places, weights=counts)[places]
    return sizes


def cremi_target(
    ids: np.ndarray | torch.Tensor, border: float = 25.0, spacing: Sequence[float] = (40.0, 4.0, 4.0)
) -> np.ndarray:
    """Prepare the ids of a CREMI volume for scoring as the challenge does: voxels near borders do not count.

    Every id grows by one, so that voxels with id 0 count as an object; only those near a border between two ids get 0,
    and those with an id that CREMI reserves: 2**64 - 1 unlabelled, 2**64 - 2 invalid, 2**64 - 3 outside.

    Args:
        ids: Ids `(Z, Y, X)` or of one slice `(Y, X)`, integers >= 0.
        border: Voxels up to this distance from a border within their slice do not count, in the unit of `spacing`.
        spacing: Voxel size, one per axis in array order; CREMI's are 40 x 4 x 4 nm.

    Returns:
        Uint64 ids of the same shape for `instance_scores`.

    Raises:
        TypeError: `ids` does not hold integers.
        ValueError: `ids` has other than 2 or 3 axes, an id is negative, or `spacing` is wrong.
    """
    array = check_ids("ids", as_numpy("ids", ids))
    if array.ndim == 1:
        raise ValueError(f"ids must be slices (Y, X) or a volume (Z, Y, X), got shape {array.shape}")
    width, sizes = check_number("border", border, strict=False), check_spacing(spacing, array.ndim)
    # Sections are ten times thicker than pixels: objects that pass one another between two share no membrane.
    slices = [id_borders(part, width, sizes[-2:]) for part in array.reshape(-1, *array.shape[-2:])]
    near = np.reshape(slices, array.shape)
    target = array.astype(np.uint64)
    target += np.uint64(1)
    target[near | unlabelled_voxels(array)] = 0
    return target


def id_borders(ids: np.ndarray, width: float, spacing: tuple[float, ...]) -> np.ndarray:
    """Voxels with a face neighbour of another id, and those not farther than `width` from one, bool `(*S)`.

    A border of width 0 is two voxels thick. The id 0 is one as any other, and the edge of the array is no border.

    References:
        Border mask of the CREMI challenge, cremi.org.
    """
    borders = np.zeros(ids.shape, bool)
    for axis in range(ids.ndim):
        values, marks = np.moveaxis(ids, axis, 0), np.moveaxis(borders, axis, 0)
        differs = values[1:] != values[:-1]
        marks[1:] |= differs
        marks[:-1] |= differs
    if width < min(spacing) or not borders.any():
        return borders
    box = bounding_box(borders, spacing, width)
    limit = width * (1 + 1e-6)  # distances are float32
    near = np.zeros_like(borders)
    near[box] = distance_transform(borders[box], spacing, reach=2 * limit) <= limit
    return near
