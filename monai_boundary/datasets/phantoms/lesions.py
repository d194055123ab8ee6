"""Synthetic lesion cases: a textured brain-like ellipsoid with a few small irregular lesions, on an anisotropic grid.

The cases stand in for multiple sclerosis or white matter lesions: thick slices, about 0.5 % foreground, lesions of
a few to some hundred voxels, one in four of low contrast, and bright cortex that is no lesion.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter

from monai_boundary._check import check_spacing
from monai_boundary._files import write_json
from monai_boundary.datasets.nifti import write_volume
from monai_boundary.datasets.phantoms.common import check_seed, check_shape, texture, voxel_centres

__all__ = ["Phantom", "lesion_phantom", "write_nnunet_phantoms"]

_SHARE = (0.0035, 0.0065)  # foreground share of a case
_MIN_VOXELS = 4

_FINEST = 0.01  # mm


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic case: `image` float32 and `labels` uint8 (1 = lesion), both `(z, y, x)`; `spacing` in mm."""

    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]


def lesion_phantom(
    seed: int | np.random.SeedSequence,
    shape: tuple[int, int, int] = (24, 64, 64),
    spacing: tuple[float, float, float] = (3.0, 1.0, 1.0),
) -> Phantom:
    """Return the case of this seed; the same seed, shape and spacing give the same case.

    Args:
        seed: Any integer >= 0, or a seed sequence.
        shape: Voxels (z, y, x), at least 12 along each axis.
        spacing: Voxel size in mm (z, y, x).
    """
    check_seed(seed)
    check_shape(shape, (3,), 12)
    spacing = check_spacing(spacing, 3)  # type: ignore[assignment] # of three
    if min(spacing) < _FINEST:
        raise ValueError(f"spacing must be at least {_FINEST} mm, got {spacing}; the lesions are of millimetres")
    rng = np.random.default_rng(seed)
    image, brain, ventricles = _anatomy(rng, shape, spacing)
    labels = np.zeros(shape, bool)
    room = binary_erosion(brain, iterations=2) & ~ventricles
    target = rng.uniform(*_SHARE) * labels.size
    for number in range(200):
        missing = target - labels.sum()
        if missing < 2 * _MIN_VOXELS:
            break
        blob = _lesion(rng, room & ~labels, spacing, missing) & brain & ~ventricles & ~labels
        if blob.sum() < _MIN_VOXELS:
            continue
        hard = number % 4 == 3
        contrast = rng.uniform(0.10, 0.16) if hard else rng.uniform(0.24, 0.38)
        image += contrast * gaussian_filter(blob.astype(np.float32), [0.6 / size for size in spacing])
        labels |= blob
    noise = 0.025 * rng.standard_normal((2, *shape))
    image = np.hypot(image + noise[0], noise[1])  # magnitude images have Rician noise
    return Phantom((1000 * image).astype(np.float32), labels.astype(np.uint8), spacing)


def write_nnunet_phantoms(
    folder: str | os.PathLike[str], num_train: int = 10, num_test: int = 3, seed: int = 0, dataset_id: int = 900
) -> Path:
    """Write phantoms as an nnU-Net raw data set and return its folder, `folder/Dataset900_LesionPhantoms`.

    Test images lie in `imagesTs`, their labels in `labelsTs`, which nnU-Net does not read.
    """
    dataset = Path(folder) / f"Dataset{dataset_id:03d}_LesionPhantoms"
    for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        (dataset / name).mkdir(parents=True, exist_ok=True)
    for number, case_seed in enumerate(np.random.SeedSequence(seed).spawn(num_train + num_test)):
        case = lesion_phantom(case_seed)
        split = "Tr" if number < num_train else "Ts"
        write_volume(dataset / f"images{split}" / f"c_{number:03d}_0000.nii.gz", case.image, case.spacing)
        write_volume(dataset / f"labels{split}" / f"c_{number:03d}.nii.gz", case.labels, case.spacing)
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": num_train,
        "file_ending": ".nii.gz",
        "description": "Synthetic lesion phantoms of monai-boundary; no patient data.",
    }
    write_json(dataset / "dataset.json", description)
    return dataset


def _anatomy(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lesion-free image in [0, 1], the brain mask, and the ventricles."""

    def noise(scale_mm: float) -> np.ndarray:
        return texture(rng, shape, spacing, scale_mm, "reflect")

    extent = np.array(shape) * spacing
    position = voxel_centres(shape, spacing) - (extent / 2).reshape(3, 1, 1, 1)
    depth = _radii(position, extent * (0.40, 0.42, 0.37) * rng.uniform(0.95, 1.03, 3)) + 0.03 * noise(6.0)
    brain = depth < 1
    white = 0.40 + 0.035 * noise(9.0) + 0.025 * noise(2.0)
    cortex = 0.12 / (1 + np.exp(-(depth - 0.80 + 0.05 * noise(3.0)) / 0.03))
    image = np.where(brain, white + cortex, 0.03)
    side = extent * (0.0, 0.02, 0.075)
    ventricles = np.zeros(shape, bool)
    for sign in (-1, 1):
        ventricles |= _radii(position - (sign * side).reshape(3, 1, 1, 1), extent * (0.13, 0.14, 0.045)) < 1
    image[ventricles] = 0.14
    image[(depth > 1.07) & (depth < 1.15)] = 0.30  # the skull
    return gaussian_filter(image, [0.7 / size for size in spacing]), brain, ventricles


def _radii(position: np.ndarray, semi_axes: np.ndarray) -> np.ndarray:
    """Return how far `position` `(3, *S)` is from the origin, in semi-axes of an ellipsoid."""
    return np.asarray(np.sqrt(((position / semi_axes.reshape(3, 1, 1, 1)) ** 2).sum(0)))


def _lesion(rng: np.random.Generator, room: np.ndarray, spacing: tuple[float, ...], max_voxels: float) -> np.ndarray:
    """Mask of one irregular lesion of 2 to 5.5 mm radius, centred on a voxel of `room`."""
    candidates = np.argwhere(room)
    centre = candidates[rng.integers(len(candidates))]
    voxel_mm3 = float(np.prod(spacing))
    largest = min(5.5, (3 * max_voxels * voxel_mm3 / (4 * np.pi)) ** (1 / 3))
    radius = rng.uniform(2.0, max(2.2, largest))
    offset = voxel_centres(room.shape, spacing) - ((centre + 0.5) * spacing).reshape(3, 1, 1, 1)
    distance = _radii(offset, rng.uniform(0.75, 1.35, 3)) / radius
    return np.asarray(distance + 0.22 * texture(rng, room.shape, spacing, 2.0, "reflect") < 1)
