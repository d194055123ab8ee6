"""Surface distances of each lesion by itself, from one look at the surfaces of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from monai_boundary.metrics.surface import Definition, SurfaceDistances, surface_voxels
from monai_boundary.metrics.surface_elements import element_areas, object_elements

__all__ = ["lesion_surfaces"]

_NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class _Surfaces:
    """Points in mm of the surfaces of objects 1, 2 ..., those of one object together, and the area of each."""

    points: np.ndarray
    areas: np.ndarray | None
    starts: np.ndarray

    def of(self, objects: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return points and areas of some objects, counted from 0."""
        parts = [slice(self.starts[one], self.starts[one + 1]) for one in objects]
        areas = None if self.areas is None else np.concatenate([self.areas[part] for part in parts])
        return np.concatenate([self.points[part] for part in parts]), areas


def lesion_surfaces(
    pred: np.ndarray,
    target: np.ndarray,
    partners: Sequence[np.ndarray],
    spacing: tuple[float, ...],
    definition: Definition,
    diagonal_mm: float,
) -> list[SurfaceDistances]:
    """Measure the distances between each lesion of a target and the predicted components that belong to it.

    No two objects may touch, so that each has a surface of its own: by faces for ``"voxels"``, by corners for
    ``"surface_elements"``.

    Args:
        pred: Ids of components `(*S)`, 1 to P, 0 for none.
        target: Ids of lesions `(*S)`, 1 to T.
        partners: Components from 0 on that belong to each lesion, `(T,)`.
        spacing: Voxel size in mm.
        definition: See `surface_distances`.
        diagonal_mm: Of the volume.

    Returns:
        The distances of each lesion; without any where it has no partner.
    """
    missed = SurfaceDistances(_NOTHING, _NOTHING, diagonal_mm, pred_empty=True, target_empty=False)
    if not any(len(one) for one in partners):
        return [missed] * len(partners)
    lesions, components = (_surfaces(ids, spacing, definition) for ids in (target, pred))
    found, last = [], np.empty(0, np.int64)
    for lesion, objects in enumerate(partners):
        if not len(objects):
            found.append(missed)
            continue
        if not np.array_equal(objects, last):  # one component may belong to many lesions
            theirs, their_areas = components.of(objects)
            tree, last = _tree(theirs), objects
        own, own_areas = lesions.of([lesion])
        areas = None if own_areas is None or their_areas is None else (their_areas, own_areas)
        distances = _tree(own).query(theirs)[0], tree.query(own)[0]
        found.append(SurfaceDistances(*distances, diagonal_mm, False, False, areas))
    return found


def _tree(points: np.ndarray) -> cKDTree:
    return cKDTree(points, balanced_tree=False, compact_nodes=False)  # few queries would not pay for more


def _surfaces(ids: np.ndarray, spacing: tuple[float, ...], definition: Definition) -> _Surfaces:
    """Find the surface of all objects, and whose each voxel or element is."""
    areas = None
    if definition == "voxels":
        surface = surface_voxels(ids > 0)
        places, owners = np.argwhere(surface), ids[surface]
    else:
        places, codes, owners = object_elements(ids)
        areas = element_areas(spacing)[codes]
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(1, int(ids.max()) + 2))
    return _Surfaces((places * np.asarray(spacing))[order], None if areas is None else areas[order], starts)
