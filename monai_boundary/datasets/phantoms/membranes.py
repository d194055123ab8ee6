"""Synthetic electron microscopy: cells with thin membranes that fade in places, in 2D and 3D.

The cells are those of a Voronoi diagram in bent space, so that membranes are curved and meet three by three. Where a
membrane fades the truth still holds it: a network that reads grey values alone leaks there from one cell into the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, label
from scipy.spatial import cKDTree

from monai_boundary._check import check_number, check_spacing
from monai_boundary.datasets.phantoms.common import PhantomSet, check_seed, check_shape, texture, voxel_centres

__all__ = ["MembranePhantom", "MembranePhantoms", "membrane_phantom"]

_NEIGHBOURS = 8  # of the cells around a voxel, those whose border with its own may be the nearest
_BEND = 0.12  # of a cell's size, standard deviation of the displacement
_MIN_VOXELS = 12
_FADED = 0.06  # contrast that is left where a membrane fades


@dataclass(frozen=True, eq=False)
class MembranePhantom:
    """One synthetic image or volume.

    Args:
        image: Float32 `(*S)` in [0, 1]; membranes are dark.
        ids: Int32 `(*S)`, 1 to K in the cells, 0 on membranes. Cells are connected by faces, and none touches another.
        faded: Bool `(*S)`, where a membrane can hardly be seen.
        spacing: Voxel size, one per axis in array order.
    """

    image: np.ndarray
    ids: np.ndarray
    faded: np.ndarray
    spacing: tuple[float, ...]

    @property
    def membrane(self) -> np.ndarray:
        """Uint8 `(*S)`, 1 on membranes."""
        return np.asarray(self.ids == 0, np.uint8)


def membrane_phantom(
    seed: int | np.random.SeedSequence,
    shape: Sequence[int] = (256, 256),
    spacing: Sequence[float] | None = None,
    cell_size: float = 32.0,
    width: float = 3.0,
    gaps: float = 0.08,
    noise: float = 0.08,
) -> MembranePhantom:
    """Return the phantom of this seed; the same arguments give the same one.

    Args:
        seed: Any integer >= 0, or a seed sequence.
        shape: Voxels, 2 or 3 sizes of at least 8.
        spacing: Voxel size, one per axis in array order; ``None`` means 1.
        cell_size: Mean distance of neighbouring cells' centres, in the unit of `spacing`.
        width: Thickness of the membranes in the unit of `spacing`: at least 2 voxels along each axis, so that no cell
            touches another, and at most half of `cell_size`.
        gaps: Share of the membranes that fades, in [0, 0.9].
        noise: Standard deviation of the noise of the image.

    Raises:
        ValueError: An argument is out of its range.
    """
    check_seed(seed)
    voxel = _check(shape, spacing, cell_size, width, gaps, noise)
    rng = np.random.default_rng(seed)
    depth = _border_distance(rng, tuple(shape), voxel, cell_size)
    ids, count = _parted(depth >= width / 2)
    membrane = ids == 0
    if count < 2:
        raise ValueError(f"cell_size must leave room for two cells in {tuple(shape)} voxels, got {cell_size:g}")
    patches = texture(rng, tuple(shape), voxel, 1.5 * width)
    faded = membrane & (patches > np.quantile(patches[membrane], 1 - gaps)) if gaps else np.zeros_like(membrane)
    return MembranePhantom(_paint(rng, depth, faded, ids, voxel, width, noise), ids, faded, voxel)


class MembranePhantoms(PhantomSet):
    """Items ``{"image": float32 (1, *S), "membrane": uint8 (1, *S), "ids": int32 (1, *S), "case": "membranes_<i>"}``.

    The keys are those of the real sets in `monai_boundary.datasets.em`.

    Args:
        count: Number of items.
        seed: Of the whole set.
        **settings: Arguments of `membrane_phantom`.
    """

    def __init__(self, count: int = 30, seed: int = 0, **settings: Any) -> None:
        super().__init__("membranes", count, seed)
        self.settings = settings

    def _phantom(self, number: int, seed: np.random.SeedSequence) -> MembranePhantom:  # noqa: ARG002 - all are alike
        return membrane_phantom(seed, **self.settings)

    def _arrays(self, phantom: Any) -> dict[str, np.ndarray]:
        return {"image": phantom.image[None], "membrane": phantom.membrane[None], "ids": phantom.ids[None]}


def _check(
    shape: Sequence[int], spacing: Sequence[float] | None, cell_size: float, width: float, gaps: float, noise: float
) -> tuple[float, ...]:
    check_shape(shape, (2, 3), 8)
    for name, value in (("cell_size", cell_size), ("width", width), ("gaps", gaps), ("noise", noise)):
        check_number(name, value, strict=False)
    checked = check_spacing(spacing, len(shape))
    if cell_size > max(size * count for size, count in zip(checked, shape, strict=True)):
        raise ValueError(f"cell_size must leave room for two cells in {tuple(shape)} voxels, got {cell_size:g}")
    if not 2 * max(checked) <= width <= cell_size / 2:
        raise ValueError(
            f"width must be at least 2 voxels ({2 * max(checked):g}) and at most half of cell_size "
            f"({cell_size / 2:g}), got {width:g}; thinner membranes leave holes"
        )
    if gaps > 0.9:
        raise ValueError(f"gaps must lie in [0, 0.9], got {gaps}")
    return checked


def _parted(inside: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the cells and count them; specks, which bends and the edge of the image cut off, become membrane."""
    parts, count = label(inside)
    large = np.bincount(parts.ravel(), minlength=count + 1) >= _MIN_VOXELS
    large[0] = False
    return (np.cumsum(large) * large).astype(np.int32)[parts], int(large.sum())


def _border_distance(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], cell_size: float
) -> np.ndarray:
    """Distance of every voxel to the border between its cell and the next."""
    ndim = len(shape)
    grid = [np.arange(-0.5, count * size / cell_size + 1) for count, size in zip(shape, spacing, strict=True)]
    centres = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, ndim)
    centres = cell_size * (centres + rng.uniform(-0.35, 0.35, centres.shape))
    places = voxel_centres(shape, spacing)
    places += [_BEND * cell_size * texture(rng, shape, spacing, cell_size / 2) for _ in range(ndim)]
    points = places.reshape(ndim, -1).T
    distance, index = cKDTree(centres).query(points, k=min(_NEIGHBOURS, len(centres)))
    # to the plane half way between the two centres
    apart = np.linalg.norm(centres[index[:, 1:]] - centres[index[:, :1]], axis=-1)
    depth = ((distance[:, 1:] ** 2 - distance[:, :1] ** 2) / (2 * apart)).min(axis=1)
    return np.asarray(depth.reshape(shape))


def _paint(
    rng: np.random.Generator,
    depth: np.ndarray,
    faded: np.ndarray,
    ids: np.ndarray,
    spacing: tuple[float, ...],
    width: float,
    noise: float,
) -> np.ndarray:
    """Grey of cells, dark bodies inside them, membranes, blur and noise."""
    shape = ids.shape
    shades = rng.normal(0.66, 0.05, ids.max() + 1)
    image = shades[ids] + 0.03 * texture(rng, shape, spacing, width)
    bodies = (depth > 1.5 * width) & (texture(rng, shape, spacing, 2.5 * width) > 1.8)
    image[bodies] -= 0.2
    membrane = ids == 0
    image[membrane] = np.where(faded[membrane], 0.66 - _FADED, rng.normal(0.25, 0.03))
    image = gaussian_filter(image, [0.25 * width / size for size in spacing])
    image += noise * rng.standard_normal(shape)
    return np.asarray(np.clip(image, 0, 1), np.float32)
