"""A data set of three small cases, and its maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_boundary import DistanceMapOptions
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps

ALL = ["p0", "p1", "p2"]
OPTIONS = DistanceMapOptions(clip=20.0, absent="far")
#: Arguments of `precompute_maps` after the two folders.
GIVEN = {"num_classes": 2, "options": OPTIONS, "include_background": True, "progress": False}


def write_cases(folder: Path, count: int = 3, shape: tuple[int, ...] = (12, 40, 36)) -> Path:
    """Write the labels of phantoms `p0`, `p1`, ... of different seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        phantom = lesion_phantom(number, shape)
        write_volume(folder / f"p{number}.nii.gz", phantom.labels.astype(np.uint8), phantom.spacing)
    return folder


def whole(folder: Path, case: str) -> np.ndarray:
    """The whole stored map of a case."""
    store = MapStore(folder)
    return store.read(case, (0, 0, 0), store.record(case).shape[1:])


def content(folder: Path) -> dict[str, bytes]:
    """Names and bytes of all maps in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".part")}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "data")


@pytest.fixture
def maps(data: Path, tmp_path: Path) -> Path:
    """Maps of the three cases, background included, clip 20."""
    precompute_maps(data, tmp_path / "maps", **GIVEN)
    return tmp_path / "maps"
