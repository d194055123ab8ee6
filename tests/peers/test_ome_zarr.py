"""The library ome-zarr reads what is written here, and what it writes is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import zarr_volumes
from monai_boundary.inference.ome_zarr import OME_VERSIONS, create_ome_zarr
from monai_boundary.inference.volume_files import VolumeGrid
from tests.datasets.em import files

pytest.importorskip("ome_zarr", reason="ome-zarr is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.mark.parametrize("version", OME_VERSIONS)
def test_what_is_written_is_read_by_ome_zarr(tmp_path: Path, version: str) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    likelihood, ids = create_ome_zarr(
        tmp_path / "a.zarr", VolumeGrid(files.SHAPE, (40.0, 4.0, 4.0), (80.0, 0.0, 8.0)), (4, 16, 16), version
    )
    likelihood[...], ids[...] = files.grey() / 255, files.blocks()
    nodes = list(Reader(parse_url(str(tmp_path / "a.zarr")))())
    held = {node.zarr.basename(): node for node in nodes}
    np.testing.assert_array_equal(np.asarray(held["ids"].data[0]), files.blocks())
    (image,) = [node for node in nodes if node.metadata.get("name") == "membrane_likelihood"]
    np.testing.assert_allclose(np.asarray(image.data[0]), files.grey() / 255, atol=1e-7)
    assert image.metadata["coordinateTransformations"][0][0] == {"type": "scale", "scale": [40.0, 4.0, 4.0]}
    assert [axis["unit"] for axis in image.metadata["axes"]] == ["nanometer"] * 3


@pytest.mark.parametrize("version", OME_VERSIONS)
def test_what_ome_zarr_writes_is_read(tmp_path: Path, version: str) -> None:
    import zarr
    from ome_zarr import format as formats
    from ome_zarr.writer import write_image, write_labels

    form = {"0.4": formats.FormatV04, "0.5": formats.FormatV05}[version]()
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=OME_VERSIONS[version])
    settings = {
        "group": group, "axes": "zyx", "fmt": form, "scale": dict(zip("zyx", (0.04, 0.004, 0.004), strict=True)),
        "axes_units": dict.fromkeys("zyx", "micrometer"), "scale_factors": [2],
    }  # fmt: skip
    image, ids = files.grey(), files.blocks().astype(np.uint32)
    write_image(image, **settings)
    write_labels(ids, name="neurons", **settings)
    (volume,) = zarr_volumes(tmp_path / "a.zarr")
    assert volume.spacing == pytest.approx((40.0, 4.0, 4.0))
    np.testing.assert_array_equal(volume.image.read(), image)
    np.testing.assert_array_equal(volume.labels.read(), ids)
