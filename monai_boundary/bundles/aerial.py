"""Choosing aerial tiles, and predicting them one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from tqdm import tqdm

from monai_boundary.datasets.remote import Layer, MaskCodes, Tile
from monai_boundary.datasets.remote.tiles import raster_files
from monai_boundary.inference import TileInferer, predict_tile

__all__ = ["TilePredictor", "folder_tiles", "predict_tiles", "tiles_of_split"]

_BUILDINGS = MaskCodes({0: 0, 255: 1})  # as INRIA stores them


def tiles_of_split(tiles: Sequence[Tile], split: str, validation: Sequence[str] = ()) -> list[Tile]:
    """Return the tiles of a split.

    Args:
        tiles: As `inria_tiles` or `potsdam_tiles` list them.
        split: ``"training"``, ``"validation"`` or ``"test"``.
        validation: Names of training tiles that validate instead, for data without a published validation set.

    Raises:
        ValueError: A name is not that of a training tile, or the split has no tile.
    """
    unknown = sorted(set(validation) - {tile.name for tile in tiles if tile.split == "training"})
    if unknown:
        raise ValueError(f"validation must name training tiles, got {', '.join(unknown)}; choose others, or []")
    found = [tile for tile in tiles if ("validation" if tile.name in validation else tile.split) == split]
    if not found:
        known = sorted({tile.split for tile in tiles} | ({"validation"} if validation else set()))
        raise ValueError(f"tiles must hold some of the split {split!r}, got those of {', '.join(known) or 'none'}")
    return found


def folder_tiles(folder: str | os.PathLike[str]) -> list[Tile]:
    """Return every GeoTIFF of a folder as a tile without a mask, of the split ``"test"``, named as the file.

    Raises:
        ValueError: There is none.
    """
    paths = raster_files(Path(folder))
    if not paths:
        raise ValueError(f"folder must hold .tif files, got none in {folder}")
    return [Tile(path.stem, (Layer(path),), None, "test") for path in paths]


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
                f"tiles must have {self.subtrahend.shape[1]} channels as in training, got {batch.shape[1]}; choose "
                "other channels or bands"
            )
        return torch.sigmoid(self.network((batch - self.subtrahend) / self.divisor))


def predict_tiles(
    tiles: Sequence[Tile],
    network: nn.Module,
    output_dir: str | os.PathLike[str],
    inferer: TileInferer | None = None,
    output: Literal["labels", "values"] = "labels",
    threshold: float = 0.5,
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Predict tiles one after the other, each to ``<name>.tif`` with its georeference; see `predict_tile`.

    A run that was broken off goes on: files that are there are kept, as they are whole, and counted in a line.

    Args:
        tiles: The tiles.
        network: From stored values to probabilities, such as `TilePredictor`.
        output_dir: Folder of the predictions; made where it does not exist.
        inferer: Windows, overlap, augmentation and device.
        output: ``"labels"``: 0 and 255 = building; ``"values"``: the probability as float32.
        threshold: Probability above which a pixel is building.
        overwrite: Predict again what is there.
        progress: Show a progress bar.

    Returns:
        The files of all tiles.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {tile.name: folder / f"{tile.name}.tif" for tile in tiles}
    missing = [tile for tile in tiles if overwrite or not paths[tile.name].exists()]
    if len(missing) < len(paths):
        print(f"kept {len(paths) - len(missing)} predictions of an earlier run in {folder}; overwrite=True replaces")
    for tile in tqdm(missing, desc="predict", unit="tile", disable=not progress):
        predict_tile(
            tile.layers, paths[tile.name], network, inferer, output, _BUILDINGS if output == "labels" else None,
            threshold, overwrite,
        )  # fmt: skip
    return list(paths.values())
