"""Files of predicted volumes: what is in them, and that they are whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import Stored
from monai_boundary.inference.volume_files import IDS_KEY, LIKELIHOOD_KEY, VolumeGrid, volume_files, volume_writer

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")

GRID = VolumeGrid((3, 5, 7), (40.0, 4.0, 8.0), (80.0, 0.0, 24.0), per_slice=True)


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random(GRID.shape, np.float32), rng.integers(0, 2**31, GRID.shape)


def write(folder: Path, arrays: tuple[np.ndarray, np.ndarray], step: int, formats=("hdf5", "tiff")) -> None:
    with volume_writer(volume_files(folder, "v", formats), GRID) as add:
        for start in range(0, 3, step):
            add(*(array[start : start + step] for array in arrays))


@pytest.mark.parametrize("step", [1, 2, 3])
def test_slices_are_written_in_their_order(tmp_path: Path, arrays, step: int) -> None:
    write(tmp_path, arrays, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.hdf", "v_ids.tif", "v_likelihood.tif"]
    likelihood, ids = arrays
    for stored in (Stored(tmp_path / "v.hdf", LIKELIHOOD_KEY), Stored(tmp_path / "v_likelihood.tif")):
        np.testing.assert_array_equal(stored.read(), likelihood)
    for stored, dtype in (
        (Stored(tmp_path / "v.hdf", IDS_KEY), np.uint64),
        (Stored(tmp_path / "v_ids.tif"), np.uint32),
    ):
        assert stored.read().dtype == dtype
        np.testing.assert_array_equal(stored.read(), ids)


def test_voxels_have_the_size_and_place_of_cremi(tmp_path: Path, arrays) -> None:
    write(tmp_path, arrays, 1)
    with h5py.File(tmp_path / "v.hdf") as file:
        for key in ("volumes/labels/neuron_ids", "volumes/predictions/membrane_likelihood"):
            assert file[key].attrs["resolution"].tolist() == [40.0, 4.0, 8.0]
            assert file[key].attrs["offset"].tolist() == [80.0, 0.0, 24.0]
        assert file["volumes/labels/neuron_ids"].attrs["per_slice"]
    with tifffile.TiffFile(tmp_path / "v_ids.tif") as file:
        tags = file.pages[0].tags
        pixels = [tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution")]
        assert pixels == pytest.approx([1e7 / 8, 1e7 / 4])  # per cm


def write_broken(files: dict, arrays: tuple[np.ndarray, np.ndarray]) -> None:
    with volume_writer(files, GRID) as add:
        add(*(array[:1] for array in arrays))
        add(arrays[0][1:], arrays[1][1:, :2])


@pytest.mark.parametrize("formats", [("hdf5",), ("tiff",)])
def test_a_run_that_fails_leaves_what_was_there(tmp_path: Path, arrays, formats) -> None:
    files = volume_files(tmp_path, "v", formats)
    paths = [path for found in files.values() for path in found]
    for path in paths:
        path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match=r"slices must be \(d, 5, 7\), got \(2, 5, 7\) and \(2, 2, 7\)"):
        write_broken(files, arrays)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all(path.read_bytes() == b"earlier" for path in paths)


def test_a_volume_with_slices_missing_is_not_kept(tmp_path: Path, arrays) -> None:
    with (
        pytest.raises(ValueError, match="the volume must get its 3 slices, got 2"),
        volume_writer(volume_files(tmp_path, "v", ["hdf5"]), GRID) as add,
    ):
        add(*(array[:2] for array in arrays))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("formats", "text"),
    [
        ((), r"formats must be a list of hdf5, tiff, got \(\)"),
        ("hdf5", "got 'hdf5'"),
        (["png"], "formats must be one of"),
    ],
)
def test_formats_that_are_none_are_refused(tmp_path: Path, formats, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        volume_files(tmp_path, "v", formats)
