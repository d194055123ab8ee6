"""Which files make up an aerial tile, and how files are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_boundary.datasets.checks import check_entries, data_files
from monai_boundary.datasets.remote.codes import BINARY, MaskCodes

__all__ = ["IMAGE_ENDINGS", "Layer", "Tile", "check_tiles", "image_files", "raster_files"]

ENDINGS = (".tif", ".tiff")
#: Also formats that have no place of their own, or refer to other files: PNG, JPEG 2000, GDAL's virtual mosaic.
IMAGE_ENDINGS = (*ENDINGS, ".png", ".jp2", ".vrt")


@dataclass(frozen=True)
class Layer:
    """Bands of one file.

    Args:
        path: The file, an address (``https://``, ``s3://``), or another name that GDAL knows.
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
    check_entries("tiles", [(tile.name, tile.split, tile.layers[0].path) for tile in tiles])


def raster_files(folder: Path, endings: Sequence[str] = ENDINGS) -> list[Path]:
    """Return the GeoTIFFs below a folder, or the files of other endings, see `data_files`."""
    return data_files(folder, endings, below=True)


def image_files(argument: str, path: Path) -> list[Path]:
    """Return the images below a folder, or the one that `path` is; ``ValueError`` names the argument where none is."""
    found = [path] if path.is_file() else raster_files(path, IMAGE_ENDINGS)
    if not found:
        raise ValueError(
            f"{argument} must be an image or a folder of them ({', '.join(IMAGE_ENDINGS)}), got none in {path}"
        )
    return found
