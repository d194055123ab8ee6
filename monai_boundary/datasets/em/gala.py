"""FIB-SEM volumes in the layout of Janelia's gala: image, ids and a boundary probability, one HDF5 file each."""

from __future__ import annotations

import os
from collections.abc import Sequence

from monai_boundary._check import check_spacing
from monai_boundary.datasets.em.volumes import EmVolume, Stored, check_volumes, existing

__all__ = ["gala_volumes"]


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
        ValueError: `root` has no such files, or an image has no ids.

    References:
        Nunez-Iglesias et al., Machine learning of hierarchical clustering to segment 2D and 3D images, PLoS ONE 2013.
    """
    z, y, x = check_spacing(spacing, 3)

    def stored(prefix: str, stem: str) -> Stored | None:
        return existing(root, *(f"{prefix}{stem}{ending}" for ending in (".h5", ".lzf.h5")), key=key)

    volumes = []
    for prefix, name, split in (
        ("", "gala", "training"),
        ("train-", "gala_train", "training"),
        ("test-", "gala_test", "test"),
    ):
        image, ids, likelihood = (stored(prefix, stem) for stem in ("image", "gt", "p1"))
        if image is None:
            continue
        if ids is None:
            raise ValueError(
                f"{image.path} must have ids, got no {prefix}gt.h5 or {prefix}gt.lzf.h5 in {root}; copy them"
            )
        others = () if likelihood is None else (("likelihood", likelihood),)
        volumes.append(
            EmVolume(name, image, ids, "ids", (z, y, x), split, membrane_width=membrane_width, others=others)
        )
    if not volumes:
        raise ValueError(f"root must hold image.h5 and gt.lzf.h5, or train-image.h5 and others, got {root}")
    check_volumes(volumes)
    return volumes
