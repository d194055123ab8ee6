"""Volumes of electron microscopy as MONAI-style items: slice by slice, or whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.data import Dataset

from monai_boundary._check import check_choice
from monai_boundary.datasets.checks import SPLITS
from monai_boundary.datasets.em.cremi import NO_OBJECT
from monai_boundary.datasets.em.volume import EmVolume, check_volumes, slice_range
from monai_boundary.kernels.regions import compact_ids, near_other_regions, unlabelled_voxels

__all__ = ["IGNORE", "UNLABELLED", "EmSlices", "EmVolumes"]

#: Value of ``"membrane"`` where nobody labelled.
IGNORE = 255
#: A number that ids of voxels which nobody labelled may get, and no object has.
UNLABELLED = int(np.iinfo(np.int32).max)


class EmSlices(Dataset):
    """The slices of volumes as MONAI-style items, each read from its files when it is asked for.

    ``monai.data.CacheDataset(EmSlices(volumes, "training"), transform)`` feeds a DataLoader; files are opened anew in
    each access, so workers share nothing. An item is ``{"image": float32 (1, H, W), "membrane": uint8 (1, H, W), "ids":
    int32 (1, H, W), "case": name, "slices": (z, z + 1), "spacing": nm (y, x)}``:

    * the image holds the values as stored (0 to 255 for bytes): scale them in `transform`;
    * ``"membrane"`` is 1 on membranes, the target of `BoundaryAwareLoss`. Where volumes hold ids it is derived from
      them slice by slice: voxels of no object, and those of objects at most the volume's `membrane_width` from a voxel
      of another id. Where nobody labelled it is 255, for ``ignore_index=255`` of losses and metrics;
    * ``"ids"`` are there where volumes hold ids: 1 to K in the item, 0 for no object. Numbers of 64 bits do not fit a
      tensor: ids are counted through, and an object has the same number in the slices of one item only. Where nobody
      labelled, as the ids from 2**64 - 3 on that CREMI reserves say, they are `unlabelled`;
    * without labels there is neither.

    Args:
        volumes: As `isbi2012_volumes`, `snemi3d_volumes`, `cremi_volumes` and `gala_volumes` list them.
        split: Keep the volumes of this split; ``None`` keeps all.
        unlabelled: Number of the ids of voxels that nobody labelled. 0 does for scores without a border. With a border
            0 counts as an object: take one that no object has, such as `UNLABELLED`, and give it to the metric as
            `ignore_index`.

    Raises:
        ValueError: Two volumes have one name, none is left, or arrays do not lie on one grid. Also what `Stored`
            raises; voxels are looked at when they are read.
    """

    def __init__(self, volumes: Sequence[EmVolume], split: str | None = None, *, unlabelled: int = 0) -> None:
        self.volumes, self._unlabelled = _of_split(volumes, split), unlabelled
        parts = [(volume, z, z + 1) for volume in self.volumes for z in range(*slice_range(volume))]
        super().__init__(parts)

    def _transform(self, index: int) -> dict[str, Any]:
        volume, start, stop = self.data[index]  # one slice `(1, H, W)` is channel first already
        return _read(volume, start, stop, True, self._unlabelled) | {"spacing": volume.spacing[1:]}


class EmVolumes(Dataset):
    """Volumes as MONAI-style items `(1, D, H, W)` for 3D networks, else as `EmSlices`.

    Args:
        volumes: See `EmSlices`.
        split: See `EmSlices`.
        per_slice: Derive membranes slice by slice: two objects that lie on top of one another in neighbouring sections
            share none, for sections are many pixels thick. ``False`` for isotropic volumes, where they do.
        unlabelled: See `EmSlices`.
    """

    def __init__(
        self, volumes: Sequence[EmVolume], split: str | None = None, per_slice: bool = True, *, unlabelled: int = 0
    ) -> None:
        self.volumes, self._per_slice, self._unlabelled = _of_split(volumes, split), per_slice, unlabelled
        super().__init__([(volume, *slice_range(volume)) for volume in self.volumes])

    def _transform(self, index: int) -> dict[str, Any]:
        volume, start, stop = self.data[index]
        item = _read(volume, start, stop, self._per_slice, self._unlabelled)
        arrays = {key: value[None] for key, value in item.items() if isinstance(value, np.ndarray)}
        return item | arrays | {"spacing": volume.spacing}


def _of_split(volumes: Sequence[EmVolume], split: str | None) -> list[EmVolume]:
    check_volumes(volumes)
    if split is not None:
        check_choice("split", split, SPLITS)
    found = [volume for volume in volumes if split in (None, volume.split)]
    if not found:
        raise ValueError(f"volumes must hold at least one{f' of split {split!r}' if split else ''}, got none")
    return found


def _read(volume: EmVolume, start: int, stop: int, per_slice: bool, number: int) -> dict[str, Any]:
    """Return slices as an item of arrays `(D, H, W)`."""
    item = {"image": _read_image(volume, start, stop), "case": volume.name, "slices": (start, stop)}
    if volume.labels is None:
        return item
    array = volume.labels.read(start, stop)
    unlabelled = unlabelled_voxels(array, volume.unlabelled)
    if volume.unlabelled is not None:
        array = np.where(unlabelled, 0, array)
    if volume.kind != "ids":
        membrane = _membrane(array, volume.kind, str(volume.labels))
        return item | {"membrane": np.where(unlabelled, np.uint8(IGNORE), membrane)}
    try:
        ids = compact_ids(array, background=NO_OBJECT)[0]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{volume.labels} is no map of ids: {error}") from None
    membrane = _derived(ids, unlabelled, volume, per_slice)
    return item | {"ids": np.where(unlabelled, np.int32(number), ids), "membrane": membrane}


def _read_image(volume: EmVolume, start: int, stop: int) -> np.ndarray:
    """Float32 image of the slices of the labels."""
    z, y, x = volume.offset
    image = volume.image.read(start + z, stop + z)
    if image.dtype.kind not in "uif":
        raise ValueError(f"{volume.image} must hold grey values, got dtype {image.dtype}")
    if volume.labels is not None and any(volume.offset):
        height, width = volume.labels.shape[1:]
        image = image[:, y : y + height, x : x + width]
    values = image.astype(np.float32)
    if image.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{volume.image} must hold finite grey values, got NaN or infinity; repair the file")
    return values


def _derived(ids: np.ndarray, unlabelled: np.ndarray, volume: EmVolume, per_slice: bool) -> np.ndarray:
    """Uint8 `(D, H, W)`, 1 where the ids of a volume leave membranes, `IGNORE` where nobody labelled."""
    width, spacing = volume.membrane_width, volume.spacing
    if not width:
        found = ids == 0
    elif per_slice:
        pairs = zip(ids, unlabelled, strict=True)
        found = np.stack([near_other_regions(part, width, spacing[1:], unknown) for part, unknown in pairs])
    else:
        found = near_other_regions(ids, width, spacing, unlabelled)
    return np.asarray(np.where(unlabelled, IGNORE, found), np.uint8)


def _membrane(array: np.ndarray, kind: str, source: str) -> np.ndarray:
    """Uint8 mask, 1 on membranes, of a mask with 0 and one other value."""
    known = np.unique(array).tolist()
    if array.dtype.kind not in "biuf" or not (set(known) <= {0, 1} or set(known) <= {0, 255}):
        shown = f"{known[:5]}{' and more' if len(known) > 5 else ''}"
        raise ValueError(
            f"{source} must be a mask of 0 and 255 (or 0 and 1), got {shown}; threshold it, or pass kind='ids' for "
            "a map of ids"
        )
    return np.asarray((array > 0) == (kind == "membrane"), np.uint8)
