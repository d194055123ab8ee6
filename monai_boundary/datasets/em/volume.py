"""One volume of electron microscopy: its arrays and what they mean, and its parts in cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from monai_boundary._check import check_choice, check_ignore_index, check_number, check_spacing
from monai_boundary.datasets.checks import check_entries
from monai_boundary.datasets.em.stored import Stored

__all__ = ["EmVolume", "check_volumes", "fold_volumes", "slice_range", "volume_shape", "voxel_offset"]

LabelKind = Literal["ids", "interior", "membrane"]


@dataclass(frozen=True)
class EmVolume:
    """One volume, or some of its slices.

    Args:
        name: Unique in a list of volumes.
        image: Grey values.
        labels: Ids or masks; ``None`` where there are none.
        kind: What `labels` holds: ``"ids"`` of objects, 0 for none; ``"interior"``, a mask that is 0 on membranes and
            1 or 255 in cells; ``"membrane"``, the reverse.
        spacing: Voxel size in nm (z, y, x). One that is thickest along x or y, with no fewer voxels there than along
            z, is taken for one in another order, and refused.
        split: ``"training"``, ``"validation"`` or ``"test"``.
        slices: First slice of `labels` (of `image` where there are none) and the one behind the last; ``None`` for all.
        offset: Voxel of `image` at which the first voxel of `labels` lies: images may reach beyond their labels.
        membrane_width: Voxels of objects at most this far, in nm, from a voxel of another id are membrane, too, as in
            `RegionSeeds`: the pixel size where ids touch, 0 where voxels of id 0 lie between them.
        origin: Place of the first voxel of `image`, in nm (z, y, x): where predictions lie, too.
        unlabelled: Value of `labels` where nobody labelled; so are the ids that CREMI reserves, 2**64 - 3 and above.
    """

    name: str
    image: Stored
    labels: Stored | None
    kind: LabelKind
    spacing: tuple[float, float, float]
    split: str = "training"
    slices: tuple[int, int] | None = None
    offset: tuple[int, int, int] = (0, 0, 0)
    membrane_width: float = 0.0
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    unlabelled: int | None = None


def check_volumes(volumes: Sequence[EmVolume]) -> None:
    """Raise ``ValueError`` when two volumes have one name, or a kind, split, spacing or width cannot be."""
    check_entries("volumes", [(volume.name, volume.split, volume.image.path) for volume in volumes])
    for volume in volumes:
        check_choice(f"kind of {volume.name}", volume.kind, ("ids", "interior", "membrane"))
        check_spacing(volume.spacing, 3)
        check_number(f"membrane_width of {volume.name}", volume.membrane_width, strict=False)
        check_ignore_index(volume.unlabelled)
        _check_order(volume)


def _check_order(volume: EmVolume) -> None:
    """Refuse voxel sizes that are plausible only from x to z: the thick sections last, along the many voxels."""
    sizes = list(volume.spacing)
    thick = max(range(3), key=sizes.__getitem__)
    thin = sizes[:thick] + sizes[thick + 1 :]
    if thick == 0 or not math.isclose(*thin, rel_tol=0.01) or math.isclose(sizes[thick], thin[0], rel_tol=0.01):
        return
    shape = volume.image.shape
    if shape[thick] >= shape[0]:
        turned = (sizes[thick], *thin)
        raise ValueError(
            f"spacing of {volume.name} must be (z, y, x), got {volume.spacing} for {shape} voxels, which looks like "
            f"(x, y, z): sections thicker than pixels come first; pass spacing={turned}, or mend the attribute "
            "resolution of the file"
        )


def volume_shape(volume: EmVolume) -> tuple[int, int, int]:
    """Return the voxels (D, H, W) of a whole volume: of its labels, where it has some.

    Raises as `Stored`, and ``ValueError`` when image and labels do not lie on one grid or in one order.
    """
    image, labels = volume.image.shape, volume.labels
    if labels is None:
        return image
    grid = labels.shape
    fits = all(at >= 0 and at + n <= size for at, n, size in zip(volume.offset, grid, image, strict=True))
    if not (fits and (any(volume.offset) or grid == image)):
        raise ValueError(
            f"{labels} must have as many voxels (D, H, W) as its image, {image}, got {grid}"
            f"{f' from voxel {volume.offset} on' if any(volume.offset) else ''}; check that both are of one volume"
        )
    numbers = zip(volume.image.numbers or [], labels.numbers or [], strict=False)
    for first, second in numbers:  # of slices in folders; names may have none
        if first is not None and second is not None and first != second:
            raise ValueError(
                f"{labels} must hold a slice for each of {volume.image}, got number {second} in the place of {first}; "
                "name both alike"
            )
    return grid


def voxel_offset(
    name: str, own: Sequence[float], origin: Sequence[float], spacing: Sequence[float]
) -> tuple[int, int, int]:
    """Return the voxel of an image, which begins at `origin`, at which labels that begin at `own` begin; all in nm.

    Raises:
        ValueError: It is no whole voxel of the image; `name` is that of the labels.
    """
    steps = (np.array(own) - origin) / spacing
    z, y, x = np.rint(steps).astype(int).tolist()
    if min(z, y, x) < 0 or np.abs(steps - (z, y, x)).max() > 0.01:
        raise ValueError(
            f"{name} must be a whole number of voxels of {tuple(spacing)} nm inside its image, got {tuple(own)} "
            f"(image: {tuple(origin)}); resample the labels onto the grid of the image"
        )
    return z, y, x


def slice_range(volume: EmVolume) -> tuple[int, int]:
    """Return the first of the slices of a volume and the one behind the last; raises as `volume_shape`."""
    depth = volume_shape(volume)[0]
    start, stop = volume.slices or (0, depth)
    if not 0 <= start < stop <= depth:
        raise ValueError(f"slices of {volume.name} must lie in its {depth} slices, got {volume.slices}")
    return start, stop


def fold_volumes(volumes: Sequence[EmVolume], fold: int = 0, folds: int = 3) -> list[EmVolume]:
    """Split labelled volumes for cross-validation: each is cut along z in `folds` blocks of slices.

    Block `fold` of each volume becomes ``"validation"``, the slices before and behind it ``"training"``. Blocks, not
    single slices: neighbouring slices look alike, and would tell the answer. Volumes without labels and those of the
    split ``"test"`` stay as they are.

    Args:
        volumes: Whole volumes or parts.
        fold: Which block validates, from 0.
        folds: Number of blocks, at least 2; the paper takes 3.

    Returns:
        The parts, named ``<name>_<first slice>-<last slice>``.

    Raises:
        ValueError: `fold` is not in [0, folds), or a volume has fewer slices than folds.
    """
    if not (isinstance(folds, int) and isinstance(fold, int) and folds >= 2 and 0 <= fold < folds):
        raise ValueError(f"fold must lie in [0, folds) with folds >= 2, got fold {fold} of {folds}")
    check_volumes(volumes)
    parts = []
    for volume in volumes:
        if volume.labels is None or volume.split == "test":
            parts.append(volume)
            continue
        start, stop = slice_range(volume)
        if stop - start < folds:
            raise ValueError(f"{volume.name} must have at least {folds} slices, got {stop - start}; take fewer folds")
        first, behind = (start + (stop - start) * block // folds for block in (fold, fold + 1))
        for low, high, split in ((start, first, "training"), (first, behind, "validation"), (behind, stop, "training")):
            if low < high:
                name = f"{volume.name}_{low:03d}-{high - 1:03d}"
                parts.append(replace(volume, name=name, split=split, slices=(low, high)))
    return parts
