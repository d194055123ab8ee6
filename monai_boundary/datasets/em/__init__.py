"""Electron microscopy: ISBI 2012, ISBI 2013 (SNEMI3D), CREMI and gala's FIB-SEM, as lists of volumes and as items.

Not gathered in `monai_boundary.datasets`, which is imported without torch and MONAI. Reading HDF5 files needs h5py and
TIFF stacks tifffile (``pip install "monai-boundary[em]"``); folders of PNG slices need neither.
"""

from monai_boundary.datasets.em.cremi import cremi_volumes
from monai_boundary.datasets.em.gala import gala_volumes
from monai_boundary.datasets.em.isbi2012 import isbi2012_volumes
from monai_boundary.datasets.em.items import EmSlices, EmVolumes, check_volume
from monai_boundary.datasets.em.snemi3d import snemi3d_volumes
from monai_boundary.datasets.em.volumes import EmVolume, Stored, fold_volumes, volume_shape

__all__ = [
    "EmSlices",
    "EmVolume",
    "EmVolumes",
    "Stored",
    "check_volume",
    "cremi_volumes",
    "fold_volumes",
    "gala_volumes",
    "isbi2012_volumes",
    "snemi3d_volumes",
    "volume_shape",
]
