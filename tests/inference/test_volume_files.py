"""Files of predicted volumes: what is in them, and that they are whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import Stored, zarr_volumes
from monai_boundary.inference.volume_files import IDS_KEY, LIKELIHOOD_KEY, VolumeGrid, volume_files, volume_writer

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")

GRID = VolumeGrid((3, 5, 7), (40.0, 4.0, 8.0), (80.0, 0.0, 24.0), per_slice=True)


@pytest.fixture
def arrays() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random(GRID.shape, np.float32), rng.integers(0, 2**31, GRID.shape)


def write(files: dict[str, list[Path]], *parts: tuple[np.ndarray, np.ndarray]) -> None:
    with volume_writer(files, GRID) as add:
        for likelihood, ids in parts:
            add(likelihood, ids)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_slices_are_written_in_their_order(tmp_path: Path, arrays, step: int) -> None:
    parts = [tuple(array[start : start + step] for array in arrays) for start in range(0, 3, step)]
    write(volume_files(tmp_path, "v", ("hdf5", "tiff")), *parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.hdf", "v_ids.tif", "v_likelihood.tif"]
    likelihood, ids = arrays
    for name, key, values, dtype in (
        ("v.hdf", LIKELIHOOD_KEY, likelihood, np.float32), ("v_likelihood.tif", None, likelihood, np.float32),
        ("v.hdf", IDS_KEY, ids, np.uint64), ("v_ids.tif", None, ids, np.uint32),
    ):  # fmt: skip
        stored = Stored(tmp_path / name, key).read()
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, values)


def test_voxels_have_the_size_and_place_of_cremi(tmp_path: Path, arrays) -> None:
    write(volume_files(tmp_path, "v", ("hdf5", "tiff")), arrays)
    with h5py.File(tmp_path / "v.hdf") as file:
        for key in ("volumes/labels/neuron_ids", "volumes/predictions/membrane_likelihood"):
            assert file[key].attrs["resolution"].tolist() == [40.0, 4.0, 8.0]
            assert file[key].attrs["offset"].tolist() == [80.0, 0.0, 24.0]
        assert file["volumes/labels/neuron_ids"].attrs["per_slice"]
    with tifffile.TiffFile(tmp_path / "v_ids.tif") as file:
        tags = file.pages[0].tags
        pixels = [tags[name].value[0] / tags[name].value[1] for name in ("XResolution", "YResolution")]
        assert pixels == pytest.approx([1e7 / 8, 1e7 / 4])  # per cm


@pytest.mark.parametrize("step", [1, 3])
def test_ome_zarr_holds_likelihood_and_labels_on_their_grid(tmp_path: Path, arrays, step: int) -> None:
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    parts = [tuple(array[start : start + step] for array in arrays) for start in range(0, 3, step)]
    write(volume_files(tmp_path, "v", ["zarr"]), *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["v.zarr"]
    (volume,) = zarr_volumes(tmp_path / "v.zarr")
    assert (volume.spacing, volume.origin) == (GRID.spacing, GRID.offset)
    group = zarr.open_group(tmp_path / "v.zarr", mode="r")
    for key, values, dtype in (("0", arrays[0], np.float32), ("labels/ids/0", arrays[1], np.uint64)):
        assert group[key].dtype == dtype
        np.testing.assert_array_equal(group[key][:], values)
    assert group["labels/ids"].attrs["per_slice"] is True


def test_a_chunk_of_zeros_is_there_and_one_that_changed_is_noticed(tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="zarr is not installed")
    zeros = np.zeros(GRID.shape)
    write(volume_files(tmp_path, "v", ["zarr"]), (zeros, zeros))
    (volume,) = zarr_volumes(tmp_path / "v.zarr")  # it warns of missing chunks
    chunk = tmp_path / "v.zarr" / "labels" / "ids" / "0" / "1" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(
        ValueError, match=r"ids/0/1/0/0 must be a whole chunk of .*v\.zarr, labels/ids/0, got: .*copy it"
    ):
        volume.labels.read()


@pytest.mark.parametrize("formats", [("hdf5",), ("tiff",)])
@pytest.mark.parametrize(
    ("width", "text"),
    [(2, r"slices must be \(d, 5, 7\), got \(1, 5, 7\) and \(1, 2, 7\)"), (5, "must get its 3 slices, got 2")],
)
def test_a_run_that_fails_leaves_what_was_there(tmp_path: Path, arrays, formats, width: int, text: str) -> None:
    files, (likelihood, ids) = volume_files(tmp_path, "v", formats), arrays
    paths = [path for found in files.values() for path in found]
    for path in paths:
        path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match=text):
        write(files, (likelihood[:1], ids[:1]), (likelihood[1:2], ids[1:2, :width]))
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert all(path.read_bytes() == b"earlier" for path in paths)


@pytest.mark.parametrize(
    ("formats", "text"),
    [
        ((), r"formats must be a list of hdf5, tiff, zarr, got \(\)"),
        ("hdf5", "got 'hdf5'"),
        (["png"], "formats must be one of"),
    ],
)
def test_formats_that_are_none_are_refused(tmp_path: Path, formats, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        volume_files(tmp_path, "v", formats)
