"""A data set of three small cases, and its maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_boundary import DistanceMapOptions
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from monai_boundary.map_store import MapStore
from monai_boundary.precompute import precompute_maps

OPTIONS = DistanceMapOptions(clip=20.0, absent="far")
#: Arguments of `precompute_maps` after the two folders.
GIVEN = {"num_classes": 2, "options": OPTIONS, "include_background": True, "progress": False}


def write_cases(folder: Path, count: int = 3, shape: tuple[int, ...] = (12, 40, 36)) -> Path:
    """Write a datalist of phantoms `p0`, `p1`, ... of different seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for number in range(count):
        phantom = lesion_phantom(number, shape)
        files = [folder / f"p{number}_{kind}.nii.gz" for kind in ("image", "label")]
        write_volume(files[0], phantom.image, phantom.spacing)
        write_volume(files[1], phantom.labels.astype(np.uint8), phantom.spacing)
        cases.append(CaseFiles(f"p{number}", (files[0],), files[1]))
    write_datalist(folder / "datalist.json", {"training": cases})
    return folder


def whole(folder: Path, case: str) -> np.ndarray:
    """The whole stored map of a case."""
    store = MapStore(folder)
    shape = store.record(case).shape[1:]
    return store.read(case, [0] * len(shape), shape)


def content(folder: Path) -> dict[str, bytes]:
    """Names and bytes of all files in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "data")


@pytest.fixture
def maps(data: Path, tmp_path: Path) -> Path:
    """Maps of the three cases, background included, clip 20."""
    precompute_maps(data, tmp_path / "maps", **GIVEN)
    return tmp_path / "maps"
