"""What the metadata of Zarr and N5 say of an array: its axes, the size of its voxels, its place.

Read are OME-Zarr 0.4 and 0.5 (NGFF), the names of dimensions of Zarr v3 and of xarray, and what EM tools write beside
an array: ``voxel_size`` or ``resolution`` and ``offset`` (CREMI, gunpowder, funlib), ``transform`` (OpenOrganelle) and
``pixelResolution`` (N5 viewer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary.datasets.em.chunks import read_json

__all__ = ["ArrayPlace", "array_place", "multiscales", "node_attributes"]

#: Nanometres of a unit.
_NM = {
    "angstrom": 0.1, "nanometer": 1.0, "nm": 1.0, "micrometer": 1e3, "micron": 1e3, "um": 1e3, "µm": 1e3, "μm": 1e3,
    "millimeter": 1e6, "mm": 1e6, "meter": 1e9, "m": 1e9,
}  # fmt: skip
_KINDS = {"time": "t", "channel": "c"}
Point = tuple[float, float, float]


@dataclass(frozen=True)
class ArrayPlace:
    """Where the voxels of an array lie.

    Args:
        axes: A letter per axis in array order, of t, c, z, y, x; ``None`` where nothing names them.
        spacing: Voxel size in nm (z, y, x); ``None`` where nothing tells it.
        origin: Place of the first voxel in nm (z, y, x).
        reason: Why there is no spacing.
    """

    axes: str | None = None
    spacing: Point | None = None
    origin: Point = (0.0, 0.0, 0.0)
    reason: str = "got no scale"


def node_attributes(folder: Path) -> dict[str, Any]:
    """Return the attributes of an array or group, of whichever format.

    Raises:
        ValueError: A file of them is damaged.
    """
    new = read_json(folder / "zarr.json").get("attributes") or {}
    if not isinstance(new, dict):
        raise ValueError(f"{folder / 'zarr.json'}: attributes must be an object, got {new!r}; mend the metadata")
    return {**read_json(folder / "attributes.json"), **read_json(folder / ".zattrs"), **new}


def multiscales(folder: Path) -> list[dict[str, Any]]:
    """Return the pyramids that the metadata of OME-Zarr list in a group: those of 0.5 lie under ``"ome"``."""
    attributes = node_attributes(folder)
    ome = attributes.get("ome", attributes)
    found = ome.get("multiscales") if isinstance(ome, dict) else None
    return [one for one in _dicts(found) if _dicts(one.get("datasets"))]


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return a list of objects, empty for anything else."""
    return value if isinstance(value, list) and all(isinstance(one, dict) for one in value) else []


def array_place(root: Path, key: str) -> ArrayPlace:
    """Return what the metadata say of the array `key` in the container `root`.

    Raises:
        ValueError: They contradict themselves, or are of another form.
    """
    folder = root / key
    for above in (folder, *folder.parents):
        for pyramid in multiscales(above):
            relative = folder.relative_to(above).as_posix()
            for dataset in pyramid["datasets"]:
                if dataset.get("path") == relative:
                    try:
                        return _ome(folder, pyramid, dataset)
                    except (AttributeError, TypeError) as error:
                        raise ValueError(
                            f"{above}: multiscales must be as OME-Zarr has them, got {pyramid!r}: {error}; mend the "
                            "metadata"
                        ) from error
        if above == root.parent:  # the path of a container may lead into it
            break
    return _plain(folder)


def _ome(folder: Path, pyramid: dict[str, Any], dataset: dict[str, Any]) -> ArrayPlace:
    entries = [one if isinstance(one, dict) else {"name": one} for one in pyramid.get("axes", "tczyx")]
    axes = "".join(_KINDS.get(str(one.get("type")), str(one.get("name", "?"))[:1].lower()) for one in entries)
    scale, shift = np.ones(len(axes)), np.zeros(len(axes))
    known = False
    steps = [*dataset.get("coordinateTransformations", []), *pyramid.get("coordinateTransformations", [])]
    for step in steps:  # of the array first, then of the pyramid
        name = step.get("type")
        if name not in ("scale", "translation"):
            continue
        values = _numbers(folder, name, step.get(name), len(axes))
        if name == "scale":
            scale, shift, known = scale * values, shift * values, True
        else:
            shift = shift + values
    units = [one.get("unit") for one in entries]
    return _with_units(axes, scale.tolist() if known else None, shift.tolist(), units)


def _plain(folder: Path) -> ArrayPlace:
    """Without OME: attributes of the array, or of the group of a first level ``s0``; those of N5 begin with x."""
    own, document = node_attributes(folder), read_json(folder / "zarr.json")
    above = node_attributes(folder.parent) if folder.name == "s0" else {}
    reverse = "dimensions" in own
    names = document.get("dimension_names") or own.get("_ARRAY_DIMENSIONS") or own.get("axis_names") or own.get("axes")
    for attributes in (own, above):
        transform = attributes.get("transform")
        if isinstance(transform, dict) and "scale" in transform:  # in the order of NumPy in N5, too
            scale = _numbers(folder, "scale of transform", transform["scale"], low=0)
            place = transform.get("translate")
            shift = None if place is None else _numbers(folder, "translate of transform", place, len(scale))
            units = _units(folder, "units of transform", transform.get("units"), len(scale))
            return _with_units(_letters(transform.get("axes")) or "zyx", scale, shift, units)
    letters = _letters(names)
    axes = letters[::-1] if letters and reverse else letters
    for attributes in (own, above):
        for name in ("pixelResolution", "voxel_size", "resolution"):
            if attributes.get(name) is not None:
                turn = slice(None, None, -1 if reverse or name == "pixelResolution" else 1)
                voxel, corner, units = _voxel(folder, name, attributes, own)
                return _with_units(axes, voxel[turn], corner[turn], units[turn])
    return ArrayPlace(axes)


def _voxel(
    folder: Path, name: str, attributes: dict[str, Any], own: dict[str, Any]
) -> tuple[list[float], list[float], list[str | None]]:
    """Return size, place and units of a voxel in stored order; `attributes` hold the size, `own` are the array's."""
    size, units = attributes[name], attributes.get("units") or attributes.get("unit") or "nm"
    if isinstance(size, dict):
        units = size.get("unit")
        full = _numbers(folder, f"dimensions of {name}", size.get("dimensions"), low=0)
    else:
        full = _numbers(folder, name, size, low=0)
    count = len(full)
    # Beside factors, n5-viewer's pixelResolution and BigCat's resolution are those of the full resolution, the same for
    # all levels (N5 Metadata Dialects, wiki of n5-ij). CREMI and gunpowder have no factors: theirs is the array's own,
    # and so is the voxel_size of funlib.
    factors = None if name == "voxel_size" else own.get("downsamplingFactors")
    steps = [1.0] * count if factors is None else _numbers(folder, "downsamplingFactors", factors, count, low=0)
    place = attributes.get("offset")
    if place is None:  # a voxel of a level is the mean of those of the full resolution
        shift = [one * (step - 1) / 2 for one, step in zip(full, steps, strict=True)]
    else:
        shift = _numbers(folder, "offset", place, count)
    return [one * step for one, step in zip(full, steps, strict=True)], shift, _units(folder, "units", units, count)


def _numbers(folder: Path, name: str, value: Any, count: int | None = None, low: float = -math.inf) -> list[float]:
    """Return the numbers of an attribute, one per axis; ``ValueError`` unless it is a list of `count` of them."""
    right = isinstance(value, list) and len(value) in {count or len(value)} - {0}
    if not right or not all(type(one) in (int, float) and math.isfinite(one) and one > low for one in value):
        raise ValueError(
            f"{folder}: {name} must be a list of finite numbers{'' if low < 0 else ' > 0'}, one per axis"
            f"{f' ({count})' if count else ''}, got {value!r}; mend the metadata"
        )
    return list(value)


def _units(folder: Path, name: str, value: Any, count: int) -> list[str | None]:
    """Return a unit per axis: a text holds for all, and ``None`` says none."""
    if value is None or isinstance(value, str):
        return [value] * count
    if not isinstance(value, list) or len(value) != count or not all(one is None or type(one) is str for one in value):
        raise ValueError(
            f"{folder}: {name} must be a text, or a list of one per axis ({count}), got {value!r}; mend the metadata"
        )
    return value


def _letters(names: Any) -> str | None:
    if not names or not isinstance(names, (list, str)) or None in list(names):
        return None
    return "".join(_KINDS.get(str(name).lower(), str(name)[:1].lower()) for name in names)


def _with_units(
    axes: str | None, scale: Sequence[float] | None, shift: Sequence[float] | None, units: Sequence[str | None]
) -> ArrayPlace:
    """Take the axes of space of numbers that are of all axes, or of those of space only, and turn them to nm."""
    if scale is None:
        return ArrayPlace(axes)
    letters = axes if axes and len(axes) == len(scale) else "".join(c for c in axes or "zyx" if c in "zyx")
    if len(letters) != len(scale) or sorted(c for c in letters if c in "zyx") != ["x", "y", "z"]:
        return ArrayPlace(axes, reason=f"got a scale of {len(scale)} axes, {list(scale)}, for {letters}")
    places = [letters.index(c) for c in "zyx"]
    used = [units[at] if at < len(units) else None for at in places]
    factors = [_NM.get(str(unit).lower()) for unit in used]
    sizes = tuple(scale[at] for at in places)
    if None in factors:
        told = "no unit" if used == [None] * 3 else f"the units {used}"
        return ArrayPlace(axes, reason=f"got a scale of {sizes} with {told}")
    nm = [float(one) for one in factors if one is not None]
    z, y, x = (float(size) * one for size, one in zip(sizes, nm, strict=True))
    moved = [0.0] * 3 if shift is None else [float(shift[at]) for at in places]
    oz, oy, ox = (at * one for at, one in zip(moved, nm, strict=True))
    return ArrayPlace(axes, (z, y, x), (oz, oy, ox))
