"""From polygons to masks: on the grid of an image, or of every image of a folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from monai_boundary.datasets.checks import data_files
from monai_boundary.datasets.remote.georeference import import_rasterio, on_grid
from monai_boundary.datasets.remote.polygons import (
    VECTOR_ENDINGS,
    Polygons,
    PolygonWarning,
    import_shapely,
    read_polygons,
)
from monai_boundary.datasets.remote.raster import TileReader
from monai_boundary.datasets.remote.tiles import image_files
from monai_boundary.datasets.remote.writing import BLOCK_CACHE, check_target, write_raster

__all__ = ["RasterizedFolder", "rasterize", "rasterize_folder"]

_STRIP = 1024  # rows drawn at once
_BENDS = 32  # parts of an image's diagonal in which a straight line may become a curve of another reference system


@dataclass
class RasterizedFolder:
    """What became of the images of a folder.

    Args:
        written: Number of polygons on each image, by its name.
        kept: Images whose masks are those of an earlier run.
        failed: Reason by image of which there is no mask.
        notes: What was repaired or left out of the polygons, and files that belong to no image.
    """

    written: dict[str, int] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def rasterize(
    image: str | os.PathLike[str],
    polygons: Polygons,
    target: str | os.PathLike[str],
    all_touched: bool = False,
    allow_empty: bool = False,
    overwrite: bool = False,
) -> int:
    """Write the mask of an image, 255 inside of polygons and 0 elsewhere, as a GeoTIFF on the grid of the image.

    Polygons are moved to the reference system of the image.

    Args:
        image: A file with a reference system.
        polygons: As `read_polygons` returns them.
        target: The file to write; it is there when it is whole.
        all_touched: Draw every pixel that a polygon touches, not only those whose centre it holds.
        allow_empty: Write an empty mask where there are polygons, and none of them touches the image.
        overwrite: Replace `target` where it exists.

    Returns:
        Number of polygons that touch the image.

    Raises:
        ImportError: rasterio or shapely is not installed.
        FileExistsError: `target` exists and `overwrite` is off.
        ValueError: `image` is damaged or lies on no grid of a reference system, or all polygons lie elsewhere.
        OSError: The disk is full.
    """
    path = Path(target)
    with import_rasterio().Env(GDAL_CACHEMAX=BLOCK_CACHE), TileReader(image) as reader:
        check_target(path, reader, overwrite)
        shapes = _on_grid(Path(image), reader, polygons)
        if not len(shapes) and len(polygons.shapes) and not allow_empty:
            raise ValueError(f"{polygons.path} must have a polygon on {image}, got {len(polygons.shapes)} elsewhere; "
                             f"check that {polygons.crs} is its reference system")  # fmt: skip
        write_raster(path, reader, _strips(reader, shapes, all_touched))
    return len(shapes)


def _on_grid(path: Path, reader: TileReader, polygons: Polygons) -> np.ndarray:
    """The polygons that touch the image, in its reference system."""
    rasterio, shapely = import_rasterio(), import_shapely()
    place = on_grid(path, reader.georeference)
    frame = shapely.transform(shapely.box(0, 0, reader.shape[1], reader.shape[0]), place.places)
    if place.crs == polygons.crs:
        return np.asarray(polygons.shapes[np.sort(polygons.tree.query(frame, "intersects"))])
    bounds = rasterio.warp.transform_bounds(place.crs, polygons.crs, *frame.bounds)
    span = float(np.hypot(bounds[2] - bounds[0], bounds[3] - bounds[1]))
    near = shapely.box(*bounds).buffer(span / _BENDS)
    found = polygons.shapes[np.sort(polygons.tree.query(near, "intersects"))]
    # What lies far away may have no place in the other system, and straight lines bend.
    found = shapely.segmentize(shapely.intersection(found, near), span / _BENDS)
    found = shapely.transform(
        found, lambda points: np.column_stack(rasterio.warp.transform(polygons.crs, place.crs, *points.T))
    )
    return np.asarray(found[shapely.intersects(found, frame)])


def _strips(reader: TileReader, shapes: np.ndarray, all_touched: bool) -> Iterator[np.ndarray]:
    """Uint8 `(1, some rows, W)` from top to bottom."""
    rasterio, (height, width), place = import_rasterio(), reader.shape, reader.georeference
    for top in range(0, height, _STRIP):
        strip = np.zeros((min(_STRIP, height - top), width), np.uint8)
        if len(shapes) and place is not None:
            (x, y), affine = place.places(np.array([[0, top]]))[0], place.transform
            corner = type(affine)(affine.a, affine.b, x, affine.d, affine.e, y)
            rasterio.features.rasterize(
                list(shapes), out=strip, transform=corner, all_touched=all_touched, default_value=255
            )
        yield strip[None]


def rasterize_folder(
    images: str | os.PathLike[str],
    vectors: str | os.PathLike[str],
    masks: str | os.PathLike[str],
    *,
    all_touched: bool = False,
    layer: str | None = None,
    crs: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> RasterizedFolder:
    """Write the mask of every image of a folder to ``<name>.tif``; see `rasterize`.

    Masks that are there are kept. An image that has no mask in the end does not stop the others.

    Args:
        images: An image, or a folder, which is searched with all folders in it.
        vectors: A vector file for all images; or a folder with one for each, of its name: ``town6.geojson`` for
            ``town6.tif``. It may be the folder of the images.
        masks: Folder of the masks; made where it does not exist.
        all_touched: See `rasterize`.
        layer: See `read_polygons`.
        crs: See `read_polygons`.
        overwrite: Draw masks again that are there.
        progress: Show a progress bar.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError: There is no image, two have one name, or no image lies where the one vector file has polygons.
    """
    paths, shared = _unique("images", image_files("images", Path(images))), Path(vectors).is_file()
    files = dict.fromkeys((path.stem for path in paths), Path(vectors)) if shared else _vectors(Path(vectors))
    result = RasterizedFolder()
    result.notes += [f"{files[name]} belongs to no image of {images}"
                     for name in sorted(files.keys() - {path.stem for path in paths})]  # fmt: skip
    targets = {path: Path(masks) / f"{path.stem}.tif" for path in paths}
    missing = [path for path in paths if overwrite or not targets[path].exists()]
    result.kept = [path.stem for path in paths if path not in missing]
    polygons = _read(Path(vectors), result, layer, crs) if shared and missing else None
    if polygons is not None and not len(polygons.shapes):
        raise ValueError(f"{vectors} must hold polygons, got an empty layer; choose another file or layer")
    if polygons is not None and not result.kept and not any(_may_touch(path, polygons) for path in missing):
        raise ValueError(f"{vectors} must have a polygon on an image of {images}, got {len(polygons.shapes)} "
                         f"elsewhere; check that {polygons.crs} is its reference system")  # fmt: skip
    for path in tqdm(missing, desc="rasterize", unit="image", disable=not progress):
        try:
            if path.stem not in files:
                raise ValueError(f"{path} must have a vector file of its name in {vectors}, got none; an empty one "
                                 "says that there is no polygon")  # fmt: skip
            own = polygons or _read(files[path.stem], result, layer, crs)
            targets[path].parent.mkdir(parents=True, exist_ok=True)
            count = rasterize(path, own, targets[path], all_touched, allow_empty=shared, overwrite=overwrite)
        except (ValueError, FileNotFoundError, PermissionError) as error:
            result.failed[path.stem] = str(error)
            continue
        result.written[path.stem] = count
        if not shared and count < len(own.shapes):
            result.notes.append(f"{own.path}: {len(own.shapes) - count} of {len(own.shapes)} polygons lie outside of "
                                f"{path}")  # fmt: skip
    return result


def _read(path: Path, result: RasterizedFolder, layer: str | None, crs: str | None) -> Polygons:
    with warnings.catch_warnings():  # as the notes say it
        warnings.simplefilter("ignore", PolygonWarning)
        polygons = read_polygons(path, layer, crs)
    result.notes += polygons.notes
    return polygons


def _may_touch(path: Path, polygons: Polygons) -> bool:
    """Whether a polygon lies on an image; one that cannot be read is named later."""
    try:
        with TileReader(path) as reader:
            return len(_on_grid(path, reader, polygons)) > 0
    except (ValueError, OSError):
        return True


def _vectors(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; check the path")
    return {path.stem: path for path in _unique("vectors", data_files(folder, VECTOR_ENDINGS, below=True))}


def _unique(argument: str, paths: Sequence[Path]) -> list[Path]:
    named: dict[str, Path] = {}
    for path in paths:
        if path.stem in named:
            raise ValueError(f"{argument} must have names of their own, got {named[path.stem]} and {path}; rename one")
        named[path.stem] = path
    return list(paths)
