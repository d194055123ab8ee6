"""What the attributes of Zarr and N5 say of the size and place of voxels."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_boundary.datasets.em import zarr_volumes
from tests.datasets.em import files
from tests.datasets.em.files import write_n5, write_zarr

pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
pytest.importorskip("z5py", reason="z5py is not installed")


def only(root: Path, **settings):
    (volume,) = zarr_volumes(root, **settings)
    return volume


@pytest.mark.parametrize(
    ("size", "voxel", "origin"),
    [
        ({"pixelResolution": [4, 5, 40]}, (40.0, 10.0, 16.0), (0.0, 2.5, 6.0)),
        ({"pixelResolution": {"unit": "um", "dimensions": [0.004, 0.005, 0.04]}}, (40.0, 10.0, 16.0), (0.0, 2.5, 6.0)),
        ({"resolution": [4, 5, 40]}, (40.0, 10.0, 16.0), (0.0, 2.5, 6.0)),
        ({"resolution": [4, 5, 40], "offset": [8, 0, 80]}, (40.0, 10.0, 16.0), (80.0, 0.0, 8.0)),
        ({"voxel_size": [4, 5, 40]}, (40.0, 5.0, 4.0), (0.0, 0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("form", ["n5", "zarr"])
def test_sizes_of_the_full_resolution_are_told_from_those_of_a_level(tmp_path: Path, form, size, voxel, origin) -> None:
    """As the wiki of n5-ij has its dialects: pixelResolution (n5-viewer) and resolution (BigCat) beside factors."""
    attributes = size | {"downsamplingFactors": [4, 2, 1]}
    if form == "n5":
        path = write_n5(tmp_path / "a.n5", {"s1": files.grey()}, attributes=attributes)
    else:  # from z on, but what n5-viewer writes
        if "pixelResolution" not in size:
            attributes = {name: value[::-1] for name, value in attributes.items()}
        path = write_zarr(tmp_path / "a.zarr", {"s1": files.grey()}, {"s1": attributes})
    volume = only(path, image="s1")
    assert (volume.spacing, volume.origin) == (pytest.approx(voxel), pytest.approx(origin))
