"""Training and test images of membranes: ISBI 2012 in folds of slices, gala's FIB-SEM in halves."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, EnsureTyped, NormalizeIntensity, RandFlipd, RandRotate90d, RandSpatialCropd
from tqdm import tqdm

from experiments.membranes.settings import MembraneSettings
from monai_boundary._files import write_json
from monai_boundary.datasets.em import EmSlices, EmVolumes, fold_volumes, gala_volumes, isbi2012_volumes
from monai_boundary.kernels.regions import connected_components
from monai_boundary.transforms import RegionSeedsd, SignedDistanceMapd

Split = tuple[list["MembraneImage"], list["MembraneImage"]]


@dataclass(frozen=True, eq=False)
class MembraneImage:
    """One slice or volume.

    Args:
        case: Its name.
        image: Float32 `(1, *S)`, mean 0 and standard deviation 1.
        membrane: Uint8 `(1, *S)`, 1 on the membranes to learn.
        ids: Int32 `(*S)`, the true regions, 0 on the true membranes.
    """

    case: str
    image: np.ndarray
    membrane: np.ndarray
    ids: np.ndarray

    @property
    def training_item(self) -> dict[str, np.ndarray]:
        """Image, membrane and the regions between the membranes to learn, as `membrane_transforms` takes them."""
        return {"image": self.image, "label": self.membrane, "ids": np.where(self.membrane, 0, self.ids[None])}


def _image(case: str, item: dict[str, Any], part: Any = ...) -> MembraneImage:
    membrane = item["membrane"][part]
    regions = item["ids"][part] if "ids" in item else membrane == 0
    # a cut through the volume leaves objects in several pieces that nobody could join
    return MembraneImage(
        case, np.asarray(NormalizeIntensity()(item["image"][part])), membrane, connected_components(regions[0])
    )


def isbi2012_fold(root: Path, fold: int, shared: MembraneSettings) -> Split:
    """Return the slices that train and those that are scored, a block of neighbouring ones."""
    volumes = fold_volumes(isbi2012_volumes(root), fold, shared.folds)
    train, test = (
        [_image(f"slice{item['slices'][0]:02d}", item) for item in tqdm(EmSlices(volumes, split), f"fold {fold}")]
        for split in ("training", "validation")
    )
    return train, test


def gala_fold(root: Path, fold: int, shared: MembraneSettings) -> Split:
    """Return the blocks along x that train and the block that is scored."""
    volumes = gala_volumes(root, membrane_width=shared.membrane_width)
    if len(volumes) > 1:
        names = ", ".join(volume.name for volume in volumes)
        raise ValueError(f"root must hold one volume to part, got {names}; copy one of them to a folder of its own")
    volume = EmVolumes(volumes, per_slice=False)[0]
    edges = np.linspace(0, volume["image"].shape[-1], shared.folds + 1).astype(int)
    parts = [
        _image(f"x{low}-{high - 1}", volume, (..., slice(low, high)))
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return parts[:fold] + parts[fold + 1 :], [parts[fold]]


#: Reader of a fold, by name of the data: the folder, the fold from 0, and what all runs share.
DATA: dict[str, Callable[[Path, int, MembraneSettings], Split]] = {"isbi2012": isbi2012_fold, "gala": gala_fold}


def check_same_images(path: Path, data: str, images: Iterable[MembraneImage]) -> None:
    """Compare images with those of the runs in a folder, and add those that it does not know yet.

    Args:
        path: JSON file of checksums by name of the data and of the image.
        data: One of `DATA`.
        images: Of these data.

    Raises:
        ValueError: The folder holds runs on other images of the same names.
    """
    known: dict[str, dict[str, int]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    before = known.setdefault(data, {})
    found = {one.case: zlib.crc32(one.ids.tobytes(), zlib.crc32(one.image.tobytes())) for one in images}
    changed = sorted(case for case, checksum in found.items() if before.get(case, checksum) != checksum)
    if changed:
        raise ValueError(
            f"data must be those of the runs in {path.parent}, got another image or other ids for {changed[0]}; name "
            "another output folder"
        )
    before.update(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, known)


def membrane_transforms(
    crop: Sequence[int], ndim: int, companion: str | None, min_region_size: int, seed: int
) -> Compose:
    """Return what turns an item ``{"image", "membrane", "ids"}`` into one to train on.

    Args:
        crop: Size of a random crop; empty for whole images.
        ndim: Number of spatial axes.
        companion: What the loss wants beside the label: ``"seeds"`` of the crop's regions, or a ``"distance_map"``.
        min_region_size: Regions of fewer voxels have no seed.
        seed: Of the random choices.
    """
    keys, spacing = ("image", "label", "ids"), (1.0,) * ndim
    steps: list[Any] = [RandSpatialCropd(keys, crop, random_size=False)] if crop else []
    steps += [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(ndim)]
    steps.append(RandRotate90d(keys, prob=0.75, max_k=3, spatial_axes=(ndim - 2, ndim - 1)))
    if companion == "seeds":
        steps.append(RegionSeedsd("ids", "seeds", "label", min_region_size=min_region_size, spacing=spacing))
    elif companion == "distance_map":
        steps.append(SignedDistanceMapd("label", preset="robust", spacing=spacing))
    steps.append(EnsureTyped(("image", "label"), dtype=torch.float32, track_meta=False))
    steps.append(EnsureTyped(("distance_map", "seeds"), track_meta=False, allow_missing_keys=True))
    transform = Compose(steps)
    transform.set_random_state(seed=seed)
    return transform
