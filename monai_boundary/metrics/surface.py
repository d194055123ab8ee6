"""Distances between two surfaces, measured once and reduced in many ways.

A voxel of a mask lies on the surface when one of its neighbours (2 per axis) is outside the mask or the array: the
definition of `monai.metrics`, whose figures these are, but for axes with one voxel. Along these nothing has an extent:
the surface of one slice is its contour, while MONAI takes all of its voxels.
Every voxel of the surface counts alike, whatever it has of the surface.
DeepMind's ``surface-distance``, where the surface Dice comes from, weighs pieces of the surface by their area instead:
``definition="surface_elements"``. The distances come from the package's own exact transform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial import cKDTree

from monai_boundary._check import check_choice, check_mask_pair, check_number, check_spacing
from monai_boundary.kernels.distance import bounding_box, distance_transform
from monai_boundary.metrics.extent import extended_axes, flat
from monai_boundary.metrics.surface_elements import element_areas, element_codes

__all__ = [
    "DEFINITIONS",
    "Definition",
    "Empty",
    "SurfaceDistances",
    "check_empty",
    "check_surface",
    "diagonal_mm",
    "dice_score",
    "surface_distances",
    "surface_voxels",
]

# Distances are float32 or float64, by the way they were measured: one that equals the tolerance lies within it.
_SLACK = 1e-5
# A tree of the points beats a distance transform of the box while there are this many voxels per point.
_VOXELS_PER_POINT = 8

#: What a surface is made of, see `surface_distances`.
Definition = Literal["voxels", "surface_elements"]
DEFINITIONS: tuple[Definition, ...] = ("voxels", "surface_elements")
#: What stands for a distance that does not exist because one of the two masks is empty.
Empty = Literal["diagonal", "nan"] | float


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance in mm of every surface voxel, or surface element, of one mask to the surface of the other.

    Where one mask is empty there are no distances; the reductions then return what `empty` says: ``"diagonal"`` (the
    default), the diagonal of the volume, ``"nan"``, or a value in mm. Where both are empty there is nothing to
    measure, and every reduction is NaN.

    Args:
        pred_to_target: One distance per surface voxel (element) of the prediction.
        target_to_pred: One distance per surface voxel (element) of the target.
        diagonal_mm: Diagonal of the volume.
        pred_empty: The prediction holds no voxel.
        target_empty: The target holds no voxel.
        areas: Of the surface elements, of the prediction's and the target's, in mm (2D) or mm^2; ``None`` for voxels,
            which all count alike.
    """

    pred_to_target: np.ndarray
    target_to_pred: np.ndarray
    diagonal_mm: float
    pred_empty: bool
    target_empty: bool
    areas: tuple[np.ndarray, np.ndarray] | None = None

    def hausdorff_mm(self, percentile: float | None = None, empty: Empty = "diagonal") -> float:
        """Larger of the two directed distances: of their maxima, or of their percentiles.

        Percentiles interpolate linearly between voxels. Of surface elements it is the distance within which that
        percentage of the area lies.

        Args:
            percentile: In [0, 100], 95 for HD95; ``None`` for the maximum.
            empty: See the class.
        """
        if percentile is not None and not 0 <= percentile <= 100:
            raise ValueError(f"percentile must lie in [0, 100], got {percentile}")
        if self.pred_empty or self.target_empty:
            return self._substitute(empty)
        rank = 100.0 if percentile is None else percentile
        sides = self.pred_to_target, self.target_to_pred
        if self.areas is None:
            return max(float(np.percentile(side, rank)) for side in sides)
        return max(_area_percentile(side, areas, rank) for side, areas in zip(sides, self.areas, strict=True))

    def average_mm(self, empty: Empty = "diagonal") -> float:
        """Average symmetric surface distance: mean over the surface of both masks together, by voxels or by area."""
        if self.pred_empty or self.target_empty:
            return self._substitute(empty)
        distances = np.concatenate([self.pred_to_target, self.target_to_pred])
        areas = None if self.areas is None else np.concatenate(self.areas)
        return float(np.average(distances.astype(np.float64), weights=areas))

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of the surface of both masks that lies within `tolerance_mm` of the other: of voxels, or of the area.

        0 where one mask is empty, NaN where both are. By voxels it is MONAI's figure; by area, with
        ``surface_distances(..., definition="surface_elements")``, that of the reference and its code.

        References:
            Nikolov et al., Deep learning to achieve clinically applicable segmentation, 2018 (normalised surface Dice).
        """
        check_number("tolerance_mm", tolerance_mm, strict=False)
        if self.pred_empty or self.target_empty:
            return math.nan if self.pred_empty and self.target_empty else 0.0
        sides = (self.pred_to_target, self.target_to_pred)
        areas = [np.ones(side.size) for side in sides] if self.areas is None else self.areas
        near = [side <= tolerance_mm * (1 + _SLACK) for side in sides]
        within = sum(float(area[part].sum()) for area, part in zip(areas, near, strict=True))
        return within / sum(float(area.sum()) for area in areas)

    def _substitute(self, empty: Empty) -> float:
        check_empty(empty)
        if (self.pred_empty and self.target_empty) or empty == "nan":
            return math.nan
        return self.diagonal_mm if empty == "diagonal" else float(empty)


def check_empty(empty: Empty) -> None:
    """Raise ``ValueError`` unless `empty` is ``"diagonal"``, ``"nan"`` or a number of mm >= 0."""
    if isinstance(empty, str) and empty in ("diagonal", "nan"):
        return
    if not isinstance(empty, int | float | np.number) or not math.isfinite(empty) or empty < 0:
        raise ValueError(f"empty must be 'diagonal', 'nan' or a number of mm >= 0, got {empty!r}")


def check_surface(definition: Definition, through_plane: int | None = None) -> None:
    """Raise ``ValueError`` unless there are surfaces of this `definition`."""
    if check_choice("definition", definition, DEFINITIONS) != "voxels" and through_plane is not None:
        raise ValueError(
            f"through_plane must be None for definition='surface_elements', got {through_plane}; use 'voxels' for "
            "surfaces slice by slice"
        )


def surface_distances(
    pred: np.ndarray | torch.Tensor,
    target: np.ndarray | torch.Tensor,
    spacing: Sequence[float] | None = None,
    through_plane: int | None = None,
    definition: Definition = "voxels",
) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks.

    Args:
        pred: Bool, or integers 0 and 1, `(*S)` with 1 to 3 axes. Of an array `(1, Y, X)`, as of a stored 2D image, the
            surface is that of `(Y, X)`: an axis with one voxel takes no part, wherever it stands.
        target: The same of the ground truth.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        through_plane: Axis across which neighbours do not make a surface, while the 8 within a slice do: the WMH
            challenge erodes every slice by a 3 x 3 box. ``None`` for faces along all axes. The distances are those of
            the whole volume either way.
        definition: ``"voxels"``: a surface is a set of voxels that count alike, as in MONAI. ``"surface_elements"``: it
            is made of the elements of marching squares (2 axes) or cubes (3 axes), which lie between the voxels and
            count by their length or area, as in DeepMind's ``surface-distance``; a line has two ends, which count
            alike. Beyond the array all is outside.

    Returns:
        The distances, with the reductions as methods.

    Raises:
        TypeError: A mask is not bool or integers.
        ValueError: Shapes differ, a mask holds other values than 0 and 1, or `spacing` is wrong; surface elements by
            slices.

    References:
        Nikolov et al., Deep learning to achieve clinically applicable segmentation, 2018; Lorensen and Cline, Marching
        cubes, SIGGRAPH 1987.

    Example:
        >>> pred, target = np.zeros((2, 8, 8), bool), np.zeros((2, 8, 8), bool)
        >>> pred[0, 2, 2] = target[1, 2, 6] = True
        >>> surface_distances(pred, target, spacing=(3.0, 1.0, 1.0)).hausdorff_mm()
        5.0
    """
    first, second = check_mask_pair(pred, target)
    spacing = check_spacing(spacing, first.ndim)
    if through_plane is not None and not -first.ndim <= through_plane < first.ndim:
        raise ValueError(f"through_plane must be one of the {first.ndim} axes, got {through_plane}")
    check_surface(definition, through_plane)
    diagonal = diagonal_mm(first.shape, spacing)
    spacing, (first, second), through_plane = _with_extent(first, second, spacing, through_plane)
    empty = not first.any(), not second.any()
    if any(empty):
        nothing = np.empty(0, np.float32)
        return SurfaceDistances(nothing, nothing, diagonal, *empty)
    box = bounding_box(first | second, spacing, 0.0)
    if definition == "surface_elements":
        codes, sizes = [element_codes(mask[box]) for mask in (first, second)], element_areas(spacing)
        surfaces = [(code > 0) & (code < len(sizes) - 1) for code in codes]
        areas = sizes[codes[0][surfaces[0]]], sizes[codes[1][surfaces[1]]]
        return SurfaceDistances(*_both_ways(surfaces[0], surfaces[1], spacing), diagonal, *empty, areas)
    surfaces = [surface_voxels(mask[box], through_plane) for mask in (first, second)]
    return SurfaceDistances(*_both_ways(surfaces[0], surfaces[1], spacing), diagonal, *empty)


def diagonal_mm(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Return the diagonal of a volume, or of the image that is its one slice."""
    return math.hypot(*(shape[axis] * spacing[axis] for axis in extended_axes(shape)))


def _with_extent(
    first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...], through_plane: int | None
) -> tuple[tuple[float, ...], list[np.ndarray], int | None]:
    """Leave out axes with one voxel, but for that across the slices, which makes no surface anyway."""
    across = [] if through_plane is None else [through_plane % first.ndim]
    axes = sorted({*extended_axes(first.shape), *across})
    return *flat(axes, spacing, first, second), axes.index(across[0]) if across else None


def _area_percentile(distances: np.ndarray, areas: np.ndarray, rank: float) -> float:
    """Smallest distance within which `rank` percent of the area lies."""
    order = np.argsort(distances)
    shares = np.cumsum(areas[order]) / areas.sum()
    place = min(int(np.searchsorted(shares, rank / 100)), len(order) - 1)
    return float(distances[order[place]])


def _both_ways(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distance of every voxel of `first` to the nearest of `second`, and the reverse."""
    indices = np.flatnonzero(first), np.flatnonzero(second)
    if (indices[0].size + indices[1].size) * _VOXELS_PER_POINT > first.size:
        return distance_transform(second, spacing)[first], distance_transform(first, spacing)[second]
    points = [np.stack(np.unravel_index(index, first.shape), axis=-1) * np.asarray(spacing) for index in indices]
    shared = second.ravel()[indices[0]], first.ravel()[indices[1]]
    found = []
    for own, other, same in ((points[0], points[1], shared[0]), (points[1], points[0], shared[1])):
        distance = np.zeros(len(own))
        # no reuse that a balanced tree would pay for
        tree = cKDTree(other, balanced_tree=False, compact_nodes=False)
        distance[~same] = tree.query(own[~same])[0]
        found.append(distance)
    return found[0], found[1]


def surface_voxels(mask: np.ndarray, through_plane: int | None = None) -> np.ndarray:
    """Voxels of the mask with a neighbour outside; beyond the array, which has an extent along all axes, all is."""
    axes = [axis for axis in range(mask.ndim) if through_plane is None or axis != through_plane % mask.ndim]
    mask = mask.view(np.uint8)  # numpy's loops for bool branch on every voxel
    inner = mask.copy()
    for axis in axes:
        # faces only: each axis looks at the mask; a box: at what the axes before have left
        low, high = np.moveaxis(inner, axis, 0), np.moveaxis(mask if through_plane is None else inner.copy(), axis, 0)
        low[1:] &= high[:-1]
        low[:-1] &= high[1:]
        low[0], low[-1] = 0, 0
    surface: np.ndarray = (mask ^ inner).view(np.bool_)  # inner is part of the mask
    return surface


def dice_score(pred: np.ndarray | torch.Tensor, target: np.ndarray | torch.Tensor) -> float:
    """Dice of two masks, bool or integers 0 and 1; NaN where both are empty."""
    first, second = check_mask_pair(pred, target)
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else math.nan
