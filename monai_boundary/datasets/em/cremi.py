"""CREMI (brain of adult Drosophila): three volumes of 125 slices of 1250 x 1250 pixels with ids, three without."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.hdf5 import hdf5_attribute, hdf5_names
from monai_boundary.datasets.em.volumes import HDF5_ENDINGS, EmVolume, Stored, check_volumes

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
    found = [(path, _NAME.fullmatch(path.stem)) for path in files if path.suffix.lower() in HDF5_ENDINGS]
    volumes = [
        _volume(path, f"sample_{match['sample'].upper()}{match['test']}", spacing, clefts, membrane_width)
        for path, match in found
        if match is not None
    ]
    if not volumes:
        raise ValueError(f"root must hold sample_A_20160501.hdf or others of CREMI, got {root}; download them there")
    check_volumes(volumes)
    return sorted(volumes, key=lambda volume: (volume.split == "test", volume.name))


def _volume(
    path: Path, name: str, spacing: Sequence[float] | None, clefts: bool, membrane_width: float | None
) -> EmVolume:
    names = hdf5_names(path)
    if _RAW not in names:
        raise ValueError(f"{path} must hold the data set {_RAW}, got {', '.join(names) or 'none'}; download it again")
    sizes = _resolution(path, _RAW) if spacing is None else check_spacing(spacing, 3)
    z, y, x = sizes
    if _IDS not in names:
        if clefts:
            raise ValueError(f"{path} must hold {_IDS} with clefts=True, got {', '.join(names)}; pass clefts=False")
        return EmVolume(name, Stored(path, _RAW), None, "ids", (z, y, x), "test")
    labels = [_IDS]
    if clefts and _CLEFTS not in names:
        raise ValueError(f"{path} must hold {_CLEFTS}, got {', '.join(names)}; pass clefts=False")
    labels += [_CLEFTS] if clefts else []
    offsets = [_offset(path, key, sizes) for key in labels]
    if spacing is None and _resolution(path, _IDS) != sizes:
        raise ValueError(
            f"{path}: attribute resolution must be that of {_RAW}, {sizes}, for {_IDS}, got {_resolution(path, _IDS)}; "
            "resample the labels onto the grid of the image"
        )
    if offsets[-1] != offsets[0]:
        raise ValueError(
            f"{path}: attribute offset must be that of {_IDS}, {offsets[0]} voxels, for {_CLEFTS}, got {offsets[-1]}; "
            "pass clefts=False"
        )
    others = (("clefts", Stored(path, _CLEFTS)),) if clefts else ()
    width = x if membrane_width is None else membrane_width
    arrays = Stored(path, _RAW), Stored(path, _IDS)
    return EmVolume(name, *arrays, "ids", (z, y, x), offset=offsets[0], membrane_width=width, others=others)


def _resolution(path: Path, key: str) -> tuple[float, ...]:
    value = hdf5_attribute(path, key, "resolution")
    if value is None:
        raise ValueError(
            f"{path} must hold the attribute resolution of {key}, got none; pass spacing=(40, 4, 4), CREMI's in nm"
        )
    if min(value) <= 0:
        raise ValueError(f"{path}: attribute resolution of {key} must be > 0, got {value}; pass spacing=(40, 4, 4)")
    return value


def _offset(path: Path, key: str, sizes: Sequence[float]) -> tuple[int, int, int]:
    """Voxel of the image at which labels begin."""
    first, own = (hdf5_attribute(path, name, "offset") or (0.0, 0.0, 0.0) for name in (_RAW, key))
    steps = [(b - a) / size for a, b, size in zip(first, own, sizes, strict=True)]
    voxels = [round(step) for step in steps]
    if min(voxels) < 0 or max(abs(step - voxel) for step, voxel in zip(steps, voxels, strict=True)) > 0.01:
        raise ValueError(
            f"{path}: attribute offset of {key} must be a whole number of voxels of {tuple(sizes)} nm inside {_RAW}, "
            f"got {own} (image: {first}); resample the labels onto the grid of the image"
        )
    z, y, x = voxels
    return z, y, x
