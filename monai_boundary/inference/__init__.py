"""Predictions of images that do not fit into memory, written to files that are complete or absent.

* `tiles`: sliding windows over a tile; overlaps are averaged row by row of windows. `augment`: test-time augmentation.
  MONAI's inferers hold the whole image and the whole prediction, and its `AvgMerger` and `ZarrAvgMerger` do not weight
  voxels within a window.
* `geotiff`: from a tile to a GeoTIFF of its labels or values. `polygons`: from its probabilities to a GeoPackage.
* `volume_files`: likelihood and ids of a volume to HDF5, TIFF and OME-Zarr, slice by slice; `ome_zarr`: its arrays.
* `block_runs`: volumes beyond memory, block by block, to OME-Zarr. `block_passes` goes through the blocks, `blocks`
  joins their objects.

For images that fit into memory use MONAI's own inferers. Reading is in `monai_boundary.datasets`; which network
predicts which data is defined by a bundle.
"""

from monai_boundary.inference.augment import AUGMENTATIONS, predict_augmented
from monai_boundary.inference.block_passes import BlockSource
from monai_boundary.inference.block_runs import predict_blocks
from monai_boundary.inference.geotiff import predict_tile
from monai_boundary.inference.polygons import polygonize
from monai_boundary.inference.tiles import TileInferer, TileSource

__all__ = [
    "AUGMENTATIONS", "BlockSource", "TileInferer", "TileSource", "polygonize", "predict_augmented", "predict_blocks",
    "predict_tile",
]  # fmt: skip
