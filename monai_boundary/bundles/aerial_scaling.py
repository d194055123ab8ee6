"""How the values of aerial tiles are scaled for a network: by given numbers, or as measured on the training tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_boundary._check import check_number
from monai_boundary.datasets.remote import Tile, TileReader
from monai_boundary.datasets.remote.raster import White

__all__ = ["tile_scaling"]

_SPOTS = 4  # windows along each side of a tile
_SIDE = 128  # of a window
_STEP = 2  # every second pixel of it


def tile_scaling(
    tiles: Sequence[Tile],
    percentiles: Sequence[float] | None = None,
    white: White = "type",
    subtrahend: Sequence[float] = (),
    divisor: Sequence[float] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Return the scaling of a training, to be saved with its model.

    Args:
        tiles: Those that train.
        percentiles: Two in [0, 100], such as (2, 98): of each channel they become 0 and 255, what lies outside is cut
            off, and mean and standard deviation after that are subtracted and divided by. They are measured on pixels
            with data, at most 65,536 of each tile. ``None`` takes the next three as they are.
        white: Stored value that becomes 255, see `TileReader`.
        subtrahend: Subtracted from each channel.
        divisor: By which each channel is divided then.
        progress: Show a progress bar.

    Returns:
        ``"white"`` as `TileReader` takes it, ``"subtrahend"`` and ``"divisor"`` for each channel; plain numbers.

    Raises:
        ValueError: The percentiles are no such pair, the two lists differ in length, two tiles differ in their
            channels, a channel has one value throughout, or a tile is damaged.
    """
    if percentiles is None:
        if not subtrahend or len(subtrahend) != len(divisor):
            raise ValueError(f"subtrahend and divisor must hold one number per channel, got {len(subtrahend)} and "
                             f"{len(divisor)}; or measure them with percentiles=(2, 98)")  # fmt: skip
        return {"white": white, "subtrahend": list(subtrahend), "divisor": list(divisor)}
    low, high = _checked(percentiles)
    values = np.concatenate([_sample(tile) for tile in tqdm(tiles, "values", unit="tile", disable=not progress)], 1)
    black, top = np.percentile(values, [low, high], axis=1)
    flat = np.flatnonzero(black >= top)
    if flat.size:
        raise ValueError(f"percentiles must lie apart in every channel, got {black[flat[0]]:g} at both of {low:g} and "
                         f"{high:g} in channel {flat[0] + 1}; leave that band out, or choose others")  # fmt: skip
    scaled = (np.clip(values, black[:, None], top[:, None]) - black[:, None]) * (255 / (top - black))[:, None]
    return {
        "white": np.stack([black, top], 1).tolist(), "subtrahend": scaled.mean(1).tolist(),
        "divisor": scaled.std(1).tolist(),
    }  # fmt: skip


def _checked(percentiles: Sequence[float]) -> tuple[float, float]:
    if isinstance(percentiles, str) or not isinstance(percentiles, Sequence) or len(percentiles) != 2:
        raise ValueError(f"percentiles must be two numbers in [0, 100], got {percentiles!r}; such as (2, 98)")
    low, high = (check_number("percentiles", one, strict=False) for one in percentiles)
    if not low < high <= 100:
        raise ValueError(f"percentiles must rise and lie in [0, 100], got {percentiles!r}; such as (2, 98)")
    return low, high


def _sample(tile: Tile) -> np.ndarray:
    """Values `(C, N)` of some pixels with data, spread evenly over a tile."""
    with TileReader(tile.layers) as reader:
        places = [_starts(side) for side in reader.shape]
        found = []
        for rows in places[0]:
            for columns in places[1]:
                values, missing = reader.window(rows, columns)
                found.append(values[:, ::_STEP, ::_STEP][:, ~missing[::_STEP, ::_STEP]])
    return np.concatenate(found, 1)


def _starts(side: int) -> list[slice]:
    """Where windows lie along a side."""
    size = min(side, _SIDE)
    return [slice(start, start + size) for start in sorted({*map(int, np.linspace(0, side - size, _SPOTS))})]
