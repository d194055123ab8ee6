"""Tiles that are no GeoTIFF, or lie elsewhere, and tiles whose bands have ranges of their own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from monai_boundary.bundles.aerial import folder_tiles
from monai_boundary.bundles.aerial_scaling import tile_scaling
from monai_boundary.datasets.remote import IGNORE, Layer, MaskCodes, Tile, TileReader, TileWindows
from monai_boundary.datasets.remote.codes import BINARY
from monai_boundary.datasets.remote.raster import MaskReader
from monai_boundary.evaluation.tiles import evaluate_tiles
from monai_boundary.inference import TileInferer, predict_tile
from tests.datasets.remote import files
from tests.datasets.remote.serving import serving

WHOLE = (slice(0, 24), slice(0, 32))


def identity(batch: torch.Tensor) -> torch.Tensor:
    return batch


def values(path: Path | str, **options) -> np.ndarray:
    with TileReader([folder_tiles(path)[0].layers[0]], **options) as reader:
        return reader.read(*(slice(0, side) for side in reader.shape))


# Formats


def png(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(np.squeeze(array.transpose(1, 2, 0))).save(path)
    return path


@pytest.mark.parametrize("kind", ["png", "grey.png", "jp2", "vrt"])
def test_tiles_of_other_formats_are_read_and_predicted(kind: str, tmp_path: Path) -> None:
    array = files.image(channels=1 if kind == "grey.png" else 3, dtype=np.uint8)
    path = tmp_path / f"town.{kind}"
    if kind.endswith("png"):
        png(path, array)
    elif kind == "jp2":
        files.write(path, array, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
    else:
        files.write(tmp_path / "parts" / "part.tif", array)
        files.rasterio.shutil.copy(tmp_path / "parts" / "part.tif", path, driver="VRT")
    np.testing.assert_array_equal(values(path), array)
    (tile,) = [tile for tile in folder_tiles(tmp_path) if tile.name.startswith("town")]
    predict_tile(tile.layers, tmp_path / "out.tif", identity, TileInferer(16), output="values")
    np.testing.assert_array_equal(files.read(tmp_path / "out.tif"), array)
    with files.without_georeference_warning(), files.rasterio.open(tmp_path / "out.tif") as file:
        assert (file.crs is None) == kind.endswith("png")


def test_sixteen_bits_of_a_png_stay(tmp_path: Path) -> None:
    array = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80
    Image.fromarray(array).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(values(tmp_path / "deep.png")[0], array)


def test_a_mask_may_be_a_png(tmp_path: Path) -> None:
    files.write(tmp_path / "images" / "town.tif", files.image())
    truth = (files.image(7, channels=1) > 127) * np.uint8(255)
    (tmp_path / "masks").mkdir()
    png(tmp_path / "masks" / "town.png", truth)
    (tile,) = folder_tiles(tmp_path / "images", masks=tmp_path / "masks")
    assert tile.split == "training"
    np.testing.assert_array_equal(TileWindows([tile], (24, 32))[0]["label"], truth > 0)


def coloured(path: Path) -> None:
    Image.fromarray(files.image().transpose(1, 2, 0)).quantize(16).save(path)


def vrt_without_its_part(path: Path) -> None:
    part = files.write(path.parent / "parts" / "gone.tif", files.image())
    files.rasterio.shutil.copy(part, path, driver="VRT")
    part.unlink()


def cut(path: Path) -> None:
    driver = {"driver": "JP2OpenJPEG"} if path.suffix == ".jp2" else {"driver": "PNG"}
    files.write(path, files.image(shape=(240, 320)), **driver)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.png", coloured, r"a\.png must hold the values of its channels, got numbers of a colour table; convert it"),
        ("a.vrt", vrt_without_its_part, r"a\.vrt must be a complete image, got: .*gone\.tif.*; download or copy"),
        ("a.png", cut, r"a\.png must be a complete image, got 2000 bytes without an end; download or copy it again"),
        ("a.jp2", cut, r"a\.jp2 must be a complete image, got: .*; download or copy it again"),
        ("a.png", Path.touch, r"a\.png must be a complete image, got 0 bytes without an end; download or copy it"),
        ("a.jp2", lambda path: path.write_text("no"), r"a\.jp2 must be a complete image, got: .*; download or copy"),
        ("a.vrt", lambda path: path.write_text("<VRTDataset"), r"a\.vrt must be a complete image, got: .*; download"),
    ],
)  # fmt: skip
def test_a_damaged_image_is_named(name: str, make, message: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        values(tmp_path / name)


def test_images_of_one_name_and_images_without_a_mask_are_named(tmp_path: Path) -> None:
    files.write(tmp_path / "images" / "town.tif", files.image())
    with pytest.raises(ValueError, match=r"masks must hold a mask for every image, got none for town in .*; draw"):
        folder_tiles(tmp_path / "images", masks=tmp_path / "none")
    png(tmp_path / "images" / "town.png", files.image())
    with pytest.raises(ValueError, match=r"tiles must have names of their own, got town for .*png and .*tif"):
        folder_tiles(tmp_path / "images")


# Addresses


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No proxy, no credentials, no second try."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_NO_SIGN_REQUEST": "YES",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_tiles_are_read_and_predicted_from_a_server(outside, tmp_path: Path) -> None:
    array = files.image(shape=(300, 200))
    files.write(tmp_path / "web" / "town.tif", array, tiled=True, blockxsize=64, blockysize=64)
    with serving(tmp_path / "web") as host:
        (tile,) = folder_tiles(f"http://{host}/town.tif?key=1")
        assert tile.name == "town"
        with TileReader(tile.layers) as reader:
            np.testing.assert_array_equal(reader.read(slice(90, 190), slice(5, 99)), array[:, 90:190, 5:99])
        for overwrite in (False, True):
            predict_tile(tile.layers, tmp_path / "out.tif", identity, TileInferer(64), "values", overwrite=overwrite)
    np.testing.assert_array_equal(files.read(tmp_path / "out.tif"), array)


def test_tiles_are_read_from_an_object_store(outside, tmp_path: Path) -> None:
    files.write(tmp_path / "bucket" / "towns" / "town.tif", files.image())
    with serving(tmp_path) as host:
        outside.setenv("AWS_S3_ENDPOINT", host)
        np.testing.assert_array_equal(values("s3://bucket/towns/town.tif"), files.image())
        with pytest.raises(ValueError, match=r"gone\.tif must be a complete GeoTIFF, got: .*; check the address"):
            values("s3://bucket/towns/gone.tif")


@pytest.mark.parametrize("fault", ["missing", "cut", "no ranges", "nobody"])
def test_an_address_without_a_whole_tile_is_named(fault: str, outside, tmp_path: Path) -> None:
    path = files.write(tmp_path / f"{fault[:2]}.tif", files.image(shape=(300, 200)))
    name = {"missing": "gone.tif"}.get(fault, path.name)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:9000])
    with serving(tmp_path, ranges=fault != "no ranges") as host:
        address = f"http://{'127.0.0.1:9' if fault == 'nobody' else host}/{name}"
        with pytest.raises(ValueError, match=rf"{name} must be a complete GeoTIFF, got: .+; check the address"):
            values(address)


def test_an_address_that_a_path_would_change_is_refused() -> None:
    with pytest.raises(ValueError, match=r"address must not hold // or /\./ after its host, got host/a//b\.tif"):
        folder_tiles("https://host/a//b.tif")


# Ranges


def deep(seed: int = 0) -> np.ndarray:
    """Four bands of uint16 with ranges of their own, and a few values far out."""
    rng = np.random.default_rng(seed)
    array = rng.normal(np.array([300, 900, 2000, 9000])[:, None, None], 50, (4, 24, 32))
    array[:, 0, :2] = 65535
    return array.clip(1).astype(np.uint16)


def test_pairs_put_each_channel_on_one_scale(tmp_path: Path) -> None:
    pairs = [[200, 400], [700, 1000], [0, 4000], [8950, 9050]]
    files.write(tmp_path / "a.tif", deep(), nodata=65535)
    found = values(tmp_path / "a.tif", white=pairs)
    expected = np.stack([np.interp(band, pair, (0, 255)) for band, pair in zip(deep(), pairs, strict=True)])
    expected[:, 0, :2] = 0  # no data
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("white", "message"),
    [
        ([[0, 1]], r"white must hold a pair for each of the 4 channels of .*a\.tif, got 1; choose the bands"),
        ([[1, 0]] * 4, r"white must hold pairs \(black, white\) of finite numbers, black < white, got \[\[1, 0\]"),
        ([[0, 1, 2]] * 4, r"white must hold pairs .* got \[\[0, 1, 2\]"),
        ([[0, np.nan]] * 4, r"white must hold pairs .* got \[\[0, nan\]"),
        ([["a", "b"]] * 4, r"white must hold pairs .* got \[\['a', 'b'\]"),
    ],
)
def test_pairs_that_are_no_scale_are_refused(white, message: str, tmp_path: Path) -> None:
    files.write(tmp_path / "a.tif", deep())
    with pytest.raises(ValueError, match=message):
        values(tmp_path / "a.tif", white=white)


def test_percentiles_are_measured_per_channel_where_there_are_data(tmp_path: Path) -> None:
    paths = [files.write(tmp_path / f"{seed}.tif", deep(seed), nodata=65535) for seed in (1, 2)]
    tiles = [Tile(path.stem, (Layer(path, (4, 1)),), None, "training") for path in paths]
    scaling = tile_scaling(tiles, (5, 90), progress=False)
    some = np.concatenate([deep(seed)[[3, 0], ::2, ::2].reshape(2, -1) for seed in (1, 2)], 1)
    some = some[:, some[0] < 65535].astype(float)
    np.testing.assert_allclose(scaling["white"], np.percentile(some, [5, 90], axis=1).T)
    bytes_ = np.stack([np.interp(band, pair, (0, 255)) for band, pair in zip(some, scaling["white"], strict=True)])
    np.testing.assert_allclose(scaling["subtrahend"], bytes_.mean(1), rtol=1e-5)
    np.testing.assert_allclose(scaling["divisor"], bytes_.std(1), rtol=1e-5)


def test_a_large_tile_is_measured_from_corner_to_corner(tmp_path: Path) -> None:
    array = np.zeros((1, 600, 900), np.uint8)
    array[0, :300] = 100
    array[0, -60:, -60:] = 200
    files.write(tmp_path / "a.tif", array)
    scaling = tile_scaling(folder_tiles(tmp_path), (0, 100), progress=False)
    assert scaling["white"] == [[0, 200]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percentiles": (98, 2)}, r"percentiles must rise and lie in \[0, 100\], got \(98, 2\); such as \(2, 98\)"),
        ({"percentiles": (0, 101)}, "percentiles must rise"),
        ({"percentiles": "2,98"}, "percentiles must be two numbers .* got '2,98'"),
        ({"percentiles": (2,)}, r"percentiles must be two numbers in \[0, 100\], got \(2,\)"),
        ({"percentiles": (2, 98)}, "percentiles must lie apart in every channel, got 7 at both of 2 and 98 in channel"),
        ({"subtrahend": [1.0], "divisor": [1.0, 2.0]}, "must hold one number per channel, got 1 and 2; or measure"),
    ],
)
def test_what_gives_no_scale_is_refused(options: dict, message: str, tmp_path: Path) -> None:
    files.write(tmp_path / "a.tif", np.full((1, 20, 20), 7, np.uint8))
    with pytest.raises(ValueError, match=message):
        tile_scaling(folder_tiles(tmp_path), progress=False, **options)


# Masks of several bands


EIGHT = (slice(0, 8), slice(0, 8))
SQUARE = np.pad(np.full((3, 3), 255, np.uint8), ((2, 3), (2, 3)))


def mask_file(path: Path, bands: dict[int, np.ndarray], count: int, **options) -> Path:
    """A mask of `count` bands, black but for some."""
    array = np.zeros((count, 8, 8), np.uint8)
    for band, values in bands.items():
        array[band - 1] = values
    return files.write(path, array, **options)


@pytest.mark.parametrize("name", ["town.tif", "town.png"])
@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("bands", [(3,), (2,), (1,), (1, 2), (2, 3)])
@pytest.mark.parametrize("count", [3, 4])
def test_colours_are_no_numbers(tmp_path: Path, name: str, nearest: bool, bands: tuple, count: int) -> None:
    alpha = {4: np.full((8, 8), 255)} if count == 4 else {}
    kind = {} if name.endswith("tif") else {"driver": "PNG", "place": None}
    path = mask_file(tmp_path / name, dict.fromkeys(bands, SQUARE) | alpha, count, **kind)
    colour = tuple(255 * (band in bands) for band in (1, 2, 3))
    text = re.escape(f" must hold numbers in one band, or the same in all, got colours, such as {colour}; convert them")
    codes = MaskCodes(BINARY.labels, nearest)
    with MaskReader(path, codes) as reader, pytest.raises(ValueError, match=text):
        reader.labels(*EIGHT)
    named = MaskCodes({(0, 0, 0): 0, colour: 1})  # the remedy
    with MaskReader(path, named) as reader:
        np.testing.assert_array_equal(reader.labels(*EIGHT), SQUARE > 0)


@pytest.mark.parametrize("count", [2, 4])
def test_labels_in_the_alpha_band_alone_are_refused_before_training_and_scores(tmp_path: Path, count: int) -> None:
    path = mask_file(tmp_path / "gt" / "town.tif", {count: SQUARE}, count, ALPHA="YES")
    tile = Tile("town", (Layer(files.write(tmp_path / "pred" / "town.tif", SQUARE)),), path, "training")
    with pytest.raises(ValueError, match=rf"must hold its labels in the first band, got 0 .* in band {count}, such as"):
        TileWindows([tile], (8, 8))
    result = evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False)
    assert "write the labels to a file of one band" in result.failed["town"]
    full = mask_file(tmp_path / "full.tif", {count: 255}, count, ALPHA="YES")
    with MaskReader(full, BINARY) as reader:  # no building
        reader.check_values()
        assert not reader.labels(*EIGHT).any()


def test_grey_in_all_bands_is_read_with_what_is_missing(tmp_path: Path) -> None:
    grey = np.where(SQUARE > 0, np.float32(1), np.float32(0))
    grey[0, 0] = np.nan
    path = files.write(tmp_path / "town.tif", np.stack([grey] * 3), nodata=np.nan)
    with MaskReader(path, BINARY) as reader:
        found = reader.labels(*EIGHT)
    np.testing.assert_array_equal(found, np.where(np.isnan(grey), IGNORE, SQUARE > 0))
