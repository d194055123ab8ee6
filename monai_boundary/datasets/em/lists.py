"""ISBI 2012, SNEMI3D (ISBI 2013) and gala's FIB-SEM: the names of their files, and what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.stored import HDF5_ENDINGS, Stored
from monai_boundary.datasets.em.volume import EmVolume, check_volumes

__all__ = ["found_volumes", "gala_volumes", "isbi2012_volumes", "snemi3d_volumes"]

#: Name and split of a volume, and the names that the file or folder of its image and of its labels may have.
Part = tuple[str, str, Sequence[str], Sequence[str]]
_ISBI_IMAGES = ("train-volume.tif", "train/image", "train/images", "image", "images")
_ISBI_LABELS = ("train-labels.tif", "train/label", "train/labels", "label", "labels")


def isbi2012_volumes(root: str | os.PathLike[str]) -> list[EmVolume]:
    """List the volumes of the ISBI 2012 challenge (larva of Drosophila): 30 slices of 512 x 512 pixels with membranes.

    Args:
        root: Folder with ``train-volume.tif``, ``train-labels.tif`` and, if wanted, ``test-volume.tif``; or with
            folders ``images`` and ``labels`` (also ``image``, ``label``, and both below ``train``) of one PNG or TIFF
            per slice. Labels are 255 in cells and 0 on membranes.

    Returns:
        ``"isbi2012"``, to train with (`fold_volumes` splits it for cross-validation), and ``"isbi2012_test"``, without
        labels, where its stack is there. Voxels are 50 x 4 x 4 nm.

    Raises:
        ValueError: `root` has no such files, or images have no labels.

    References:
        Cardona et al., PLoS Biology 2010; Arganda-Carreras et al., Frontiers in Neuroanatomy 2015.
    """
    parts: list[Part] = [
        ("isbi2012", "training", _ISBI_IMAGES, _ISBI_LABELS),
        ("isbi2012_test", "test", ["test-volume.tif"], []),
    ]
    example = "train-volume.tif and train-labels.tif, or folders images and labels"
    return _find_volumes(root, example, parts, kind="interior", spacing=(50.0, 4.0, 4.0))


def snemi3d_volumes(root: str | os.PathLike[str], key: str = "main", membrane_width: float = 0.0) -> list[EmVolume]:
    """List the volumes of the SNEMI3D challenge (ISBI 2013, mouse cortex): 100 slices of 1024 x 1024 pixels with ids.

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
    endings = (".tif", ".tiff", ".h5", ".hdf5", "")
    parts: list[Part] = [
        (name, split, [f"{part}-input{one}" for one in endings], [f"{part}-labels{one}" for one in endings])
        for name, part, split in (("snemi3d", "train", "training"), ("snemi3d_test", "test", "test"))
    ]
    settings = {"kind": "ids", "spacing": (30.0, 6.0, 6.0), "membrane_width": membrane_width}
    return _find_volumes(root, "train-input.tif and train-labels.tif", parts, key, **settings)


def gala_volumes(
    root: str | os.PathLike[str],
    spacing: Sequence[float] = (10.0, 10.0, 10.0),
    key: str = "stack",
    membrane_width: float = 0.0,
) -> list[EmVolume]:
    """List the FIB-SEM volumes of a folder in the layout of the example data of Janelia's gala.

    Args:
        root: Folder with ``image.h5`` and ``gt.lzf.h5``, or these with ``train-`` and ``test-`` before their names.
        spacing: Voxel size in nm (z, y, x), which the files do not hold; FIB-SEM is isotropic.
        key: Data set in the files.
        membrane_width: See `EmVolume`, in nm; the membranes of the ids are one voxel thin, and 10 makes them three.

    Returns:
        ``"gala"``, or ``"gala_train"`` and ``"gala_test"``. Id 0 is membrane.

    Raises:
        ValueError: `root` has no such files, or an image to train with has no ids.

    References:
        Nunez-Iglesias et al., Machine learning of hierarchical clustering to segment 2D and 3D images, PLoS ONE 2013.
    """
    kinds = (("gala", "", "training"), ("gala_train", "train-", "training"), ("gala_test", "test-", "test"))
    parts: list[Part] = [
        (name, split, [f"{prefix}image.h5", f"{prefix}image.lzf.h5"], [f"{prefix}gt.h5", f"{prefix}gt.lzf.h5"])
        for name, prefix, split in kinds
    ]
    settings = {"kind": "ids", "spacing": check_spacing(spacing, 3), "membrane_width": membrane_width}
    return _find_volumes(root, "image.h5 and gt.lzf.h5, or train-image.h5 and others", parts, key, **settings)


def _find_volumes(
    root: str | os.PathLike[str], example: str, parts: Iterable[Part], key: str = "", **settings: Any
) -> list[EmVolume]:
    """Return the volumes whose images are there, with the first of the names that is; `key` is that of HDF5 files.

    Raises:
        ValueError: There is none, or an image to train with has no labels.
    """

    def stored(names: Sequence[str]) -> Stored | None:
        path = next((Path(root) / one for one in names if (Path(root) / one).exists()), None)
        return None if path is None else Stored(path, key if path.suffix.lower() in HDF5_ENDINGS else "")

    volumes = []
    for name, split, images, names in parts:
        image, labels = stored(images), stored(names)
        if image is None:
            continue
        if labels is None and split != "test":
            raise ValueError(f"{image.path} must have labels, got none of {', '.join(names)} in {root}; put them there")
        volumes.append(EmVolume(name, image, labels, split=split, **settings))
    return found_volumes(root, example, volumes)


def found_volumes(root: str | os.PathLike[str], example: str, found: list[EmVolume]) -> list[EmVolume]:
    """Return the volumes that were found, at least one; chunks that HDF5 files lack are warned of.

    Raises:
        ValueError: There is none, or two have one name; `example` says what `root` must hold.
    """
    if not found:
        raise ValueError(f"root must hold {example}, got {root}; unpack the download there")
    check_volumes(found)
    for volume in found:
        for one in (volume.image, volume.labels):
            if one is not None and one.path.suffix.lower() in HDF5_ENDINGS:  # containers were looked at before
                one.check_chunks()
    return found
