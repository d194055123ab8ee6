"""Aerial tiles of many thousand pixels, listed as they were unpacked and read window by window.

A data set is one short file with one function, such as `inria` and `potsdam`: it finds the files below a folder, pairs
images with masks, refuses missing or duplicate files, and returns a list of `Tile` with the published split.
`MaskCodes` says what the values of its masks mean. Labels that are polygons become masks first: `read_polygons`,
`rasterize`, `rasterize_folder`. Everything else takes any list of tiles: `TileWindows` gives
MONAI-style items, `TileReader` windows of one tile. Not here: prediction (`monai_boundary.inference`) and scores
(`monai_boundary.evaluation`).

Import it by its own name, because it needs MONAI. Reading pixels needs rasterio, and polygons pyogrio and shapely
(``pip install "monai-boundary[remote]"``); listing tiles does not.
"""

from monai_boundary.datasets.remote.codes import IGNORE, MaskCodes
from monai_boundary.datasets.remote.georeference import Georeference
from monai_boundary.datasets.remote.inria import inria_tiles
from monai_boundary.datasets.remote.polygons import Polygons, PolygonWarning, read_polygons
from monai_boundary.datasets.remote.potsdam import POTSDAM_CLASSES, potsdam_codes, potsdam_tiles
from monai_boundary.datasets.remote.raster import MaskReader, TileReader
from monai_boundary.datasets.remote.rasterize import RasterizedFolder, rasterize, rasterize_folder
from monai_boundary.datasets.remote.tiles import Layer, Tile
from monai_boundary.datasets.remote.torchgeo import torchgeo_item
from monai_boundary.datasets.remote.windows import TileWindows, window_grid

__all__ = [
    "IGNORE",
    "POTSDAM_CLASSES",
    "Georeference",
    "Layer",
    "MaskCodes",
    "MaskReader",
    "PolygonWarning",
    "Polygons",
    "RasterizedFolder",
    "Tile",
    "TileReader",
    "TileWindows",
    "inria_tiles",
    "potsdam_codes",
    "potsdam_tiles",
    "rasterize",
    "rasterize_folder",
    "read_polygons",
    "torchgeo_item",
    "window_grid",
]
