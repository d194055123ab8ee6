"""Exact Euclidean distance engines with one signature, chosen by name.

Each engine takes bool arrays with 1 to 3 axes and returns float32 in the unit of `spacing`. The callers
guarantee that both sides hold a voxel: without one, `edt` answers inf and scipy the distance to a phantom
voxel outside the array, both without a word.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import ndimage

__all__ = ["Backend", "opposite_distance", "seed_distance"]

Backend = Literal["auto", "edt", "scipy"]
Engine = Callable[[np.ndarray, tuple[float, ...]], np.ndarray]

_HAS_EDT = importlib.util.find_spec("edt") is not None
# edt squares distances in float32: keep spacings where neither a product nor a sum of squares can leave its range.
_SAFE_SPACING = (1e-6, 1e6)


def resolve_backend(backend: Backend) -> str:
    """Return the engine's name: ``"auto"`` is `edt` where installed, else scipy."""
    if backend == "auto":
        return "edt" if _HAS_EDT else "scipy"
    if backend == "edt" and not _HAS_EDT:
        raise RuntimeError("backend='edt' needs the package edt; pip install edt, or pass backend='scipy'")
    return backend


def _edt(parts: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Distance of every voxel labelled > 0 to the nearest voxel of any other label (0 where labelled 0)."""
    import edt

    # 1-D input wants a bare float. A wrong-length tuple would be accepted, so spacing is checked before.
    anisotropy = spacing[0] if parts.ndim == 1 else spacing
    return edt.edt(parts, anisotropy=anisotropy, black_border=False, parallel=1)


def _edt_opposite(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    # Labels 1 and 2 and no 0: one pass gives the distance to the other side on both sides.
    return _edt(np.ascontiguousarray(mask).view(np.uint8) + np.uint8(1), spacing)


def _edt_seed(seeds: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    return _edt((~seeds).view(np.uint8), spacing)


def _scipy_seed(seeds: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    return ndimage.distance_transform_edt(~seeds, sampling=spacing).astype(np.float32)


def _scipy_opposite(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    return np.where(mask, _scipy_seed(~mask, spacing), _scipy_seed(mask, spacing))


_ENGINES: dict[str, tuple[Engine, Engine]] = {
    "edt": (_edt_opposite, _edt_seed),
    "scipy": (_scipy_opposite, _scipy_seed),
}


def _run(engine: Engine, mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    low, high = _SAFE_SPACING
    scale = 1.0 if low <= min(spacing) and max(spacing) <= high else max(spacing)
    distance = engine(mask, tuple(value / scale for value in spacing))
    return distance if scale == 1.0 else distance * np.float32(scale)


def opposite_distance(mask: np.ndarray, spacing: tuple[float, ...], backend: Backend = "auto") -> np.ndarray:
    """Distance from every voxel to the nearest voxel of the other side of a bool mask, > 0 everywhere."""
    return _run(_ENGINES[resolve_backend(backend)][0], mask, spacing)


def seed_distance(seeds: np.ndarray, spacing: tuple[float, ...], backend: Backend = "auto") -> np.ndarray:
    """Distance from every voxel to the nearest True voxel, 0 on the seeds."""
    return _run(_ENGINES[resolve_backend(backend)][1], seeds, spacing)
