"""Synthetic aerial images with one building each, in the manner of the AICD set of the boundary F1 paper.

The paper shows its loss on 800 images with one primitive segment each (section 4.1), which were not published. These
stand in for them: a roof of simple outline that casts a shadow on textured ground, with bare patches of roof-like
colour, a road, and sensor blur and noise, so that no grey level separates roof from ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from monai_boundary.datasets.phantoms.common import PhantomSet, check_seed, check_shape, texture, voxel_centres

__all__ = ["PRIMITIVES", "BuildingPhantom", "BuildingPhantoms", "building_phantom"]

#: Outlines as corners in a unit square around the origin; the disc has none.
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "rectangle": [(-0.5, -0.3), (0.5, -0.3), (0.5, 0.3), (-0.5, 0.3)],
    "l_shape": [(-0.5, -0.5), (0.5, -0.5), (0.5, -0.1), (-0.05, -0.1), (-0.05, 0.5), (-0.5, 0.5)],
    "t_shape": [
        (-0.5, -0.5), (0.5, -0.5), (0.5, -0.1), (0.2, -0.1), (0.2, 0.5), (-0.2, 0.5), (-0.2, -0.1), (-0.5, -0.1),
    ],
    "triangle": [(-0.5, -0.4), (0.5, -0.4), (0.1, 0.5)],
    "disc": [],
}  # fmt: skip
PRIMITIVES = tuple(_CORNERS)
_EDGE_SHARE = 0.25  # of the phantoms, those that the image edge cuts
_VISIBLE = (0.3, 0.85)  # share of such a building that lies in the image
_DISC_RADIUS = 0.42


@dataclass(frozen=True, eq=False)
class BuildingPhantom:
    """One synthetic image.

    Args:
        image: Float32 `(3, H, W)` in [0, 1].
        mask: Uint8 `(H, W)`, 1 = building.
        primitive: Name of the outline, one of `PRIMITIVES`.
        at_edge: Whether the image edge cuts the building.
    """

    image: np.ndarray
    mask: np.ndarray
    primitive: str
    at_edge: bool


def building_phantom(
    seed: int | np.random.SeedSequence,
    shape: tuple[int, int] = (256, 256),
    primitive: str | None = None,
    at_edge: bool | None = None,
) -> BuildingPhantom:
    """Return the image of this seed; the same arguments give the same image.

    Args:
        seed: Any integer >= 0, or a seed sequence.
        shape: Pixels (H, W), at least 64 along each axis.
        primitive: Outline, one of `PRIMITIVES`; ``None`` draws one.
        at_edge: Whether the image edge cuts the building, of which 30 to 85 % then lie in the image; ``None`` draws
            it with probability 0.25. Other buildings keep 2 pixels from the edge.

    Raises:
        ValueError: `shape` is too small, or `primitive` is unknown.
    """
    check_seed(seed)
    shape = check_shape(shape, (2,), 64)  # type: ignore[assignment] # of two sizes
    if primitive is not None and primitive not in PRIMITIVES:
        raise ValueError(f"primitive must be one of {', '.join(map(repr, PRIMITIVES))}, got {primitive!r}")
    rng = np.random.default_rng(seed)
    drawn = PRIMITIVES[rng.integers(len(PRIMITIVES))], bool(rng.uniform() < _EDGE_SHARE)
    outline = drawn[0] if primitive is None else primitive
    cut = drawn[1] if at_edge is None else at_edge
    building, angle = _place(rng, shape, outline, cut)
    return BuildingPhantom(_paint(rng, building, angle), building.astype(np.uint8), outline, cut)


class BuildingPhantoms(PhantomSet):
    """Items ``{"image": float32 (3, H, W), "label": uint8 (1, H, W), "case": "building_<i>"}``.

    Outlines take turns, and of every 20 items 5 are cut by the image edge: of the 800 items there are 160 of each
    outline, and 200 (40 of each outline) lie at the edge.

    Args:
        count: Number of items; the paper has 800.
        seed: Of the whole set.
        shape: Pixels (H, W), at least 64 along each axis.
    """

    def __init__(self, count: int = 800, seed: int = 0, shape: tuple[int, int] = (256, 256)) -> None:
        super().__init__("building", count, seed)
        self.shape: Any = check_shape(shape, (2,), 64)

    def _phantom(self, number: int, seed: np.random.SeedSequence) -> BuildingPhantom:
        kinds, turns = len(PRIMITIVES), round(1 / _EDGE_SHARE)
        at_edge = number // kinds % turns == turns - 1
        return building_phantom(seed, self.shape, PRIMITIVES[number % kinds], at_edge)

    def _arrays(self, phantom: Any) -> dict[str, np.ndarray]:
        return {"image": phantom.image, "label": phantom.mask[None]}


def _place(rng: np.random.Generator, shape: tuple[int, int], primitive: str, at_edge: bool) -> tuple[np.ndarray, float]:
    """Mask of a building of random size, place and direction, and its direction in radians."""
    corners, reach = np.array(_CORNERS[primitive]), _DISC_RADIUS
    if len(corners):
        corners = corners * rng.uniform((0.8, 0.8), (1.0, 1.0))
        reach = np.linalg.norm(corners, axis=1).max()
    scale = rng.uniform(0.32, 0.55) * min(shape)
    radius = reach * scale
    angle = rng.uniform(0, 2 * np.pi)
    while True:
        centre = rng.uniform((radius + 2,) * 2, np.subtract(shape, radius + 2))
        if at_edge:
            axis, far = rng.integers(2), rng.integers(2)
            depth = rng.uniform(-0.3, 0.6) * radius
            centre[axis] = shape[axis] - depth if far else depth
        inside = _inside(_unturned(shape, centre, angle) / scale, corners)
        share = inside.sum() / (_area(corners) * scale**2)
        if not at_edge or _VISIBLE[0] <= share <= _VISIBLE[1]:
            return inside, angle


def _unturned(shape: tuple[int, int], centre: np.ndarray, angle: float) -> np.ndarray:
    """Pixel centres `(2, H, W)` in the frame of a building at `centre` that was turned by `angle`."""
    rows, columns = voxel_centres(shape, (1.0, 1.0)) - np.reshape(centre, (2, 1, 1))
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([cosine * rows + sine * columns, cosine * columns - sine * rows])


def _inside(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Which `points` `(2, H, W)` lie in the polygon, by the even-odd rule; no corners mean the disc."""
    if not len(corners):
        return np.asarray(np.hypot(*points) < _DISC_RADIUS)
    inside = np.zeros(points.shape[1:], bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (points[0] < y0) != (points[0] < y1)
            inside ^= crosses & (points[1] < x0 + (points[0] - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _area(corners: np.ndarray) -> float:
    """Area by the shoelace formula."""
    if not len(corners):
        return float(np.pi * _DISC_RADIUS**2)
    following = np.roll(corners, -1, axis=0)
    return float(abs((corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]).sum()) / 2)


def _paint(rng: np.random.Generator, building: np.ndarray, angle: float) -> np.ndarray:
    """Colours of ground, road, bare patches, shadow and roof, then blur and noise of the sensor."""
    shape = building.shape

    def noise(scale: float) -> np.ndarray:
        return texture(rng, shape, (1.0, 1.0), scale)

    grey = rng.uniform(0.35, 0.6)
    tint = rng.uniform(-0.06, 0.06, 3)
    ground = grey + 0.09 * noise(12) + 0.04 * noise(3)
    contrast = rng.choice((-1, 1)) * (rng.uniform(0.05, 0.09) if rng.uniform() < 0.25 else rng.uniform(0.10, 0.22))
    roof = grey + contrast
    bare = noise(10) > 1.3  # about 10 % of the ground
    ground[bare] = roof + 0.03 * noise(3)[bare]
    position = _unturned(shape, rng.uniform((0, 0), shape), rng.uniform(0, 2 * np.pi))
    ground[np.abs(position[0]) < rng.uniform(0.02, 0.05) * min(shape)] = rng.uniform(0.3, 0.7)
    sun = rng.uniform(0, 2 * np.pi)
    length = rng.uniform(0.015, 0.05) * min(shape)
    shadow = shift(building.astype(np.float32), (length * np.sin(sun), length * np.cos(sun)), order=1) > 0.5
    ground[shadow] *= rng.uniform(0.45, 0.65)
    # two planes of a gabled roof, of which one faces the sun
    ridge = np.sign(_unturned(shape, np.argwhere(building).mean(0), angle)[1])
    roofs = roof + 0.03 * ridge + 0.03 * noise(3)
    image = np.where(building, roofs, ground) + (tint * rng.choice((1, -1))).reshape(3, 1, 1)
    image = gaussian_filter(image, (0, 0.7, 0.7)) + 0.03 * rng.standard_normal((3, *shape))
    return np.asarray(np.clip(image, 0, 1), np.float32)
