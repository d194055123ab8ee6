"""Volumes in containers of OME-Zarr, Zarr and N5, with the size and place of their voxels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.chunks import array_folders, chunk_files, is_array, stores
from monai_boundary.datasets.em.lists import found_volumes
from monai_boundary.datasets.em.ngff import array_place, multiscales, node_attributes
from monai_boundary.datasets.em.stored import Stored
from monai_boundary.datasets.em.volume import EmVolume, LabelKind, voxel_offset

__all__ = ["zarr_volumes"]

_ENDINGS = (".ome.zarr", ".zarr", ".n5")
Point = tuple[float, float, float]
_RAW, _IDS = ("volumes/raw", "raw"), ("volumes/labels/neuron_ids",)


def zarr_volumes(  # noqa: PLR0913 - all but the first by keyword, in JSON
    root: str | os.PathLike[str],
    image: str | None = None,
    labels: str | None = None,
    spacing: Sequence[float] | None = None,
    kind: LabelKind = "ids",
    membrane_width: float = 0.0,
    axes: str | None = None,
    channel: int | None = None,
    time: int | None = None,
    unlabelled: int | None = None,
) -> list[EmVolume]:
    """List volumes in containers of OME-Zarr (0.4, 0.5), Zarr (v2, v3) or N5.

    Voxel size and place come from the metadata: of OME-Zarr, or ``voxel_size`` or ``resolution`` and ``offset``,
    ``transform``, ``pixelResolution`` beside the array. So does the order of the axes; an array of three axes that
    nothing names is z, y, x. A chunk that is not there reads as the fill value: how many there are is warned of once,
    because a writer leaves out chunks of that value alone, and an incomplete copy has lost some.

    Args:
        root: A container, or a folder of containers ``*.zarr`` and ``*.n5``.
        image: Key of the array of the image; ``None`` takes the full resolution of the image of OME-Zarr, else
            ``volumes/raw``, ``raw``, or the only array.
        labels: Key of the array of labels; ``None`` takes the full resolution of the only labels of OME-Zarr, else
            ``volumes/labels/neuron_ids``, where it is there. ``""`` takes none.
        spacing: Voxel size in nm (z, y, x), where the metadata tell none.
        kind: What `labels` holds, see `EmVolume`.
        membrane_width: See `EmVolume`, in nm.
        axes: A letter per axis of the image, where the metadata name none or wrong ones, such as ``"tczyx"``. Labels
            whose metadata name none have the same, or those of space alone.
        channel: Which channel of the image, where there are several.
        time: Which point in time, where there are several.
        unlabelled: See `EmVolume`.

    Returns:
        By name, that of the container; those with labels train, those without are ``"test"``.

    Raises:
        ImportError: zarr or, for N5, z5py is not installed.
        FileNotFoundError: `root` does not exist.
        ValueError: There is no such array, it is no volume, or nothing tells its voxel size.
    """
    place = Path(root)
    if not place.exists():
        raise FileNotFoundError(f"{place} does not exist; check the path")
    found = [place] if stores(place) else sorted(path for path in place.iterdir() if path.name.endswith(_ENDINGS))
    settings = {"kind": kind, "membrane_width": membrane_width, "unlabelled": unlabelled}
    size: Point | None = None
    if spacing is not None:
        z, y, x = check_spacing(spacing, 3)
        size = z, y, x
    volumes = []
    for path in found:
        source = Stored(path, _image_key(path) if image is None else image, axes, channel, time)
        key = _label_key(path) if labels is None else labels
        ids = Stored(path, key, _label_axes(path, key, axes)) if key else None
        volumes.append(_volume(path, source, ids, size, settings))
    return found_volumes(root, "containers of Zarr or N5, such as cells.zarr", volumes)


def _label_axes(path: Path, key: str, axes: str | None) -> str | None:
    """Return the letters of the image that are those of labels which name none: all, or those of space alone."""
    if axes is None or not is_array(path / key) or array_place(path, key).axes is not None:
        return None
    count = len(chunk_files(path / key).shape)
    return axes if count == len(axes) else "".join(letter for letter in axes if letter in "zyx")


def _volume(path: Path, image: Stored, labels: Stored | None, size: Point | None, settings: dict[str, Any]) -> EmVolume:
    image.check_chunks()
    here = array_place(path, image.key)
    spacing = size or here.spacing
    if spacing is None:
        raise ValueError(f"{image} must say how large its voxels are, {here.reason}; pass spacing=(z, y, x), in nm")
    split, offset = "test", (0, 0, 0)
    if labels is not None:
        labels.check_chunks()
        there = array_place(path, labels.key)
        if size is None and there.spacing not in (spacing, None):
            raise ValueError(
                f"{labels} must have the voxel size of the image, {spacing} nm, got {there.spacing}; resample the "
                "labels onto the grid of the image, or pass the key of another level"
            )
        # a place in nm is one only beside a voxel size of its own
        offset = voxel_offset(str(labels), there.origin if there.spacing else here.origin, here.origin, spacing)
        split = "training"
    return EmVolume(
        _name(path), image, labels, spacing=spacing, split=split, offset=offset, origin=here.origin, **settings
    )


def _name(path: Path) -> str:
    name = path.resolve().name
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


def _first_level(folder: Path) -> str | None:
    """Key of the full resolution in a group of OME-Zarr."""
    pyramids = multiscales(folder)
    if len(pyramids) > 1:
        names = ", ".join(str(one["datasets"][0].get("path")) for one in pyramids)
        raise ValueError(f"{folder} must hold one image, got {len(pyramids)}; pass its key, one of {names}")
    return str(pyramids[0]["datasets"][0].get("path")) if pyramids else None


def _image_key(path: Path) -> str:
    if is_array(path):
        return ""
    if (key := _first_level(path)) is not None:
        return key
    held = array_folders(path)
    known = [key for key in _RAW if key in held] or held
    if len(known) == 1 or known[:1] == [_RAW[0]]:
        return known[0]
    raise ValueError(
        f"{path} must hold an image of OME-Zarr, {' or '.join(_RAW)}, or one array, got {', '.join(held) or 'none'}; "
        "pass image, the key of one"
    )


def _label_key(path: Path) -> str | None:
    attributes = node_attributes(path / "labels")
    names = attributes.get("ome", attributes).get("labels", [])
    if len(names) > 1:
        raise ValueError(
            f"{path} must hold labels of one name, got {', '.join(map(str, names))}; pass labels, such as "
            f"labels='labels/{names[0]}/0'"
        )
    if names:
        return f"labels/{names[0]}/{_first_level(path / 'labels' / str(names[0])) or '0'}"
    return next((key for key in _IDS if (path / key).is_dir() and is_array(path / key)), None)
