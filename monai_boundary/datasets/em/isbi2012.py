"""ISBI 2012 (larva of Drosophila): 30 slices of 512 x 512 pixels with membranes, 30 without."""

from __future__ import annotations

import os

from monai_boundary.datasets.em.layout import find_volume, found_volumes
from monai_boundary.datasets.em.volume import EmVolume

__all__ = ["isbi2012_volumes"]

SPACING = (50.0, 4.0, 4.0)
_IMAGES = ("train-volume.tif", "train/image", "train/images", "image", "images")
_LABELS = ("train-labels.tif", "train/label", "train/labels", "label", "labels")


def isbi2012_volumes(root: str | os.PathLike[str]) -> list[EmVolume]:
    """List the volumes of the ISBI 2012 segmentation challenge, as TIFF stacks or folders of slices.

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
    return found_volumes(
        root,
        "train-volume.tif and train-labels.tif, or folders images and labels",
        [
            find_volume(root, "isbi2012", _IMAGES, _LABELS, kind="interior", spacing=SPACING),
            find_volume(root, "isbi2012_test", ["test-volume.tif"], [], kind="interior", spacing=SPACING, split="test"),
        ],
    )
