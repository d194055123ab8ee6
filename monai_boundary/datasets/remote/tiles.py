"""Which files make up an aerial tile, and where a list of tiles goes wrong."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_boundary.datasets.datalist import SPLITS, CaseFiles, write_datalist
from monai_boundary.datasets.remote.codes import MaskCodes, ValueCodes

__all__ = ["Layer", "Tile", "check_tiles", "raster_files", "write_tile_datalist"]

ENDINGS = (".tif", ".tiff")
#: 0 and 255 as INRIA and SpaceNet have them, or 0 and 1.
BINARY = ValueCodes({0: 0, 1: 1, 255: 1})


@dataclass(frozen=True)
class Layer:
    """Bands of one file.

    Args:
        path: The file.
        bands: Numbers of the bands to read, from 1, in the order wanted; ``None`` means all.
    """

    path: Path
    bands: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Tile:
    """One tile.

    Args:
        name: Unique in a list of tiles.
        layers: The image; the bands of several files on one grid are put one after the other.
        mask: Label map; ``None`` where there is none.
        split: ``"training"``, ``"validation"`` or ``"test"``.
        codes: What the values in the mask mean.
    """

    name: str
    layers: tuple[Layer, ...]
    mask: Path | None
    split: str
    codes: MaskCodes = BINARY


def check_tiles(tiles: Sequence[Tile]) -> None:
    """Raise ``ValueError`` when two tiles have one name, or a split is unknown."""
    counts = Counter(tile.name for tile in tiles)
    for tile in tiles:
        if counts[tile.name] > 1:
            files = [str(other.layers[0].path) for other in tiles if other.name == tile.name]
            raise ValueError(
                f"tiles must have names of their own, got {tile.name} for {' and '.join(files)}; "
                "remove or rename all but one"
            )
        if tile.split not in SPLITS:
            raise ValueError(f"split of {tile.name} must be one of {', '.join(SPLITS)}, got {tile.split!r}")


def write_tile_datalist(path: str | os.PathLike[str], tiles: Sequence[Tile]) -> None:
    """Write MONAI's datalist JSON, ``{"training": [{"case": ..., "image": [...], "label": ...}], ...}``.

    It names the files. Which bands of them are meant and what the colours of a mask mean is not in it: to train, read
    through `TileWindows`.

    Raises:
        ValueError: Two tiles have one name, or a split is unknown.
    """
    check_tiles(tiles)
    splits: dict[str, list[CaseFiles]] = defaultdict(list)
    for tile in tiles:
        splits[tile.split].append(CaseFiles(tile.name, tuple(layer.path for layer in tile.layers), tile.mask))
    write_datalist(path, {split: splits[split] for split in SPLITS if split in splits})


def raster_files(folder: Path) -> list[Path]:
    """Return the GeoTIFFs below a folder, sorted, without hidden files and those that macOS adds to zips."""
    hidden = ("__MACOSX",)
    found: Iterable[Path] = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") or part in hidden for part in path.relative_to(folder).parts)
    )
