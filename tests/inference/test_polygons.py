"""Polygons of predictions: the pixels they came from, square metres by closed form, holes, and refusals by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from monai_boundary.inference import polygonize
from tests.datasets.remote import files

shapely = pytest.importorskip("shapely", reason="polygons need shapely, the extra remote")
pyogrio = pytest.importorskip("pyogrio", reason="GeoPackages need pyogrio, the extra remote")

SHAPE = (40, 50)


def read(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray], dict]:
    facts, _, blobs, columns = pyogrio.raw.read(path)
    return shapely.from_wkb(blobs), dict(zip(facts["fields"], columns, strict=True)), facts


def values(seed: int, share: float = 0.5, smooth: float = 1.0) -> np.ndarray:
    """Probabilities `(1, H, W)` of which a share is above 0.5, in blobs with holes."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), smooth)
    ranks = noise.ravel().argsort().argsort().reshape(SHAPE) / noise.size
    return np.clip(ranks + share - 0.5, 0, 1).astype(np.float32)[None]


def pixels_of(shapes: np.ndarray) -> np.ndarray:
    """Number of the polygon that holds each pixel's centre, from 1, else 0."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    x, y = np.array(files.spots(zip(columns.ravel(), rows.ravel(), strict=True))).T
    held = np.array([shapely.contains_xy(shape, x, y) for shape in shapes]).reshape(-1, *SHAPE)
    assert held.sum(0).max() <= 1
    return (held * np.arange(1, len(shapes) + 1)[:, None, None]).sum(0)


def holes_of(mask: np.ndarray) -> int:
    """Regions of background, by sides and corners, that do not reach the edge."""
    background, count = ndimage.label(~mask, np.ones((3, 3)))
    edges = (background[0], background[-1], background[:, 0], background[:, -1])
    return count - len(set(np.concatenate(edges)) - {0})


@pytest.mark.parametrize("seed", range(6))
def test_polygons_hold_the_pixels_above_the_threshold(seed: int, tmp_path: Path) -> None:
    array = values(seed, share=0.45 + 0.06 * seed, smooth=seed / 3)
    source = files.write(tmp_path / "in.tif", array)
    shapes, columns, facts = read(polygonize(source, tmp_path / "out.gpkg", simplify=0))
    labels, count = ndimage.label(array[0] > 0.5)
    assert (len(shapes), facts["crs"], facts["geometry_type"]) == (count, "EPSG:32633", "Polygon")
    assert shapely.is_valid(shapes).all()
    found = pixels_of(shapes)
    np.testing.assert_array_equal(found > 0, labels > 0)
    assert len(np.unique(np.stack([found, labels]).reshape(2, -1), axis=1).T) == count + (labels == 0).any()
    assert sum(len(shape.interiors) for shape in shapes) >= holes_of(labels > 0) > 0
    means = [array[0][found == number].mean(dtype=np.float64) for number in range(1, count + 1)]
    np.testing.assert_allclose(columns["mean_probability"], means, rtol=1e-12)


def belt(low: float, high: float, degrees: float) -> float:
    """Square metres of WGS 84 between two latitudes, over some degrees of longitude: closed form."""
    flattening = 1 / 298.257223563
    e = math.sqrt(flattening * (2 - flattening))

    def zone(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return s / (1 - (e * s) ** 2) + math.log((1 + e * s) / (1 - e * s)) / (2 * e)

    polar = 6378137.0 * (1 - flattening)
    return polar**2 / 2 * math.radians(degrees) * (zone(high) - zone(low))


def latitude(northing: float) -> float:
    """Of a northing in Web Mercator."""
    return math.degrees(2 * math.atan(math.exp(northing / 6378137.0)) - math.pi / 2)


@pytest.mark.parametrize("system", ["EPSG:4326", "EPSG:3857", "EPSG:32633", "EPSG:2225"])
@pytest.mark.parametrize("north", [60.0, -35.0])
def test_areas_are_square_metres_on_the_ground(system: str, north: float, tmp_path: Path) -> None:
    """A block of 20 x 12 pixels with a hole of 2 x 4, in degrees, in stretched metres, in metres, and in feet."""
    array = np.zeros((1, *SHAPE), np.float32)
    array[0, 10:22, 20:40] = 0.75
    array[0, 14:16, 25:29] = 0
    size = {"EPSG:4326": 3e-6, "EPSG:3857": 0.6, "EPSG:32633": 0.3, "EPSG:2225": 1.0}[system]
    left, top = {
        "EPSG:4326": (13.0, north), "EPSG:3857": (1.4e6, 6378137 * math.asinh(math.tan(math.radians(north)))),
        "EPSG:32633": (500000, 6.6e6), "EPSG:2225": (6561666.7, 2.2e6),
    }[system]  # fmt: skip
    source = files.write(tmp_path / "in.tif", array, files.Affine(size, 0, left, 0, -size, top), crs=system)
    shapes, columns, _ = read(polygonize(source, tmp_path / "out.gpkg", simplify=0))

    def block(rows: tuple[int, int], width: int) -> float:
        high, low = (top - size * row for row in rows)
        if system == "EPSG:4326":
            return belt(low, high, width * size)
        if system == "EPSG:3857":
            return belt(latitude(low), latitude(high), math.degrees(width * size / 6378137))
        scale = 1 / 0.9996 if system == "EPSG:32633" else 1200 / 3937 / 0.9999  # US feet, between two parallels
        return (rows[1] - rows[0]) * width * (size * scale) ** 2

    assert columns["area_m2"] == pytest.approx(block((10, 22), 20) - block((14, 16), 4), rel=1e-4 if size < 1 else 5e-4)
    assert len(shapes[0].interiors) == 1


@pytest.mark.parametrize("simplify", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("system", ["EPSG:32633", "EPSG:4326"])
def test_simpler_outlines_stay_near_and_keep_their_holes(simplify: float, system: str, tmp_path: Path) -> None:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ring = np.hypot(rows - 20, columns - 25)
    array = np.where((ring < 18) & (ring > 1.2), 0.9, 0.1).astype(np.float32)[None]
    size = {"EPSG:32633": 0.3, "EPSG:4326": 3e-6}[system]
    source = files.write(tmp_path / "in.tif", array, files.Affine(size, 0, 13, 0, -size, 52), crs=system)
    (exact,), _, _ = read(polygonize(source, tmp_path / "exact.gpkg", simplify=0))
    (simple,), _, _ = read(polygonize(source, tmp_path / "simple.gpkg", simplify=simplify))
    assert len(simple.interiors) == len(exact.interiors) == 1
    assert simple.is_valid
    assert len(shapely.get_coordinates(simple)) < 0.7 * len(shapely.get_coordinates(exact))
    assert shapely.hausdorff_distance(exact.exterior, simple.exterior) <= simplify * size * (1 + 1e-6)


def test_pixels_without_data_lie_outside(tmp_path: Path) -> None:
    array = np.full((1, *SHAPE), 0.8, np.float32)
    array[0, :, 20:] = np.nan
    source = files.write(tmp_path / "in.tif", array, nodata=np.nan)
    shapes, columns, _ = read(polygonize(source, tmp_path / "out.gpkg"))
    np.testing.assert_array_equal(pixels_of(shapes) > 0, ~np.isnan(array[0]))
    assert columns["mean_probability"] == pytest.approx(0.8)


def test_a_prediction_without_buildings_is_a_layer_without_polygons(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.tif", np.zeros((1, *SHAPE), np.float32))
    shapes, columns, facts = read(polygonize(source, tmp_path / "out.gpkg"))
    assert (len(shapes), facts["crs"], list(columns)) == (0, "EPSG:32633", ["area_m2", "mean_probability"])


POINTS = [files.rasterio.control.GroundControlPoint(r, c, *files.spots([(c, r)])[0])
          for r, c in ((0, 0), (0, 30), (20, 0))]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "options", "kind", "message"),
    [
        ({"array": files.image(shape=SHAPE, channels=1)}, {}, ValueError,
         r"in\.tif must hold probabilities in one band of floating point, got 1 of uint8 from 0 to 255; predict with"),
        ({"array": np.zeros((2, *SHAPE), np.float32)}, {}, ValueError, "got 2 of float32 from 0 to 0"),
        ({"array": values(0) * 4}, {}, ValueError, r"got 1 of float32 from 0 to 3\.\d+; predict with"),
        ({"place": None}, {}, ValueError, r"in\.tif must have a reference system, got none; set it with gdal_edit"),
        ({"place": None, "gcps": POINTS, "crs": files.CRS}, {}, ValueError, "must lie on the grid of its reference"),
        ({}, {"target": "in.tif", "overwrite": True}, ValueError, "target must not be a file of the source"),
        ({}, {"target": "old.gpkg"}, FileExistsError, r"old\.gpkg must not exist yet; choose another name or pass"),
        ({}, {"target": "no/out.gpkg"}, FileNotFoundError, "folder of target must exist, got .*no; make it first"),
        ({}, {"source": "gone.tif"}, FileNotFoundError, r"gone\.tif does not exist; check the path"),
        ({}, {"threshold": 1.5}, ValueError, "threshold must .* got 1.5"),
        ({}, {"simplify": -1}, ValueError, "simplify must .* got -1"),
    ],
)  # fmt: skip
def test_what_gives_no_polygons_is_refused(changes: dict, options: dict, kind, message: str, tmp_path: Path) -> None:
    files.write(tmp_path / "in.tif", **{"array": values(0), **changes})
    (tmp_path / "old.gpkg").write_bytes(b"old")
    paths = {
        name: tmp_path / options.pop(name, default) for name, default in (("source", "in.tif"), ("target", "out.gpkg"))
    }
    with pytest.raises(kind, match=message):
        polygonize(**paths, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tif", "old.gpkg"]


def test_a_damaged_file_leaves_what_was_there(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.tif", values(0))
    source.write_bytes(source.read_bytes()[:4000])
    (tmp_path / "out.gpkg").write_bytes(b"old")
    with pytest.raises(ValueError, match=r"in\.tif must be a complete GeoTIFF, got: "):
        polygonize(source, tmp_path / "out.gpkg", overwrite=True)
    assert (tmp_path / "out.gpkg").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
