"""Signed distance maps: each maker prepares its input and returns the calls to time.

Peers get the same classes in the form they take: one-hot channels for MONAI, one mask per class for scipy, edt and
SimpleITK. SimpleITK measures the inside to the object's own surface voxels, so that its values differ there.
"""

from __future__ import annotations

import cProfile
import dataclasses
import functools
import pstats
import time
from collections.abc import Callable
from typing import Any

import monai.losses
import nibabel
import numpy as np
import torch
from benchmark import Cases, installed
from measure import data_folder
from phantoms_speed import ellipsoids
from scipy import ndimage

from monai_boundary.kernels.distance import BACKENDS, ROBUST, signed_distance_map

__all__ = ["floor_map", "lesion_map", "phantom_map"]

SPACING = (3.0, 1.0, 1.0)
LESION_CLIP_MM = 20.0
FLOOR_SETTINGS: dict[str, dict[str, Any]] = {
    "no clip": {},
    "clip 10 mm": {"clip": 10.0},
    "robust": dataclasses.asdict(ROBUST),
}
PASS_BYTES = 3 * 2 * 4  # three separable passes, each reads and writes a float32 per voxel
STEPS = {  # functions of the package whose time, callees included, the profile shows
    "_slice_squared": "2-D transforms of occupied slices",
    "_winning_range": "which slices can be nearest",
    "_merge_slices": "minimum over slices, root",
    "_edt": "3-D transform (inside, or whole)",
    "labels_distance_map": "whole call",
}
Transform = Callable[[np.ndarray], np.ndarray]


def _per_class(
    transform: Transform, labels: np.ndarray, classes: range, clip: float | None = None
) -> Callable[[], np.ndarray]:
    def run() -> np.ndarray:
        maps = np.empty((len(classes), *labels.shape), np.float32)
        for out, index in zip(maps, classes, strict=True):
            out[...] = transform(labels == index)
            if clip is not None:
                np.clip(out, -clip, clip, out=out)
        return maps

    return run


def _scipy_signed(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    outside -= ndimage.distance_transform_edt(mask, sampling=spacing)
    return outside


def _sdf(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    import edt

    inside: np.ndarray = edt.sdf(mask, anisotropy=spacing, parallel=1)
    return np.negative(inside, out=inside)


def _maurer(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = SimpleITK.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(spacing[::-1])
    signed = SimpleITK.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    found: np.ndarray = SimpleITK.GetArrayFromImage(signed)
    return found


PEERS = {"scipy": ("scipy", _scipy_signed), "edt.sdf": ("edt", _sdf), "SimpleITK": ("SimpleITK", _maurer)}


def _peers(
    labels: np.ndarray, classes: range, spacing: tuple[float, ...], clip: float | None = None
) -> tuple[dict[str, Callable[[], Any]], tuple[str, ...]]:
    """Calls of the peers that are installed, and the names of the others."""
    calls = {
        name: _per_class(functools.partial(transform, spacing=spacing), labels, classes, clip)
        for name, (package, transform) in PEERS.items()
        if installed(package)
    }
    return calls, tuple(name for name in PEERS if name not in calls)


def phantom_map(shape: tuple[int, ...], num_classes: int, include_background: bool) -> Cases:
    """Signed maps of phantoms; the floor is that of three passes for every class with a map of its own."""
    labels = ellipsoids(shape, num_classes)
    classes = range(0 if include_background else 1, num_classes)
    onehot = torch.from_numpy(np.stack([labels == index for index in classes])[None].astype(np.float32))

    def maps(backend: str = "auto") -> np.ndarray:
        found: np.ndarray = signed_distance_map(
            labels[None], num_classes, SPACING, convention="centre", include_background=include_background,
            backend=backend,  # type: ignore[arg-type]
        )  # fmt: skip
        return found

    calls: dict[str, Callable[[], Any]] = {"ours": maps}
    if "numba" in BACKENDS and installed("numba"):
        calls |= {"ours, edt": lambda: maps("edt"), "ours, numba": lambda: maps("numba")}
    calls |= {"monai": lambda: monai.losses.BoundaryLoss().compute_distance_map(onehot)}
    passes = num_classes - 1 if num_classes == 2 else len(classes)
    peers, missing = _peers(labels, classes, SPACING)
    negated = 2 * 4 * (len(classes) - passes)  # of two classes one map is the other's negative: read and written once
    return Cases(
        calls | peers,
        bytes_touched=(PASS_BYTES * passes + negated) * labels.size,
        voxels=labels.size,
        missing=missing,
        agree=_differences,
        extra=lambda: _profile(maps),
    )


def _differences(results: dict[str, Any]) -> dict[str, float]:
    names = {"scipy": "largest difference to scipy, mm", "edt.sdf": "largest difference to edt.sdf, mm"}
    return {
        text: float(np.abs(results["ours"] - results[name]).max()) for name, text in names.items() if name in results
    }


def _profile(call: Callable[[], object]) -> dict[str, float]:
    profile = cProfile.Profile(time.process_time)
    profile.runcall(call)
    stats: dict[tuple[str, int, str], tuple] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    spent = {name: 1e3 * row[3] for (_, _, name), row in stats.items()}
    return {f"profile: {text}, ms": spent.get(name, 0.0) for name, text in STEPS.items()}


def lesion_map(step: int) -> Cases:
    """Clipped signed map of the first MS lesion mask, every `step`-th voxel; reading all of it is a case, too."""
    path = min((data_folder() / "ms_lesions" / "masks_raw").glob("*.nii.gz"))

    def read() -> np.ndarray:
        return np.asanyarray(nibabel.load(path).dataobj).astype(np.uint8)

    spacing = tuple(float(size) * step for size in nibabel.load(path).header.get_zooms())
    labels = read()[(slice(None, None, step),) * 3].copy(order="K")  # nibabel reads in Fortran order
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: signed_distance_map(
            labels[None], 2, spacing, convention="centre", include_background=False, clip=LESION_CLIP_MM
        )
    }
    peers, missing = _peers(labels, range(1, 2), spacing, LESION_CLIP_MM)
    return Cases(
        calls | peers | ({"read": read} if step == 1 else {}),
        bytes_touched=PASS_BYTES * labels.size,
        voxels=labels.size,
        missing=missing,
    )


def _ellipsoid(shape: tuple[int, ...], centre: Any, radii: Any) -> np.ndarray:
    axes = np.ogrid[tuple(slice(0, count) for count in shape)]
    inside: np.ndarray = sum(((x - c) / r) ** 2 for x, c, r in zip(axes, centre, radii, strict=True)) < 1
    return inside


def floor_mask(kind: str, shape: tuple[int, ...]) -> np.ndarray:
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


def floor_map(kind: str, setting: str, shape: tuple[int, ...]) -> Cases:
    """Both channels of a mask by numba, which is ours here, and by edt; the floor is three passes over one map."""
    labels = floor_mask(kind, shape).astype(np.uint8)[None]

    def maps(backend: str) -> np.ndarray:
        found: np.ndarray = signed_distance_map(labels, 2, SPACING, backend=backend, **FLOOR_SETTINGS[setting])  # type: ignore[arg-type]
        return found

    return Cases(
        {"ours": lambda: maps("numba"), "edt": lambda: maps("edt")},
        bytes_touched=PASS_BYTES * labels.size,
        voxels=labels.size,
        agree=_same_maps,
    )


def _same_maps(results: dict[str, Any]) -> dict[str, float]:
    difference = float(np.abs(results["ours"] - results["edt"]).max() / max(1.0, np.abs(results["edt"]).max()))
    if difference > 1e-4:
        raise RuntimeError(f"the maps of numba must be those of edt, got {difference:.1e} of the largest value off")
    return {"largest difference, share of the largest value": difference}
