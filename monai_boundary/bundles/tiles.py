"""What the JSON of a bundle for aerial tiles cannot say: choosing tiles, loading weights, predicting one by one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from tqdm import tqdm

from monai_boundary.datasets.remote import Layer, Tile, ValueCodes
from monai_boundary.datasets.remote.tiles import raster_files
from monai_boundary.inference import TileInferer, predict_tile

__all__ = ["TilePredictor", "folder_tiles", "load_weights", "predict_tiles", "tiles_of_split"]

_BUILDINGS = ValueCodes({0: 0, 255: 1})  # as INRIA stores them
_OPTIONAL = re.compile(r"(^|\.)_?fc\.|num_batches_tracked$")  # an encoder's classifier; a count that old files lack


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


def load_weights(network: nn.Module, path: str | os.PathLike[str] | None) -> str:
    """Load weights of the whole network or of its encoder alone.

    Args:
        network: With a module `encoder`, such as MONAI's `FlexibleUNet`.
        path: File with a state dictionary, as this bundle, MONAI or torchvision save it; a classifier in it is passed
            over. ``None`` loads nothing.

    Returns:
        What was loaded: ``"network"``, ``"encoder"`` or ``"nothing"``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no state dictionary, or one of another network.
    """
    if path is None:
        return "nothing"
    state = _read_state(Path(path))
    encoder: nn.Module = network.encoder  # type: ignore[assignment]
    problems = []
    for name, module in (("network", network), ("encoder", encoder)):
        problem = _misfit(module.state_dict(), state)
        if not problem:
            module.load_state_dict(
                {key: value for key, value in state.items() if not _OPTIONAL.search(key)}, strict=False
            )
            return name
        problems.append(f"the {name}: {problem}")
    raise ValueError(
        f"{path} must hold the weights of this network or of its encoder, got others ({'; '.join(problems)}); set "
        "network_def#backbone to the encoder that was saved"
    )


def _misfit(wanted: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    """What keeps `state` from being loaded; empty where nothing does."""
    needed, given = ({key for key in names if not _OPTIONAL.search(key)} for names in (wanted, state))
    other = {key for key in needed & given if state[key].shape != wanted[key].shape}
    kinds = {"missing": needed - given, "unknown": given - needed, "of another shape": other}
    return ", ".join(f"{len(keys)} tensors {kind}, such as {min(keys)}" for kind, keys in kinds.items() if keys)


def _read_state(path: Path) -> Mapping[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be a file of weights, got none; train first, or check the path")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ValueError(f"{path} must be a file that torch.save wrote, got: {str(error).splitlines()[0]}") from error
    for key in ("model", "state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} must hold a state dictionary of tensors, got {type(state).__name__} of other things")
    return {key.removeprefix("module."): value for key, value in state.items()}


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
        threshold: Probability from which on a pixel is building.
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
