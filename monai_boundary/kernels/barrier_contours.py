"""From filled slots to regions, their outer contours, and the weight of every voxel; compiled."""

from __future__ import annotations

import numpy as np

from monai_boundary.kernels.compiled import compiled, int64, uintp

__all__ = [
    "EACH_REGION_ONE",
    "EACH_VOXEL_ONE",
    "FRAME",
    "PUBLISHED",
    "grow_regions",
    "read_slots",
    "stamp_weights",
]

FRAME = -1
EACH_VOXEL_ONE, EACH_REGION_ONE, PUBLISHED = 0, 1, 2
PUBLISHED_BALANCE = 1.1


@compiled()
def read_slots(slots, size, empty):  # type: ignore[no-untyped-def]
    """Return for each of `size` voxels the strictly nearest label or 0, and the two barriers, inf from `empty` on.

    Int32 and twice float32, `(N,)` each. On the frame both barriers are equal, so it has no label.
    """
    winners, nearest, second = np.zeros(size, np.int32), np.empty(size, np.float32), np.empty(size, np.float32)
    for voxel in range(size):
        one = uintp(2 * voxel)
        other = one + uintp(1)
        if slots[other].barrier < slots[one].barrier:
            one, other = other, one
        low, high = slots[one].barrier, slots[other].barrier
        if low < high:
            winners[voxel] = slots[one].label
        nearest[voxel] = low if low < empty else np.inf
        second[voxel] = high if high < empty else np.inf
    return winners, nearest, second


@compiled()
def grow_regions(winners, seeds, starts, offsets, ids, regions):  # type: ignore[no-untyped-def]
    """Label in `regions` the voxels that a label wins and that hang together with its seeds; return their contours.

    What a region touches but does not win is its outer contour, so both come from one walk.

    Args:
        winners: Of `read_slots`.
        seeds: Int64 `(S,)`, indices of voxels, sorted by label.
        starts: Int64 `(K + 1,)`: label k + 1 has the seeds from ``starts[k]`` up to ``starts[k + 1]``.
        offsets: Differences of index to the neighbours.
        ids: Int32 `(K,)`, what stands for each label in `regions`.
        regions: Int32 `(N,)`, `FRAME` on the frame and 0 elsewhere; changed in place.

    Returns:
        Int64 indices of contour voxels, label by label, and int64 `(K + 1,)`, where each label begins and ends in them.
    """
    capacity, size, filled = max(1024, len(regions) // 4), 0, 0
    contour, bounds = np.empty(capacity, np.int64), np.zeros(len(starts), np.int64)
    stack, touched = np.empty(len(regions), np.int32), np.zeros(len(regions), np.int32)
    for label in range(1, len(starts)):
        for seed in seeds[starts[label - 1] : starts[label]]:
            regions[seed], touched[seed] = ids[label - 1], label
            stack[size] = seed
            size += 1
        while size > 0:
            size -= 1
            voxel = int64(stack[uintp(size)])
            if filled + len(offsets) > capacity:
                contour = np.append(contour, np.empty_like(contour))
                capacity *= 2
            for offset in offsets:
                near = uintp(voxel + offset)
                if touched[near] == label:
                    continue
                touched[near] = label
                if winners[near] == label:
                    regions[near] = ids[label - 1]
                    stack[uintp(size)] = near
                    size += 1
                elif regions[near] != FRAME:
                    contour[uintp(filled)] = near
                    filled += 1
        bounds[label] = filled
    return contour[:filled].copy(), bounds


@compiled()
def _grow_along(members, size, mark, region, stride, length, reach):  # type: ignore[no-untyped-def]
    """Add to the `size` members of a region what lies within `reach` along one axis, and return their new number."""
    grown = size
    for index in range(size):
        voxel = members[index]
        place = (voxel // stride) % length
        for step in range(max(-reach, -place), min(reach, length - 1 - place) + 1):
            near = voxel + step * stride
            if mark[uintp(near)] != region:
                mark[uintp(near)] = region
                members[grown] = near
                grown += 1
    return grown


@compiled()
def _shares(kind, members, membrane, num_regions, total):  # type: ignore[no-untyped-def]
    """Return the weights of one region on membrane and off it."""
    if kind == EACH_REGION_ONE:
        share = 1.0 / (num_regions * len(members))
        return share, share
    if kind == PUBLISHED:
        positive = 0
        for voxel in members:
            positive += membrane[voxel]
        return 1.0 - positive / total, PUBLISHED_BALANCE * positive / total
    return 1.0, 1.0


@compiled()
def stamp_weights(contour, bounds, shape, reach, membrane, counted, kind, weights):  # type: ignore[no-untyped-def]
    """Add up in `weights` what each region gives to the voxels of its dilated contour.

    A box is the dilation along one axis after the other.

    Args:
        contour: Int64 `(P,)`, contour voxels, one region after the other.
        bounds: Int64 `(K + 1,)`, where each region begins and ends in `contour`.
        shape: Int64, sizes of the axes.
        reach: Int64, voxels to each side of the contour, per axis.
        membrane: Bool `(N,)`.
        counted: Bool `(N,)`, the voxels that may have a weight.
        kind: `EACH_VOXEL_ONE` gives 1, `EACH_REGION_ONE` 1 / (K * size of the dilated contour), `PUBLISHED` the weights
            of the class-balanced cross-entropy of the published code.
        weights: Float32 `(N,)`, changed in place.
    """
    mark, members = np.full(len(weights), -1, np.int32), np.empty(len(weights), np.int64)
    num_regions, total = len(bounds) - 1, counted.sum()
    for region in range(num_regions):
        size = 0
        for voxel in contour[bounds[region] : bounds[region + 1]]:
            members[size] = voxel
            mark[voxel] = region
            size += 1
        stride = len(weights)
        for axis in range(len(shape)):
            stride //= shape[axis]
            size = _grow_along(members, size, mark, region, stride, shape[axis], reach[axis])
        grown, size = size, 0
        for index in range(grown):
            if counted[members[index]]:
                members[size] = members[index]
                size += 1
        if size == 0:
            continue
        on, off = _shares(kind, members[:size], membrane, num_regions, total)
        for index in range(size):
            weights[members[index]] += on if membrane[members[index]] else off
