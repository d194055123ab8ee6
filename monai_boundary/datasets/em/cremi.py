"""CREMI (brain of adult Drosophila): three volumes of 125 slices of 1250 x 1250 pixels with ids, three without."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.hdf5 import hdf5_attribute, hdf5_holds
from monai_boundary.datasets.em.layout import found_volumes
from monai_boundary.datasets.em.stored import HDF5_ENDINGS, Stored
from monai_boundary.datasets.em.volume import EmVolume

__all__ = ["cremi_volumes"]

_NAME = re.compile(r"sample_?(?P<sample>[a-z])(?P<test>\+?)(?P<rest>.*)", re.IGNORECASE)
_RAW, _IDS, _CLEFTS = "volumes/raw", "volumes/labels/neuron_ids", "volumes/labels/clefts"


def cremi_volumes(
    root: str | os.PathLike[str],
    spacing: Sequence[float] | None = None,
    clefts: bool = False,
    membrane_width: float | None = None,
) -> list[EmVolume]:
    """List the volumes of the CREMI challenge, in HDF5 files as it hands them out.

    Files are ``sample_A_20160501.hdf`` and so on, with the data sets ``volumes/raw``, ``volumes/labels/neuron_ids`` and
    ``volumes/labels/clefts``, each with the attribute ``resolution`` in nm (z, y, x). In padded files the labels have
    an ``offset`` in nm, too, at which they lie in the larger image.

    Args:
        root: Folder of the files, or one file.
        spacing: Voxel size in nm (z, y, x), for files without ``resolution``; ``None`` takes it from there, which is
            40 x 4 x 4.
        clefts: Items hold ``"clefts"``, too: int32 ids of synaptic clefts, 0 for none.
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
        _volume(path, f"sample_{match['sample'].upper()}{match['test']}", spacing, clefts, membrane_width)
        for path, match in named
        if match is not None
    ]
    found = found_volumes(root, "sample_A_20160501.hdf or others of CREMI", volumes)
    return sorted(found, key=lambda volume: (volume.split == "test", volume.name))


def _volume(
    path: Path, name: str, spacing: Sequence[float] | None, clefts: bool, membrane_width: float | None
) -> EmVolume:
    _require(path, _RAW, "download it again")
    z, y, x = _resolution(path, _RAW) if spacing is None else check_spacing(spacing, 3)
    voxel, origin = (z, y, x), _origin(path, _RAW)
    if not hdf5_holds(path, _IDS):
        if clefts:
            _require(path, _IDS, "pass clefts=False")
        return EmVolume(name, Stored(path, _RAW), None, "ids", voxel, "test", origin=origin)
    if spacing is None and _resolution(path, _IDS) != voxel:
        raise ValueError(
            f"{path}: attribute resolution must be that of {_RAW}, {voxel}, for {_IDS}, got {_resolution(path, _IDS)}; "
            "resample the labels onto the grid of the image"
        )
    offset = _offset(path, _IDS, origin, voxel)
    if clefts:
        _require(path, _CLEFTS, "pass clefts=False")
        if _offset(path, _CLEFTS, origin, voxel) != offset:
            raise ValueError(
                f"{path}: attribute offset must be that of {_IDS}, {offset} voxels, for {_CLEFTS}, got another; "
                "pass clefts=False"
            )
    return EmVolume(
        name, Stored(path, _RAW), Stored(path, _IDS), "ids", voxel, offset=offset, origin=origin,
        membrane_width=x if membrane_width is None else membrane_width,
        others=(("clefts", Stored(path, _CLEFTS)),) if clefts else (),
    )  # fmt: skip


def _require(path: Path, key: str, remedy: str) -> None:
    if not hdf5_holds(path, key):
        raise ValueError(f"{path} must hold the data set {key}, got none; {remedy}")


def _resolution(path: Path, key: str) -> tuple[float, ...]:
    value = hdf5_attribute(path, key, "resolution")
    if value is None or min(value) <= 0:
        raise ValueError(
            f"{path}: attribute resolution of {key} must be > 0 along each axis, got {value}; "
            "pass spacing=(40, 4, 4), CREMI's in nm"
        )
    return value


def _origin(path: Path, key: str) -> tuple[float, float, float]:
    """Place of the first voxel in nm."""
    z, y, x = hdf5_attribute(path, key, "offset") or (0.0, 0.0, 0.0)
    return z, y, x


def _offset(path: Path, key: str, origin: Sequence[float], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Voxel of the image at which labels begin."""
    own = _origin(path, key)
    steps = [(b - a) / size for a, b, size in zip(origin, own, spacing, strict=True)]
    z, y, x = (round(step) for step in steps)
    if min(z, y, x) < 0 or max(abs(step - round(step)) for step in steps) > 0.01:
        raise ValueError(
            f"{path}: attribute offset of {key} must be a whole number of voxels of {tuple(spacing)} nm inside {_RAW}, "
            f"got {own} (image: {origin}); resample the labels onto the grid of the image"
        )
    return z, y, x
