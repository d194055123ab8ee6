"""ISBI 2013, also called SNEMI3D (mouse cortex): 100 slices of 1024 x 1024 pixels with ids of neurites, 100 without."""

from __future__ import annotations

import os

from monai_boundary.datasets.em.layout import find_volume, found_volumes
from monai_boundary.datasets.em.volume import EmVolume

__all__ = ["snemi3d_volumes"]

SPACING = (30.0, 6.0, 6.0)
_ENDINGS = (".tif", ".tiff", ".h5", ".hdf5", "")


def snemi3d_volumes(root: str | os.PathLike[str], key: str = "main", membrane_width: float = 0.0) -> list[EmVolume]:
    """List the volumes of the SNEMI3D challenge (ISBI 2013).

    Args:
        root: Folder with ``train-input.tif``, ``train-labels.tif`` and, if wanted, ``test-input.tif``. HDF5 files of
            these names, and folders of them with one PNG or TIFF per slice, do as well.
        key: Data set in the HDF5 files.
        membrane_width: See `EmVolume`; 0 leaves voxels of id 0 as the only membrane.

    Returns:
        ``"snemi3d"``, to train with, and ``"snemi3d_test"``, without labels unless ``test-labels`` is there. Voxels are
        30 x 6 x 6 nm; id 0 is membrane.

    Raises:
        ValueError: `root` has no such files, or images have no labels.

    References:
        Arganda-Carreras et al., SNEMI3D: 3D segmentation of neurites in EM images, 2013; Kasthuri et al., Cell 2015.
    """
    volumes = [
        find_volume(
            root, name, [f"{part}-input{ending}" for ending in _ENDINGS],
            [f"{part}-labels{ending}" for ending in _ENDINGS], key, kind="ids", spacing=SPACING, split=split,
            membrane_width=membrane_width,
        )
        for name, part, split in (("snemi3d", "train", "training"), ("snemi3d_test", "test", "test"))
    ]  # fmt: skip
    return found_volumes(root, "train-input.tif and train-labels.tif", volumes)
