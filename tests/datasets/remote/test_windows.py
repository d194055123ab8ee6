"""Windows of real GeoTIFFs: every pixel once or more, never another one, and clear words about damaged files."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from monai.data import DataLoader, Dataset

from monai_boundary.datasets.remote import (
    Layer,
    MaskCodes,
    Tile,
    TileReader,
    TileWindows,
    potsdam_codes,
    window_grid,
)
from tests.datasets.remote import files

SHAPE = (40, 52)


@pytest.fixture
def tile(tmp_path: Path) -> Tile:
    image = files.write(tmp_path / "image.tif", files.image(1, SHAPE), blockysize=8)
    mask = files.write(tmp_path / "mask.tif", files.colours(files.classes(2, SHAPE)))
    return Tile("one", (Layer(image),), mask, "training", potsdam_codes())


@pytest.mark.parametrize(("size", "overlap"), [(16, 0.0), (16, 0.25), ((16, 8), 0.5), (40, 0.9), (1, 0.0)])
def test_windows_cover_the_tile_and_lie_inside(size, overlap: float) -> None:
    seen = np.zeros(SHAPE, int)
    height, width = (size, size) if isinstance(size, int) else size
    for rows, columns in window_grid(SHAPE, size, overlap):
        assert (rows.stop - rows.start, columns.stop - columns.start) == (height, width)
        assert 0 <= rows.start < rows.stop <= SHAPE[0]
        assert 0 <= columns.start < columns.stop <= SHAPE[1]
        seen[rows, columns] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize(("overlap", "starts"), [(0.25, [0, 12, 24, 36]), (0.0, [0, 16, 32, 36])])
def test_neighbours_overlap_by_the_share_asked_for(overlap: float, starts: list[int]) -> None:
    assert [columns.start for rows, columns in window_grid(SHAPE, 16, overlap) if rows.start == 0] == starts


def test_items_put_together_are_the_tile_and_its_labels(tile: Tile) -> None:
    image, label = np.zeros((3, *SHAPE), np.float32), np.full(SHAPE, 99, np.uint8)
    for item in TileWindows([tile], 16, 0.25):
        place = slice(*item["rows"]), slice(*item["columns"])
        image[:, place[0], place[1]] = item["image"]
        label[place] = item["label"][0]
        assert (item["case"], item["image"].dtype, item["label"].shape) == ("one", np.float32, (1, 16, 16))
    np.testing.assert_array_equal(image, files.image(1, SHAPE))
    np.testing.assert_array_equal(label, files.classes(2, SHAPE))


def test_a_loader_takes_the_windows_of_all_tiles(tile: Tile) -> None:
    windows = TileWindows([tile, replace(tile, name="two", mask=None)], 20)
    assert len(windows) == 12
    assert [set(item) for item in windows[5:7]] == [
        {"image", "label", "case", "rows", "columns"}, {"image", "case", "rows", "columns"},
    ]  # fmt: skip
    batches = list(DataLoader(Dataset(windows[:6], lambda item: {"image": item["image"] / 255}), batch_size=3))
    assert [tuple(batch["image"].shape) for batch in batches] == [(3, 3, 20, 20)] * 2


def test_a_reader_holds_a_window_and_not_the_tile(tmp_path: Path) -> None:
    """A 3 x 3000 x 3000 tile has 27 MB; windows of it are read with less than a tenth."""
    path = files.write(tmp_path / "big.tif", np.zeros((3, 3000, 3000), np.uint8), compress="deflate", tiled=True)
    windows = TileWindows([Tile("big", (Layer(path),), None, "test")], 256)
    tracemalloc.start()
    for index in (0, 50, len(windows) - 1):
        windows[index]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.7e6


def test_georeference_is_told_and_its_lack_is_no_fault(tmp_path: Path) -> None:
    with TileReader(files.write(tmp_path / "with.tif", files.image())) as reader:
        assert reader.georeference.crs.to_epsg() == 32633
        assert reader.georeference.transform == files.PLACE
    with TileReader(files.write(tmp_path / "without.tif", files.image(), place=None)) as reader:
        assert reader.georeference is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def off_palette(path: Path) -> None:
    values = files.read(path)
    values[:, 0, :3] = 17
    values[:, 39, 51] = 18
    files.write(path, values)


FAULTS: list[tuple[str, Callable[[Path], object], type[Exception], str]] = [
    ("image.tif", cut, ValueError, "image.tif must be a complete GeoTIFF, got: .*; download or copy it again"),
    ("mask.tif", cut, ValueError, "mask.tif must be a complete GeoTIFF, got: .*"),
    ("image.tif", lambda path: path.write_bytes(b""), ValueError, "image.tif must be a complete GeoTIFF, got: .*"),
    ("image.tif", lambda path: path.write_bytes(b"GIF89a no tiff"), ValueError, "image.tif must be a complete GeoTIFF"),
    ("mask.tif", Path.unlink, FileNotFoundError, "mask.tif does not exist; check the path"),
    ("image.tif", Path.unlink, FileNotFoundError, "image.tif does not exist; check the path"),
    ("mask.tif", lambda path: files.write(path, files.colours(files.classes(0, (40, 51)))), ValueError,
     r"mask.tif must have the size of its image, \(40, 52\) pixels \(H, W\), got \(40, 51\); check that both"),
    ("mask.tif", lambda path: files.write(path, files.read(path), files.ELSEWHERE), ValueError,
     "mask.tif must lie where its image lies, got corners 30 pixels apart"),
    ("mask.tif", lambda path: files.write(path, files.read(path)[0]), ValueError,
     r"mask.tif must have the bands \(1, 2, 3\), got 1 bands; choose other bands"),
    ("mask.tif", off_palette, ValueError,
     r"mask.tif \(rows 0 to 19, columns 0 to 19\) must .* \(17, 17, 17\) at 3 pixels; .*nearest=True"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "kind", "message"), FAULTS, ids=[text[:45] for *_, text in FAULTS])
def test_a_faulty_tile_is_named_with_the_reason(
    name: str, damage: Callable, kind: type[Exception], message: str, tile: Tile, tmp_path: Path
) -> None:
    assert len(list(TileWindows([tile], 20))) == 6
    damage(tmp_path / name)
    with pytest.raises(kind, match=message):
        list(TileWindows([tile], 20))


def test_a_wrong_colour_spoils_its_window_only_and_a_lack_of_place_nothing(tile: Tile, tmp_path: Path) -> None:
    off_palette(tmp_path / "mask.tif")
    assert TileWindows([tile], 20)[1]["label"].max() <= 5
    assert TileWindows([replace(tile, codes=potsdam_codes(nearest=True))], 20)[0]["label"].max() <= 5
    files.write(tile.mask, files.read(tile.mask), place=None)
    assert len(TileWindows([tile], 20)) == 6


@pytest.mark.parametrize(
    ("stored", "nodata", "expected"),
    [
        ([0, 1, 255, 0], 255, [0, 1, 255, 0]),
        ([0, 1, 7, 0], 7, [0, 1, 255, 0]),
        ([0, 255, 7, 0], 7, [0, 1, 255, 0]),
        ([0, 1, 1, 0], 0, [0, 1, 1, 0]),
        ([0, 255, 255, 0], 0, [0, 1, 1, 0]),
        ([0, 255, 255, 0], None, [0, 1, 1, 0]),
    ],
)
def test_pixels_of_the_nodata_value_are_ignored_but_those_of_0_are_background(
    stored: list[int], nodata: int | None, expected: list[int], tmp_path: Path
) -> None:
    mask = files.write(tmp_path / "mask.tif", np.array([stored], np.uint8), nodata=nodata)
    image = files.write(tmp_path / "image.tif", files.image(shape=(1, 4)))
    label = TileWindows([Tile("one", (Layer(image),), mask, "training")], (1, 4))[0]["label"][0, 0]
    assert label.tolist() == expected


def test_layers_of_two_sizes_are_refused(tmp_path: Path) -> None:
    layers = [Layer(files.write(tmp_path / f"{n}.tif", files.image(n, (24, 32 - n)))) for n in (0, 1)]
    with pytest.raises(ValueError, match=r"1.tif must have the size of .*0.tif, got \(24, 31\) and \(24, 32\) pixels"):
        TileReader(layers)
    with pytest.raises(ValueError, match="layers must name at least one file, got none"):
        TileReader([])


@pytest.mark.parametrize(
    ("size", "overlap", "message"),
    [
        (64, 0.0, r"tile one: size must not exceed the tile, \(40, 52\) pixels \(H, W\), got \(64, 64\)"),
        (0, 0.0, "size must be one integer >= 1 or two .* got 0"),
        ((8, 8, 8), 0.0, r"size must be one integer >= 1 or two .* got \(8, 8, 8\)"),
        (16, 1.0, r"overlap must lie in \[0, 1\), got 1.0"),
    ],
)
def test_unusable_windows_are_refused(size, overlap: float, message: str, tile: Tile) -> None:
    with pytest.raises(ValueError, match=message):
        TileWindows([tile], size, overlap)


@pytest.mark.real_data
def test_real_tiles_are_read(data_dir: Path) -> None:
    loveda, spacenet = data_dir / "loveda", data_dir / "spacenet"
    codes = MaskCodes({0: 255, 1: 0, 2: 1, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0})
    tiles = [
        Tile(f"loveda_{n}", (Layer(loveda / f"image_{n}.png"),), loveda / f"label_{n}.png", "training", codes)
        for n in (0, 1)
    ] + [Tile("spacenet", (Layer(spacenet / "image.tif"),), spacenet / "building_mask.tif", "test")]
    windows = TileWindows(tiles, 512)
    assert len(windows) == 4 + 4 + 4
    labels = np.stack([item["label"] for item in windows])
    assert set(np.unique(labels)) <= {0, 1, 255}
    assert all((labels[4 * n : 4 * n + 4] == 1).any() for n in range(3))


def test_tiles_in_archives_are_read_and_gdal_says_what_it_misses(tmp_path: Path, monkeypatch) -> None:
    files.write(tmp_path / "a.tif", np.arange(12, dtype=np.uint8).reshape(3, 4))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "a.tif")
    monkeypatch.chdir(tmp_path)
    for name in (f"/vsizip/{tmp_path}/a.zip/a.tif", "/vsizip/a.zip/a.tif", f"zip://{tmp_path}/a.zip!a.tif"):
        for given in (name, Path(name)):
            with TileReader(given) as reader:
                assert reader.read(slice(0, 3), slice(0, 4))[0, 2, 3] == 11
    with pytest.raises(ValueError, match=r"none\.tif must be a complete GeoTIFF, got: .*none\.tif.* does not exist in"):
        TileReader(f"/vsizip/{tmp_path}/a.zip/none.tif")
