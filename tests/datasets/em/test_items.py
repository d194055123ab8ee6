"""Items of volumes: ids that fit tensors, membranes, and use through MONAI's loaders and configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset
from scipy.spatial.distance import cdist

from monai_boundary import RegionSeeds
from monai_boundary.datasets import MembranePhantoms
from monai_boundary.datasets.em import (
    IGNORE,
    UNLABELLED,
    EmSlices,
    EmVolume,
    EmVolumes,
    Stored,
    gala_volumes,
    isbi2012_volumes,
)
from tests.datasets.em import files

pytest.importorskip("h5py", reason="h5py is not installed")
pytest.importorskip("tifffile", reason="tifffile is not installed")


def stored(root: Path, name: str, array: np.ndarray) -> Stored:
    files.write_hdf5(root / name, {"stack": array})
    return Stored(root / name, "stack")


def volume(root: Path, labels: np.ndarray, kind: str = "ids", image: np.ndarray | None = None, **settings) -> EmVolume:
    grey = files.grey(shape=labels.shape) if image is None else image
    arrays = stored(root, "image.h5", grey), stored(root, "labels.h5", labels)
    return EmVolume("v", *arrays, kind, **({"spacing": (40.0, 4.0, 4.0)} | settings))


def test_ids_beyond_31_bits_are_counted_through(tmp_path: Path) -> None:
    ids = files.blocks().astype(np.uint64) + np.uint64(2**63)
    ids[0, :4] = np.uint64(2**64 - 1) - np.arange(4, dtype=np.uint64)[:, None] % 3  # unlabelled, invalid, outside
    ids[1, :4] = 0
    (item,) = EmVolumes([volume(tmp_path, ids)])
    known = np.unique(ids[(ids > 0) & (ids < 2**64 - 3)])
    expected = np.where((ids > 0) & (ids < 2**64 - 3), 1 + np.searchsorted(known, ids), 0)
    np.testing.assert_array_equal(item["ids"][0], expected)
    assert torch.from_numpy(item["ids"]).dtype == torch.int32


def near_others(ids: np.ndarray, width: float, spacing: tuple[float, ...]) -> np.ndarray:
    """Voxels of no object, or at most `width` from a voxel of another id: each voxel measured to every other."""
    places = np.argwhere(ids >= 0) * spacing
    gaps = cdist(places, places)
    gaps[ids.ravel()[:, None] == ids.ravel()[None]] = np.inf
    return (gaps.min(1) <= width).reshape(ids.shape) | (ids == 0)


@pytest.mark.parametrize("width", [0.0, 4.0, 9.0])
def test_membranes_lie_between_the_ids_of_each_slice(tmp_path: Path, width: float) -> None:
    ids = files.blocks(shape=(3, 24, 20))
    ids[:, 5:7, 8:] = 0
    made = volume(tmp_path, ids, membrane_width=width)
    whole = EmVolumes([made])[0]["membrane"][0]
    for z, item in enumerate(EmSlices([made])):
        expected = near_others(ids[z], width, (4.0, 4.0))
        np.testing.assert_array_equal(item["membrane"][0], expected)
        np.testing.assert_array_equal(whole[z], expected)


def test_membranes_of_isotropic_volumes_lie_between_ids_in_3d(tmp_path: Path) -> None:
    ids = files.blocks(shape=(4, 9, 10))
    made = volume(tmp_path, ids, spacing=(4.0, 4.0, 4.0), membrane_width=4.0)
    found = EmVolumes([made], per_slice=False)[0]["membrane"][0]
    np.testing.assert_array_equal(found, near_others(ids, 4.0, (4.0, 4.0, 4.0)))
    assert (found != EmVolumes([made])[0]["membrane"][0]).any()


def test_items_and_the_transform_derive_the_same_membranes(tmp_path: Path) -> None:
    item = EmSlices([volume(tmp_path, files.blocks(), membrane_width=8.0)])[2]
    membrane = RegionSeeds(membrane_width=8.0, spacing=(4.0, 4.0))(item["ids"])[1]
    np.testing.assert_array_equal(membrane, item["membrane"])


@pytest.mark.parametrize("reserved", [2**64 - 1, 2**64 - 2, 2**64 - 3])
@pytest.mark.parametrize("per_slice", [True, False])
@pytest.mark.parametrize("width", [0.0, 4.0, 9.0])
def test_what_nobody_labelled_is_no_membrane(tmp_path: Path, reserved: int, per_slice: bool, width: float) -> None:
    """The labelled half of a volume has the membranes that it would have alone."""
    ids = files.blocks(shape=(3, 24, 20)).astype(np.uint64)
    ids[:, 3] = 0
    half = ids[:, :12].copy()
    ids[:, 12:] = reserved
    (tmp_path / "half").mkdir()
    settings = {"membrane_width": width, "spacing": (8.0, 4.0, 4.0)}
    item, alone = (
        EmVolumes([volume(root, array, **settings)], per_slice=per_slice)[0]
        for root, array in ((tmp_path, ids), (tmp_path / "half", half))
    )
    assert (item["membrane"][0, :, 12:] == IGNORE).all()
    np.testing.assert_array_equal(item["membrane"][0, :, :12], alone["membrane"][0])
    np.testing.assert_array_equal(item["ids"][0, :, :12], alone["ids"][0])
    assert not item["ids"][0, :, 12:].any()
    marked = EmSlices([volume(tmp_path, ids, **settings)], unlabelled=UNLABELLED)[1]
    assert (marked["ids"][0, 12:] == UNLABELLED).all()
    assert (marked["membrane"][0, 12:] == IGNORE).all()


@pytest.mark.parametrize("kind", ["ids", "interior", "membrane"])
def test_a_value_of_its_own_may_say_that_nobody_labelled(tmp_path: Path, kind: str) -> None:
    mask = np.where(files.interior() > 0, 1, 0).astype(np.uint8)
    mask[:, :5] = 7
    item = EmSlices([volume(tmp_path, mask, kind, unlabelled=7)])[2]
    assert (item["membrane"][0, :5] == IGNORE).all()
    np.testing.assert_array_equal(item["membrane"][0, 5:], mask[2, 5:] == (kind == "membrane"))
    if kind != "ids":
        with pytest.raises(ValueError, match="must be a mask of 0 and 255"):
            EmSlices([volume(tmp_path, mask, kind)])[2]


@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize("kind", ["interior", "membrane"])
def test_masks_are_read_with_either_polarity(tmp_path: Path, kind: str, top: int) -> None:
    inside = files.interior() > 0
    mask = ((inside if kind == "interior" else ~inside) * top).astype(np.uint8)
    item = EmSlices([volume(tmp_path, mask, kind)])[3]
    np.testing.assert_array_equal(item["membrane"][0], ~inside[3])
    assert item["membrane"].dtype == np.uint8
    assert "ids" not in item


def test_items_keep_case_place_and_spacing(tmp_path: Path) -> None:
    made = volume(tmp_path, files.blocks(), slices=(2, 5))
    items = EmSlices([made])
    assert [item["slices"] for item in items] == [(2, 3), (3, 4), (4, 5)]
    assert [item["slices"] for item in items[1:]] == [(3, 4), (4, 5)]
    assert (items[-1]["case"], items[0]["spacing"]) == ("v", (4.0, 4.0))
    (whole,) = EmVolumes([made])
    assert (whole["image"].shape, whole["slices"], whole["spacing"]) == ((1, 3, 24, 32), (2, 5), (40.0, 4.0, 4.0))
    with pytest.raises(IndexError):
        items[3]


def test_items_collate_and_feed_loaders_with_workers(tmp_path: Path) -> None:
    items = EmSlices([volume(tmp_path, files.blocks())])
    for dataset, workers in ((Dataset(items), 2), (CacheDataset(items, lambda item: item, progress=False), 0)):
        (batch,) = DataLoader(dataset, batch_size=6, num_workers=workers)
        assert batch["image"].shape == batch["ids"].shape == batch["membrane"].shape == (6, 1, 24, 32)
        assert batch["ids"].dtype == torch.int32
        np.testing.assert_array_equal(batch["image"][4], items[4]["image"])


def test_phantoms_have_the_keys_of_real_items(tmp_path: Path) -> None:
    real, phantom = EmSlices([volume(tmp_path, files.blocks())])[0], MembranePhantoms(1, shape=(64, 64))[0]
    assert set(phantom) <= set(real)
    for key in ("image", "membrane", "ids"):
        assert (phantom[key].dtype, phantom[key].ndim) == (real[key].dtype, real[key].ndim)


def test_without_the_extra_one_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    path.touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install "monai-boundary\[em\]"') as caught:
        Stored(path, "stack").read()
    assert "\n" not in str(caught.value)
    files.write_slices(tmp_path / "images", files.grey())
    assert Stored(tmp_path / "images").shape == files.SHAPE  # needs none


def test_the_real_slices_of_isbi_2012_are_read(data_dir: Path) -> None:
    items = EmSlices(isbi2012_volumes(data_dir / "isbi2012"))
    assert len(items) == 20
    assert items[5]["image"].shape == (1, 512, 512)
    assert 0.15 < items[5]["membrane"].mean() < 0.30


def test_the_real_fib_sem_volume_is_read(data_dir: Path) -> None:
    (item,) = EmVolumes(gala_volumes(data_dir / "fibsem_gala"), per_slice=False)
    assert item["image"].shape == (1, 50, 100, 200)
    assert item["ids"].max() == 87
    np.testing.assert_array_equal(item["membrane"], item["ids"] == 0)
