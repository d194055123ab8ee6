"""Prediction of aerial tiles that do not fit into memory: windows, merging, test-time augmentation, GeoTIFF."""

from monai_boundary.inference.augment import AUGMENTATIONS, predict_augmented
from monai_boundary.inference.merge import TileInferer, TileSource
from monai_boundary.inference.predict import predict_tile

__all__ = ["AUGMENTATIONS", "TileInferer", "TileSource", "predict_augmented", "predict_tile"]
