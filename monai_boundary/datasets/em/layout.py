"""What the lists of volumes share: finding arrays by the names that a download gives them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai_boundary.datasets.em.stored import HDF5_ENDINGS, Stored
from monai_boundary.datasets.em.volume import EmVolume, check_volumes

__all__ = ["find_volume", "found_volumes"]


def find_volume(
    root: str | os.PathLike[str],
    name: str,
    image: Iterable[str],
    labels: Iterable[str],
    key: str = "",
    others: Mapping[str, Iterable[str]] | None = None,
    **settings: Any,
) -> EmVolume | None:
    """Return the volume whose arrays lie below `root`, ``None`` where there is no image.

    Args:
        root: The folder of the download.
        name: Of the volume.
        image: Names that the file or folder of the image may have; the first that is there is taken.
        labels: The same for its labels; only volumes of the split ``"test"`` may lack them.
        key: Data set in HDF5 files.
        others: The same for more arrays, which are taken where they are there.
        **settings: Of `EmVolume`: ``kind``, ``spacing``, ``split``, ``membrane_width``.

    Raises:
        ValueError: There is an image to train with and no labels.
    """

    def stored(names: Iterable[str]) -> Stored | None:
        path = next((Path(root) / one for one in names if (Path(root) / one).exists()), None)
        return None if path is None else Stored(path, key if path.suffix.lower() in HDF5_ENDINGS else "")

    found, truth = stored(image), stored(labels)
    if found is None:
        return None
    if truth is None and settings.get("split") != "test":
        raise ValueError(f"{found.path} must have labels, got none of {', '.join(labels)} in {root}; put them there")
    more = {other: stored(names) for other, names in (others or {}).items()}
    present = tuple((other, array) for other, array in more.items() if array is not None)
    return EmVolume(name, found, truth, others=present, **settings)


def found_volumes(root: str | os.PathLike[str], example: str, volumes: Iterable[EmVolume | None]) -> list[EmVolume]:
    """Return the volumes that were found, at least one.

    Raises:
        ValueError: There is none, or two have one name; `example` says what `root` must hold.
    """
    found = [volume for volume in volumes if volume is not None]
    if not found:
        raise ValueError(f"root must hold {example}, got {root}; unpack the download there")
    check_volumes(found)
    return found
