"""From a tile to a GeoTIFF of its prediction, written from top to bottom, which is whole or not there."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from monai.networks.utils import eval_mode

from monai_boundary._check import check_choice, check_number
from monai_boundary._files import replacing
from monai_boundary.datasets.remote import Layer, MaskCodes, TileReader
from monai_boundary.datasets.remote.georeference import import_rasterio, without_georeference_warning
from monai_boundary.inference.augment import Network
from monai_boundary.inference.tiles import TileInferer

__all__ = ["predict_tile"]

_CACHE = 64 * 2**20  # bytes of GDAL's block cache, which otherwise takes 5 % of the memory
_BLOCK = 256  # side of the blocks in the file


def predict_tile(  # noqa: PLR0913 - three that every call gives, the rest by keyword
    source: str | os.PathLike[str] | Sequence[Layer],
    target: str | os.PathLike[str],
    network: Network,
    inferer: TileInferer | None = None,
    output: Literal["labels", "values"] = "labels",
    codes: MaskCodes | None = None,
    threshold: float = 0.5,
    overwrite: bool = False,
    white: float | Literal["type"] | None = None,
) -> Path:
    """Predict a tile and write the result as a GeoTIFF with the tile's georeference, ground control points included.

    Where the tile has no data, see `TileReader`, the network sees 0, and the result has none: NaN in values; in labels
    255, what the codes store for `IGNORE`, or a value that they leave free, such as 127 beside 0 and 255. It is the
    nodata value of the file; a file of colours has a mask.

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
    settings = {"GDAL_CACHEMAX": _CACHE, "GDAL_TIFF_INTERNAL_MASK": True}
    with import_rasterio().Env(**settings), TileReader(source, white) as reader:
        _check_target(path, reader, overwrite)
        rows = (inferer or TileInferer()).rows(reader, network)
        stored = rows if output == "values" else (_stored(values, codes, limit) for values in rows)
        empty = None
        if reader.may_miss:
            known = MaskCodes({0: 0}) if codes is None else codes
            empty = np.array([np.nan], np.float32) if output == "values" else known.missing
            stored = _without_data(stored, reader, empty)
        try:
            with eval_mode(network) if isinstance(network, torch.nn.Module) else nullcontext(), replacing(path) as part:
                _write(part, reader, stored, empty)
        except import_rasterio().errors.RasterioIOError as error:
            raise OSError(
                f"{path} must be written whole, got: {error}; check the free space and the permissions"
            ) from error
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


def _check_target(path: Path, reader: TileReader, overwrite: bool) -> None:
    if path.exists() and any(path.samefile(file) for file in reader.files):
        raise ValueError(f"target must not be a file of the source, got {path}; choose another name")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} must not exist yet; choose another name or pass overwrite=True")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"folder of target must exist, got {path.parent}; make it first")


def _write(path: Path, tile: TileReader, parts: Iterator[np.ndarray], empty: np.ndarray | None) -> None:
    """Write the next rows `(bands, some rows, W)` from top to bottom to a file on the grid of `tile`, and check it.

    `empty` stands for no data.
    """
    rasterio, first, sums = import_rasterio(), next(parts), []
    (height, width), place = tile.shape, tile.georeference
    options = {} if place is None else place.profile()
    if empty is not None and len(empty) == 1:
        options["nodata"] = empty[0].item()
    with without_georeference_warning():
        file = rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=len(first), dtype=first.dtype,
            compress="deflate", predictor=3 if first.dtype.kind == "f" else 2, tiled=True, blockxsize=_BLOCK,
            blockysize=_BLOCK, interleave="pixel", bigtiff="if_safer", **options,
        )  # fmt: skip
    with file:
        for rows, values in _whole_blocks(chain([first], parts)):
            window = rasterio.windows.Window.from_slices(rows, slice(0, width))
            file.write(values, window=window)
            if empty is not None and len(empty) > 1:
                file.write_mask((values != empty[:, None, None]).any(0), window=window)
            sums.append((rows, _checksum(values)))
    # GDAL does not report a disk that was full when the file was closed
    try:
        with TileReader(path) as reader:
            same = all(_checksum(reader.stored(rows, slice(0, width))) == one for rows, one in sums)
    except ValueError:  # a file that was cut short
        same = False
    if not same:
        raise rasterio.errors.RasterioIOError("a file that reads back differently")


def _whole_blocks(parts: Iterable[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Regroup rows into whole rows of blocks, with their place: a block that is compressed twice would leave a hole."""
    top, waiting = 0, None
    for part in parts:
        waiting = part if waiting is None else np.concatenate([waiting, part], axis=1)
        if count := waiting.shape[1] // _BLOCK * _BLOCK:
            yield slice(top, top + count), waiting[:, :count]
            top, waiting = top + count, waiting[:, count:]
    if waiting is not None and waiting.shape[1]:
        yield slice(top, top + waiting.shape[1]), waiting


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).tobytes())
