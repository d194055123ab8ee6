"""Exact Euclidean distance engines with one signature, chosen by name.

Each engine takes bool arrays with 1 to 3 axes and writes float32 in the unit of `spacing`. The callers
guarantee that both sides hold a voxel: without one, `edt` answers inf and scipy the distance to a phantom
voxel outside the array, both without a word.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from scipy import ndimage

from monai_boundary.kernels.distance.slices import bounding_box, sliced_distance

__all__ = [
    "BACKENDS",
    "Backend",
    "distance_unit",
    "fused_signed",
    "label_distance",
    "on_device",
    "opposite_distance",
    "resolve_backend",
    "seed_distance",
]

Backend = Literal["auto", "edt", "numba", "scipy", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "edt", "numba", "scipy", "torch")
Engine = Callable[[np.ndarray, tuple[float, ...], np.ndarray, float | None], None]

_HAS_EDT = importlib.util.find_spec("edt") is not None
_HAS_NUMBA = importlib.util.find_spec("numba") is not None
# Squares of distances are kept in float32: keep ratios of spacings where the sum of squares cannot leave its range.
_SAFE_RATIO = 1e12


def on_device(backend: Backend, array: object) -> bool:
    """Whether `array` goes through torch on its own device: as asked for, and by ``"auto"`` on CUDA devices."""
    return backend == "torch" or (backend == "auto" and isinstance(array, torch.Tensor) and array.is_cuda)


def resolve_backend(backend: Backend) -> str:
    """Return the name of the engine for arrays: ``"auto"`` is `edt` where installed, else scipy.

    It is never numba, which compiles for seconds where its cache is cold and loads for a second in every worker.
    """
    if backend == "auto":
        return "edt" if _HAS_EDT else "scipy"
    if backend == "edt" and not _HAS_EDT:
        raise RuntimeError("backend='edt' needs the package edt; pip install edt, or pass backend='scipy'")
    if backend == "numba" and not _HAS_NUMBA:
        raise RuntimeError(
            "backend='numba' needs the package numba; pip install \"monai-boundary[em]\", or pass backend='edt'"
        )
    return backend


def distance_unit(spacing: Sequence[float]) -> float:
    """Return the unit to measure in: the last spacing, or the largest where squares could leave float32."""
    return spacing[-1] if max(spacing) <= _SAFE_RATIO * spacing[-1] else max(spacing)


def _edt(labels: np.ndarray, spacing: tuple[float, ...], out: np.ndarray) -> None:
    """Write the distance of every voxel labelled > 0 to the nearest voxel of any other label (0 where labelled 0)."""
    import edt

    # 1-D input wants a bare float. A wrong-length tuple would be accepted, so spacing is checked before.
    anisotropy = spacing[0] if labels.ndim == 1 else spacing
    # Columns whose voxels lie a multiple of 4096 bytes apart share one cache set, which costs a quarter of the
    # time. A repeated last plane is never nearer than the plane it repeats, so it moves them apart at no error.
    pads = [(0, 0)] * labels.ndim
    if any(math.prod(labels.shape[axis:]) % 1024 == 0 for axis in range(1, labels.ndim)):
        pads[-1] = (0, 1)
        labels = np.pad(labels, pads, mode="edge")
    distance = edt.edt(labels, anisotropy=anisotropy, black_border=False, parallel=1)
    out[...] = distance[..., : out.shape[-1]]


def _edt_opposite(mask: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:
    if mask.ndim == 3 and sliced_distance(mask, spacing, out, limit):
        box = bounding_box(mask, spacing, max(spacing))  # one voxel more: the inside distances end there
        inner = np.empty(mask[box].shape, np.float32)
        _edt(mask[box].view(np.uint8), spacing, inner)
        out[box] += inner  # one of the two is 0 in every voxel
    else:
        # Labels 1 and 2 and no 0: one pass gives the distance to the other side on both sides.
        _edt(mask.view(np.uint8) + np.uint8(1), spacing, out)


def _edt_seed(seeds: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:
    if not (seeds.ndim == 3 and sliced_distance(seeds, spacing, out, limit)):
        _edt((~seeds).view(np.uint8), spacing, out)


def _scipy_seed(seeds: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:  # noqa: ARG001 - scipy has no use for the limit
    out[...] = ndimage.distance_transform_edt(~seeds, sampling=spacing)


def _scipy_opposite(mask: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:
    _scipy_seed(mask, spacing, out, limit)
    out += ndimage.distance_transform_edt(mask, sampling=spacing).astype(np.float32)


def _numba_opposite(mask: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:
    from monai_boundary.kernels.distance.signed_field import signed_field

    signed_field(mask, spacing, out, sign=1.0, limit=math.inf if limit is None else limit)


def _numba_seed(seeds: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:
    from monai_boundary.kernels.distance.signed_field import signed_field

    signed_field(seeds, spacing, out, inside=False, limit=math.inf if limit is None else limit)


_ENGINES: dict[str, tuple[Engine, Engine]] = {
    "edt": (_edt_opposite, _edt_seed),
    "numba": (_numba_opposite, _numba_seed),
    "scipy": (_scipy_opposite, _scipy_seed),
}


def _run(
    engine: Engine, mask: np.ndarray, spacing: tuple[float, ...], out: np.ndarray | None, limit: float | None
) -> np.ndarray:
    distance = np.empty(mask.shape, np.float32) if out is None else out
    part, scaled, scale = _essential(mask.shape, spacing)
    engine(np.ascontiguousarray(mask[part]), scaled, distance[part], None if limit is None else limit / scale)
    if scale != 1.0:
        distance *= np.float32(scale)
    return distance


def _essential(shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[Any, tuple[float, ...], float]:
    """The part of an array that an engine works on, its spacing in some unit, and that unit."""
    # Axes of one voxel add nothing, and leave open which axis is the contiguous one.
    axes = [axis for axis, count in enumerate(shape) if count > 1] or [0]
    part = tuple(slice(None) if axis in axes else 0 for axis in range(len(shape)))
    spacing = tuple(spacing[axis] for axis in axes)
    # edt's first pass adds up the spacing of the axis that is contiguous in memory, and its rounding errors, which pass
    # 1e-4 mm on 256 voxels. With that axis for the unit it adds up ones.
    scale = distance_unit(spacing)
    return part, tuple(value / scale for value in spacing), scale


def fused_signed(
    mask: np.ndarray,
    spacing: tuple[float, ...],
    out: np.ndarray,
    complement: np.ndarray | None,
    offsets: tuple[float, float],
    clip: float | None,
    limit: float | None,
) -> None:
    """Write signed distances into `out`, those of ~mask into `complement`, in one sweep: backend ``"numba"`` alone.

    Args:
        mask: Bool, with a voxel on each side.
        spacing: Voxel size in mm.
        out: Float32 of the shape of `mask`.
        complement: The same, or ``None``.
        offsets: What is taken off the distances outside and inside, in mm.
        clip: Values are limited to +-clip mm.
        limit: Distances of at least `limit` mm need not be exact; ``None`` where all have to be.
    """
    from monai_boundary.kernels.distance.signed_field import signed_field

    part, scaled, scale = _essential(mask.shape, spacing)
    signed_field(
        np.ascontiguousarray(mask[part]), scaled, out[part], None if complement is None else complement[part],
        unit=scale, offsets=offsets,
        clip=math.inf if clip is None else clip, limit=math.inf if limit is None else limit / scale,
    )  # fmt: skip


def opposite_distance(
    mask: np.ndarray,
    spacing: tuple[float, ...],
    backend: Backend = "auto",
    out: np.ndarray | None = None,
    limit: float | None = None,
) -> np.ndarray:
    """Distance from every voxel to the nearest voxel of the other side of a bool mask, > 0 everywhere.

    Written into `out` where one is given. Outside distances of at least `limit` may come out as any value >= `limit`.
    """
    return _run(_ENGINES[resolve_backend(backend)][0], mask, spacing, out, limit)


def seed_distance(
    seeds: np.ndarray,
    spacing: tuple[float, ...],
    backend: Backend = "auto",
    out: np.ndarray | None = None,
    limit: float | None = None,
) -> np.ndarray:
    """Distance from every voxel to the nearest True voxel, 0 on the seeds; `out` and `limit` as above."""
    return _run(_ENGINES[resolve_backend(backend)][1], seeds, spacing, out, limit)


def label_distance(labels: np.ndarray, spacing: tuple[float, ...], backend: Backend = "auto") -> np.ndarray:
    """Distance from every voxel of a label > 0 to the nearest voxel of any other label; inf where there is none."""

    def run_edt(labels: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:  # noqa: ARG001
        _edt(labels, spacing, out)

    return _run(run_edt if resolve_backend(backend) == "edt" else _scipy_labels, labels, spacing, None, None)


def _scipy_labels(labels: np.ndarray, spacing: tuple[float, ...], out: np.ndarray, limit: float | None) -> None:  # noqa: ARG001
    out[...] = 0
    for label in np.unique(labels[labels > 0]):
        own = labels == label
        out[own] = ndimage.distance_transform_edt(own, sampling=spacing)[own] if not own.all() else math.inf
