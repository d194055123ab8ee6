"""What one label map holds, class by class: share, lesions and their sizes, boundary, what it cuts off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from monai_boundary.datasets.nifti import Volume
from monai_boundary.evaluation.held_values import check_classes
from monai_boundary.kernels.regions import connected_components
from monai_boundary.metrics.extent import extended_axes

__all__ = ["FIGURES", "CaseLabels", "ClassInCase", "case_labels"]

#: Numbers of a class in a case, by name, and how they are spoken of.
FIGURES = {
    "share": "% of the voxels",
    "lesions": "lesions per case",
    "largest": "% of it in the largest lesion",
    "boundary": "boundary voxels per foreground voxel",
    "thin": "times the boundary of round lesions of these sizes",
    "enclosed": "% of the rest cut off by it",
}


@dataclass(frozen=True, eq=False)
class ClassInCase:
    """One class in one case that holds it.

    Args:
        voxels: Its number of voxels.
        share: In % of the voxels that count.
        sizes: Voxels of each lesion, that is of each connected component; corners connect (26 neighbours in 3D).
        boundary: Share of its voxels with a face to another label; the edge of the image is none.
        thin: Its boundary voxels over those that balls (or discs) of the same sizes would have: 1 for round lesions,
            more for vessels and sheets.
        enclosed: In the slice that holds most of it: % of the rest that it cuts off from the largest part of the rest.
    """

    voxels: int
    share: float
    sizes: np.ndarray
    boundary: float
    thin: float
    enclosed: float

    @property
    def lesions(self) -> int:
        """Number of lesions."""
        return len(self.sizes)

    @property
    def largest(self) -> float:
        """% of the voxels that lie in the largest lesion."""
        return 100 * float(self.sizes.max()) / self.voxels


@dataclass(frozen=True, eq=False)
class CaseLabels:
    """One case.

    Args:
        shape: `(z, y, x)`, one slice for an image; its plane is that of the last two, however it is stored.
        spacing: In the order of `shape`.
        unit: Of the spacing: mm or px.
        classes: Those it holds.
        values: All labels it holds.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    unit: str
    classes: Mapping[str, ClassInCase]
    values: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """2 for one slice, else 3."""
        return 2 if self.shape[0] == 1 else 3

    @property
    def anisotropy(self) -> float:
        """Largest over smallest spacing."""
        steps = self.spacing[-self.ndim :]
        return max(steps) / min(steps)

    @property
    def voxel_size(self) -> float:
        """Volume of a voxel, or area of a pixel."""
        return float(np.prod(self.spacing[-self.ndim :]))


def case_labels(labels: Volume, classes: Mapping[str, tuple[int, ...]], ignore_index: int | None) -> CaseLabels:
    """Measure every class of a label map.

    Args:
        labels: Voxels and spacing.
        classes: Values by name; empty for a class of each value.
        ignore_index: Value of voxels that do not count.

    Raises:
        ValueError: The values are too many to be classes.
    """
    values = tuple(int(value) for value in np.sort(pd.unique(labels.array.ravel())))  # by hash: no voxel is sorted
    check_classes(values)
    extended = extended_axes(labels.array.shape)
    order = (*(axis for axis in range(3) if axis not in extended), *extended)
    array, spacing = labels.array.transpose(order), tuple(labels.spacing[axis] for axis in order)
    named = classes or {str(value): (value,) for value in values if value not in (0, ignore_index)}
    counted = labels.array.size if ignore_index is None else int((labels.array != ignore_index).sum())
    boxes = ndimage.find_objects(array)
    found = {
        name: _measure(array, wanted, boxes, counted)
        for name, wanted in named.items()
        if any(value in values for value in wanted if value > 0)
    }
    return CaseLabels(array.shape, spacing, labels.unit, found, values)


def _measure(
    labels: np.ndarray, wanted: tuple[int, ...], boxes: list[tuple[slice, ...] | None], counted: int
) -> ClassInCase:
    inside = [boxes[value - 1] for value in wanted if 0 < value <= len(boxes)]
    ends = np.array([[(part.start, part.stop) for part in box] for box in inside if box is not None])
    # a margin of one voxel: all faces to other labels, and none at the edge of the image
    starts, stops = np.maximum(ends[..., 0].min(0) - 1, 0), ends[..., 1].max(0) + 1
    mask = np.isin(labels[tuple(map(slice, starts, stops))], wanted)
    sizes = np.bincount(connected_components(mask, connectivity=mask.ndim).ravel())[1:]
    faces = ndimage.generate_binary_structure(mask.ndim, 1)
    voxels = int(mask.sum())
    boundary = voxels - int(ndimage.binary_erosion(mask, faces, border_value=1).sum())
    fullest = int(mask.sum(axis=(1, 2)).argmax()) + int(starts[0])
    return ClassInCase(
        voxels, 100 * voxels / counted, sizes, boundary / voxels,
        boundary / _round_boundary(sizes, 2 if labels.shape[0] == 1 else 3),
        _enclosed(np.isin(labels[fullest], wanted)),
    )  # fmt: skip


def _round_boundary(sizes: np.ndarray, ndim: int) -> float:
    """Return the boundary voxels of discs or balls of these sizes, a boundary one voxel thick."""
    radii = (sizes * {2: 1 / np.pi, 3: 0.75 / np.pi}[ndim]) ** (1 / ndim)
    return float((sizes * (1 - np.maximum(0, 1 - 1 / radii) ** ndim)).sum())


def _enclosed(mask: np.ndarray) -> float:
    """Return the % of the pixels outside of `mask` `(y, x)` that lie in other parts than the largest."""
    sizes = np.bincount(ndimage.label(~mask)[0].ravel())[1:]
    return 100 * float(1 - sizes.max() / sizes.sum()) if len(sizes) else 0.0
