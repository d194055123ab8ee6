"""The nearest label and the cells of lesions, against scipy and against one transform per lesion."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.case import Against, Calls, Case, data_folder
from benchmarks.phantoms import scattered_lesions
from monai_boundary.kernels.components import components, lesion_cells
from monai_boundary.kernels.distance import nearest_label

__all__ = ["CASES"]

SPACING = (3.0, 1.0, 1.0)


def _by_scipy(ids: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    places = ndimage.distance_transform_edt(ids == 0, spacing, return_distances=False, return_indices=True)
    found: np.ndarray = ids[tuple(places)]
    return found


def _by_transforms(ids: np.ndarray, count: int, spacing: tuple[float, ...]) -> np.ndarray:
    """As CC-Metrics does: a transform for each of the first `count` lesions, and the nearest so far kept."""
    nearest, least = np.zeros(ids.shape, ids.dtype), np.full(ids.shape, np.inf)
    for number in range(1, count + 1):
        distance = ndimage.distance_transform_edt(ids != number, spacing)
        nearer = distance < least
        nearest[nearer], least[nearer] = number, distance[nearer]
    return nearest


def agree(ids: np.ndarray, spacing: tuple[float, ...], name: str, theirs: Any, ours: Any) -> dict[str, float]:
    """The share of voxels with another label; only ties may have one, that is labels at one distance."""
    if "scipy" not in name:
        return {}
    other = np.flatnonzero((theirs != ours).ravel())
    for index in other[:: max(1, len(other) // 8)]:  # some of them, by all distances
        place = np.array(np.unravel_index(index, ids.shape))
        far = [
            (((np.argwhere(ids == label) - place) * spacing) ** 2).sum(1).min()
            for label in (theirs.flat[index], ours.flat[index])
        ]
        if not np.isclose(*far, rtol=1e-6):
            raise RuntimeError(f"{name} must give a label that is as near as ours, got squared distances {far}")
    return {"% other label at ties": 100 * len(other) / ids.size}


def nearest(size: int, count: int) -> Calls:
    """Labels of scattered lesions."""
    ids = components(scattered_lesions((size,) * 3, count))
    calls = {"ours": lambda: nearest_label(ids, SPACING), "scipy": lambda: _by_scipy(ids, SPACING)}
    return Calls(calls, functools.partial(agree, ids, SPACING))


def cells(step: int, measured: int) -> Calls:
    """Every `step`-th voxel of a real lesion mask; of the transforms per lesion only `measured` are made.

    Their time is scaled to the number of lesions.
    """
    import nibabel

    image = nibabel.load(min((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz")))
    spacing = tuple(float(size) * step for size in image.header.get_zooms())
    mask = (np.asanyarray(image.dataobj) == 1)[(slice(None, None, step),) * 3].copy(order="C")
    ids = components(mask)
    full = np.ones((3,) * 3, bool)
    calls = {
        "ours": lambda: lesion_cells(mask[None], spacing=spacing, include_background=True)[0],
        "scipy": lambda: _by_scipy(ndimage.label(mask, full)[0], spacing),
        "a transform per lesion": lambda: _by_transforms(ndimage.label(mask, full)[0], measured, spacing),
    }
    return Calls(calls, functools.partial(agree, ids, spacing), {"a transform per lesion": float(ids.max()) / measured})


CASES = [
    *(Case(f"nearest_{count}", "lesions", f"nearest label, 128^3, {count} lesions", nearest, (128, count), (32, 5),
           (Against("scipy", 10),), ("numba",), headline=count == 300) for count in (12, 300)),
    Case("cells", "lesions", "cells of an MS lesion mask, 50 M voxels, 266 lesions", cells, (1, 2), (4, 2),
         (Against("scipy", 10, rounds=2), Against("a transform per lesion", 100, rounds=1)),
         ("data/ms_lesions/masks_raw", "cc3d", "numba"), headline=True),
]  # fmt: skip
