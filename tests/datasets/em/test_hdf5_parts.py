"""HDF5 data sets parts of which are not there: in files of bare voxels, and as chunks that were never written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_boundary.datasets.em import EmVolume, EmVolumes, Stored, cremi_volumes, gala_volumes, snemi3d_volumes
from tests.datasets.em import files

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

COUNT = int(np.prod(files.SHAPE))


def write_external(path: Path, parts: list[tuple[str, int, int]], key: str = "stack") -> None:
    with h5py.File(path, "a") as file:
        file.create_dataset(key, files.SHAPE, np.uint8, external=parts)[...] = files.grey()


def cut(path: Path, lost: int) -> None:
    path.write_bytes(path.read_bytes()[:-lost])


@pytest.mark.parametrize("lost", [1, 100, COUNT])
@pytest.mark.parametrize("size", [COUNT, h5py.h5f.UNLIMITED], ids=["sized", "unlimited"])
def test_bare_voxels_that_are_cut_off_are_named(tmp_path: Path, lost: int, size: int) -> None:
    write_external(tmp_path / "a.h5", [(str(tmp_path / "one.raw"), 5, 1000), (str(tmp_path / "two.raw"), 7, size)])
    stored = Stored(tmp_path / "a.h5", "stack")
    np.testing.assert_array_equal(stored.read(), files.grey())
    cut(tmp_path / "two.raw", min(lost, COUNT - 1000))
    text = rf"a\.h5: /stack must have {COUNT - 1000 + 7} bytes in .*two\.raw, got \d+; copy that file again"
    for read in (
        stored.read,
        lambda: stored.shape,
        lambda: [*EmVolumes([EmVolume("v", stored, None, "ids", (1,) * 3)])],
    ):
        with pytest.raises(ValueError, match=text):
            read()
    (tmp_path / "one.raw").unlink()
    with pytest.raises(ValueError, match=r"a\.h5: /stack must have 1005 bytes in .*one\.raw, got 0; copy that"):
        stored.read()


def test_bare_voxels_are_sought_where_hdf5_seeks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_external(tmp_path / "a.h5", [("one.raw", 0, COUNT)])
    stored = Stored(tmp_path / "a.h5", "stack")
    np.testing.assert_array_equal(stored.read(), files.grey())
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(ValueError, match=rf"bytes in {tmp_path.parent}/one\.raw, got 0; .* set HDF5_EXTFILE_PREFIX to"):
        stored.read()
    code = "import sys, pathlib; from monai_boundary.datasets.em import Stored; "
    code += "print(Stored(pathlib.Path(sys.argv[1]), 'stack').read().sum())"
    found = subprocess.run(  # HDF5 looks at the prefix when it is loaded
        [sys.executable, "-c", code, str(stored.path)],
        env=os.environ | {"HDF5_EXTFILE_PREFIX": "${ORIGIN}"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(found.stdout) == files.grey().sum()


def test_bare_voxels_behind_a_virtual_data_set_are_looked_at(tmp_path: Path) -> None:
    write_external(tmp_path / "source.h5", [(str(tmp_path / "one.raw"), 0, COUNT)], "ids")
    layout = h5py.VirtualLayout(files.SHAPE, np.uint8)
    layout[:] = h5py.VirtualSource("source.h5", "ids", files.SHAPE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("stack", layout)
    np.testing.assert_array_equal(Stored(tmp_path / "a.h5", "stack").read(), files.grey())
    cut(tmp_path / "one.raw", 1)
    with pytest.raises(ValueError, match=r"a\.h5: /stack must have all its files, .*one\.raw, got"):
        Stored(tmp_path / "a.h5", "stack").read()


def write_chunks(path: Path, key: str, array: np.ndarray, *absent: tuple[int, int, int], **settings) -> None:
    """Write an array in chunks of 4 x 16 x 16, but for those of these indices."""
    path.parent.mkdir(exist_ok=True, parents=True)
    with h5py.File(path, "a") as file:
        made = file.create_dataset(key, array.shape, array.dtype, chunks=(4, 16, 16), **settings)
        for index in np.ndindex(2, 2, 2):
            part = tuple(slice(at * size, (at + 1) * size) for at, size in zip(index, (4, 16, 16), strict=True))
            if index not in absent:
                made[part] = array[part]
        made.attrs["resolution"] = files.CREMI_SPACING


LACKS = r"lacks {} of 8 chunks, which read as {}: either they hold nothing else, or the copy is incomplete; compare"


@pytest.mark.parametrize("settings", [{}, {"compression": "gzip"}, {"fillvalue": 7}, {"maxshape": (None,) * 3}])
def test_chunks_that_were_never_written_are_counted(tmp_path: Path, settings: dict) -> None:
    write_chunks(tmp_path / "a.h5", "stack", files.grey() | 1, (1, 0, 1), (0, 0, 0), **settings)
    fill, stored = settings.get("fillvalue", 0), Stored(tmp_path / "a.h5", "stack")
    with pytest.warns(UserWarning, match=r"a\.h5, stack, " + LACKS.format(2, fill)):
        stored.check_chunks()
    assert (stored.read()[4:, :16, 16:] == fill).all()


def test_every_list_warns_of_chunks_that_are_not_there(tmp_path: Path) -> None:
    ids = files.blocks().astype(np.uint64)
    for name, key in (("sample_A_1.hdf", "volumes/raw"), ("train-input.h5", "main"), ("image.h5", "stack")):
        write_chunks(tmp_path / name, key, files.grey())
    for name, key in (
        ("sample_A_1.hdf", "volumes/labels/neuron_ids"), ("train-labels.h5", "main"), ("gt.h5", "stack")
    ):  # fmt: skip
        write_chunks(tmp_path / name, key, ids, (0, 1, 1))
    for listed in (cremi_volumes, snemi3d_volumes, gala_volumes):
        with pytest.warns(UserWarning, match=LACKS.format(1, 0)) as told:
            (volume,) = listed(tmp_path)
        assert [str(volume.labels) in str(one.message) for one in told] == [True]


@pytest.mark.parametrize("chunks", [None, (4, 16, 16)])
def test_a_data_set_that_was_never_written_is_refused(tmp_path: Path, chunks) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("stack", files.SHAPE, np.uint8, chunks=chunks)
    count = 1 if chunks is None else 8
    with pytest.raises(ValueError, match=rf"a\.h5, stack, must have chunks, got none of {count}; copy it again"):
        Stored(tmp_path / "a.h5", "stack").check_chunks()


@pytest.mark.parametrize("absent", [(), ((0, 0, 1),)])
def test_chunks_of_the_sources_of_a_virtual_data_set_count(tmp_path: Path, absent: tuple, recwarn) -> None:
    write_chunks(tmp_path / "a.h5", "stack", files.grey(), *absent)
    layout = h5py.VirtualLayout(files.SHAPE, np.uint8)
    for half in (slice(3), slice(3, 6)):
        layout[half] = h5py.VirtualSource("a.h5", "stack", files.SHAPE)[half]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.create_virtual_dataset("whole", layout)
        file["contiguous"] = files.grey()
    write_external(tmp_path / "a.h5", [(str(tmp_path / "one.raw"), 0, COUNT)], "bare")
    for key in ("whole", "contiguous", "bare"):
        Stored(tmp_path / "a.h5", key).check_chunks()
    assert [str(one.message).split(" lacks ")[1][:6] for one in recwarn] == ["1 of 8"] * len(absent)
