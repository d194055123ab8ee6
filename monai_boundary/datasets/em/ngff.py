"""What the metadata of Zarr and N5 say of an array: its axes, the size of its voxels, its place.

Read are OME-Zarr 0.4 and 0.5 (NGFF), the names of dimensions of Zarr v3 and of xarray, and what EM tools write beside
an array: ``voxel_size`` or ``resolution`` and ``offset`` (CREMI, gunpowder, funlib), ``transform`` (OpenOrganelle) and
``pixelResolution`` (N5 viewer).
"""

from __future__ import annotations

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
    new = read_json(folder / "zarr.json").get("attributes", {})
    return {**read_json(folder / "attributes.json"), **read_json(folder / ".zattrs"), **new}


def multiscales(folder: Path) -> list[dict[str, Any]]:
    """Return the pyramids that the metadata of OME-Zarr list in a group: those of 0.5 lie under ``"ome"``."""
    attributes = node_attributes(folder)
    found = attributes.get("ome", attributes).get("multiscales", [])
    return [one for one in found if isinstance(one, dict) and one.get("datasets")] if isinstance(found, list) else []


def array_place(root: Path, key: str) -> ArrayPlace:
    """Return what the metadata say of the array `key` in the container `root`.

    Raises:
        ValueError: They contradict themselves.
    """
    folder = root / key
    for above in (folder, *folder.parents):
        for pyramid in multiscales(above):
            relative = folder.relative_to(above).as_posix()
            for dataset in pyramid["datasets"]:
                if dataset.get("path") == relative:
                    return _ome(folder, pyramid, dataset)
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
        values = step.get(step.get("type"))
        if step.get("type") in ("scale", "translation") and (not isinstance(values, list) or len(values) != len(axes)):
            raise ValueError(
                f"{folder}: {step['type']} must hold one number per axis ({len(axes)}: {axes}), got {values!r}; mend "
                "the metadata of OME-Zarr"
            )
        if step.get("type") == "scale":
            scale, shift, known = scale * values, shift * values, True
        elif step.get("type") == "translation":
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
            letters = _letters(transform.get("axes")) or "zyx"
            units = transform.get("units", [])
            return _with_units(letters, transform["scale"], transform.get("translate", [0.0] * len(letters)), units)
    axes = _letters(names[::-1] if reverse and names and isinstance(names, list) else names)
    for attributes in (own, above):
        for name in ("pixelResolution", "voxel_size", "resolution"):
            if attributes.get(name) is not None:
                turn = slice(None, None, -1 if reverse or name == "pixelResolution" else 1)
                voxel, corner, units = _voxel(name, attributes, own)
                return _with_units(axes, voxel[turn], corner[turn], units[turn])
    return ArrayPlace(axes)


def _voxel(
    name: str, attributes: dict[str, Any], own: dict[str, Any]
) -> tuple[list[float], list[float], list[str | None]]:
    """Return size, place and units of a voxel in stored order; `attributes` hold the size, `own` are the array's."""
    size, units = attributes[name], attributes.get("units") or ["nm"] * 3
    if isinstance(size, dict):
        size, units = size.get("dimensions", []), [size.get("unit")] * 3
    # Beside factors, n5-viewer's pixelResolution and BigCat's resolution are those of the full resolution, the same for
    # all levels (N5 Metadata Dialects, wiki of n5-ij). CREMI and gunpowder have no factors: theirs is the array's own,
    # and so is the voxel_size of funlib.
    factors = None if name == "voxel_size" else own.get("downsamplingFactors")
    steps = [1] * len(size) if factors is None else factors
    pairs = [*zip(size, steps, strict=False)]
    # a voxel of a level is the mean of those of the full resolution
    shift = attributes.get("offset") or [one * (step - 1) / 2 for one, step in pairs]
    return [one * step for one, step in pairs], shift, units


def _letters(names: Any) -> str | None:
    if not names or not isinstance(names, (list, str)) or None in names:
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
    moved = [0.0] * 3 if shift is None or len(shift) != len(scale) else [float(shift[at]) for at in places]
    oz, oy, ox = (at * one for at, one in zip(moved, nm, strict=True))
    return ArrayPlace(axes, (z, y, x), (oz, oy, ox))
