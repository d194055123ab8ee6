"""Sums by cell of a lesion, one pass over the voxels, compiled: `losses.cell_sums` tells when they are used."""

from __future__ import annotations

from monai_boundary.kernels.compiled import boolean, compiled, float32, float64, int32, read_only, void

__all__ = ["add_up", "spread"]

_PLACES = read_only(int32[::1]), read_only(boolean[::1]), read_only(boolean[::1])  # cell, inside of its lesion, counts


@compiled(void(read_only(float32[::1]), read_only(float32[::1]), *_PLACES, float64[:, :, ::1]))
def add_up(probs, entropy, cells, true, valid, sums):  # type: ignore[no-untyped-def]
    """Add to ``sums[cell, inside]`` both values of each voxel that counts, and 1."""
    for voxel in range(cells.size):
        if valid[voxel]:
            here = sums[cells[voxel], int(true[voxel])]
            here[0] += probs[voxel]
            here[1] += entropy[voxel]
            here[2] += 1


@compiled(void(read_only(float64[:, :, ::1]), *_PLACES, float32[::1], float32[::1]))
def spread(sums, cells, true, valid, probs, entropy):  # type: ignore[no-untyped-def]
    """Add to both values of each voxel that counts those of ``sums[cell, inside]``: the gradient of `add_up`."""
    for voxel in range(cells.size):
        if valid[voxel]:
            here = sums[cells[voxel], int(true[voxel])]
            probs[voxel] += here[0]
            entropy[voxel] += here[1]
