"""Images with an affine, for the tests of the transforms."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

SPACING = (3.0, 1.0, 0.5)


def with_affine(array: np.ndarray, *columns) -> MetaTensor:
    """`(1, *S)` whose voxel axes are the columns, in mm."""
    affine = np.eye(len(columns) + 1)
    affine[:-1, :-1] = np.array(columns, float).T
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(array)), affine=torch.from_numpy(affine))


def on_grid(array: np.ndarray, spacing=SPACING) -> MetaTensor:
    """The same on an axis-aligned grid; always with the 4 x 4 affine that readers give."""
    return with_affine(array, *np.diag([*spacing, *[1.0] * (3 - len(spacing))]))
