"""Pixels without data, places other than an affine, masks whose 255 is no class, and scales of other types."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine

from monai_boundary import BoundaryBandd, BoundaryF1IoULoss
from monai_boundary.bundles.aerial import TilePredictor, folder_tiles, predict_tiles, with_bands
from monai_boundary.datasets.remote import IGNORE, Layer, MaskCodes, Tile, TileReader, TileWindows, potsdam_codes
from monai_boundary.evaluation.tiles import evaluate_tiles
from monai_boundary.inference import TileInferer, predict_tile
from tests.datasets.remote import files

rasterio = files.rasterio
SHAPE = (40, 52)
GAP = np.zeros(SHAPE, bool)
GAP[5:9] = GAP[20:24, 30:] = True
SMALL = TileInferer(16)


def by_tag(path: Path, image: np.ndarray) -> None:
    image[:, GAP] = 7
    image[0, 0, :9] = 7  # in one band it is a value like others
    files.write(path, image, nodata=7)


def by_tag_zero(path: Path, image: np.ndarray) -> None:
    image = np.maximum(image, 1)
    image[:, GAP] = 0
    files.write(path, image, nodata=0)


def by_mask(path: Path, image: np.ndarray) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        files.write(path, image)
        with rasterio.open(path, "r+") as file:
            file.write_mask(~GAP)


def by_mask_beside(path: Path, image: np.ndarray) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        files.write(path, image)
        with rasterio.open(path, "r+") as file:
            file.write_mask(~GAP)
    assert path.with_name(path.name + ".msk").exists()


def by_alpha(path: Path, image: np.ndarray) -> None:
    files.write(path, np.concatenate([image, np.where(GAP, 0, 255).astype(np.uint8)[None]]))


def by_nan(path: Path, image: np.ndarray) -> None:
    values = image.astype(np.float32)
    values[1, GAP] = np.nan
    files.write(path, values)


def by_infinity(path: Path, image: np.ndarray) -> None:
    values = image.astype(np.float32)
    values[2, GAP] = -np.inf
    files.write(path, values, nodata=-1)


def by_tag_of_floats(path: Path, image: np.ndarray) -> None:
    values = image.astype(np.float32)
    values[0, GAP] = -9999
    files.write(path, values, nodata=-9999)


def by_tag_nan(path: Path, image: np.ndarray) -> None:
    values = image.astype(np.float32)
    values[:, GAP] = np.nan
    files.write(path, values, nodata=np.nan)


WAYS = [by_tag, by_tag_zero, by_mask, by_mask_beside, by_alpha, by_nan, by_infinity, by_tag_of_floats, by_tag_nan]


@pytest.fixture
def image(tmp_path: Path) -> Callable[[Callable], Path]:
    def make(way: Callable) -> Path:
        way(tmp_path / "image.tif", files.image(1, SHAPE))
        return tmp_path / "image.tif"

    return make


@pytest.mark.parametrize("way", WAYS)
def test_windows_hold_neither_values_nor_labels_where_the_image_has_no_data(way, image, tmp_path: Path) -> None:
    truth = (files.image(2, SHAPE, 1)[0] > 127).astype(np.uint8)
    mask = files.write(tmp_path / "mask.tif", truth)
    tile = Tile("one", (Layer(image(way)),), mask, "training")
    (item,) = TileWindows([tile], SHAPE)
    assert item["image"].shape == (3, *SHAPE)
    np.testing.assert_array_equal(item["label"][0], np.where(GAP, IGNORE, truth))
    assert not item["image"][:, GAP].any()
    assert np.isfinite(item["image"]).all()
    with TileReader(tile.layers) as reader:
        np.testing.assert_array_equal(item["image"][:, ~GAP], reader.stored(slice(0, 40), slice(0, 52))[:, ~GAP])


def test_training_ignores_what_has_no_data(image, tmp_path: Path) -> None:
    mask = files.write(tmp_path / "mask.tif", (files.image(2, SHAPE, 1)[0] > 127).astype(np.uint8))
    (item,) = TileWindows([Tile("one", (Layer(image(by_nan)),), mask, "training")], SHAPE)
    item = BoundaryBandd("label", num_classes=2, include_background=False, ignore_index=IGNORE)(item)
    label, band = (torch.as_tensor(item[key])[None] for key in ("label", "target_boundary"))
    logits = torch.as_tensor(item["image"])[None, :1].requires_grad_()
    value = BoundaryF1IoULoss(ignore_index=IGNORE)(logits, label, band)
    value.backward()
    assert torch.isfinite(value)
    assert not logits.grad[0, 0, torch.as_tensor(GAP)].any()


def first_band(batch: torch.Tensor) -> torch.Tensor:
    return batch[:, :1] / 255


@pytest.mark.parametrize("way", WAYS)
def test_predictions_have_no_data_where_the_image_has_none(way, image, tmp_path: Path) -> None:
    source, codes = image(way), MaskCodes({0: 0, 255: 1})
    labels = predict_tile(source, tmp_path / "labels.tif", first_band, SMALL, codes=codes)
    values = predict_tile(source, tmp_path / "values.tif", first_band, SMALL, "values")
    plain = predict_tile(source, tmp_path / "plain.tif", first_band, SMALL)
    colours = predict_tile(source, tmp_path / "c.tif", first_band, SMALL, codes=potsdam_codes(classes="buildings"))
    for path in (labels, values, plain, colours):
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.dataset_mask() == 0, GAP, err_msg=path.name)
    with TileReader(source) as reader:
        right = reader.read(slice(0, 40), slice(0, 52))[0][~GAP] / np.float32(255)
    np.testing.assert_allclose(files.read(values)[0][~GAP], right, rtol=1e-5)
    np.testing.assert_array_equal(files.read(labels)[0][~GAP], np.where(right > 0.5, 255, 0))
    assert np.unique(files.read(labels)[0][GAP]).tolist() == [127]
    assert np.unique(files.read(plain)[0][GAP]).tolist() == [IGNORE]


def test_values_without_data_do_not_reach_the_network(image, tmp_path: Path) -> None:
    """What stands in a gap changes nothing around it."""
    smooth = torch.nn.AvgPool2d(5, 1, 2)
    found = []
    for fill in (7, 200):
        values = np.where(GAP, fill, np.clip(files.image(1, SHAPE), 8, 199))
        source = files.write(tmp_path / f"{fill}.tif", values.astype(np.uint8), nodata=fill)
        found.append(files.read(predict_tile(source, tmp_path / f"p{fill}.tif", smooth, SMALL, "values")))
    np.testing.assert_array_equal(*found)
    assert np.isnan(found[0][:, GAP]).all()


def test_a_file_that_says_nothing_of_data_gives_a_file_that_says_nothing(tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.tif", files.image(1, SHAPE))
    with rasterio.open(predict_tile(source, tmp_path / "out.tif", first_band, SMALL)) as file:
        assert file.nodata is None
        assert (file.dataset_mask() == 255).all()


@pytest.mark.parametrize("side", ["pred", "gt"])
def test_pixels_without_data_are_not_scored(side: str, tmp_path: Path) -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[12:18, 5:30] = 1
    truth[GAP] = 1
    wrong = np.where(GAP, 0, truth).astype(np.uint8)
    nodata = {"pred": 127, "gt": 255}[side]
    for folder, mask in (("pred", wrong), ("gt", truth)):
        tagged = folder == side
        values = np.where(GAP & tagged, nodata, mask * (1 if tagged and side == "gt" else 255)).astype(np.uint8)
        files.write(tmp_path / folder / "a1.tif", values, **({"nodata": nodata} if tagged else {}))
    result = evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False)
    assert result.failed == {}
    assert (result.iou, result.rows["a1"].boundary.f1) == (1, 1)


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_mask_of_0_and_1_whose_255_says_nothing_is_refused(nodata, tmp_path: Path) -> None:
    """In one window it cannot be told from a building of a mask of 0 and 255."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 3:9], mask[30:, 40:] = 1, 255
    image, path = files.write(tmp_path / "image.tif", files.image(1, SHAPE)), tmp_path / "gt" / "a1.tif"
    files.write(path, mask, nodata=nodata)
    with pytest.raises(ValueError, match=r"a1.tif must hold one of the values 1 and 255 .*-a_nodata 255.*255: 255"):
        TileWindows([Tile("one", (Layer(image),), path, "training")], 8)
    files.write(tmp_path / "pred" / "a1.tif", np.where(mask == 1, 255, 0).astype(np.uint8))
    assert "must hold one of" in evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False).failed["a1"]
    codes = MaskCodes({0: 0, 1: 1, 255: IGNORE})
    (item,) = TileWindows([Tile("one", (Layer(image),), path, "training", codes)], SHAPE)
    np.testing.assert_array_equal(item["label"][0], mask)
    files.write(path, mask, nodata=255)
    (item,) = TileWindows([Tile("one", (Layer(image),), path, "training")], SHAPE)
    np.testing.assert_array_equal(item["label"][0], mask)
    assert evaluate_tiles(tmp_path / "pred", tmp_path / "gt", progress=False).iou == 1


def gcps(shift: float = 0.0) -> dict:
    """Control points of a tile that lies a little askew."""
    corners = [(0, 0), (0, 52), (40, 0), (40, 52)]
    points = [
        rasterio.control.GroundControlPoint(row, column, 500000 + 0.3 * column + 0.1 * row + shift, 5800000 - 0.3 * row)
        for row, column in corners
    ]
    return {"gcps": points, "crs": files.CRS}


def rpcs(**changes) -> dict:
    settings = {
        "height_off": 10.0, "height_scale": 100.0, "lat_off": 52.0, "lat_scale": 0.1, "long_off": 15.0,
        "long_scale": 0.1, "line_off": 20.0, "line_scale": 20.0, "samp_off": 26.0, "samp_scale": 26.0,
        "line_den_coeff": [1.0] + [0.0] * 19, "line_num_coeff": [0.0, 0.0, 1.0] + [0.0] * 17,
        "samp_den_coeff": [1.0] + [0.0] * 19, "samp_num_coeff": [0.0, 1.0] + [0.0] * 18,
    }  # fmt: skip
    return {"rpcs": rasterio.rpc.RPC(**(settings | changes))}


@pytest.mark.parametrize("place", [gcps, rpcs])
def test_points_and_polynomials_are_kept(place: Callable, tmp_path: Path) -> None:
    source = files.write(tmp_path / "in.tif", files.image(1, SHAPE), None, **place())
    path = predict_tile(source, tmp_path / "out.tif", first_band, SMALL)
    with files.without_georeference_warning(), rasterio.open(path) as file, rasterio.open(source) as right:
        assert [(one.row, one.col, one.x, one.y) for one in file.gcps[0]] == [
            (one.row, one.col, one.x, one.y) for one in right.gcps[0]
        ]
        assert file.gcps[1] == right.gcps[1]
        assert (file.rpcs is None) == (right.rpcs is None)
        if right.rpcs is not None:
            assert file.rpcs.to_dict() == right.rpcs.to_dict()
    files.write(tmp_path / "gt" / "in.tif", np.zeros(SHAPE, np.uint8), None, **place())
    assert len(TileWindows([Tile("one", (Layer(source),), tmp_path / "gt" / "in.tif", "training")], SHAPE)) == 1


ELSEWHERE = [
    (gcps(), gcps(9.0), "corners 30 pixels apart"),
    (gcps(), {"crs": files.CRS, "transform": files.PLACE}, "corners 13.* pixels apart"),
    (rpcs(), rpcs(lat_off=53.0), "rational polynomials .* that are not those of both"),
    (rpcs(), {"crs": files.CRS, "transform": files.PLACE}, "rational polynomials .* that are not those of both"),
    ({"crs": files.CRS, "transform": files.PLACE}, {"crs": "EPSG:32632", "transform": files.PLACE},
     "corners .* pixels apart in EPSG:32633 and EPSG:32632"),
    ({"crs": files.CRS, "transform": files.PLACE}, {"crs": "EPSG:4326", "transform": Affine.scale(1e-6)},
     "corners .* apart in EPSG:32633 and EPSG:4326"),
]  # fmt: skip


@pytest.mark.parametrize(("image", "mask", "text"), ELSEWHERE)
def test_a_mask_or_layer_of_another_place_is_refused(image: dict, mask: dict, text: str, tmp_path: Path) -> None:
    first = files.write(tmp_path / "in.tif", files.image(1, SHAPE), None, **image)
    second = files.write(tmp_path / "mask.tif", np.zeros(SHAPE, np.uint8), None, **mask)
    with pytest.raises(ValueError, match=f"mask.tif must lie where its image lies, got {text}; check that both"):
        TileWindows([Tile("one", (Layer(first),), second, "training")], SHAPE)
    with pytest.raises(ValueError, match=r"mask.tif must lie where .*in.tif lies, got "):
        TileReader([Layer(first), Layer(second)])


UNKNOWN = 'LOCAL_CS["Unknown",UNIT["metre",1]]'


@pytest.mark.parametrize(
    ("first", "second"),
    [("EPSG:32633", "EPSG:25833"), ("EPSG:26910", "EPSG:3740"), ("EPSG:32633", UNKNOWN), (UNKNOWN, "EPSG:32633")],
)
def test_a_mask_in_another_system_at_the_same_place_is_taken(first: str, second: str, tmp_path: Path) -> None:
    """Where the systems cannot be compared, or are two datums of one grid, the same numbers are the same place."""
    image = files.write(tmp_path / "in.tif", files.image(1, SHAPE), None, crs=first, transform=files.PLACE)
    mask = np.zeros(SHAPE, np.uint8)
    path = files.write(tmp_path / "mask.tif", mask, None, crs=second, transform=files.PLACE)
    tile = Tile("one", (Layer(image),), path, "training")
    assert len(TileWindows([tile], SHAPE)) == 1
    files.write(path, mask, None, crs=second, transform=files.ELSEWHERE)
    with pytest.raises(ValueError, match="must lie where its image lies, got "):
        TileWindows([tile], SHAPE)


@pytest.mark.parametrize(("dtype", "factor"), [(np.uint8, 1), (np.uint16, 257), (np.uint32, 257 * 65537)])
def test_tiles_of_every_integer_type_are_on_one_scale(dtype, factor: int, tmp_path: Path) -> None:
    values = files.image(1, SHAPE)
    path = files.write(tmp_path / "in" / "a.tif", (values.astype(np.uint64) * factor).astype(dtype))
    (item,) = TileWindows([Tile("one", (Layer(path),), None, "test")], SHAPE, white="type")
    np.testing.assert_allclose(item["image"], values, rtol=1e-6)
    seen = []
    network = TilePredictor(torch.nn.Conv2d(3, 1, 1), [0.0] * 3, [1.0] * 3)
    network.register_forward_pre_hook(lambda _, batch: seen.append(batch[0]))
    predict_tiles(folder_tiles(tmp_path / "in"), network, tmp_path / "out", SMALL, progress=False)
    assert torch.cat(seen).max() == pytest.approx(values.max(), rel=1e-6)
    (item,) = TileWindows([Tile("one", (Layer(path),), None, "test")], SHAPE)
    assert item["image"].max() == pytest.approx(float(values.max()) * factor)


def test_the_white_of_fewer_bits_or_of_ones_own_is_taken(tmp_path: Path) -> None:
    values = files.image(1, SHAPE).astype(np.uint16) * 16
    path = files.write(tmp_path / "a.tif", values, nbits=12)
    for white, top in (("type", 4095), (2040, 2040)):
        with TileReader(path, white) as reader:
            np.testing.assert_allclose(reader.read(slice(0, 40), slice(0, 52)), values * 255.0 / top, rtol=1e-6)
    floats = files.write(tmp_path / "b.tif", values.astype(np.float32))
    with TileReader(floats, "type") as reader:
        np.testing.assert_array_equal(reader.read(slice(0, 40), slice(0, 52)), values)
    with pytest.raises((TypeError, ValueError), match="white must be"):
        TileReader(path, "bytes")


def test_four_bands_are_told_with_a_remedy_that_works_and_stop_no_other_tile(tmp_path: Path) -> None:
    near_infrared = files.write(tmp_path / "in" / "four.tif", files.image(1, SHAPE, 4))
    files.write(tmp_path / "in" / "three.tif", files.image(2, SHAPE))
    with TileReader(near_infrared) as reader:  # GDAL marks the fourth band of bytes as alpha
        assert reader.channels == 4
    network = TilePredictor(torch.nn.Conv2d(3, 1, 1), [0.0] * 3, [1.0] * 3)
    with pytest.raises(ValueError, match=r"1 of 2 tiles .*\nfour: tiles must have 3 .*got 4; .*--bands '\[1, 2, 3\]'"):
        predict_tiles(folder_tiles(tmp_path / "in"), network, tmp_path / "out", SMALL, progress=False)
    assert (tmp_path / "out" / "three.tif").exists()
    tiles = folder_tiles(tmp_path / "in", [1, 2, 3])
    assert with_bands(folder_tiles(tmp_path / "in"), [1, 2, 3]) == tiles
    predict_tiles(tiles, network, tmp_path / "out", SMALL, progress=False)
    assert (tmp_path / "out" / "four.tif").exists()
    with pytest.raises(ValueError, match="bands must be numbers of bands, from 1 on, got 'rgb'"):
        folder_tiles(tmp_path / "in", "rgb")


@pytest.mark.parametrize(
    ("crs", "north", "scale"), [("EPSG:3857", 8399737.9, 0.5015), ("EPSG:32633", 5800000.0, 1), ("EPSG:3395", 0.0, 1)]
)
def test_metres_are_those_on_the_ground(crs: str, north: float, scale: float, tmp_path: Path) -> None:
    """At 60 degrees north a metre of Web Mercator is half a metre (by the ellipsoid a little more along a meridian)."""
    truth = np.zeros((60, 60), np.uint8)
    truth[20:40, 20:40] = 255
    place = Affine(0.6 / scale, 0.0, 500000.0, 0.0, -0.6 / scale, north)  # pixels of 0.6 m on the ground
    for folder, mask in (("pred", np.roll(truth, 2, 1)), ("gt", truth)):
        files.write(tmp_path / folder / "a1.tif", mask, None, crs=crs, transform=place)
    scores = [
        evaluate_tiles(tmp_path / "pred", tmp_path / "gt", theta, "m", False).rows["a1"].boundary.f1
        for theta in (1.15, 1.25)
    ]
    assert scores[0] < 1
    assert scores[1] == 1


def test_metres_that_change_within_a_tile_or_are_unknown_are_refused(tmp_path: Path) -> None:
    nowhere = {"crs": "EPSG:32633", "transform": Affine(0.3, 0, 9e12, 0, -0.3, 9e12)}
    wide = {"crs": "EPSG:3857", "transform": Affine(60000.0, 0, 0, 0, -60000.0, 9e6)}
    one_scale = "must have one scale throughout .*warp it to UTM"
    for place, text in ((wide, one_scale), (nowhere, one_scale), (gcps(), "ground control points")):
        for folder in ("pred", "gt"):
            files.write(tmp_path / folder / "a1.tif", np.eye(40, 52, dtype=np.uint8), None, **place)
        failed = evaluate_tiles(tmp_path / "pred", tmp_path / "gt", 1, "m", False).failed
        assert re.search(text, failed["a1"])
