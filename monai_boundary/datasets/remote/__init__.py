"""Aerial tiles: INRIA AIL and ISPRS Potsdam, read window by window.

Not gathered in `monai_boundary.datasets`, which is imported without torch and MONAI. Reading pixels needs rasterio
(``pip install "monai-boundary[remote]"``); listing tiles does not.
"""

from monai_boundary.datasets.remote.codes import IGNORE, ColourCodes, MaskCodes, ValueCodes
from monai_boundary.datasets.remote.inria import inria_tiles
from monai_boundary.datasets.remote.potsdam import POTSDAM_CLASSES, potsdam_codes, potsdam_tiles
from monai_boundary.datasets.remote.raster import Georeference, TileReader
from monai_boundary.datasets.remote.tiles import Layer, Tile, write_tile_datalist
from monai_boundary.datasets.remote.windows import TileWindows, check_tile, window_grid

__all__ = [
    "IGNORE",
    "POTSDAM_CLASSES",
    "ColourCodes",
    "Georeference",
    "Layer",
    "MaskCodes",
    "Tile",
    "TileReader",
    "TileWindows",
    "ValueCodes",
    "check_tile",
    "inria_tiles",
    "potsdam_codes",
    "potsdam_tiles",
    "window_grid",
    "write_tile_datalist",
]
