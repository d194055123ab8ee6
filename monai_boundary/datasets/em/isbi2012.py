"""ISBI 2012 (larva of Drosophila): 30 slices of 512 x 512 pixels with membranes, 30 without."""

from __future__ import annotations

import os

from monai_boundary.datasets.em.volumes import EmVolume, check_volumes, existing

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
    image, labels = existing(root, *_IMAGES), existing(root, *_LABELS)
    if image is None:
        raise ValueError(
            f"root must hold train-volume.tif and train-labels.tif, or folders images and labels, got {root}; unpack "
            "the download there"
        )
    if labels is None:
        raise ValueError(
            f"{image.path} must have labels, got none of {', '.join(_LABELS)} in {root}; unpack them there"
        )
    volumes = [EmVolume("isbi2012", image, labels, "interior", SPACING)]
    test = existing(root, "test-volume.tif")
    if test is not None:
        volumes.append(EmVolume("isbi2012_test", test, None, "interior", SPACING, "test"))
    check_volumes(volumes)
    return volumes
