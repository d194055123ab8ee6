"""Lists of INRIA and Potsdam tiles: the published splits, and what is wrong with a download."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.remote import (
    IGNORE,
    POTSDAM_CLASSES,
    TileReader,
    TileWindows,
    inria_tiles,
    potsdam_tiles,
)
from tests.datasets.remote import files


def empty(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_the_first_five_tiles_of_each_city_validate(tmp_path: Path) -> None:
    cities = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
    for part, names in (("train/images", cities), ("train/gt", cities), ("test/images", ("bellingham", "tyrol-e"))):
        for city in names:
            for number in range(1, 37):
                empty(tmp_path / "AerialImageDataset" / part / f"{city}{number}.tif")
    empty(tmp_path / "AerialImageDataset" / "train" / "images" / "._austin1.tif")
    tiles = inria_tiles(tmp_path)
    assert Counter(tile.split for tile in tiles) == {"training": 155, "validation": 25, "test": 72}
    assert {tile.name for tile in tiles if tile.split == "validation"} == {
        f"{c}{n}" for c in cities for n in range(1, 6)
    }
    assert all((tile.mask is None) == (tile.split == "test") for tile in tiles)
    assert [tile.name for tile in tiles[:3]] == ["austin6", "austin7", "austin8"]
    assert all(tile.mask is None or tile.mask.name == tile.layers[0].path.name for tile in tiles)


def test_24_potsdam_tiles_train_and_14_test(tmp_path: Path) -> None:
    places = [
        f"{r}_{c}" for r, columns in {2: 5, 3: 5, 4: 6, 5: 6, 6: 6, 7: 4}.items() for c in range(10, 10 + columns)
    ]
    places += [f"{r}_{c}" for r in (6, 7) for c in (7, 8, 9)]
    for place in places:
        empty(tmp_path / "2_Ortho_RGB" / f"top_potsdam_{place}_RGB.tif")
        empty(tmp_path / "5_Labels_all" / f"top_potsdam_{place}_label.tif")
    tiles = potsdam_tiles(tmp_path)
    assert Counter(tile.split for tile in tiles) == {"training": 24, "test": 14}
    test = {tile.name.removeprefix("potsdam_") for tile in tiles if tile.split == "test"}
    assert test == {place for place in places if int(place.split("_")[1]) >= 13}
    assert [tile.name for tile in tiles[:4]] == ["potsdam_2_10", "potsdam_2_11", "potsdam_2_12", "potsdam_3_10"]


@pytest.mark.parametrize(
    ("channels", "bands"),
    [("rgb", (0, 1, 2)), ("irrg", (3, 0, 1)), ("rgbir", (0, 1, 2, 3)), ("rgbir_dsm", (0, 1, 2, 3, 4))],
)
def test_channels_come_from_the_files_that_hold_them(channels, bands: tuple[int, ...], tmp_path: Path) -> None:
    tile = potsdam_tiles(files.potsdam(tmp_path), channels)[0]
    four = files.image(0, channels=4)
    truth = np.concatenate([four.astype(np.float32), four[:1].astype(np.float32) / 7])[list(bands)]
    with TileReader(tile.layers) as reader:
        assert (reader.channels, reader.shape) == (len(bands), (24, 32))
        np.testing.assert_array_equal(reader.read(slice(3, 20), slice(5, 30)), truth[:, 3:20, 5:30])
    if channels == "rgb":
        shutil.rmtree(tmp_path / "2_Ortho_RGB")
        assert potsdam_tiles(tmp_path)[0].layers[0].path.name == "top_potsdam_2_10_RGBIR.tif"


def test_black_borders_are_ignored_and_buildings_can_stand_alone(tmp_path: Path) -> None:
    tile = potsdam_tiles(files.potsdam(tmp_path), boundaries="no_boundary")[0]
    label = TileWindows([tile], 24)[0]["label"][0]
    assert (label[:2] == IGNORE).all()
    np.testing.assert_array_equal(label[2:], files.classes(0)[2:, :24])
    tile = potsdam_tiles(tmp_path, classes="buildings")[0]
    building = list(POTSDAM_CLASSES).index("building")
    np.testing.assert_array_equal(TileWindows([tile], 24)[0]["label"][0], files.classes(0)[:, :24] == building)


def test_masks_for_participants_serve_where_there_are_no_others(tmp_path: Path) -> None:
    files.potsdam(tmp_path)
    shutil.copytree(tmp_path / "5_Labels_all", tmp_path / "5_Labels_for_participants")
    (tmp_path / "5_Labels_for_participants" / "top_potsdam_2_13_label.tif").unlink()
    assert potsdam_tiles(tmp_path)[0].mask == tmp_path / "5_Labels_all" / "top_potsdam_2_10_label.tif"
    shutil.rmtree(tmp_path / "5_Labels_all")
    masks = {tile.name: tile.mask for tile in potsdam_tiles(tmp_path)}
    assert masks["potsdam_2_10"] == tmp_path / "5_Labels_for_participants" / "top_potsdam_2_10_label.tif"
    assert masks["potsdam_2_13"] is None


IMAGES, MASKS = "AerialImageDataset/train/images", "AerialImageDataset/train/gt"
OTHERS = "AerialImageDataset/test/images"
INRIA, POTSDAM = (files.inria, inria_tiles), (files.potsdam, potsdam_tiles)
FAULTS: list[tuple[tuple, Callable[[Path], object], dict, str]] = [
    (INRIA, lambda root: shutil.rmtree(root / IMAGES), {}, "root must hold train/images/.* got .*; unpack its zip"),
    (INRIA, lambda root: (root / MASKS / "austin6.tif").unlink(), {}, "austin6.tif must have a mask, got none in .*gt"),
    (INRIA, lambda root: (root / IMAGES / "austin6.tif").unlink(), {}, "an image each, got none for austin6;"),
    (INRIA, lambda root: empty(root / IMAGES / "austin06.tif"), {}, "names of their own, got austin6 for .*austin06"),
    (INRIA, lambda root: empty(root / MASKS / "austin6.tiff"), {}, "names of their own, got austin6 for "),
    (INRIA, lambda root: empty(root / IMAGES / "a6 copy.tif"), {}, "must be named <city><number>.tif, got a6 copy.tif"),
    (INRIA, lambda root: empty(root / OTHERS / "sfo02.tif"), {}, "names of their own, got sfo2 for"),
    (INRIA, lambda root: empty(root / OTHERS / "austin1.tif"), {}, "names of their own, got austin1 for"),
    (POTSDAM, shutil.rmtree, {}, "root must hold top_potsdam_<row>_<column>_RGB.tif and others, got"),
    (POTSDAM, lambda root: (root / "5_Labels_all/top_potsdam_2_10_label.tif").unlink(), {},
     "tile 2_10 must have a mask top_potsdam_2_10_label.tif, got none in .*; unpack 5_Labels_all"),
    (POTSDAM, lambda root: shutil.rmtree(root / "5_Labels_all_noBoundary"), {"boundaries": "no_boundary"},
     "must have a mask top_potsdam_2_10_label_noBoundary.tif, .* unpack 5_Labels_all_noBoundary"),
    (POTSDAM, lambda root: shutil.copytree(root / "2_Ortho_RGB", root / "copy"), {},
     "tile 2_10 must have one RGB file, got .*2_Ortho_RGB.* and .*copy.*; remove all but one"),
    (POTSDAM, lambda root: shutil.rmtree(root / "1_DSM"), {"channels": "rgbir_dsm"},
     "tile 2_10 must have the files RGBIR and dsm for channels='rgbir_dsm', got RGB, RGBIR, label"),
    (POTSDAM, lambda root: empty(root / "2_Ortho_RGB/top_potsdam_9_99_RGB.tif"), {}, "of the 38 .* got 9_99"),
    (POTSDAM, lambda _: None, {"channels": "rgbd"}, "channels must be one of 'rgb', .* got 'rgbd'"),
    (POTSDAM, lambda _: None, {"boundaries": "none"}, "boundaries must be one of 'all', 'no_boundary', got 'none'"),
    (POTSDAM, lambda _: None, {"classes": "cars"}, "classes must be one of 'all', 'buildings', got 'cars'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "damage", "options", "message"), FAULTS)
def test_a_faulty_download_is_refused(kind, damage, options: dict, message: str, tmp_path: Path) -> None:
    unpack, tiles = kind
    root = tmp_path / "download"
    unpack(root)
    damage(root)
    with pytest.raises(ValueError, match=message):
        tiles(root, **options)


def test_lists_put_together_must_not_repeat_a_name(tmp_path: Path) -> None:
    tiles = inria_tiles(files.inria(tmp_path))
    with pytest.raises(ValueError, match="tiles must have names of their own, got austin6 for"):
        TileWindows([*tiles, tiles[0]], 16)
    with pytest.raises(ValueError, match=r"split of austin6 must be one of 'training', .* got 'train'"):
        TileWindows([replace(tiles[0], split="train")], 16)
