"""The compiled loops behind `_finish`: one pass for both sums, one for the product."""

from __future__ import annotations

import numpy as np

from monai_boundary.kernels.compiled import compiled

__all__ = ["scale_rows", "sum_sides"]


@compiled
def sum_sides(values, mask, inside):  # type: ignore[no-untyped-def]
    """Sum of |values| where `mask` is `inside`, and of the values elsewhere."""
    inner = outer = 0.0
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                value = np.float64(values[z, y, x])
                own = mask[z, y, x] == inside
                inner += abs(value) if own else 0.0
                outer += 0.0 if own else value
    return inner, outer


@compiled
def scale_rows(values, mask, inside, factor):  # type: ignore[no-untyped-def]
    """Multiply the values where `mask` is `inside` by `factor`."""
    one = np.float32(1)
    for z in range(values.shape[0]):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                values[z, y, x] *= factor if mask[z, y, x] == inside else one
