"""What benchmarks/speed.py runs: each case makes its input and returns the call to time.

Peers get the same classes in the form they take: one-hot channels for MONAI, one mask per class for scipy and edt.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import edt
import monai.losses
import nibabel
import numpy as np
import torch
from phantoms_speed import ellipsoids
from scipy import ndimage

from monai_boundary.kernels.distance import signed_distance_map
from monai_boundary.losses import BoundaryLoss

__all__ = ["LESION_CLIP_MM", "SPACING", "lesion_cases", "lesion_file", "loss_cases", "map_cases"]

SPACING = (3.0, 1.0, 1.0)
LESION_CLIP_MM = 20.0

Calls = Mapping[str, Callable[[], object]]


def lesion_file() -> Path | None:
    """Return the first mask of MS lesions in the data folder, or ``None`` without one."""
    root = Path(os.environ.get("MONAI_BOUNDARY_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    return next(iter(sorted((root / "ms_lesions" / "masks_raw").glob("*.nii.gz"))), None)


def _per_class(
    transform: Callable[[np.ndarray], np.ndarray], labels: np.ndarray, classes: range, clip: float | None = None
) -> np.ndarray:
    maps = np.empty((len(classes), *labels.shape), np.float32)
    for out, index in zip(maps, classes, strict=True):
        out[...] = transform(labels == index)
        if clip is not None:
            np.clip(out, -clip, clip, out=out)
    return maps


def _scipy_signed(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    outside -= ndimage.distance_transform_edt(mask, sampling=spacing)
    return outside


def _sdf(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    inside: np.ndarray = edt.sdf(mask, anisotropy=spacing, parallel=1)
    return np.negative(inside, out=inside)


def map_cases(size: int, num_classes: int, include_background: bool) -> Calls:
    """Signed maps of `num_classes` at size^3."""
    labels = ellipsoids((size,) * 3, num_classes)
    classes = range(0 if include_background else 1, num_classes)
    onehot = torch.from_numpy(np.stack([labels == index for index in classes])[None].astype(np.float32))
    return {
        "ours": lambda: signed_distance_map(
            labels[None], num_classes, SPACING, convention="centre", include_background=include_background
        ),
        "monai": lambda: monai.losses.BoundaryLoss().compute_distance_map(onehot),
        "scipy": lambda: _per_class(functools.partial(_scipy_signed, spacing=SPACING), labels, classes),
        "edt.sdf": lambda: _per_class(functools.partial(_sdf, spacing=SPACING), labels, classes),
    }


def lesion_cases(step: int) -> Calls:
    """Clipped signed map of a whole lesion mask, every `step`-th voxel; reading it is its own case."""
    path = lesion_file()
    if path is None:
        raise FileNotFoundError("ms_lesions/masks_raw must lie in the data folder; set MONAI_BOUNDARY_DATA to it")

    def read() -> np.ndarray:
        return np.asanyarray(nibabel.load(path).dataobj).astype(np.uint8)

    zooms = nibabel.load(path).header.get_zooms()
    spacing = tuple(float(size) * step for size in zooms)
    labels = read()[(slice(None, None, step),) * 3]
    labels = labels.copy(order="K")  # nibabel reads in Fortran order
    transform = functools.partial(_scipy_signed, spacing=spacing)
    return {
        "ours": lambda: signed_distance_map(
            labels[None], 2, spacing, convention="centre", include_background=False, clip=LESION_CLIP_MM
        ),
        "scipy": lambda: _per_class(transform, labels, range(1, 2), LESION_CLIP_MM),
        "read": read,
    }


def loss_cases(size: int) -> Calls:
    """Forward and backward of the loss for B=2, C=4; ours get the map, as training gives it."""
    labels = [ellipsoids((size,) * 3, 4, seed) for seed in range(2)]
    onehot = torch.from_numpy(np.stack([np.stack([one == index for index in range(4)]) for one in labels]))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(onehot.shape, generator=generator, requires_grad=True)
    maps = torch.from_numpy(np.stack([signed_distance_map(one[None], 4, SPACING) for one in labels]))
    half = maps.half()
    target = onehot.float()

    def run(loss: torch.nn.Module, **inputs: torch.Tensor) -> torch.Tensor | None:
        logits.grad = None
        loss(logits, **inputs).backward()
        return logits.grad

    fused, plain = BoundaryLoss(softmax=True), BoundaryLoss(softmax=True, fused=False)
    return {
        "ours": functools.partial(run, fused, distance_map=maps),
        "ours, float16 map": functools.partial(run, fused, distance_map=half),
        "ours, plain": functools.partial(run, plain, distance_map=maps),
        "monai": functools.partial(run, monai.losses.BoundaryLoss(softmax=True), target=target),
    }
