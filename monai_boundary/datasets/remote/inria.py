"""The INRIA Aerial Image Labeling data set: 360 tiles of 5000 x 5000 pixels at 0.3 m, buildings in half of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from monai_boundary.datasets.checks import SPLITS, check_entries
from monai_boundary.datasets.remote.tiles import Layer, Tile, check_tiles, raster_files

__all__ = ["inria_tiles"]

_NAME = re.compile(r"([a-z][a-z-]*?)(\d+)", re.IGNORECASE)
_VALIDATION = range(1, 6)  # of each city; advice of the data set's authors


def inria_tiles(root: str | os.PathLike[str]) -> list[Tile]:
    """List the tiles of an unpacked INRIA AIL download, with the published split.

    Args:
        root: ``AerialImageDataset`` or the folder it lies in; images are ``train/images/<city><number>.tif`` and
            ``test/images/...``, masks (0 and 255) have the same names in ``train/gt``.

    Returns:
        By split and name: tiles 1 to 5 of each training city are ``"validation"``, the others ``"training"``, the
        five cities without masks ``"test"``. Labels are 0 and 1 = building.

    Raises:
        ValueError: `root` has no such tree, an image has no mask or a mask no image, two tiles have one name, or a
            file is not named as a tile.
    """
    places = (Path(root), Path(root) / "AerialImageDataset")
    folder = next((place for place in places if raster_files(place / "train" / "images")), None)
    if folder is None:
        raise ValueError(
            f"root must hold train/images/<city><number>.tif as in AerialImageDataset, got {root}; unpack its zip first"
        )
    images, masks, test = (_by_name(folder / part) for part in ("train/images", "train/gt", "test/images"))
    for name, path in images.items():
        if name not in masks:
            raise ValueError(f"{path} must have a mask, got none in {folder / 'train' / 'gt'}; unpack the gt folder")
    alone = sorted(masks.keys() - images.keys())
    if alone:
        raise ValueError(f"masks must have an image each, got none for {', '.join(alone[:5])}; unpack train/images")
    tiles = [
        Tile(name, (Layer(path),), masks[name], "validation" if _place(path)[1] in _VALIDATION else "training")
        for name, path in images.items()
    ] + [Tile(name, (Layer(path),), None, "test") for name, path in test.items()]
    check_tiles(tiles)
    return sorted(tiles, key=lambda tile: SPLITS.index(tile.split))


def _by_name(folder: Path) -> dict[str, Path]:
    """Files by tile name, sorted by city and number; austin1 and Austin01 are one tile."""
    places = sorted((_place(path), path) for path in raster_files(folder))
    named = [(f"{city}{number}", path) for (city, number), path in places]
    check_entries("tiles", [(name, "training", path) for name, path in named])
    return dict(named)


def _place(path: Path) -> tuple[str, int]:
    """City and number of a tile."""
    found = _NAME.fullmatch(path.stem)
    if found is None:
        raise ValueError(f"{path} must be named <city><number>.tif, got {path.name}; move other files elsewhere")
    return found[1].lower(), int(found[2])
