"""CREMI (brain of adult Drosophila): three volumes of 125 slices of 1250 x 1250 pixels with ids, three without."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.hdf5 import hdf5_holds, open_hdf5
from monai_boundary.datasets.em.lists import found_volumes
from monai_boundary.datasets.em.stored import HDF5_ENDINGS, Stored
from monai_boundary.datasets.em.volume import EmVolume, voxel_offset
from monai_boundary.kernels.regions import RESERVED_IDS

__all__ = ["NO_OBJECT", "cremi_volumes"]

#: Ids that CREMI gives to voxels of no object: background, and those it reserves.
NO_OBJECT = (0, *RESERVED_IDS)
_NAME = re.compile(r"sample_?(?P<sample>[a-z])(?P<test>\+?)(?P<rest>.*)", re.IGNORECASE)
_RAW, _IDS = "volumes/raw", "volumes/labels/neuron_ids"
Point = tuple[float, float, float]


def cremi_volumes(
    root: str | os.PathLike[str], spacing: Sequence[float] | None = None, membrane_width: float | None = None
) -> list[EmVolume]:
    """List the volumes of the CREMI challenge, in HDF5 files as it hands them out.

    Files are ``sample_A_20160501.hdf`` and so on, with the data sets ``volumes/raw`` and ``volumes/labels/neuron_ids``,
    each with the attribute ``resolution`` in nm (z, y, x). In padded files the ids have an ``offset`` in nm, too, at
    which they lie in the larger image.

    Args:
        root: Folder of the files, or one file.
        spacing: Voxel size in nm (z, y, x), for files without ``resolution``; ``None`` takes it from there, which is
            40 x 4 x 4.
        membrane_width: CREMI's ids touch; voxels at most this far, in nm, from a voxel of another id are membrane.
            ``None`` takes the pixel size: one pixel of each of two neighbours.

    Returns:
        By name, such as ``"sample_A"`` and ``"sample_A+"``: samples with ids train, those without are ``"test"``.

    Raises:
        ImportError: h5py is not installed.
        FileNotFoundError: `root` does not exist.
        ValueError: `root` has no such file, one is damaged, lacks data sets or attributes, or two hold one sample.
    """
    place = Path(root)
    if not place.exists():
        raise FileNotFoundError(f"{place} does not exist; check the path")
    files = [place] if place.is_file() else sorted(place.iterdir())
    named = [(path, _NAME.fullmatch(path.stem)) for path in files if path.suffix.lower() in HDF5_ENDINGS]
    volumes = [
        _volume(path, f"sample_{match['sample'].upper()}{match['test']}", spacing, membrane_width)
        for path, match in named
        if match is not None
    ]
    found = found_volumes(root, "sample_A_20160501.hdf or others of CREMI", volumes)
    return sorted(found, key=lambda volume: (volume.split == "test", volume.name))


def _volume(path: Path, name: str, spacing: Sequence[float] | None, membrane_width: float | None) -> EmVolume:
    z, y, x = _resolution(path, _RAW) if spacing is None else check_spacing(spacing, 3)
    voxel, origin = (z, y, x), _attribute(path, _RAW, "offset") or (0.0, 0.0, 0.0)
    if not hdf5_holds(path, _IDS):
        return EmVolume(name, Stored(path, _RAW), None, "ids", voxel, "test", origin=origin)
    if spacing is None and _resolution(path, _IDS) != voxel:
        raise ValueError(
            f"{path}: attribute resolution must be that of {_RAW}, {voxel}, for {_IDS}, got {_resolution(path, _IDS)}; "
            "resample the labels onto the grid of the image"
        )
    return EmVolume(
        name, Stored(path, _RAW), Stored(path, _IDS), "ids", voxel, offset=_offset(path, origin, voxel), origin=origin,
        membrane_width=x if membrane_width is None else membrane_width,
    )  # fmt: skip


def _resolution(path: Path, key: str) -> Point:
    value = _attribute(path, key, "resolution")
    if value is None or min(value) <= 0:
        raise ValueError(
            f"{path}: attribute resolution of {key} must be > 0 along each axis, got {value}; "
            "pass spacing=(40, 4, 4), CREMI's in nm"
        )
    return value


def _offset(path: Path, origin: Point, spacing: Point) -> tuple[int, int, int]:
    """Voxel of the image at which the ids begin."""
    own = _attribute(path, _IDS, "offset") or (0.0, 0.0, 0.0)
    return voxel_offset(f"{path}: attribute offset of {_IDS}", own, origin, spacing)


def _attribute(path: Path, key: str, name: str) -> Point | None:
    """Return an attribute of a data set with one number per axis (z, y, x), ``None`` where there is none."""
    with open_hdf5(path, key) as dataset:
        if name not in dataset.attrs:
            return None
        value = np.asarray(dataset.attrs[name])
    if value.dtype.kind not in "iuf" or value.shape != (3,) or not np.isfinite(value).all():
        raise ValueError(
            f"{path}: attribute {name} of {key} must hold one number per axis (3), got {value.tolist()!r}; "
            "repair the file"
        )
    z, y, x = value.astype(float).tolist()
    return z, y, x
