"""FIB-SEM volumes in the layout of Janelia's gala: image, ids and a boundary probability, one HDF5 file each."""

from __future__ import annotations

import os
from collections.abc import Sequence

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.layout import find_volume, found_volumes
from monai_boundary.datasets.em.volume import EmVolume

__all__ = ["gala_volumes"]

_PARTS = (("", "gala", "training"), ("train-", "gala_train", "training"), ("test-", "gala_test", "test"))


def gala_volumes(
    root: str | os.PathLike[str],
    spacing: Sequence[float] = (10.0, 10.0, 10.0),
    key: str = "stack",
    membrane_width: float = 0.0,
) -> list[EmVolume]:
    """List the volumes of a folder in the layout of gala's example data.

    Args:
        root: Folder with ``image.h5``, ``gt.lzf.h5`` and, if wanted, ``p1.lzf.h5``; or these with ``train-`` and
            ``test-`` before their names.
        spacing: Voxel size in nm (z, y, x), which the files do not hold; FIB-SEM is isotropic.
        key: Data set in the files.
        membrane_width: See `EmVolume`, in nm; the membranes of the ids are one voxel thin, and 10 makes them three.

    Returns:
        ``"gala"``, or ``"gala_train"`` and ``"gala_test"``. Id 0 is membrane; where ``p1`` is there items hold its
        ``"likelihood"`` of boundaries.

    Raises:
        ValueError: `root` has no such files, or an image to train with has no ids.

    References:
        Nunez-Iglesias et al., Machine learning of hierarchical clustering to segment 2D and 3D images, PLoS ONE 2013.
    """
    voxel = check_spacing(spacing, 3)

    def names(stem: str) -> list[str]:
        return [f"{stem}.h5", f"{stem}.lzf.h5"]

    volumes = [
        find_volume(
            root, name, names(f"{prefix}image"), names(f"{prefix}gt"), key, {"likelihood": names(f"{prefix}p1")},
            kind="ids", spacing=voxel, split=split, membrane_width=membrane_width,
        )
        for prefix, name, split in _PARTS
    ]  # fmt: skip
    return found_volumes(root, "image.h5 and gt.lzf.h5, or train-image.h5 and others", volumes)
