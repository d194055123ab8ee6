"""Tiles cut into windows that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.data import Dataset
from monai.data.utils import dense_patch_slices

from monai_boundary._check import check_number, is_integer
from monai_boundary.datasets.phantoms.common import check_shape
from monai_boundary.datasets.remote.codes import IGNORE
from monai_boundary.datasets.remote.raster import MaskReader, TileReader, White
from monai_boundary.datasets.remote.tiles import Tile, check_tiles

__all__ = ["TileWindows", "check_grids", "check_size", "window_grid"]

Window = tuple[slice, slice]


def window_grid(shape: tuple[int, int], size: int | tuple[int, int] = 512, overlap: float = 0.0) -> list[Window]:
    """Return the windows that cover a tile, row by row; the last of a row or column is moved back inside.

    The places are those of MONAI's sliding windows.

    Args:
        shape: Pixels (H, W) of the tile, at least `size`.
        size: Pixels of a window, (height, width) or one number for both.
        overlap: Share of a window that its neighbour covers too, in [0, 1).

    Raises:
        ValueError: The tile is smaller than a window, or a number is out of its range.
    """
    sizes = check_size(size)
    check_shape(shape, (2,), 1)
    check_number("overlap", overlap, strict=False)
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must lie in [0, 1), got {overlap}")
    if shape[0] < sizes[0] or shape[1] < sizes[1]:
        raise ValueError(
            f"size must not exceed the tile, {tuple(shape)} pixels (H, W), got {sizes}; pass a smaller size"
        )
    steps = [max(1, int(one * (1 - overlap))) for one in sizes]
    return [(slice(int(a), int(b)), slice(int(c), int(d)))
            for (a, b), (c, d) in dense_patch_slices(shape, sizes, steps, return_slice=False)]  # fmt: skip


def check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return a window's size as two integers >= 1."""
    sizes = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(sizes) != 2 or not all(is_integer(one) and one >= 1 for one in sizes):
        raise ValueError(f"size must be one integer >= 1 or two (height, width), got {size!r}")
    return sizes


class TileWindows(Dataset):
    """The windows of many tiles as MONAI-style items, each read from its files when it is asked for.

    ``monai.data.Dataset(TileWindows(tiles), transform)`` feeds a DataLoader; files are opened anew in each access, so
    workers share nothing. An item is ``{"image": float32 (C, h, w), "label": uint8 (1, h, w), "case": name, "rows":
    (first, last + 1), "columns": (first, last + 1)}``, without ``"label"`` where the tile has no mask. Values of the
    image are as stored (0 to 255 for bytes, metres for surface models): scale them in `transform`. Where an image has
    no data, see `TileReader`, its values are 0 and the label is `IGNORE`.

    Args:
        tiles: As `inria_tiles` and `potsdam_tiles` list them, or made by hand.
        size: Pixels of a window, (height, width) or one number for both.
        overlap: Share of a window that its neighbour covers too, in [0, 1).
        white: Stored value that becomes 255, see `TileReader`: ``"type"`` puts bytes and uint16 on one scale.

    Raises:
        ValueError: Two tiles have one name, a mask has another size or place than its image, holds 1 and 255 without
            saying what 255 is, or a tile is smaller than a window. Also what `TileReader` raises; the other values of a
            mask are looked at when they are read.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        size: int | tuple[int, int] = 512,
        overlap: float = 0.0,
        white: White = None,
    ) -> None:
        check_tiles(tiles)
        self._white = white
        windows: list[tuple[Tile, Window]] = []
        for tile in tiles:
            shape = check_grids(tile)
            try:
                windows += [(tile, window) for window in window_grid(shape, size, overlap)]
            except ValueError as error:
                raise ValueError(f"tile {tile.name}: {error}") from None
        super().__init__(windows)

    def _transform(self, index: int) -> dict[str, Any]:
        tile, (rows, columns) = self.data[index]
        with TileReader(tile.layers, self._white) as image:
            values, missing = image.window(rows, columns)
        item: dict[str, Any] = {"image": values.astype(np.float32)}
        if tile.mask is not None:
            place = f" (rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1})"
            with MaskReader(tile.mask, tile.codes) as mask:
                labels = mask.labels(rows, columns, place)
            item["label"] = np.where(missing, np.uint8(IGNORE), labels)[None]
        return item | {
            "case": tile.name, "rows": (rows.start, rows.stop), "columns": (columns.start, columns.stop),
        }  # fmt: skip


def check_grids(tile: Tile) -> tuple[int, int]:
    """Return the size (H, W) of a tile.

    Raises:
        ValueError: The mask has another size or place than the image, or values that exclude each other.
    """
    with TileReader(tile.layers) as image:
        shape, place = image.shape, image.georeference
    if tile.mask is None:
        return shape
    with MaskReader(tile.mask, tile.codes) as mask:
        if mask.shape != shape:
            raise ValueError(
                f"{tile.mask} must have the size of its image, {shape} pixels (H, W), got {mask.shape}; "
                "check that both are of one tile"
            )
        # A mask without georeference is common and lies on its image by its name; one from elsewhere is a mistake.
        if place is not None and mask.georeference is not None:
            found = place.lies_elsewhere(mask.georeference, shape)
            if found is not None:
                raise ValueError(
                    f"{tile.mask} must lie where its image lies, got {found}; check that both are of one tile"
                )
        mask.check_values()
    return shape
