"""Choosing slices or volumes of electron microscopy, checking the size of crops, predicting one item."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.networks.utils import eval_mode
from torch import nn

from monai_boundary._check import check_choice
from monai_boundary.datasets.datalist import SPLITS
from monai_boundary.datasets.em import (
    IGNORE,
    UNLABELLED,
    EmSlices,
    EmVolume,
    EmVolumes,
    fold_volumes,
    slice_range,
    volume_shape,
)

__all__ = ["LikelihoodPredictor", "crop_that_fits", "ignored_value", "items_of_split", "scope_of"]

Items = EmSlices | EmVolumes


def scope_of(items: Items) -> str:
    """Return what one item is, and so what ids and scores are of: ``"slice"`` or ``"volume"``."""
    return "slice" if isinstance(items, EmSlices) else "volume"


def ignored_value(target: str) -> int:
    """Return what ``"membrane"`` or ``"ids"`` of the items hold where nobody labelled, to be ignored in scores."""
    return UNLABELLED if target == "ids" else IGNORE


def items_of_split(
    volumes: Sequence[EmVolume],
    split: str,
    dims: int = 2,
    fold: int = 0,
    folds: int = 3,
    target: str | None = None,
    per_slice: bool = True,
) -> Items:
    """Return the slices or volumes of a split of cross-validation as items.

    Args:
        volumes: Whole ones, as `cremi_volumes` and others list them.
        split: ``"training"``, ``"validation"``, ``"test"``, or ``"all"`` for everything uncut.
        dims: 2 for slices, 3 for volumes.
        fold: Which block of each volume validates, see `fold_volumes`.
        folds: Number of blocks.
        target: ``"membrane"`` or ``"ids"``, which every item must have; ``None`` where labels are not needed. Ids are
            `UNLABELLED` where nobody labelled, see `ignored_value`.
        per_slice: Whether membranes that follow from ids are found slice by slice in volumes, too, see `EmVolumes`.

    Raises:
        ValueError: An argument is out of its range, there is no such volume, or it lacks the target.
    """
    check_choice("spatial_dims", dims, (2, 3))
    check_choice("split", split, (*SPLITS, "all"))
    parts = list(volumes) if split == "all" else fold_volumes(volumes, fold, folds)
    found = parts if split == "all" else [part for part in parts if part.split == split]
    if not found:
        known = ", ".join(sorted({part.split for part in parts})) or "none"
        raise ValueError(
            f"volumes must hold some of the split {split!r}, got those of {known}; only volumes with labels train and "
            "validate, and those without are 'test'"
        )
    if target is not None:
        check_choice("target", target, ("membrane", "ids"))
        if bare := [volume.name for volume in found if volume.labels is None]:
            raise ValueError(f"volumes must have labels to be trained with or scored, got none for {', '.join(bare)}")
        masks = [volume.name for volume in found if volume.kind != "ids"]
        if target == "ids" and masks:
            raise ValueError(f"target must be 'membrane' for volumes with masks, got 'ids' for {', '.join(masks)}")
    number = UNLABELLED if target == "ids" else 0
    if dims == 2:
        return EmSlices(found, unlabelled=number)
    return EmVolumes(found, per_slice=per_slice, unlabelled=number)


def crop_that_fits(
    size: Sequence[int], volumes: Sequence[EmVolume], strides: Sequence[int | Sequence[int]]
) -> list[int]:
    """Return the size of training crops if the network and every volume can take it.

    Args:
        size: Voxels of a crop, (y, x) or (z, y, x).
        volumes: Those to train with.
        strides: Of the network's levels.

    Raises:
        ValueError: `size` is not square within slices, is no multiple of the strides, leaves a single voxel at the
            lowest level, or exceeds a volume.
    """
    sizes, ndim = [int(number) for number in size], len(size)
    steps = [math.prod(step if isinstance(step, int) else step[axis] for step in strides) for axis in range(ndim)]
    uneven = any(number <= 0 or number % step for number, step in zip(sizes, steps, strict=True))
    if ndim not in (2, 3) or sizes[-1] != sizes[-2] or uneven or sizes == steps:
        raise ValueError(
            f"crop_size must be square within slices, a multiple of {tuple(steps)} voxels and larger than that for "
            f"this network, got {tuple(sizes)}; choose another size, or other strides in network_def"
        )
    for volume in volumes:
        start, stop = slice_range(volume)
        room = (stop - start, *volume_shape(volume)[1:])[-ndim:]
        if any(number > limit for number, limit in zip(sizes, room, strict=True)):
            side = min(*room[-2:], sizes[-1])
            fitting = [number // step * step for number, step in zip((*room[:-2], side, side), steps, strict=True)]
            remedy = f'pass --crop_size "{fitting}"' if min(fitting) > 0 else "it is too small for this network"
            raise ValueError(f"crop_size must fit into {volume.name}, {room} voxels, got {tuple(sizes)}; {remedy}")
    return sizes


@dataclass(frozen=True, eq=False)
class LikelihoodPredictor:
    """From an item to its likelihood of membrane, float32 `(*S)` in [0, 1].

    Args:
        network: From `(B, 1, *S)` to logits `(B, 1, *S)`.
        preprocessing: From an item to one whose ``"image"`` is `(1, *S)`.
        inferer: One of MONAI's, such as a sliding window.
        device: Where the network is.
    """

    network: nn.Module
    preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]]
    inferer: Callable[..., torch.Tensor]
    device: str | torch.device = "cpu"

    def __call__(self, item: dict[str, Any]) -> np.ndarray:
        """Predict one item.

        Raises:
            ValueError: The network returns something that is not finite.
        """
        image = torch.as_tensor(self.preprocessing({"image": item["image"]})["image"])[None].to(self.device)
        with torch.no_grad(), eval_mode(self.network):
            probs = torch.sigmoid(self.inferer(image, self.network).float())[0, 0].cpu().numpy()
        if not np.isfinite(probs).all():
            raise ValueError("network must return finite values, got NaN or infinity; check its weights and the image")
        return probs
