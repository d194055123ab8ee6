"""Which lesions of a target and of a prediction share voxels, and how many: the table that all lesion scores read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_boundary._check import check_fraction
from monai_boundary.kernels.regions import id_overlaps

__all__ = ["LesionPairs", "pair_lesions"]


@dataclass(frozen=True, eq=False)
class LesionPairs:
    """Lesions of a target, components of a prediction, and the pairs of both that share voxels.

    Args:
        target_sizes: Int64 `(T,)`, voxels of each lesion.
        pred_sizes: Int64 `(P,)`, voxels of each predicted component.
        target: Int64 `(M,)`, the lesion of each pair, from 0 on; sorted.
        pred: Int64 `(M,)`, the predicted component of each pair, from 0 on.
        shared: Int64 `(M,)`, voxels that both hold.
    """

    target_sizes: np.ndarray
    pred_sizes: np.ndarray
    target: np.ndarray
    pred: np.ndarray
    shared: np.ndarray

    @property
    def target_shared(self) -> np.ndarray:
        """Voxels of each lesion that are predicted, float64 `(T,)`."""
        return np.bincount(self.target, self.shared, len(self.target_sizes))

    @property
    def pred_shared(self) -> np.ndarray:
        """Voxels of each predicted component that are of the target, float64 `(P,)`."""
        return np.bincount(self.pred, self.shared, len(self.pred_sizes))

    def found(self, overlap: float) -> np.ndarray:
        """Whether each lesion is predicted: by one voxel, and by the share `overlap` of its own; bool `(T,)`."""
        return _meets(self.target_shared, self.target_sizes, overlap)

    def true(self, overlap: float) -> np.ndarray:
        """Whether each predicted component is right: the same of its own voxels; bool `(P,)`."""
        return _meets(self.pred_shared, self.pred_sizes, overlap)

    def matches(self, iou: float) -> np.ndarray:
        """Return the IoU of the pairs that belong together: above `iou`, the best first, each side in one pair only.

        Above one half no side is in two pairs anyway (Kirillov et al., Panoptic segmentation, CVPR 2019).
        """
        union = self.target_sizes[self.target] + self.pred_sizes[self.pred] - self.shared
        values = self.shared / union
        free = np.ones(len(self.target_sizes), bool), np.ones(len(self.pred_sizes), bool)
        kept = []
        for pair in sorted(np.flatnonzero(values > iou).tolist(), key=lambda one: -values[one]):
            sides = self.target[pair], self.pred[pair]
            if free[0][sides[0]] and free[1][sides[1]]:
                free[0][sides[0]] = free[1][sides[1]] = False
                kept.append(values[pair])
        return np.array(kept)


def pair_lesions(pred: np.ndarray, target: np.ndarray) -> LesionPairs:
    """Count the voxels of every pair of lesions.

    Args:
        pred: Ids of components `(*S)`, 1 to P, 0 for none.
        target: The same of the ground truth.
    """
    inside = np.flatnonzero((pred > 0) | (target > 0))  # mostly few of all voxels
    found, true = pred.ravel()[inside], target.ravel()[inside]
    sizes = np.bincount(true)[1:], np.bincount(found)[1:]
    both = (found > 0) & (true > 0)
    if not both.any():
        nothing = np.empty(0, np.int64)
        return LesionPairs(*sizes, nothing, nothing, nothing)
    table = id_overlaps(found[both], true[both])
    return LesionPairs(*sizes, table.target.astype(np.int64) - 1, table.pred.astype(np.int64) - 1, table.counts)


def _meets(shared: np.ndarray, sizes: np.ndarray, overlap: float) -> np.ndarray:
    check_fraction("overlap", overlap)
    met: np.ndarray = (shared > 0) & (shared / sizes >= overlap)
    return met
