"""The worst part of a tile, as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from monai_boundary.datasets.remote import TileReader
from monai_boundary.datasets.remote.codes import IGNORE
from monai_boundary.evaluation.tiles import TileEvaluation, read_tile_pair
from monai_boundary.reports.tiles import tile_figure

__all__ = ["worst_part"]

_PART, _BLOCK = 768, 64  # pixels of a picture, and of the blocks it is searched by


def worst_part(result: TileEvaluation, tile: str, images: Path | None = None) -> Figure:
    """Draw the part of a tile with the most wrong pixels; `images` is None for those beside the masks.

    Raises:
        ValueError: A file cannot be read any more.
    """
    prediction, mask = result.files[tile]
    pred, target = read_tile_pair(tile, prediction, mask)
    part = tuple(_densest((pred != target) & (target != IGNORE), _PART))
    return tile_figure(_image_of(mask, images, part), target[part], pred[part], IGNORE, tile)


def _densest(wrong: np.ndarray, side: int) -> Iterator[slice]:
    """Yield rows and columns of the window, of `side` pixels or less, around the block with the most `wrong` pixels."""
    steps = [np.arange(0, size, _BLOCK) for size in wrong.shape]
    counts = np.add.reduceat(np.add.reduceat(wrong.astype(np.int32), steps[0], 0), steps[1], 1)
    for block, size in zip(np.unravel_index(counts.argmax(), counts.shape), wrong.shape, strict=True):
        start = int(np.clip(block * _BLOCK + _BLOCK // 2 - side // 2, 0, max(size - side, 0)))
        yield slice(start, min(start + side, size))


def _image_of(mask: Path, images: Path | None, part: tuple[slice, ...]) -> np.ndarray | None:
    """Return `(h, w, 3)` or `(h, w)`, or None where there is no image of use: no picture is worth the report."""
    folder = mask.absolute().parent.with_name("images") if images is None else images
    file = folder / mask.name.replace("_label", "")
    try:
        with TileReader(file) as reader:
            values = reader.read(*part)
    except (ValueError, OSError):
        return None
    return values[0] if len(values) < 3 else np.moveaxis(values[:3], 0, -1)
