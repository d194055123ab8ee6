"""Masks from polygons: pixel by pixel as shapely says, and every fault of a vector file by its name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.cli import main
from monai_boundary.datasets.remote import (
    PolygonWarning,
    TileWindows,
    inria_tiles,
    rasterize,
    rasterize_folder,
    read_polygons,
)
from tests.datasets.remote import files

shapely = pytest.importorskip("shapely", reason="polygons need shapely, the extra remote")
pytest.importorskip("pyogrio", reason="vector files need pyogrio, the extra remote")

SHAPE = (24, 32)
DEGREES = "EPSG:4326"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return files.write(tmp_path / "images" / "town.tif", files.image(shape=SHAPE))


def houses() -> list:
    """Two buildings off the pixels' edges, one of them with a court, and one that leaves the image."""
    court = ((14.3, 6.3), (17.6, 6.3), (17.6, 9.8), (14.3, 9.8))
    return [
        files.polygon(((2.2, 3.3), (9.7, 1.4), (11.1, 8.2), (3.4, 9.9))),
        files.polygon(((12.3, 4.1), (20.8, 4.1), (20.8, 12.6), (12.3, 12.6)), holes=[court]),
        files.box(27.4, 15.6, 50, 60),
    ]


def centres_inside(shapes: list, crs: str = files.CRS) -> np.ndarray:
    """What a mask is: pixels whose centre, moved to the system of the polygons, lies in one of them."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    x, y = np.array(files.spots(zip(columns.ravel(), rows.ravel(), strict=True))).T
    x, y = files.rasterio.warp.transform(files.CRS, crs, x, y)
    return shapely.contains_xy(shapely.union_all(shapes), x, y).reshape(SHAPE)


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.shp", "a.fgb"])
def test_a_mask_holds_the_pixels_whose_centres_lie_inside(name: str, image: Path, tmp_path: Path) -> None:
    system = DEGREES if name == "a.geojson" else files.CRS
    shapes = files.moved(houses(), files.CRS, system) if name == "a.geojson" else houses()
    polygons = read_polygons(files.vectors(tmp_path / name, shapes, system))
    assert rasterize(image, polygons, tmp_path / "mask.tif") == 3
    truth = centres_inside(houses())
    assert 100 < truth.sum() < 250
    np.testing.assert_array_equal(files.read(tmp_path / "mask.tif")[0], truth * 255)
    with files.rasterio.open(tmp_path / "mask.tif") as file:
        assert (file.crs.to_epsg(), file.transform) == (32633, files.PLACE)


def test_all_touched_holds_every_pixel_that_a_polygon_touches(image: Path, tmp_path: Path) -> None:
    shapes = [*houses(), files.box(22.2, 3.1, 22.4, 20.7)]  # a wall that holds no centre
    polygons = read_polygons(files.vectors(tmp_path / "a.gpkg", shapes))
    rasterize(image, polygons, tmp_path / "mask.tif", all_touched=True)
    whole = shapely.union_all(shapes)
    truth = [[whole.intersects(files.box(c, r, c + 1, r + 1)) for c in range(SHAPE[1])] for r in range(SHAPE[0])]
    np.testing.assert_array_equal(files.read(tmp_path / "mask.tif")[0], np.array(truth) * 255)
    rasterize(image, polygons, tmp_path / "mask.tif", overwrite=True)
    np.testing.assert_array_equal(files.read(tmp_path / "mask.tif")[0], centres_inside(shapes) * 255)


def test_strips_of_rows_make_the_mask_of_the_whole(monkeypatch, image: Path, tmp_path: Path) -> None:
    import sys

    polygons = read_polygons(files.vectors(tmp_path / "a.gpkg", houses()))
    monkeypatch.setattr(sys.modules["monai_boundary.datasets.remote.rasterize"], "_STRIP", 5)
    rasterize(image, polygons, tmp_path / "mask.tif")
    np.testing.assert_array_equal(files.read(tmp_path / "mask.tif")[0], centres_inside(houses()) * 255)


@pytest.mark.parametrize("system", [DEGREES, "EPSG:3857", "EPSG:25832"])
def test_a_straight_line_of_another_system_bends_as_it_does_there(system: str, tmp_path: Path) -> None:
    """A triangle of 300 km whose side crosses the image: its ends alone would put it metres aside."""
    place = files.Affine(10, 0, 500000, 0, -10, 5800000)
    image = files.write(tmp_path / "wide.tif", files.image(shape=SHAPE), place)
    ends = [(-15000, -9000), (15016, 9017), (-15000, 9000)]  # pixels; the first side passes the middle
    x, y = files.rasterio.warp.transform(files.CRS, system, *np.array(files.spots(ends, place)).T)
    # to cross the image in the other system, where the line between the ends passes elsewhere
    middle = np.ravel(files.rasterio.warp.transform(files.CRS, system, *np.array(files.spots([(16, 12)], place)).T))
    corners = np.column_stack([x, y]) + middle - np.mean([[x[0], y[0]], [x[1], y[1]]], axis=0)
    triangle = shapely.Polygon(corners)
    rasterize(image, read_polygons(files.vectors(tmp_path / "a.gpkg", [triangle], system)), tmp_path / "mask.tif")
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    spots = np.array(files.spots(zip(columns.ravel(), rows.ravel(), strict=True), place))
    x, y = files.rasterio.warp.transform(files.CRS, system, *spots.T)
    truth = shapely.contains_xy(triangle, x, y).reshape(SHAPE)
    assert 0.2 < truth.mean() < 0.8
    np.testing.assert_array_equal(files.read(tmp_path / "mask.tif")[0], truth * 255)


def test_polygons_that_cross_themselves_are_repaired_and_named(image: Path, tmp_path: Path) -> None:
    bow = files.polygon(((2, 2), (12, 12), (12, 2), (2, 12)))
    path = files.vectors(tmp_path / "a.geojson", files.moved([houses()[2], bow], files.CRS, DEGREES), DEGREES)
    with pytest.warns(PolygonWarning, match=r"a.geojson: 1 feature \(1\) repaired, as their outlines cross themselves"):
        polygons = read_polygons(path)
    rasterize(image, polygons, tmp_path / "mask.tif")
    wings = [files.polygon(((2, 2), (7, 7), (2, 12))), files.polygon(((12, 2), (12, 12), (7, 7)))]
    inside = centres_inside([w.buffer(1e-6) for w in wings]), centres_inside([w.buffer(-1e-6) for w in wings])
    mask = files.read(tmp_path / "mask.tif")[0][:, :20] > 0
    assert (mask <= inside[0][:, :20]).all()
    assert (mask >= inside[1][:, :20]).all()


def test_what_is_no_polygon_is_left_out_and_named(tmp_path: Path) -> None:
    shapes = [None, houses()[0], shapely.Point(500001, 5799999), shapely.MultiPolygon(houses()[1:])]
    path = files.vectors(tmp_path / "a.gpkg", shapes)
    with pytest.warns(PolygonWarning, match=r"a.gpkg: 2 features \(1, 3\) left out, as they are no polygons"):
        polygons = read_polygons(path)
    assert [shape.geom_type for shape in polygons.shapes] == ["Polygon", "MultiPolygon"]
    assert len(polygons.notes) == 1


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


LINE = [[0, 0], [1, 1]]
#: What is done to a file of polygons, the name of the file, and the message.
FAULTS: list[tuple[str, Callable[[Path], object], dict, str]] = [
    ("a.geojson", lambda path: cut(path, 0.6), {}, "a.geojson must be a complete vector file, got: .*; download"),
    ("a.gpkg", lambda path: cut(path, 0.6), {}, "a.gpkg must be a complete vector file, got: .*; download or copy"),
    ("a.shp", lambda path: cut(path, 0.6), {}, r"a.shp must have the \d+ bytes that its header says, got \d+; copy"),
    ("a.shp", lambda path: cut(path.with_suffix(".shx"), 0.6), {}, "a.shp must be a complete vector file, got: "),
    ("a.shp", lambda path: cut(path.with_suffix(".dbf"), 0.6), {}, "a.shp must be a complete vector file, got: "),
    ("a.shp", lambda path: path.with_suffix(".shx").unlink(), {}, "a.shp must be a complete vector file, got: .*shx"),
    ("a.shp", lambda path: path.with_suffix(".prj").unlink(), {}, "a.shp must have a reference system, got none; put"),
    *((name, lambda path: path.write_bytes(b""), {}, f"{name} must be a complete vector file, got: .* not recognized")
      for name in ("a.geojson", "a.gpkg", "a.shp")),
    ("a.gpkg", lambda _: None, {"layer": "roofs"}, "layer must be one of 'a' for .*a.gpkg, got 'roofs'"),
    ("a.gpkg", lambda path: files.vectors(path, houses(), layer="b"), {}, "layer must be one of 'a', 'b' .* got None"),
    ("a.gpkg", lambda _: None, {"crs": "UTM"}, "crs of .*a.gpkg must be a reference system such as .* got 'UTM'"),
    ("a.gpkg", lambda path: files.vectors(path, [shapely.LineString(LINE)]), {}, "must hold polygons, got LineString;"),
    ("a.geojson", lambda path: files.vectors(path, [shapely.Point(1, 1), None], DEGREES), {}, "got None, Point; "),
    ("a.geojson", lambda path: files.vectors(path, houses(), DEGREES), {},
     r"a.geojson must hold degrees, as its reference system is EPSG:4326, got \(50000\d.*\); pass the right one"),
    ("a.gpkg", lambda path: files.vectors(path, [shapely.Polygon([(0, 0), (np.inf, 1), (1, 0)])]), {},
     "a.gpkg must hold finite coordinates, got NaN or infinity"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "options", "message"), FAULTS)
def test_a_faulty_vector_file_is_named(name: str, damage, options: dict, message: str, tmp_path: Path) -> None:
    system = DEGREES if name == "a.geojson" else files.CRS
    path = files.vectors(tmp_path / name, files.moved(houses(), files.CRS, system), system)
    assert len(read_polygons(path).shapes) == 3
    damage(path)
    with pytest.raises(ValueError, match=message):
        read_polygons(path, **options)


def test_a_vector_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.gpkg does not exist; check the path"):
        read_polygons(tmp_path / "no.gpkg")


def test_the_system_of_a_file_may_be_said(image: Path, tmp_path: Path) -> None:
    polygons = read_polygons(files.vectors(tmp_path / "a.geojson", houses(), DEGREES), crs=files.CRS)
    rasterize(image, polygons, tmp_path / "mask.tif")
    np.testing.assert_array_equal(files.read(tmp_path / "mask.tif")[0], centres_inside(houses()) * 255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"place": None}, "in.tif must have a reference system, got none; set it with gdal_edit.py"),
        ({"place": files.Affine(0.3, 0, 600000, 0, -0.3, 5800000)},
         r"a.gpkg must have a polygon on .*in.tif, got 3 elsewhere; check that EPSG:32633 is its reference system"),
        ({"place": None, "gcps": [files.rasterio.control.GroundControlPoint(r, c, *files.spots([(c, r)])[0])
                                  for r, c in ((0, 0), (0, 30), (20, 0))], "crs": files.CRS},
         "in.tif must lie on the grid of its reference system, got ground control points"),
    ],
)  # fmt: skip
def test_an_image_without_its_place_is_named(options: dict, message: str, tmp_path: Path) -> None:
    polygons = read_polygons(files.vectors(tmp_path / "a.gpkg", houses()))
    source = files.write(tmp_path / "in.tif", files.image(shape=SHAPE), **options)
    with pytest.raises(ValueError, match=message):
        rasterize(source, polygons, tmp_path / "mask.tif")
    assert not (tmp_path / "mask.tif").exists()
    if "a.gpkg" in message:
        assert rasterize(source, polygons, tmp_path / "mask.tif", allow_empty=True) == 0
        assert not files.read(tmp_path / "mask.tif").any()


# Folders


def shifted(columns: int) -> files.Affine:
    return files.Affine(0.3, 0, 500000 + 0.3 * columns, 0, -0.3, 5800000)


@pytest.fixture
def images(image: Path) -> Path:
    files.write(image.parent / "east.tif", files.image(shape=SHAPE), shifted(32))
    files.write(image.parent / "far.tif", files.image(shape=SHAPE), shifted(5000))
    return image.parent


def test_one_file_serves_all_images_of_a_folder(images: Path, tmp_path: Path) -> None:
    path = files.vectors(tmp_path / "a.geojson", files.moved(houses(), files.CRS, DEGREES), DEGREES)
    result = rasterize_folder(images, path, tmp_path / "masks", progress=False)
    assert (result.written, result.failed, result.notes) == ({"east": 1, "far": 0, "town": 3}, {}, [])
    np.testing.assert_array_equal(files.read(tmp_path / "masks" / "town.tif")[0], centres_inside(houses()) * 255)
    (tmp_path / "masks" / "far.tif").unlink()
    again = rasterize_folder(images, path, tmp_path / "masks", progress=False)
    assert (again.written, again.kept) == ({"far": 0}, ["east", "town"])
    assert len(rasterize_folder(images, path, tmp_path / "masks", overwrite=True, progress=False).written) == 3


def test_files_beside_images_serve_each_its_own(images: Path, tmp_path: Path) -> None:
    for name, shapes in (("town", houses()), ("east", []), ("spare", houses())):
        files.vectors(images / f"{name}.gpkg", shapes)
    (images / "far.gpkg").write_bytes((images / "town.gpkg").read_bytes())
    files.write(images / "alone.tif", files.image(shape=SHAPE))
    files.vectors(images / "partly.gpkg", [*houses(), files.box(100, 5, 120, 25)])
    files.write(images / "partly.tif", files.image(shape=SHAPE))
    result = rasterize_folder(images, images, tmp_path / "masks", progress=False)
    assert result.written == {"east": 0, "partly": 3, "town": 3}
    assert set(result.failed) == {"alone", "far"}
    assert "must have a vector file of its name in" in result.failed["alone"]
    assert "must have a polygon on" in result.failed["far"]
    assert [note.replace(str(images), "") for note in result.notes] == [
        "/spare.gpkg belongs to no image of ", "/partly.gpkg: 1 of 4 polygons lie outside of /partly.tif"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([], "a.gpkg must hold polygons, got an empty layer"),
        (
            [files.Affine(1, 0, 0, 0, -1, 0)],
            "a.gpkg must have a polygon on an image of .*, got 1 elsewhere; check",
        ),
    ],
)
def test_one_file_without_any_polygon_on_the_images_is_refused(vectors, message, images: Path, tmp_path: Path) -> None:
    path = files.vectors(tmp_path / "a.gpkg", [files.box(1, 1, 9, 9, place) for place in vectors])
    with pytest.raises(ValueError, match=message):
        rasterize_folder(images, path, tmp_path / "masks", progress=False)
    assert not (tmp_path / "masks").exists()


def test_two_files_of_one_name_are_refused(images: Path, tmp_path: Path) -> None:
    files.vectors(images / "town.gpkg", houses())
    files.vectors(images / "town.shp", houses())
    with pytest.raises(ValueError, match=r"vectors must have names of their own, got .*town.gpkg and .*town.shp"):
        rasterize_folder(images, images, tmp_path / "masks", progress=False)
    shutil.copytree(images, images / "copy", ignore=shutil.ignore_patterns("copy"))
    with pytest.raises(ValueError, match=r"images must have names of their own, got .*east.tif and .*east.tif"):
        rasterize_folder(images, images / "town.gpkg", tmp_path / "masks", progress=False)
    with pytest.raises(ValueError, match=r"images must be an image or a folder of .* got none in .*masks"):
        rasterize_folder(tmp_path / "masks", images, tmp_path / "masks", progress=False)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist; check the path"):
        rasterize_folder(images / "town.tif", tmp_path / "nowhere", tmp_path / "masks", progress=False)


def test_the_command_says_what_it_did(images: Path, tmp_path: Path, capsys) -> None:
    bow = files.polygon(((2, 2), (12, 12), (12, 2), (2, 12)))
    path = files.vectors(tmp_path / "a.gpkg", [*houses(), bow])
    main(["rasterize", str(images), str(path), str(tmp_path / "masks"), "--all-touched"], standalone_mode=False)
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 1 feature (4) repaired, as their outlines cross themselves",
        f"wrote 3 masks with 5 polygons to {tmp_path / 'masks'}",
        "without a polygon: far",
    ]
    (images / "east.tif").write_bytes(b"II*\0")
    with pytest.raises(SystemExit):
        main(["rasterize", str(images), str(path), str(tmp_path / "masks"), "--force"])
    assert "error: 1 image has no mask: east: " in capsys.readouterr().err


def test_masks_from_polygons_train_as_those_of_inria(tmp_path: Path) -> None:
    files.inria(tmp_path)
    folder = tmp_path / "AerialImageDataset" / "train"
    shutil.rmtree(folder / "gt")
    rasterize_folder(folder / "images", files.vectors(tmp_path / "a.gpkg", houses()), folder / "gt", progress=False)
    item = TileWindows(inria_tiles(tmp_path), 24)[0]
    np.testing.assert_array_equal(item["label"][0], centres_inside(houses())[:, :24])
