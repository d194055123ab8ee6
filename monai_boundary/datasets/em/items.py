"""Volumes of electron microscopy as MONAI-style items: slice by slice, or whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.data import Dataset

from monai_boundary._check import check_choice
from monai_boundary.datasets.datalist import SPLITS
from monai_boundary.datasets.em.stored import Stored
from monai_boundary.datasets.em.volume import EmVolume, check_volumes, slice_range
from monai_boundary.kernels.ids import compact_ids
from monai_boundary.kernels.regions import region_distance

__all__ = ["EmSlices", "EmVolumes"]

#: Ids that CREMI gives to voxels of no object: background, nobody labelled them, invalid, outside the volume.
NO_OBJECT = (0, 2**64 - 1, 2**64 - 2, 2**64 - 3)


class _EmItems(Dataset):
    """Items of parts of volumes; which parts, the classes below decide."""

    _ndim: int
    _per_slice = True

    def __init__(self, volumes: Sequence[EmVolume], split: str | None = None) -> None:
        check_volumes(volumes)
        if split is not None:
            check_choice("split", split, SPLITS)
            volumes = [volume for volume in volumes if volume.split == split]
        if not volumes:
            raise ValueError(f"volumes must hold at least one{f' of split {split!r}' if split else ''}, got none")
        self.volumes = list(volumes)
        parts = [(volume, *ends) for volume in self.volumes for ends in self._ranges(*slice_range(volume))]
        super().__init__(parts)

    @abstractmethod
    def _ranges(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the ranges of slices, one for each item, that slices `start` to `stop` of a volume give."""

    def _transform(self, index: int) -> dict[str, Any]:
        volume, start, stop = self.data[index]
        item: dict[str, Any] = {"image": self._shaped(_read_image(volume, start, stop))}
        if volume.labels is not None:
            item |= self._labels(volume, volume.labels, start, stop)
        for name, stored in volume.others:
            array = stored.read(start, stop)
            item[name] = self._shaped(array.astype(np.float32) if array.dtype.kind == "f" else _ids(array))
        return item | {
            "case": volume.name, "slices": (start, stop), "spacing": volume.spacing[-self._ndim :],
        }  # fmt: skip

    def _shaped(self, array: np.ndarray) -> np.ndarray:
        return array if self._ndim == 2 else array[None]

    def _labels(self, volume: EmVolume, labels: Stored, start: int, stop: int) -> dict[str, np.ndarray]:
        array = labels.read(start, stop)
        if volume.kind != "ids":
            return {"membrane": self._shaped(_membrane(array, volume.kind, str(labels)))}
        try:
            ids = _ids(array)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{labels} is no map of ids: {error}") from None
        membrane = _derived(ids, volume, self._per_slice).astype(np.uint8)
        return {"ids": self._shaped(ids), "membrane": self._shaped(membrane)}


class EmSlices(_EmItems):
    """The slices of volumes as MONAI-style items, each read from its files when it is asked for.

    ``monai.data.CacheDataset(EmSlices(volumes, "training"), transform)`` feeds a DataLoader; files are opened anew in
    each access, so workers share nothing. An item is ``{"image": float32 (1, H, W), "membrane": uint8 (1, H, W), "ids":
    int32 (1, H, W), "case": name, "slices": (z, z + 1), "spacing": nm (y, x)}``:

    * the image holds the values as stored (0 to 255 for bytes): scale them in `transform`;
    * ``"membrane"`` is 1 on membranes, the target of `BoundaryAwareLoss`. Where volumes hold ids it is derived from
      them slice by slice: voxels of no object, and those of objects at most the volume's `membrane_width` from a voxel
      of another id. Unlabelled voxels come out as membrane;
    * ``"ids"`` are there where volumes hold ids: 1 to K in the item, 0 for no object. Numbers of 64 bits, and
      those from 2**64 - 3 on that CREMI gives to voxels without label, do not fit a tensor: ids are counted through,
      and an object has the same number in the slices of one item only;
    * without labels there is neither; ``"clefts"`` and ``"likelihood"`` are there where a volume holds them.

    Args:
        volumes: As `isbi2012_volumes`, `snemi3d_volumes`, `cremi_volumes` and `gala_volumes` list them.
        split: Keep the volumes of this split; ``None`` keeps all.

    Raises:
        ImportError: h5py or tifffile is not installed.
        FileNotFoundError: A file does not exist.
        ValueError: Two volumes have one name, none is left, arrays do not lie on one grid, or a file is damaged. Voxels
            are looked at when they are read.
        RuntimeError: A HDF5 file is compressed with a filter that is absent.
    """

    _ndim = 2

    def _ranges(self, start: int, stop: int) -> list[tuple[int, int]]:
        return [(index, index + 1) for index in range(start, stop)]


class EmVolumes(_EmItems):
    """Volumes as MONAI-style items `(1, D, H, W)` for 3D networks, else as `EmSlices`.

    Args:
        volumes: See `EmSlices`.
        split: See `EmSlices`.
        per_slice: Derive membranes slice by slice: two objects that lie on top of one another in neighbouring sections
            share none, for sections are many pixels thick. ``False`` for isotropic volumes, where they do.
    """

    _ndim = 3

    def __init__(
        self,
        volumes: Sequence[EmVolume],
        split: str | None = None,
        per_slice: bool = True,
    ) -> None:
        super().__init__(volumes, split)
        self._per_slice = per_slice

    def _ranges(self, start: int, stop: int) -> list[tuple[int, int]]:
        return [(start, stop)]


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


def _ids(array: np.ndarray) -> np.ndarray:
    return compact_ids(array, background=NO_OBJECT)[0]


def _derived(ids: np.ndarray, volume: EmVolume, per_slice: bool) -> np.ndarray:
    """Bool `(D, H, W)`, where the ids of a volume leave membranes."""
    if not volume.membrane_width:
        return np.asarray(ids == 0)

    def near(part: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
        return np.asarray(region_distance(part, spacing, image_edge=False) <= volume.membrane_width)

    if per_slice:
        return np.stack([near(part, volume.spacing[1:]) for part in ids])
    return near(ids, volume.spacing)


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
