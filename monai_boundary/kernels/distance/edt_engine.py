"""Backends ``"edt"`` and ``"scipy"``: signed distances of one mask.

Both are fast and exact and know no clip, so that only the box which the clip reaches is measured. edt answers inf and
scipy the distance to a voxel outside the array where one side has no voxel, both without a word: that is seen to here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from monai_boundary.kernels.distance.finish import finish_maps
from monai_boundary.kernels.distance.options import DistanceMapOptions
from monai_boundary.kernels.distance.plan import Plan, bounding_box, make_plan

__all__ = ["label_distance", "seed_distance", "write_maps"]


def write_maps(
    maps: np.ndarray, masks: Iterable[np.ndarray], valid: np.ndarray | None, plan: Plan, paired: bool
) -> None:
    """Write the finished map of each mask; arguments as of `numba_engine.write_maps`."""
    inside = np.stack([mask if valid is None else mask & valid for mask in masks])
    for channel, own in zip(maps[int(paired) :], inside, strict=True):
        channel[...] = _signed_distance(own, None if valid is None else valid & ~own, plan)
    if paired:
        np.negative(maps[1], out=maps[0])
        inside = np.concatenate([~inside if valid is None else valid & ~inside, inside])
    counted = None if valid is None else torch.from_numpy(valid)[None, None]
    finish_maps(torch.from_numpy(maps)[None], torch.from_numpy(inside)[None], counted, plan)


def _signed_distance(inside: np.ndarray, outside: np.ndarray | None, plan: Plan) -> np.ndarray:
    """Distance in mm to the nearest voxel of the other side, negative inside; +-inf where that has none.

    Args:
        inside: Bool `(*S)`, C order.
        outside: The other side where it is not all the rest; distances start only at voxels of the two.
        plan: See `Plan`.
    """
    if not inside.any():
        return np.full(inside.shape, np.inf, np.float32)
    box = bounding_box(inside, plan.spacing, plan.reach)
    distance = np.full(inside.shape, plan.reach, np.float32)
    own, part = inside[box], distance[box]
    other = None if outside is None else outside[box]
    if own.all() if other is None else not other.any():
        to_other: Any = np.float32(np.inf)
    elif other is None and plan.engine == "edt":  # labels 1 and 2 and no 0: one pass for both sides
        part[...] = to_other = _measure(own.astype(np.uint8) + np.uint8(1), plan)
    else:
        part[...] = _measure(~own, plan)
        to_other = _measure(own if other is None else ~other, plan)
    np.copyto(part, -to_other, where=own)
    return distance


def seed_distance(seeds: np.ndarray, plan: Plan) -> np.ndarray:
    """Distance in mm to the nearest True voxel of bool `(*S)`, which has one; C order."""
    return _measure(~seeds, plan)


def label_distance(labels: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Distance of every voxel of a label > 0 to the nearest voxel of any other label, 0 where the label is 0.

    Args:
        labels: Unsigned integers of up to 32 bits `(*S)`, C order.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.

    Returns:
        Float32 `(*S)` in mm; inf where there is no other label.
    """
    return _measure(labels, make_plan("labels", labels, spacing, DistanceMapOptions(), "edt", 0))


def _measure(labels: np.ndarray, plan: Plan) -> np.ndarray:
    """Distance in mm of every voxel labelled > 0 to the nearest voxel of any other label."""
    kept = labels.reshape([labels.shape[axis] for axis in plan.kept])
    if plan.engine == "edt":
        distance = _edt(np.ascontiguousarray(kept), plan.unit_spacing)
    else:
        distance = ndimage.distance_transform_edt(kept, sampling=plan.unit_spacing).astype(np.float32)
    if plan.unit != 1.0:
        distance *= np.float32(plan.unit)
    return distance.reshape(labels.shape)


def _edt(labels: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    import edt

    # Columns whose voxels lie a multiple of 4096 bytes apart share one cache set, which costs a quarter of the
    # time. A repeated last plane is never nearer than the plane it repeats, so it moves them apart at no error.
    padded = any(math.prod(labels.shape[axis:]) % 1024 == 0 for axis in range(1, labels.ndim))
    if padded:
        labels = np.pad(labels, [(0, 0)] * (labels.ndim - 1) + [(0, 1)], mode="edge")
    # 1-D input wants a bare float. A wrong-length tuple would be accepted, so spacing is checked before.
    anisotropy = spacing[0] if labels.ndim == 1 else spacing
    found = edt.edt(labels, anisotropy=anisotropy, black_border=False, parallel=1)
    distance: np.ndarray = np.ascontiguousarray(found[..., :-1] if padded else found)
    return distance
