"""Volumes as the published code takes them: scaled to [0, 1], resized, and cut into axial slices with their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import (
    Compose,
    ConcatItemsd,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    Resized,
    ScaleIntensityd,
)
from tqdm import tqdm

from experiments.wmh_isles.settings import Setting
from monai_boundary.datasets.datalist import CaseFiles
from monai_boundary.kernels.distance import Preset
from monai_boundary.transforms import SignedDistanceMap


@dataclass(frozen=True, eq=False)
class SliceVolume:
    """One case on the network's grid.

    Args:
        case: Its name.
        image: Float32 `(channels, H, W, slices)` in [0, 1].
        label: Int64 `(H, W, slices)` as in the file.
        spacing: Voxel size in mm (H, W, slices), after resizing.
    """

    case: str
    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, ...]


def load_volumes(cases: Sequence[CaseFiles], size: tuple[int, int] | None, title: str) -> list[SliceVolume]:
    """Read cases with a label; `size` is the height and width that slices are resized to, ``None`` keeps theirs."""
    return [_load(case, size) for case in tqdm(cases, desc=title, unit="case", disable=len(cases) < 2)]


def _load(case: CaseFiles, size: tuple[int, int] | None) -> SliceVolume:
    if case.label is None:
        raise ValueError(f"case {case.case} must have a label, got none")
    channels = [f"image{i}" for i in range(len(case.image))]
    steps = [
        LoadImaged([*channels, "label"]),
        EnsureChannelFirstd([*channels, "label"]),
        Orientationd([*channels, "label"], axcodes="RAS", labels=None),
        ScaleIntensityd(channels),
    ]
    if size is not None:
        modes = ["area"] * len(channels) + ["nearest"]
        steps.append(Resized([*channels, "label"], spatial_size=(*size, -1), mode=modes))
    steps.append(ConcatItemsd(channels, "image"))
    data = Compose(steps)({**dict(zip(channels, map(str, case.image), strict=True)), "label": str(case.label)})
    image, label = data["image"], data["label"]
    if image.shape[1:] != label.shape[1:]:
        raise ValueError(f"image and label of {case.case} must have one shape, got {image.shape} and {label.shape}")
    spacing = tuple(float(value) for value in label.pixdim)
    return SliceVolume(case.case, image.numpy(), label.numpy()[0].astype(np.int64), spacing)


def training_slices(
    volumes: Sequence[SliceVolume], setting: Setting, preset: Preset, empty_share: float, seed: int
) -> list[dict[str, torch.Tensor]]:
    """Return the slices as items of a data set, foreground label 1 and everything else 0.

    Args:
        volumes: Training cases.
        setting: Says whose map an item holds.
        preset: Of the maps.
        empty_share: Share of the slices without foreground to keep.
        seed: Of the choice.
    """
    generator = np.random.default_rng(seed)
    items = []
    for volume in volumes:
        mask = (volume.label == 1).astype(np.uint8)
        maps = _maps(mask, volume.spacing, setting, preset)
        for index in range(mask.shape[-1]):
            if not mask[..., index].any() and generator.random() >= empty_share:
                continue
            items.append(
                {
                    "image": torch.from_numpy(volume.image[..., index].copy()),
                    "label": torch.from_numpy(mask[None, ..., index].astype(np.float32)),
                    "distance_map": torch.from_numpy(maps[None, ..., index].copy()),
                }
            )
    return items


def _maps(mask: np.ndarray, spacing: tuple[float, ...], setting: Setting, preset: Preset) -> np.ndarray:
    if setting.maps == "2d":
        transform = SignedDistanceMap(2, preset, spacing=spacing[:2], include_background=False)
        return np.stack([transform(mask[None, ..., index])[0] for index in range(mask.shape[-1])], axis=-1)
    transform = SignedDistanceMap(2, preset, spacing=spacing, include_background=False)
    return np.asarray(transform(mask[None])[0])
