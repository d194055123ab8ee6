"""Polygons of a vector file: GeoJSON, GeoPackage, shapefile, and what else GDAL reads."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary.datasets.checks import check_readable, import_extra
from monai_boundary.datasets.remote.georeference import import_rasterio

__all__ = ["VECTOR_ENDINGS", "PolygonWarning", "Polygons", "import_pyogrio", "import_shapely", "read_polygons"]

VECTOR_ENDINGS = (".geojson", ".json", ".gpkg", ".shp", ".fgb")
_POLYGONS = (3, 6)  # types of shapely: polygon, multipolygon
_LISTED = 10  # features that a note names


class PolygonWarning(UserWarning):
    """Polygons of a file were repaired or left out."""


@dataclass(frozen=True)
class Polygons:
    """The polygons of a vector file, all of them valid.

    Args:
        path: The file.
        shapes: Objects of shapely, `(N,)`.
        crs: Their reference system, of rasterio.
        notes: What was repaired or left out, one sentence each.
    """

    path: Path
    shapes: np.ndarray
    crs: Any
    notes: tuple[str, ...] = ()

    @cached_property
    def tree(self) -> Any:
        """Shapely's index of their places."""
        return import_shapely().STRtree(self.shapes)


def read_polygons(path: str | os.PathLike[str], layer: str | None = None, crs: str | None = None) -> Polygons:
    """Read the polygons of a vector file.

    Polygons that cross themselves are repaired: every area that a ring encloses stays. A feature without geometry, or
    with points or lines, is left out. Both raise a `PolygonWarning` that names the features.

    Args:
        path: GeoJSON, GeoPackage, shapefile with ``.shx`` and ``.prj`` beside it, or another file of GDAL's.
        layer: Its layer; may be ``None`` where there is one.
        crs: Reference system in place of the file's, such as ``"EPSG:25833"``.

    Raises:
        ImportError: pyogrio or shapely is not installed.
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, has several layers, no reference system, no polygon, or coordinates outside of
            its reference system.
    """
    path, shapely = Path(path), import_shapely()
    layer = _layer(path, layer)
    stored, numbers, blobs = _read(path, layer)
    system = _system(path, crs or stored)
    try:
        shapes = shapely.from_wkb(blobs)
    except shapely.errors.ShapelyError as error:
        raise ValueError(f"{path} must hold polygons, got: {error}; convert curves to polygons first") from error
    notes: list[str] = []
    kept = np.isin(shapely.get_type_id(shapes), _POLYGONS) & ~shapely.is_empty(shapes)
    if len(shapes) and not kept.any():
        kinds = sorted({"None" if shape is None else shape.geom_type for shape in shapes})
        raise ValueError(f"{path} must hold polygons, got {', '.join(kinds)}; choose another layer, or buffer them")
    if not kept.all():
        notes.append(f"{path}: {_features(numbers[~kept])} left out, as they are no polygons")
    shapes, numbers = shapes[kept], numbers[kept]
    _check_coordinates(path, shapes, system)
    crossing = ~shapely.is_valid(shapes)
    if crossing.any():
        shapes[crossing] = shapely.make_valid(shapes[crossing], method="structure", keep_collapsed=False)
        notes.append(f"{path}: {_features(numbers[crossing])} repaired, as their outlines cross themselves")
    for note in notes:
        warnings.warn(note, PolygonWarning, stacklevel=2)
    return Polygons(path, shapes[~shapely.is_empty(shapes)], system, tuple(notes))


def _features(numbers: np.ndarray) -> str:
    named = ", ".join(map(str, numbers[:_LISTED])) + (" and others" if len(numbers) > _LISTED else "")
    return f"{len(numbers)} feature{'s' * (len(numbers) > 1)} ({named})"


def _layer(path: Path, layer: str | None) -> str:
    """The name of the layer to read: the one asked for, or the only one with geometry."""
    check_readable(path)
    if path.suffix.lower() == ".shp":
        _check_length(path)
    pyogrio = import_pyogrio()
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except pyogrio.errors.DataSourceError as error:
        raise _damaged(path, error) from error
    if layer is None and len(layers) == 1:
        return layers[0]
    if layer not in layers:
        raise ValueError(f"layer must be one of {', '.join(map(repr, layers)) or 'none'} for {path}, got {layer!r}")
    return layer


def _read(path: Path, layer: str) -> tuple[str | None, np.ndarray, np.ndarray]:
    """Reference system, numbers of the features, and their geometries as WKB."""
    pyogrio = import_pyogrio()
    try:
        facts, numbers, blobs, _ = pyogrio.raw.read(path, layer=layer, columns=[], force_2d=True, return_fids=True)
    except RuntimeError as error:  # all of pyogrio's
        raise _damaged(path, error) from error
    return facts["crs"], numbers, blobs


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = str(error).split(";")[0].strip()
    return ValueError(f"{path} must be a complete vector file, got: {reason}; download or copy it again")


def _check_length(path: Path) -> None:
    """Compare the length in the header of a shapefile, as GDAL takes what is cut off for features without geometry."""
    with path.open("rb") as file:
        stated = 2 * int.from_bytes(file.read(28)[24:], "big")  # in words of 2 bytes
    if (found := path.stat().st_size) < stated:
        raise ValueError(f"{path} must have the {stated} bytes that its header says, got {found}; copy it again")


def _system(path: Path, crs: str | None) -> Any:
    rasterio = import_rasterio()
    if crs is None:
        raise ValueError(
            f"{path} must have a reference system, got none; put its .prj beside it, or pass crs='EPSG:...'"
        )
    try:
        return rasterio.crs.CRS.from_user_input(crs)
    except rasterio.errors.CRSError as error:
        raise ValueError(f"crs of {path} must be a reference system such as 'EPSG:25833', got {crs!r}") from error


def _check_coordinates(path: Path, shapes: np.ndarray, crs: Any) -> None:
    """Refuse coordinates that are none, and metres in a system of degrees, which GeoJSON without a system often has."""
    shapely = import_shapely()
    values = shapely.get_coordinates(shapes)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} must hold finite coordinates, got NaN or infinity; repair it")
    if crs.is_geographic and len(values) and (np.abs(values).max(0) > (360, 90)).any():
        x, y = values[(np.abs(values) > (360, 90)).any(1).argmax()]
        raise ValueError(
            f"{path} must hold degrees, as its reference system is {crs}, got ({x:g}, {y:g}); pass the right one, as "
            "in crs='EPSG:25833'"
        )


def import_shapely() -> Any:
    """Return the module shapely."""
    return import_extra("shapely", "remote", "polygons")


def import_pyogrio() -> Any:
    """Return the module pyogrio."""
    return import_extra("pyogrio", "remote", "vector files")
