"""Tiny GeoTIFFs and downloads made of them, with the names that the real ones have."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs need rasterio, the extra remote")

from affine import Affine  # noqa: E402 - comes with rasterio

from monai_boundary.datasets.remote import POTSDAM_CLASSES  # noqa: E402
from monai_boundary.datasets.remote.georeference import without_georeference_warning  # noqa: E402

PLACE = Affine(0.3, 0.0, 500000.0, 0.0, -0.3, 5800000.0)
ELSEWHERE = Affine(0.3, 0.0, 500009.0, 0.0, -0.3, 5800000.0)  # 30 pixels to the right
CRS = "EPSG:32633"
COLOURS = np.array(list(POTSDAM_CLASSES.values()), np.uint8)


def write(path: Path, array: np.ndarray, place: Affine | None = PLACE, **options) -> Path:
    """Write an array `(C, H, W)`, or `(H, W)`, as GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = array if array.ndim == 3 else array[None]
    spot = {"driver": "GTiff", **({} if place is None else {"crs": CRS, "transform": place}), **options}
    count, height, width = bands.shape
    with without_georeference_warning(), rasterio.open(
        path, "w", height=height, width=width, count=count, dtype=bands.dtype, **spot
    ) as file:  # fmt: skip
        file.write(bands)
    return path


def image(seed: int = 0, shape: tuple[int, int] = (24, 32), channels: int = 3, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (channels, *shape)).astype(dtype)


def colours(labels: np.ndarray) -> np.ndarray:
    """Potsdam's colours `(3, H, W)` of labels `(H, W)`."""
    return np.ascontiguousarray(COLOURS[labels].transpose(2, 0, 1))


def classes(seed: int = 0, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 6, shape)


def read(path: Path) -> np.ndarray:
    with without_georeference_warning(), rasterio.open(path) as file:
        return file.read()


def inria(root: Path, numbers: tuple[int, ...] = (1, 5, 6, 36)) -> Path:
    """Two cities with masks and one without."""
    folder = root / "AerialImageDataset"
    for city in ("austin", "tyrol-w"):
        for number in numbers:
            write(folder / "train" / "images" / f"{city}{number}.tif", image(number))
            buildings = (image(number + 50, channels=1) > 127).astype(np.uint8) * 255
            write(folder / "train" / "gt" / f"{city}{number}.tif", buildings)
    for number in (1, 2):
        write(folder / "test" / "images" / f"sfo{number}.tif", image(number))
    return folder


def potsdam(root: Path, places: tuple[str, ...] = ("2_10", "7_9", "2_13")) -> Path:
    """All kinds of files; the surface model's names have leading zeros."""
    for number, place in enumerate(places):
        row, column = place.split("_")
        four = image(number, channels=4)
        write(root / "4_Ortho_RGBIR" / f"top_potsdam_{place}_RGBIR.tif", four)
        write(root / "2_Ortho_RGB" / f"top_potsdam_{place}_RGB.tif", four[:3])
        write(root / "1_DSM" / f"dsm_potsdam_{int(row):02d}_{int(column):02d}.tif", four[:1].astype(np.float32) / 7)
        labels = colours(classes(number))
        write(root / "5_Labels_all" / f"top_potsdam_{place}_label.tif", labels)
        labels[:, :2] = 0
        write(root / "5_Labels_all_noBoundary" / f"top_potsdam_{place}_label_noBoundary.tif", labels)
    return root


def box(left: float, top: float, right: float, bottom: float, place: Affine = PLACE):
    """A rectangle of shapely between places in pixels."""
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return polygon(corners, place)


def polygon(corners, place: Affine = PLACE, holes=()):
    """A polygon of shapely with corners (column, row) in pixels."""
    shapely = pytest.importorskip("shapely", reason="polygons need shapely, the extra remote")
    return shapely.Polygon(spots(corners, place), [spots(hole, place) for hole in holes])


def spots(pixels, place: Affine = PLACE) -> list[tuple[float, float]]:
    """Places of (column, row), one by one."""
    return [(place.a * c + place.b * r + place.c, place.d * c + place.e * r + place.f) for c, r in pixels]


def vectors(path: Path, shapes: list, crs: str | None = CRS, driver: str | None = None, layer: str | None = None):
    """Write shapes as pyogrio does, to the format of the ending; ``None`` is a feature without geometry."""
    pyogrio = pytest.importorskip("pyogrio", reason="vector files need pyogrio, the extra remote")
    import shapely

    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {shape.geom_type for shape in shapes if shape is not None} or {"Polygon"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # without a reference system
        pyogrio.raw.write(
            path, shapely.to_wkb(np.array(shapes, object)), [np.arange(len(shapes))], ["number"], layer=layer,
            geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown", crs=crs, driver=driver,
            append=layer is not None and path.exists(),
        )  # fmt: skip
    return path


def moved(shapes: list, source: str, target: str) -> list:
    """Shapes in another reference system, corner by corner."""
    import shapely

    def move(points: np.ndarray) -> np.ndarray:
        return np.column_stack(rasterio.warp.transform(source, target, *points.T))

    return list(shapely.transform(np.array(shapes, object), move))
