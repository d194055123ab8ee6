"""Choosing aerial tiles, and predicting them one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from tqdm import tqdm

from monai_boundary._check import check_choice, is_integer
from monai_boundary._jobs import share_of
from monai_boundary._words import counted
from monai_boundary.bundles.running import say_kept
from monai_boundary.datasets.remote import Layer, MaskCodes, Tile
from monai_boundary.datasets.remote.raster import White
from monai_boundary.datasets.remote.sources import gdal_name, is_address
from monai_boundary.datasets.remote.tiles import ENDINGS, check_tiles, image_files, raster_files
from monai_boundary.inference import TileInferer, polygonize, predict_tile

__all__ = ["TilePredictor", "folder_tiles", "predict_tiles", "tiles_of_split", "with_bands"]

_BUILDINGS = MaskCodes({0: 0, 255: 1})  # as INRIA stores them


def tiles_of_split(
    tiles: Sequence[Tile], split: str, validation: Sequence[str] = (), shard: str | None = None
) -> list[Tile]:
    """Return the tiles of a split.

    Args:
        tiles: As `inria_tiles` or `potsdam_tiles` list them.
        split: ``"training"``, ``"validation"`` or ``"test"``.
        validation: Names of training tiles that validate instead, for data without a published validation set.
        shard: ``"I/N"``, I from 1 to N: every N-th tile of the split from the I-th on, which may be none.

    Raises:
        ValueError: A name is not that of a training tile, or the split has no tile.
    """
    unknown = sorted(set(validation) - {tile.name for tile in tiles if tile.split == "training"})
    if unknown:
        raise ValueError(f"validation must name training tiles, got {', '.join(unknown)}; choose others, or []")
    found = [tile for tile in tiles if ("validation" if tile.name in validation else tile.split) == split]
    if not found:
        known = sorted({tile.split for tile in tiles} | ({"validation"} if validation else set()))
        raise ValueError(f"tiles must hold some of the split {split!r}, got those of {', '.join(known) or 'none'}"
                         + ("; name some in validation_tiles" if split == "validation" else ""))  # fmt: skip
    return share_of(found, shard)


def folder_tiles(
    folder: str | os.PathLike[str],
    bands: Sequence[int] | None = None,
    masks: str | os.PathLike[str] | None = None,
) -> list[Tile]:
    """Return every image of a folder as a tile, named as the file: GeoTIFF, PNG, JPEG 2000, or a VRT mosaic.

    Args:
        folder: It is searched with all folders in it. It may also be one image, or the address of one, such as
            ``https://host/town.tif`` or ``s3://bucket/town.tif``.
        bands: Numbers of the bands to read of each file, from 1; ``None`` for all but alpha.
        masks: Folder with a mask for each image, GeoTIFF or PNG of its name. Tiles are of the split ``"training"``
            then, and of ``"test"`` without.

    Raises:
        ValueError: There is no image, two have one name, or one has no mask.
    """
    known = {} if masks is None else {path.stem: path for path in raster_files(Path(masks), (*ENDINGS, ".png"))}
    named, split = [(_name(path), path) for path in _images(folder)], "test" if masks is None else "training"
    tiles = [Tile(name, (Layer(path, _numbers(bands)),), known.get(name), split) for name, path in named]
    alone = [tile.name for tile in tiles if tile.mask is None]
    if masks is not None and alone:
        raise ValueError(f"masks must hold a mask for every image, got none for {', '.join(alone[:5])} in {masks}; "
                         "draw polygons with monai-boundary rasterize, or move the images elsewhere")  # fmt: skip
    check_tiles(tiles)
    return tiles


def _images(folder: str | os.PathLike[str]) -> list[Path]:
    """Images of a folder, or the one that is meant."""
    path = Path(folder)
    if is_address(path):
        if not gdal_name(path).endswith(tail := os.fspath(folder).split("://", 1)[-1]):
            raise ValueError(f"address must not hold // or /./ after its host, got {tail}; download the file")
        return [path]
    return image_files("folder", path)


def _name(path: Path) -> str:
    """Of a tile: that of its file, without the query of an address."""
    return Path(path.as_posix().split("?")[0]).stem if is_address(path) else path.stem


def with_bands(tiles: Sequence[Tile], bands: Sequence[int] | None) -> list[Tile]:
    """Return tiles of one layer each of which only `bands`, from 1, are read; ``None`` leaves them as they are.

    Raises:
        ValueError: A tile has several layers, or `bands` holds no numbers from 1 on.
    """
    if bands is None:
        return list(tiles)
    several = [tile.name for tile in tiles if len(tile.layers) > 1]
    if several:
        raise ValueError(f"bands must be None for tiles of several files, got {bands} for {several[0]}")
    return [replace(tile, layers=(replace(tile.layers[0], bands=_numbers(bands)),)) for tile in tiles]


def _numbers(bands: Sequence[int] | None) -> tuple[int, ...] | None:
    if bands is None:
        return None
    if isinstance(bands, str) or not bands or not all(is_integer(band) and band >= 1 for band in bands):
        raise ValueError(f"bands must be numbers of bands, from 1 on, got {bands!r}; such as [1, 2, 3]")
    return tuple(int(band) for band in bands)


class TilePredictor(nn.Module):
    """From stored values to the probability of building: the scaling of the training, the network, a sigmoid.

    Args:
        network: From scaled `(B, C, h, w)` to logits `(B, 1, h, w)`.
        subtrahend: Subtracted from each channel.
        divisor: By which each channel is divided then.
    """

    def __init__(self, network: nn.Module, subtrahend: Sequence[float], divisor: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.subtrahend: torch.Tensor
        self.divisor: torch.Tensor
        self.register_buffer("subtrahend", torch.tensor(subtrahend, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("divisor", torch.tensor(divisor, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return probabilities `(B, 1, h, w)`.

        Raises:
            ValueError: The tile has another number of channels.
        """
        if batch.shape[1] != self.subtrahend.shape[1]:
            raise ValueError(
                f"tiles must have {self.subtrahend.shape[1]} channels as in training, got {batch.shape[1]}; name the "
                f"bands to read, as in --bands '{list(range(1, self.subtrahend.shape[1] + 1))}', or train with "
                "--percentiles '[2,98]' or as many numbers in subtrahend and divisor as the tiles have bands"
            )
        return torch.sigmoid(self.network((batch - self.subtrahend) / self.divisor))


def predict_tiles(  # noqa: PLR0913 - all but the first by keyword, in JSON
    tiles: Sequence[Tile],
    network: nn.Module,
    output_dir: str | os.PathLike[str],
    inferer: TileInferer | None = None,
    output: Literal["labels", "values", "polygons"] = "labels",
    threshold: float = 0.5,
    overwrite: bool = False,
    progress: bool = True,
    white: White = "type",
    simplify: float = 1.0,
) -> list[Path]:
    """Predict tiles one after the other, each to ``<name>.tif`` with its georeference; see `predict_tile`.

    A run that was broken off goes on: files that are there are kept, as they are whole, and counted in a line. A tile
    that cannot be read or predicted does not stop the others.

    Args:
        tiles: The tiles.
        network: From stored values to probabilities, such as `TilePredictor`.
        output_dir: Folder of the predictions; made where it does not exist.
        inferer: Windows, overlap, augmentation and device.
        output: ``"labels"``: 0 and 255 = building, 127 where the tile has no data; ``"values"``: the probability as
            float32, NaN where the tile has no data; ``"polygons"``: that, and its outlines as ``<name>.gpkg``, see
            `polygonize`. Probabilities that are there are not predicted again.
        threshold: Probability above which a pixel is building.
        overwrite: Predict again what is there.
        progress: Show a progress bar.
        white: Stored value that the network sees as 255, see `TileReader`.
        simplify: How far outlines may move, in pixels, to have fewer corners.

    Returns:
        The files of all tiles.

    Raises:
        ValueError: Some tiles could not be predicted; each is named with the reason, once the others are done.
        OSError: The disk is full.
    """
    check_choice("output", output, ("labels", "values", "polygons"))
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".gpkg" if output == "polygons" else ".tif"
    paths = {tile.name: folder / f"{tile.name}{ending}" for tile in tiles}
    missing = [tile for tile in tiles if overwrite or not paths[tile.name].exists()]
    if len(missing) < len(paths):
        say_kept(len(paths) - len(missing), "prediction", folder)
    failed: dict[str, str] = {}
    for tile in tqdm(missing, desc="predict", unit="tile", disable=not progress):
        try:
            raster = paths[tile.name].with_name(f"{tile.name}.tif")
            if output != "polygons" or overwrite or not raster.exists():
                labels = output == "labels"
                predict_tile(
                    tile.layers, raster, network, inferer, "labels" if labels else "values",
                    _BUILDINGS if labels else None, threshold, overwrite, white,
                )  # fmt: skip
            if output == "polygons":
                polygonize(raster, paths[tile.name], threshold, simplify, overwrite)
        except (ValueError, FileNotFoundError, PermissionError) as error:
            failed[tile.name] = str(error)
    if failed:
        raise ValueError(
            f"{len(failed)} of {counted(len(missing), 'tile')} could not be predicted; the others are in {folder}\n"
            + "\n".join(f"{name}: {reason}" for name, reason in failed.items())
        )
    return list(paths.values())
