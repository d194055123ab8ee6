"""Voxel spacing of affines, and of images and batches that carry one: the one rule of all readers. Imports no torch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "MissingSpacingWarning", "ShearedAffineWarning", "affine_spacing", "batch_spacing", "image_spacing", "is_sheared",
    "mm_per_unit",
]  # fmt: skip

#: Cosine of the angle between two axes up to which they pass for orthogonal: that of 0.06 degrees.
_ORTHOGONAL = 1e-3
#: 1 - cosine of the angle between a voxel axis and one of the world up to which they pass for parallel: 2.6 degrees.
_ALIGNED = 1e-3
#: Of the metadata: the unit of the affine, by the codes of NIfTI.
UNIT_KEY = "xyzt_units"
_MM_PER_UNIT = {1: 1e3, 3: 1e-3}  # metres and micrometres


class ShearedAffineWarning(UserWarning):
    """The voxel grid is sheared, so distances along its axes are not Euclidean distances."""


class MissingSpacingWarning(UserWarning):
    """No spacing was given and the image carries none, so distances are in voxels."""


def image_spacing(image: Any, ndim: int) -> tuple[float, ...]:
    """Return the spacing in mm of an image by its affine, or 1 per axis with a warning where it carries none.

    Raises:
        ValueError: The affine is not usable, or that of a slice which SqueezeDimd cut wrongly, or nothing tells along
            which axis a slice was cut.
    """
    if hasattr(image, "affine"):  # a MetaTensor
        return _sample_spacing(image.affine, image.shape[-ndim:], image.meta, image.applied_operations)
    warnings.warn(
        f"spacing must come from a MetaTensor or the argument spacing, got a {type(image).__name__}: distances are in "
        "voxels; load with LoadImaged, or pass spacing=(1, 1, 1) if voxels are what you want",
        MissingSpacingWarning,
        stacklevel=3,
    )
    return (1.0,) * ndim


def batch_spacing(images: Any, ndim: int) -> list[tuple[float, ...]] | None:
    """Return the spacing of each sample of a batch `(B, C, *S)`, or ``None`` where it carries no affine."""
    if not hasattr(images, "affine"):
        return None
    meta, operations, shape = images.meta, images.applied_operations, images.shape[-ndim:]
    if images.affine.ndim == 2:  # stacked rather than collated: the first sample's metadata
        return [_sample_spacing(images.affine, shape, meta, operations)] * len(images)
    known = {
        key: meta[key]
        for key in ("original_affine", "spatial_shape", UNIT_KEY)
        if meta.get(key) is not None and len(meta[key]) == len(images.affine)
    }
    each = [{key: values[index] for key, values in known.items()} for index in range(len(images.affine))]
    history = operations if len(operations) == len(each) else [()] * len(each)
    return [_sample_spacing(*one) for one in zip(images.affine, [shape] * len(each), each, history, strict=True)]


def mm_per_unit(meta: Mapping[str, Any]) -> float:
    """Return the millimetres of the unit in which an image's metadata has its affine; 1 where it names none.

    MONAI keeps the code of a NIfTI header as a number. A text is that of ITK, which converts the affine to mm itself.
    """
    code: Any = meta.get(UNIT_KEY)
    value = np.asarray(code.detach().cpu() if hasattr(code, "detach") else code)
    if value.size != 1 or value.dtype.kind not in "iuf":
        return 1.0
    return _MM_PER_UNIT.get(int(value.reshape(())) & 7, 1.0)  # the other bits are the unit of time


def affine_spacing(affine: Any, ndim: int, stacklevel: int = 2) -> tuple[float, ...]:
    """Return the length of one voxel step along each of the first `ndim` axes; a sheared grid warns.

    Args:
        affine: Homogeneous `(n + 1, n + 1)`, from voxels to mm, an array or a tensor. Axes beyond the n-th have
            length 1.
        ndim: Number of spatial axes of the image.
        stacklevel: Of the warning, as seen from here.

    Raises:
        ValueError: A length is 0 or not finite.
    """
    affine = _array(affine)
    steps = affine[:-1, :ndim]
    lengths = np.linalg.norm(steps[:, : len(steps)], axis=0)
    spacing = (*(float(length) for length in lengths), *[1.0] * (ndim - len(lengths)))
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError(f"spacing must hold one finite value > 0 per spatial axis ({ndim}), got {spacing}")
    if is_sheared(affine, ndim):
        warnings.warn(
            "the affine is sheared: distances are measured as if its axes were orthogonal; "
            "resample to an orthogonal grid (Spacingd, Orientationd) first",
            ShearedAffineWarning,
            stacklevel=stacklevel + 1,
        )
    return spacing


def is_sheared(affine: np.ndarray, ndim: int = 3) -> bool:
    """Whether two of the first `ndim` axes of a homogeneous affine are not orthogonal."""
    steps = np.asarray(affine, dtype=np.float64)[:-1, :-1][:, :ndim]
    steps = steps / np.linalg.norm(steps, axis=0)
    return bool(np.abs(steps.T @ steps - np.eye(steps.shape[1])).max() > _ORTHOGONAL)


def _sample_spacing(
    affine: Any, shape: Sequence[int], meta: Mapping[str, Any], operations: Sequence[Any]
) -> tuple[float, ...]:
    affine = _array(affine)
    steps, original = affine[:-1, :-1], meta.get("original_affine")
    if len(steps) < 3 and np.isfinite(steps).all():
        oblique = original is not None and _is_oblique(_array(original)[:-1, :-1], 3)
        if oblique or np.linalg.matrix_rank(steps) < len(steps) or _was_tilted(steps, operations):
            raise ValueError(
                "the spacing of a slice that was squeezed from an oblique volume, or from one that a transform tilted "
                "or whose axes are in another order than the world's, must be given, got none: SqueezeDimd cut its "
                f"affine to {np.round(affine, 3).tolist()}; put this transform before SqueezeDimd, or pass spacing="
            )
    mm = mm_per_unit(meta)
    affine = affine if mm == 1 else np.diag([*[mm] * len(steps), 1.0]) @ affine
    kept = _kept_axes(steps, shape, meta, operations)
    return affine_spacing(affine[:, [*kept, -1]], len(shape), 4)


def _kept_axes(
    steps: np.ndarray, shape: Sequence[int], meta: Mapping[str, Any], operations: Sequence[Any]
) -> tuple[int, ...]:
    """Return the columns of `steps` that belong to an image of `shape`: indexing a volume leaves all of them.

    MONAI records no indexing, so the sizes of the file tell which axes are left. Where they fit none, and the slice was
    turned or zoomed since, so that its columns do not tell either, they are the first.
    """
    ndim = len(shape)
    first, sizes, file = tuple(range(min(ndim, len(steps)))), meta.get("spatial_shape"), meta.get("original_affine")
    if sizes is None:
        return first
    sizes, file = _array(sizes).ravel(), steps if file is None else _array(file)[:-1, :-1]
    lengths, stored = np.linalg.norm(steps, axis=0), np.linalg.norm(file, axis=0)
    usable = len(sizes) == len(lengths) == len(stored) > ndim and bool(lengths.all() and stored.all())
    if not usable or np.allclose(lengths, lengths[0]):
        return first
    along = np.abs((file / stored).T @ (steps / lengths)).argmax(0)  # the file's axis along which each of now runs
    since = [one for one in operations if isinstance(one, Mapping) and len(one.get("orig_size") or ()) == ndim]
    cut = [*map(int, since[0]["orig_size"] if since else shape)]
    choices = [*itertools.combinations(range(len(sizes)), ndim)]
    if any(map(_may_turn, since)):
        # the first columns may have changed, not the others: the axes of the slice are known without their order
        left = [*np.delete(np.arange(len(sizes)), along[ndim:]), *along[ndim:]]
        fits = [kept for kept in choices if sorted(sizes[left][[*kept]]) == sorted(cut)]
        if not fits or fits == [first] or np.allclose(stored, stored[0]):
            return first
    else:
        scale = stored[along] / lengths
        apart = np.where(np.isclose(scale, 1), 0.0, 1.0)  # resampling rounds sizes
        sizes = (sizes[along] - 1) * scale + 1
        fits = [kept for kept in choices if (np.abs(sizes[[*kept]] - cut) <= apart[[*kept]] + 1e-3).all()]
        if len({tuple(lengths[[*kept]].round(6)) for kept in fits}) == 1:
            return fits[0]
    sizes_mm = np.round(lengths * mm_per_unit(meta), 4).tolist()
    raise ValueError(
        f"the spacing of a slice that was cut from a volume by an index must be given, got none: {tuple(cut)} voxels "
        f"do not tell along which axis of {sizes_mm} mm; cut it with SqueezeDimd, put this "
        "transform before the cut, or pass spacing="
    )


def _may_turn(operation: Mapping[str, Any]) -> bool:
    """Whether a recorded transform may have changed steps: it is no crop, padding or flip, and ran."""
    ran: bool = operation.get("do_transforms", True)
    facts: Any = operation.get("extra_info")
    while isinstance(facts, Mapping) and "extra_info" in facts:  # of a random transform: the record of what it ran
        ran, facts = ran and facts.get("do_transforms", True), facts["extra_info"]
    return bool(ran and facts) and not ({"cropped", "padded"} & set(facts) or set(facts) == {"axes"})


def _was_tilted(steps: np.ndarray, operations: Sequence[Any]) -> bool:
    """Whether transforms turned a volume before SqueezeDimd cut `steps` `(2, 2)` of it, so that lengths were lost.

    SqueezeDim drops a row of the affine with the column. The lengths are right where that row held zeros. Once a single
    turn took place in one plane, it did if the turn is still to be seen: the cut was across that plane.
    """
    turns = [turn for turn in map(_turn_of, operations) if turn is not None]
    if not any(len(turn) == 3 for turn in turns):
        return False
    coupled = np.abs(turns[0] / np.linalg.norm(turns[0], axis=0)) > np.sqrt(2 * _ALIGNED)
    planes = np.count_nonzero(np.triu(coupled | coupled.T, 1))
    return len(turns) > 1 or planes != 1 or not _is_oblique(steps, 2)


def _turn_of(operation: Any) -> np.ndarray | None:
    """Return the matrix `(n, n)` of a rotation or an affine that MONAI recorded, unless it maps axes onto axes."""
    while isinstance(operation, Mapping) and operation.get("do_transforms", True):
        for name in ("rot_mat", "affine"):
            if operation.get(name) is not None:
                steps = _array(operation[name])[:-1, :-1]
                return steps if _is_oblique(steps, len(steps)) else None
        operation = operation.get("extra_info")  # a random transform keeps the record of the one that it ran
    return None


def _is_oblique(steps: np.ndarray, size: int) -> bool:
    """Whether a column of `steps` `(size, size)` runs along none of the axes."""
    steps = steps / np.linalg.norm(steps, axis=0)
    return len(steps) == size and bool(np.abs(np.abs(steps).max(axis=0) - 1).max() > _ALIGNED)


def _array(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.detach().cpu() if hasattr(matrix, "detach") else matrix, dtype=np.float64)
