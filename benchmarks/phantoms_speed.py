"""Label maps whose foreground share is that of small lesions: wobbly ellipsoids on background."""

from __future__ import annotations

import numpy as np

__all__ = ["ellipsoids"]


def ellipsoids(shape: tuple[int, ...], num_classes: int, seed: int = 0) -> np.ndarray:
    """Return uint8 labels `shape` with one wobbly ellipsoid for each foreground class."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    axes = np.meshgrid(*[np.linspace(-1, 1, count, dtype=np.float32) for count in shape], indexing="ij")
    for index in range(1, num_classes):
        centre, radii = rng.uniform(-0.5, 0.5, len(shape)), rng.uniform(0.26, 0.40, len(shape))
        offsets = [(axis - middle) / radius for axis, middle, radius in zip(axes, centre, radii, strict=True)]
        wobble = 1 + 0.15 * np.prod([np.sin((3 + position) * x + index) for position, x in enumerate(offsets)], axis=0)
        labels[np.sqrt(sum(x * x for x in offsets)) < wobble] = index
    return labels
