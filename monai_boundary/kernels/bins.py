"""Sums of values by bin, one pass over the voxels, compiled: `losses.cell_sums` tells when it is used."""

from __future__ import annotations

from monai_boundary.kernels.compiled import compiled, float32, float64, int32, read_only, void

__all__ = ["add_up", "spread"]


@compiled(void(read_only(float32[::1]), read_only(int32[::1]), float64[::1]))
def add_up(values, bins, sums):  # type: ignore[no-untyped-def]
    """Add each value to the sum of its bin; those of negative bins are left out."""
    for voxel in range(bins.size):
        if bins[voxel] >= 0:
            sums[bins[voxel]] += values[voxel]


@compiled(void(read_only(float64[::1]), read_only(int32[::1]), float32[::1]))
def spread(sums, bins, values):  # type: ignore[no-untyped-def]
    """Write to each voxel the sum of its bin, 0 for negative bins: the gradient of `add_up`."""
    for voxel in range(bins.size):
        values[voxel] = sums[bins[voxel]] if bins[voxel] >= 0 else 0.0
