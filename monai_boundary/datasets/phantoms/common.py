"""What the phantoms share: sets of items, voxel centres, and smooth noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_boundary._check import check_count

__all__ = ["PhantomSet", "check_seed", "check_shape", "texture", "voxel_centres"]


class PhantomSet(ABC, Sequence):
    """A set of phantoms as MONAI-style items, each computed when it is asked for; a slice gives a list.

    Args:
        name: Of the set: item ``i`` has the case ``<name>_<i>``.
        count: Number of items.
        seed: Of the whole set; an item depends on it, the settings of the set, and its index alone.
    """

    def __init__(self, name: str, count: int, seed: int) -> None:
        check_seed(seed)
        self._name, self._count, self._seed = name, check_count("count", count), seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        return self._arrays(self.phantom(index)) | {"case": f"{self._name}_{index % self._count:03d}"}

    def phantom(self, index: int) -> Any:
        """Return phantom `index`, with what its item does not hold.

        Raises:
            IndexError: There is no such phantom; iteration ends with it.
        """
        if not -self._count <= index < self._count:
            raise IndexError(f"index must lie in [0, {self._count - 1}], got {index}")
        number = index % self._count
        return self._phantom(number, np.random.SeedSequence(self._seed, spawn_key=(number,)))

    @abstractmethod
    def _phantom(self, number: int, seed: np.random.SeedSequence) -> Any:
        """Make phantom `number` >= 0."""

    @abstractmethod
    def _arrays(self, phantom: Any) -> dict[str, np.ndarray]:
        """Return the arrays of an item, channel first."""


def check_seed(seed: Any) -> None:
    """Raise unless `seed` is an integer >= 0, or a seed sequence."""
    if not isinstance(seed, Integral | np.random.SeedSequence) or isinstance(seed, bool):
        raise TypeError(f"seed must be an integer >= 0 or a SeedSequence, got {seed!r}")
    if isinstance(seed, Integral) and seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed}")


def check_shape(shape: Any, counts: tuple[int, ...], least: int) -> tuple[int, ...]:
    """Return `shape` as integers of at least `least`, one of `counts` of them."""
    sizes = tuple(shape) if isinstance(shape, Sequence | np.ndarray) else ()
    whole = all(isinstance(size, Integral) for size in sizes)
    if not whole or len(sizes) not in counts or min(sizes) < least:
        number = " or ".join(map(str, counts))
        raise ValueError(f"shape must hold {number} integers >= {least}, got {shape!r}")
    return tuple(map(int, sizes))


def voxel_centres(shape: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    """Return the centres of voxels `(len(shape), *shape)` in the unit of `spacing`; the grid begins at 0."""
    axes = ((np.arange(count) + 0.5) * size for count, size in zip(shape, spacing, strict=True))
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def texture(
    rng: np.random.Generator, shape: Sequence[int], spacing: Sequence[float], scale: float, mode: str = "wrap"
) -> np.ndarray:
    """Return smooth noise of unit standard deviation with structures of about `scale`, in the unit of `spacing`."""
    noise = gaussian_filter(rng.standard_normal(shape), [scale / size for size in spacing], mode=mode)
    return np.asarray(noise / noise.std())
