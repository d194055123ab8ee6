"""Surface elements of a mask: where marching squares or cubes cut through it, and how large each element is.

The elements lie at the corners of the voxels. Around a corner meet 4 voxels in 2D and 8 in 3D; where some are inside
and some outside, the piece of contour or surface through the midpoints of the edges between them is the element. Its
length or area is that of marching squares or cubes with the threshold one half. In 1D they are the ends of a line, of
size 1. The sizes are those of DeepMind's ``surface-distance``, which this definition is for, as MONAI has them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from monai.metrics.utils import get_code_to_measure_table

__all__ = ["element_areas", "element_codes", "object_elements"]


def element_codes(mask: np.ndarray) -> np.ndarray:
    """Return for every corner of the voxels which of those around it are inside, one bit each.

    Args:
        mask: Bool `(*S)`, 1 to 3 axes; beyond the array all is outside.

    Returns:
        Uint8 `(*S + 1)`. The first of the voxels, towards lower indices, has the highest bit.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    codes: np.ndarray = np.zeros([size + 1 for size in mask.shape], np.uint8)
    for corner in itertools.product((0, 1), repeat=mask.ndim):
        part = padded[tuple(slice(at, at + size + 1) for at, size in zip(corner, mask.shape, strict=True))]
        codes = (codes << 1) | part
    return codes


def object_elements(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the elements of all objects at once, in a time that goes with their voxels.

    Args:
        ids: Integers `(*S)`, 1 to 3 axes, 0 for no object; no two objects may touch, not even by a corner.

    Returns:
        Places of the corners `(N, D)`, their codes `(N,)` as of `element_codes`, and the id of each element's object.
    """
    shape, around = [size + 1 for size in ids.shape], list(itertools.product((0, 1), repeat=ids.ndim))
    inside = np.unravel_index(np.flatnonzero(ids != 0), ids.shape)  # np.nonzero looks at numbers one by one
    starts, objects = np.ravel_multi_index(inside, shape), ids[inside]
    codes, owners = np.zeros(math.prod(shape), np.uint8), np.zeros(math.prod(shape), ids.dtype)
    for number, corner in enumerate(reversed(around)):
        at = starts + np.ravel_multi_index([1 - side for side in corner], shape)
        codes[at] |= np.uint8(1 << number)
        owners[at] = objects
    surface = np.flatnonzero((codes > 0) & (codes < 2**2**ids.ndim - 1))
    return np.stack(np.unravel_index(surface, shape), axis=-1), codes[surface], owners[surface]


def element_areas(spacing: Sequence[float]) -> np.ndarray:
    """Return 1 (1 axis), the length (2) or area (3) of the element of each code, float64 `(4,)`, `(16,)`, `(256,)`."""
    if len(spacing) == 1:
        return np.array([0.0, 1.0, 1.0, 0.0])
    table: np.ndarray = get_code_to_measure_table(tuple(map(float, spacing)))[0].double().numpy()
    return table
