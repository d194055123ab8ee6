"""Label maps, masks and membranes to measure on; all from fixed seeds."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy import ndimage

__all__ = ["ellipsoids", "hard_mask", "lesion_pair", "scattered_lesions", "voronoi_membranes"]


def ellipsoids(shape: tuple[int, ...], num_classes: int, seed: int = 0) -> np.ndarray:
    """Return uint8 labels `shape` with one wobbly ellipsoid for each foreground class; small, as lesions are."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    axes = np.meshgrid(*[np.linspace(-1, 1, count, dtype=np.float32) for count in shape], indexing="ij")
    for index in range(1, num_classes):
        centre, radii = rng.uniform(-0.5, 0.5, len(shape)), rng.uniform(0.26, 0.40, len(shape))
        offsets = [(axis - middle) / radius for axis, middle, radius in zip(axes, centre, radii, strict=True)]
        wobble = 1 + 0.15 * np.prod([np.sin((3 + position) * x + index) for position, x in enumerate(offsets)], axis=0)
        labels[np.sqrt(sum(x * x for x in offsets)) < wobble] = index
    return labels


def hard_mask(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """14 lesions (0.2 %), an organ (30 %), tissue (half of the voxels, everywhere a surface), or a thin sheet."""
    rng, size = np.random.default_rng(0), np.array(shape)
    if kind == "lesions":
        mask = np.zeros(shape, bool)
        for _ in range(14):
            mask |= _ellipsoid(shape, rng.uniform(0.25, 0.75, 3) * size, rng.uniform(0.012, 0.047, 3) * size + 0.5)
        return mask
    if kind == "organ":
        return _ellipsoid(shape, size / 2, (0.41, 0.43, 0.41) * size)
    if kind == "tissue":
        return ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 2) > 0
    z, y, x = np.indices(shape, sparse=True)
    surface = shape[0] * (0.5 + 0.35 * np.sin(y / 40) * np.cos(x / 30))
    return (z >= surface) & (z < surface + 2)


def scattered_lesions(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Return a bool mask of `count` ellipsoids that do not touch, of 1 to 5 voxels half-width, most of them small."""
    rng, mask, free = np.random.default_rng(seed), np.zeros(shape, bool), np.ones(shape, bool)
    while count:
        centre, radii = (
            rng.uniform(0.05, 0.95, len(shape)) * shape,
            1 + 4 * rng.random() ** 3 * rng.uniform(0.6, 1, len(shape)),
        )
        one = _ellipsoid(shape, centre, radii)
        if one.any() and free[one].all():
            mask |= one
            free &= ~_ellipsoid(shape, centre, radii + 3)
            count -= 1
    return mask


def lesion_pair(shape: tuple[int, int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a prediction and a target of `count` balls of 1.5 to 4.5 voxels: a tenth missed, and as many false."""
    rng, edge = np.random.default_rng(0), 12
    places = np.argwhere(np.ones([size // edge for size in shape])) * edge
    few = count // 10
    pred, target = np.zeros((2, *shape), bool)
    for number, place in enumerate(rng.permutation(places)[: count + few]):
        box, radius = tuple(slice(start, start + edge) for start in place), rng.uniform(1.5, 4.5)
        if number < count:
            target[box] = _ellipsoid((edge,) * 3, (5.5,) * 3, (radius,) * 3)
        if number >= few:
            pred[box] = _ellipsoid((edge,) * 3, rng.uniform(4.5, 6.5, 3), (radius * rng.uniform(0.7, 1.1),) * 3)
    return pred, target


def _ellipsoid(shape: tuple[int, ...], centre: Any, radii: Any) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, count) for count in shape)]
    inside: np.ndarray = sum(((x - c) / r) ** 2 for x, c, r in zip(axes, centre, radii, strict=True)) < 1
    return inside


def voronoi_membranes(shape: tuple[int, ...], cells: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a noisy uint8 likelihood with gaps, the seeds of the cells, and their membranes, `shape` each."""
    rng = np.random.default_rng(seed)
    centres = np.unique((rng.random((cells, len(shape))) * shape).astype(int), axis=0)
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(centres.T)] = np.arange(1, len(centres) + 1)
    _, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    owner = seeds[tuple(nearest)]
    membrane = np.zeros(shape, bool)
    for step in itertools.product((0, 1), repeat=len(shape)):
        membrane |= np.roll(owner, step, range(len(shape))) != owner
    membrane &= seeds == 0
    holes = ndimage.gaussian_filter(rng.standard_normal(shape), 4) > 0.06 * 4 / 2 ** len(shape)
    noise = rng.standard_normal(shape)
    smooth = ndimage.gaussian_filter(np.where(membrane & ~holes, 1.0, 0.1) + 0.2 * noise, 0.7)
    return (255 * smooth.clip(0, 1)).astype(np.uint8), seeds, membrane
