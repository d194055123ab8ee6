"""From a tile to a GeoTIFF of its prediction, written from top to bottom, which is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from monai.networks.utils import eval_mode

from monai_boundary._check import check_choice, check_number
from monai_boundary.datasets.remote import Layer, MaskCodes, TileReader
from monai_boundary.datasets.remote.georeference import import_rasterio
from monai_boundary.datasets.remote.raster import White
from monai_boundary.datasets.remote.writing import BLOCK_CACHE, check_target, write_raster
from monai_boundary.inference.augment import Network
from monai_boundary.inference.tiles import TileInferer

__all__ = ["predict_tile"]


def predict_tile(  # noqa: PLR0913 - three that every call gives, the rest by keyword
    source: str | os.PathLike[str] | Sequence[Layer],
    target: str | os.PathLike[str],
    network: Network,
    inferer: TileInferer | None = None,
    output: Literal["labels", "values"] = "labels",
    codes: MaskCodes | None = None,
    threshold: float = 0.5,
    overwrite: bool = False,
    white: White = None,
) -> Path:
    """Predict a tile and write the result as a GeoTIFF with the tile's georeference, ground control points included.

    Where the tile has no data, see `TileReader`, the network sees 0, and the result has none: NaN in values; in labels
    255, what the codes store for `IGNORE`, or a value that they leave free, such as 127 beside 0 and 255. It is the
    nodata value of the file; a file of colours has a mask.

    The file is a cloud-optimised GeoTIFF (COG): compressed, tiled, with overviews. It is written beside `target` and
    moved there once whole, so that a run that fails or is killed leaves nothing that looks finished. Neither the tile
    nor the prediction is ever held whole.

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
        white: Stored value that the network sees as 255, see `TileReader`.

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
    settings = {"GDAL_CACHEMAX": BLOCK_CACHE, "GDAL_TIFF_INTERNAL_MASK": True}
    with import_rasterio().Env(**settings), TileReader(source, white) as reader:
        check_target(path, reader, overwrite)
        rows = (inferer or TileInferer()).rows(reader, network)
        stored = rows if output == "values" else (_stored(values, codes, limit) for values in rows)
        empty = None
        if reader.may_miss:
            known = MaskCodes({0: 0}) if codes is None else codes
            empty = np.array([np.nan], np.float32) if output == "values" else known.missing
            stored = _without_data(stored, reader, empty)
        with eval_mode(network) if isinstance(network, torch.nn.Module) else nullcontext():
            write_raster(path, reader, stored, empty)
    return path


def _stored(values: np.ndarray, codes: MaskCodes | None, threshold: float) -> np.ndarray:
    """Uint8 `(bands, rows, W)` of the means `(K, rows, W)`."""
    if len(values) > 256:
        raise ValueError(f"network must return at most 256 classes for output='labels', got {len(values)}")
    labels = (values.argmax(0) if len(values) > 1 else values[0] > threshold).astype(np.uint8)
    return labels[None] if codes is None else codes.encode(labels)


def _without_data(parts: Iterable[np.ndarray], tile: TileReader, empty: np.ndarray) -> Iterator[np.ndarray]:
    """Put `empty` where the tile has no data, in rows that come from top to bottom."""
    top = 0
    for part in parts:
        rows = slice(top, top + part.shape[1])
        missing = tile.window(rows, slice(0, tile.shape[1]))[1]
        if len(part) == 1 and part.dtype == np.uint8 and (part[0][~missing] == empty[0]).any():
            raise ValueError(
                f"network must return at most {empty[0]} classes for a tile with pixels without data, got a label "
                f"{empty[0]}, which stands for them; pass codes"
            )
        yield np.where(missing, empty[:, None, None], part)
        top = rows.stop
