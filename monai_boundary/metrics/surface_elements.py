"""Surface elements of a mask: where marching squares or cubes cut through it, and how large each element is.

The elements lie at the corners of the voxels. Around a corner meet 4 voxels in 2D and 8 in 3D; where some are inside
and some outside, the piece of contour or surface through the midpoints of the edges between them is the element. Its
length or area is that of marching squares or cubes with the threshold one half. In 1D they are the ends of a line, of
size 1. Two choices are free, and are those of
DeepMind's ``surface-distance``, which this definition is for: across a face whose diagonal corners are inside, the side
with fewer corners is cut off apart; a polygon that is not flat is made of the triangles with the largest total area
at cubic voxels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache

import numpy as np

__all__ = ["element_areas", "element_codes", "object_elements"]

Point = tuple[float, ...]
Triangles = tuple[tuple[int, int, int], ...]


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
    size = np.asarray(spacing, np.float64)
    if len(size) == 1:
        return np.array([0.0, 1.0, 1.0, 0.0])
    if len(size) == 2:
        return np.array([sum(np.hypot(*(size * np.subtract(*line))) for line in lines) for lines in _lines()])
    # The area vector of a triangle scales along each axis with the product of the other two sizes.
    return np.array([np.linalg.norm(vectors * (size.prod() / size), axis=1).sum() for vectors in _area_vectors()])


@cache
def _lines() -> list[list[tuple[Point, Point]]]:
    """Segments of marching squares, by code."""
    corners = list(itertools.product((0, 1), repeat=2))
    return [_face_segments(corners, _inside(code, 4)) for code in range(16)]


@cache
def _area_vectors() -> list[np.ndarray]:
    """Area vectors `(T, 3)` of the triangles of marching cubes, by code, for voxels of size 1."""
    found = []
    for code in range(256):
        vectors = [np.zeros(3)]
        for polygon in _polygons(_inside(code, 8)):
            choices = [_cross(polygon, triangles) for triangles in _triangulations(0, len(polygon) - 1)]
            vectors += max(choices, key=lambda each: np.linalg.norm(each, axis=1).sum()).tolist()
        found.append(np.array(vectors))
    return found


def _inside(code: int, count: int) -> list[bool]:
    return [bool(code >> (count - 1 - index) & 1) for index in range(count)]


def _polygons(inside: list[bool]) -> list[np.ndarray]:
    """Closed polygons through the edges of a cube between inside and outside: each of its faces gives the segments."""
    corners = list(itertools.product((0, 1), repeat=3))
    links: dict[Point, list[Point]] = {}
    for axis, side in itertools.product(range(3), (0, 1)):
        face = [index for index, corner in enumerate(corners) if corner[axis] == side]
        cut_off = sum(inside) <= 4  # the inside, where it has no more corners than the outside
        segments = _face_segments([corners[index] for index in face], [inside[index] for index in face], cut_off)
        for first, second in segments:
            links.setdefault(first, []).append(second)
            links.setdefault(second, []).append(first)
    polygons = []
    while links:
        path = [next(iter(links))]
        while following := [point for point in links.pop(path[-1]) if point in links]:
            path.append(following[0])
        polygons.append(np.array(path))
    return polygons


def _face_segments(corners: Sequence[Point], inside: Sequence[bool], cut_off: bool = True) -> list[tuple[Point, Point]]:
    """Segments of a square with corners in raster order; of diagonal corners, those that are `cut_off` are apart."""
    around = [0, 1, 3, 2]
    sides = list(itertools.pairwise([*around, around[0]]))
    edges = [
        tuple((first + second) / 2 for first, second in zip(corners[a], corners[b], strict=True)) for a, b in sides
    ]
    crossed = [edge for edge, (a, b) in zip(edges, sides, strict=True) if inside[a] != inside[b]]
    if len(crossed) < 4:
        return [(crossed[0], crossed[1])] if crossed else []
    # each corner lies between the edge that leads to it and the next
    return [(edges[at - 1], edges[at]) for at, index in enumerate(around) if inside[index] == cut_off]


def _triangulations(first: int, last: int) -> list[Triangles]:
    """All ways to cut the polygon of the points `first` to `last` into triangles."""
    if last - first < 2:
        return [()]
    return [
        (*low, *high, (first, middle, last))
        for middle in range(first + 1, last)
        for low in _triangulations(first, middle)
        for high in _triangulations(middle, last)
    ]


def _cross(polygon: np.ndarray, triangles: Triangles) -> np.ndarray:
    a, b, c = (polygon[[triangle[at] for triangle in triangles]] for at in range(3))
    vectors: np.ndarray = np.cross(b - a, c - a) / 2
    return vectors
