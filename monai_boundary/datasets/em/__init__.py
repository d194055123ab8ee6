"""Volumes of electron microscopy, listed as they were unpacked and read slice by slice.

A data set is one short file with one function, such as `isbi2012`, `snemi3d`, `gala` and `cremi`: it names the files of
images and labels (`layout` finds them), says what the labels mean and how large a voxel is, and returns a list of
`EmVolume`, each for training or test. Everything else takes any list of volumes: `fold_volumes` splits them for
cross-validation, `EmSlices` and `EmVolumes` give MONAI-style items. `stored` knows the file formats. Not here:
prediction (`monai_boundary.inference`, `monai_boundary.bundles`) and scores (`monai_boundary.metrics`).

`zarr_volumes` lists your own volumes in OME-Zarr, Zarr or N5.

Import it by its own name, because it needs torch. Reading HDF5 files needs h5py, Zarr zarr and N5
z5py (``pip install "monai-boundary[em]"``); folders of PNG slices need none.
"""

from monai_boundary.datasets.em.containers import zarr_volumes
from monai_boundary.datasets.em.cremi import cremi_volumes
from monai_boundary.datasets.em.items import IGNORE, UNLABELLED, EmSlices, EmVolumes
from monai_boundary.datasets.em.lists import gala_volumes, isbi2012_volumes, snemi3d_volumes
from monai_boundary.datasets.em.stored import Stored
from monai_boundary.datasets.em.volume import EmVolume, fold_volumes, slice_range, volume_shape

__all__ = [
    "IGNORE",
    "UNLABELLED",
    "EmSlices",
    "EmVolume",
    "EmVolumes",
    "Stored",
    "cremi_volumes",
    "fold_volumes",
    "gala_volumes",
    "isbi2012_volumes",
    "slice_range",
    "snemi3d_volumes",
    "volume_shape",
    "zarr_volumes",
]
