"""The INRIA Aerial Image Labeling data set: 360 tiles of 5000 x 5000 pixels at 0.3 m, buildings in half of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from monai_boundary.datasets.remote.tiles import Layer, Tile, check_tiles, raster_files

__all__ = ["inria_tiles"]

_NAME = re.compile(r"(?P<city>[a-z][a-z-]*?)(?P<number>\d+)", re.IGNORECASE)
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
    folder = next((place for place in (Path(root), Path(root) / "AerialImageDataset") if _images(place, "train")), None)
    if folder is None:
        raise ValueError(
            f"root must hold train/images/<city><number>.tif as in AerialImageDataset, got {root}; unpack its zip first"
        )
    masks = _by_name(raster_files(folder / "train" / "gt"))
    tiles = []
    for name, paths in _by_name(_images(folder, "train")).items():
        number = int(_matched(paths[0])["number"])
        for path in paths:
            found = masks.get(name, [])
            if not found:
                raise ValueError(
                    f"{path} must have a mask, got none in {folder / 'train' / 'gt'}; unpack the gt folder"
                )
            split = "validation" if number in _VALIDATION else "training"
            tiles += [Tile(name, (Layer(path),), mask, split) for mask in found]
    check_tiles(tiles)
    alone = sorted(set(masks) - {tile.name for tile in tiles})
    if alone:
        raise ValueError(f"masks must have an image each, got none for {', '.join(alone[:5])}; unpack train/images")
    for name, paths in _by_name(_images(folder, "test")).items():
        tiles += [Tile(name, (Layer(path),), None, "test") for path in paths]
    check_tiles(tiles)
    order = ("training", "validation", "test")
    return sorted(tiles, key=lambda tile: (order.index(tile.split), _sort_key(tile.name)))


def _images(folder: Path, part: str) -> list[Path]:
    return raster_files(folder / part / "images")


def _matched(path: Path) -> re.Match[str]:
    found = _NAME.fullmatch(path.stem)
    if found is None:
        raise ValueError(f"{path} must be named <city><number>.tif, got {path.name}; move other files elsewhere")
    return found


def _by_name(paths: list[Path]) -> dict[str, list[Path]]:
    """Files by tile name; austin1 and Austin01 are one tile."""
    named: dict[str, list[Path]] = {}
    for path in paths:
        found = _matched(path)
        named.setdefault(f"{found['city'].lower()}{int(found['number'])}", []).append(path)
    return named


def _sort_key(name: str) -> tuple[str, int]:
    city = name.rstrip("0123456789")
    return city, int(name[len(city) :])
