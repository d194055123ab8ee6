"""From a GeoTIFF of probabilities to a GeoPackage of polygons."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from monai_boundary._check import check_fraction, check_number
from monai_boundary._files import write_bytes
from monai_boundary.datasets.checks import check_size
from monai_boundary.datasets.remote import Georeference, TileReader
from monai_boundary.datasets.remote.georeference import import_rasterio, on_grid
from monai_boundary.datasets.remote.polygons import import_pyogrio, import_shapely
from monai_boundary.datasets.remote.writing import BLOCK_CACHE, check_target
from monai_boundary.kernels.regions import connected_components

__all__ = ["polygonize"]

_BYTES = 16  # per pixel, of labels and numbers of components


def polygonize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    threshold: float = 0.5,
    simplify: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Write the outlines of what is above a threshold as polygons, in the reference system of the source.

    Each connected component, of pixels that share a side, is one polygon with its holes. Its attributes are
    ``area_m2``, of the polygon on the ground in square metres, measured in an equal-area projection and so right for
    any reference system, degrees included; and ``mean_probability``, of its pixels. Pixels without data lie outside.

    Args:
        source: Probabilities in one band, as `predict_tile` writes them with ``output="values"``.
        target: The GeoPackage to write; it is there when it is whole. Without any polygon its layer is empty.
        threshold: Probability above which a pixel is inside.
        simplify: How far an outline may move, in pixels, to have fewer corners (Douglas and Peucker); 0 keeps the
            steps of the pixels. Holes stay, however small.
        overwrite: Replace `target` where it exists.

    Returns:
        `target`.

    Raises:
        ImportError: rasterio, pyogrio or shapely is not installed.
        FileExistsError: `target` exists and `overwrite` is off.
        FileNotFoundError: `source` or the folder of `target` does not exist.
        ValueError: `source` is damaged, holds no probabilities, or lies on no grid of a reference system.
        OSError: The disk is full.
    """
    limit = check_fraction("threshold", threshold)
    tolerance = check_number("simplify", simplify, strict=False)
    path, shapely = Path(target), import_shapely()
    with import_rasterio().Env(GDAL_CACHEMAX=BLOCK_CACHE), TileReader(source) as reader:
        check_target(path, reader, overwrite)
        place = on_grid(Path(source), reader.georeference)
        check_size(source, _BYTES * reader.shape[0] * reader.shape[1])
        ids, means = _components(reader, limit)
    shapes = _outlines(ids, tolerance)
    shapes = shapely.transform(shapes, place.places)
    _write(path, shapes, {"area_m2": _square_metres(shapes, place, ids.shape), "mean_probability": means}, place.crs)
    return path


def _components(reader: TileReader, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Int32 `(H, W)` numbers of the components from 1 on, and their mean probabilities."""
    labels = np.zeros(reader.shape, bool)
    for rows, values in _strips(reader):
        labels[rows] = values > threshold  # false for NaN
    ids = connected_components(labels, 1)
    sums, counts = np.zeros((2, int(ids.max()) + 1))
    for rows, values in _strips(reader):
        sums += np.bincount(ids[rows].ravel(), np.nan_to_num(values).ravel(), len(sums))
        counts += np.bincount(ids[rows].ravel(), minlength=len(counts))
    return ids, sums[1:] / counts[1:]


def _strips(reader: TileReader) -> Iterator[tuple[slice, np.ndarray]]:
    for rows, columns in reader.strips():
        values = reader.stored(rows, columns)
        if len(values) != 1 or values.dtype.kind != "f" or ((values < 0) | (values > 1)).any():
            raise ValueError(
                f"{reader.files[0]} must hold probabilities in one band of floating point, got {len(values)} of "
                f"{values.dtype} from {np.nanmin(values):g} to {np.nanmax(values):g}; predict with output='values'"
            )
        yield rows, values[0]


def _outlines(ids: np.ndarray, tolerance: float) -> np.ndarray:
    """Polygons of shapely `(N,)`, in pixels (column, row), by the numbers of their components."""
    shapely = import_shapely()
    found: list[Any] = [None] * int(ids.max())
    for shape, number in import_rasterio().features.shapes(ids, ids > 0, connectivity=4):
        shell, *holes = shape["coordinates"]
        found[int(number) - 1] = shapely.Polygon(shell, holes)
    exact = np.array(found, dtype=object)
    simple = shapely.simplify(exact, tolerance)
    # an outline must not cross another, which the simplification of many holes may do
    return np.where(shapely.is_valid(simple), simple, exact)


def _square_metres(shapes: np.ndarray, place: Georeference, shape: tuple[int, ...]) -> np.ndarray:
    """Areas on the ground, in the azimuthal equal-area projection of Lambert around the middle of the tile."""
    rasterio, shapely = import_rasterio(), import_shapely()
    plane = place.plane("laea", (shape[1] / 2, shape[0] / 2))
    moved = shapely.transform(
        shapes, lambda points: np.column_stack(rasterio.warp.transform(place.crs, plane, *points.T))
    )
    areas: np.ndarray = shapely.area(moved)
    return areas


def _write(path: Path, shapes: np.ndarray, columns: dict[str, np.ndarray], crs: Any) -> None:
    file = io.BytesIO()  # GDAL leaves files of its own beside one that it is killed at
    import_pyogrio().raw.write(
        file, import_shapely().to_wkb(shapes), list(columns.values()), list(columns), driver="GPKG", layer=path.stem,
        geometry_type="Polygon", crs=crs.to_wkt(),
    )  # fmt: skip
    write_bytes(path, file.getvalue())
