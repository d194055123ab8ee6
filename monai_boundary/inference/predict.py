"""From a tile to a GeoTIFF of its prediction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from monai.networks.utils import eval_mode

from monai_boundary._check import check_choice, check_number
from monai_boundary.datasets.remote.codes import MaskCodes
from monai_boundary.datasets.remote.raster import TileReader, import_rasterio
from monai_boundary.datasets.remote.tiles import Layer
from monai_boundary.inference.augment import Network
from monai_boundary.inference.merge import TileInferer
from monai_boundary.inference.writer import row_writer

__all__ = ["predict_tile"]

_CACHE = 64 * 2**20  # bytes of GDAL's block cache, which otherwise takes 5 % of the memory


def predict_tile(
    source: str | os.PathLike[str] | Sequence[Layer],
    target: str | os.PathLike[str],
    network: Network,
    inferer: TileInferer | None = None,
    output: Literal["labels", "values"] = "labels",
    codes: MaskCodes | None = None,
    threshold: float = 0.5,
    overwrite: bool = False,
) -> Path:
    """Predict a tile and write the result as a GeoTIFF with the tile's georeference.

    The file is compressed and tiled. It is written beside `target` and moved there once whole, so that a run that
    fails or is killed leaves nothing that looks finished. Neither the tile nor the prediction is ever held whole.

    Args:
        source: A file, or the layers of a `Tile`. A tile without georeference gives a file without one.
        target: The file to write, usually ``*.tif``; its folder must exist.
        network: From float32 `(B, C, h, w)` with values as stored to `(B, K, h, w)`, a module or any callable. A module
            is put into evaluation mode meanwhile.
        inferer: Windows, overlap, weights, augmentation and device; by default those of `TileInferer`.
        output: ``"labels"``: uint8, the class with the largest mean, with K = 1 whether the mean exceeds `threshold`;
            ``"values"``: the means as float32 bands.
        codes: How to store labels, such as the ``codes`` of a `Tile`: 255 for INRIA's buildings, colours for Potsdam;
            ``None`` stores the labels.
        threshold: For K = 1, in the unit of what the network returns: 0.5 for probabilities, 0 for logits.
        overwrite: Replace `target` where it exists.

    Returns:
        `target`.

    Raises:
        ImportError: rasterio is not installed.
        FileExistsError: `target` exists and `overwrite` is off.
        FileNotFoundError: `source` or the folder of `target` does not exist.
        ValueError: `source` is damaged, `target` is one of its files, or the network returns something unusable.
        OSError: The disk is full.
    """
    check_choice("output", output, ("labels", "values"))
    limit = check_number("threshold", threshold, low=-float("inf"))
    path = Path(target)
    if codes is not None and output == "values":
        raise ValueError("codes must be None for output='values', which has no labels; drop one of the two")
    with import_rasterio().Env(GDAL_CACHEMAX=_CACHE), TileReader(source) as reader:
        _check_target(path, reader, overwrite)
        rows = (inferer or TileInferer()).rows(reader, network)
        with (
            eval_mode(network) if isinstance(network, torch.nn.Module) else nullcontext(),
            row_writer(path, reader.shape, reader.georeference) as writer,
        ):
            for values in rows:
                writer.add(values if output == "values" else _stored(values, codes, limit))
            writer.finish()
    return path


def _stored(values: np.ndarray, codes: MaskCodes | None, threshold: float) -> np.ndarray:
    """Uint8 `(bands, rows, W)` of the means `(K, rows, W)`."""
    if len(values) > 256:
        raise ValueError(f"network must return at most 256 classes for output='labels', got {len(values)}")
    labels = (values.argmax(0) if len(values) > 1 else values[0] > threshold).astype(np.uint8)
    return labels[None] if codes is None else codes.encode(labels)


def _check_target(path: Path, reader: TileReader, overwrite: bool) -> None:
    if path.exists() and any(path.samefile(file) for file in reader.files):
        raise ValueError(f"target must not be a file of the source, got {path}; choose another name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} must not exist yet; choose another name or pass overwrite=True")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder of target must exist, got {path.parent}; make it first")
