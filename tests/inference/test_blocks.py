"""Blocks of a volume: joined, they are the whole volume, whatever their size and however often the run was killed."""

from __future__ import annotations

import errno
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from monai_boundary.datasets.em import Stored, zarr_volumes
from monai_boundary.inference import predict_blocks
from monai_boundary.inference.blocks import Blocks, join_blocks
from monai_boundary.metrics import LikelihoodSegmentation
from tests.datasets.em import files
from tests.kill.dying import KILLED, Steps, in_child, needs_fork

zarr = pytest.importorskip("zarr", reason="zarr is not installed")

SHAPE, BLOCK, HALO = (13, 22, 30), (6, 8, 16), (2, 2, 2)
SPACING = (10.0, 10.0, 10.0)


def smooth(voxels: np.ndarray) -> np.ndarray:
    """A network whose receptive field ends two voxels away; at the edges of the volume it sees the edge again."""
    return ndimage.uniform_filter(voxels.astype(np.float32) / 255, 5, mode="nearest")


class Noise:
    """A volume of spots, in memory."""

    def __init__(self, shape: tuple[int, int, int] = SHAPE) -> None:
        rng = np.random.default_rng(1)
        self.array = (ndimage.uniform_filter(rng.random(shape), 3) * 255).astype(np.uint8)
        self.shape = shape
        self.read: list[int] = []

    def window(self, part) -> np.ndarray:
        self.read.append(self.array[part].size)
        return self.array[part]

    def __str__(self) -> str:
        return "noise"


def predict(target: Path, source: Noise | None = None, network=smooth, **settings) -> tuple[np.ndarray, np.ndarray]:
    given = {"spacing": SPACING, "block_size": BLOCK, "halo": HALO, "progress": False} | settings
    predict_blocks(source or Noise(), target, network, **given)
    (volume,) = zarr_volumes(target)
    return volume.image.read(), volume.labels.read()


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two maps of ids differ in the numbers only, 0 excepted."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    both_zero = ((pairs == 0).all(0) | (pairs > 0).all(0)).all()
    return bool(both_zero and all(len(np.unique(row)) == len(row) for row in pairs))


THRESHOLD = 0.5


@pytest.mark.parametrize("block", [BLOCK, (64, 64, 64), (5, 22, 7)])
@pytest.mark.parametrize("min_size", [0, 12])
def test_blocks_give_what_the_whole_volume_gives(tmp_path: Path, block: tuple, min_size: int) -> None:
    likelihood, ids = predict(tmp_path / "a.zarr", block_size=block, threshold=THRESHOLD, min_size=min_size)
    whole = smooth(Noise().array)
    np.testing.assert_allclose(likelihood, whole, atol=1e-6)
    truth = ndimage.label(likelihood <= THRESHOLD)[0]
    sizes = np.bincount(truth.ravel())
    assert (sizes[1:] < 12).any()
    assert (sizes[1:] >= 12).sum() > 3
    truth[(sizes < min_size)[truth]] = 0
    assert same_objects(ids, truth)
    assert ids.max() == len(np.unique(ids)) - 1


def test_a_snake_through_all_blocks_is_one_object(tmp_path: Path) -> None:
    membrane = np.ones(SHAPE, np.float32)
    membrane[:, ::2] = 0  # plates,
    membrane[::2, 1::4, -1] = membrane[::2, 3::4, 0] = 0  # joined at their ends in turn
    source = Noise()
    source.array = membrane
    _, ids = predict(tmp_path / "a.zarr", source, lambda voxels: voxels, halo=(0, 0, 0))
    assert (ids == (membrane == 0)).all()


@given(st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=5), st.data())
def test_joined_components_have_the_numbers_of_their_first_block(sizes: list[list[int]], data: st.DataObject) -> None:
    total = sum(map(len, sizes))
    index = st.integers(0, max(0, total - 1))
    pairs = data.draw(st.lists(st.tuples(index, index), max_size=6)) if total else []
    least = data.draw(st.integers(0, 12))
    offsets, ids = join_blocks([np.array(one, np.int64) for one in sizes], np.array(pairs, int).reshape(-1, 2), least)
    groups = [{at} for at in range(total)]  # by hand
    for one, other in pairs:
        first, second = (next(group for group in groups if at in group) for at in (one, other))
        if first is not second:
            groups.remove(second)
            first |= second
    voxels = [size for block in sizes for size in block]
    kept = [group for group in sorted(groups, key=min) if sum(voxels[at] for at in group) >= least]
    flat = [ids[offsets[block] + k + 1] for block, one in enumerate(sizes) for k in range(len(one))]
    assert flat == [next((n + 1 for n, group in enumerate(kept) if at in group), 0) for at in range(total)]
    assert all(ids[offset] == 0 for offset in offsets)


def test_a_block_is_read_with_its_halo_and_no_more(tmp_path: Path) -> None:
    source = Noise()
    predict(tmp_path / "a.zarr", source)
    assert max(source.read) == (6 + 2 + 1) * (8 + 2 + 2) * (16 + 2)
    assert len(source.read) == len(Blocks(SHAPE, BLOCK)) == 18


def test_a_short_halo_shows(tmp_path: Path) -> None:
    likelihood, _ = predict(tmp_path / "a.zarr", halo=(0, 2, 2))
    wrong = np.abs(likelihood - smooth(Noise().array)).max((1, 2)) > 1e-4
    assert wrong.tolist() == [z in (4, 5, 6, 7, 10, 11, 12) for z in range(13)]


def test_values_are_standardised_over_the_volume(tmp_path: Path) -> None:
    seen = []

    def network(voxels: np.ndarray) -> np.ndarray:
        seen.append(voxels)
        return np.zeros(voxels.shape)

    predict(tmp_path / "a.zarr", network=network, standardize=True, halo=(0, 0, 0))
    values, array = np.concatenate([one.ravel() for one in seen]), Noise().array
    expected = np.sort((array.ravel() - array.mean()) / array.std())
    np.testing.assert_allclose(np.sort(values), expected, atol=1e-5)


def test_membranes_are_filled_as_in_the_whole_volume(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    likelihood, ids = predict(tmp_path / "a.zarr")
    settings = LikelihoodSegmentation(threshold=THRESHOLD, membrane="watershed")
    _, filled = predict(tmp_path / "b.zarr", halo=(8, 8, 8), fill=settings.fill)
    whole = settings(likelihood)
    np.testing.assert_array_equal(filled[ids > 0], ids[ids > 0])
    assert (filled > 0).all()
    numbers = np.zeros(whole.max() + 1, np.int64)
    numbers[whole[ids > 0]] = ids[ids > 0]
    assert (filled == numbers[whole]).mean() > 0.99  # plateaus may be cut elsewhere


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_run_killed_at_any_step_goes_on_to_the_same_result(tmp_path: Path) -> None:
    settings = {"block_size": (13, 11, 15), "standardize": True, "overwrite": True}
    network = lambda voxels: (smooth(voxels * 40 + 120)).clip(0, 1)  # noqa: E731
    run = partial(predict, source=Noise(), network=network, **settings)
    run(tmp_path / "whole" / "a.zarr")
    right = content(tmp_path / "whole" / "a.zarr")

    def count() -> int:
        (tmp_path / "count").mkdir()
        steps = Steps(tmp_path / "count")
        run(tmp_path / "count" / "a.zarr")
        return min(250, steps.count)

    last = in_child(count)
    assert last > 40
    for point in range(1, last + 1, max(1, last // 8)):
        folder = tmp_path / str(point)
        folder.mkdir()

        def dying(folder: Path = folder, point: int = point) -> None:
            Steps(folder, point)
            run(folder / "a.zarr")

        assert in_child(dying) == KILLED
        run(folder / "a.zarr")
        assert content(folder / "a.zarr") == right
        assert [path.name for path in folder.iterdir()] == ["a.zarr"]


def broken_after(count: int):
    calls = []

    def network(voxels: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) > count:
            raise KeyboardInterrupt
        return smooth(voxels)

    return network


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    with pytest.raises(KeyboardInterrupt):
        predict(target, network=broken_after(7), model="m")
    assert not target.exists()
    for change, text in (
        ({"threshold": 0.6, "model": "m"},
         r"threshold must be 0\.5 as in the unfinished run in .*\.a\.zarr\.blocks, got 0\.6; give"),
        ({"model": "other"}, "model must be m as in the unfinished run"), ({"halo": (1, 1, 1)}, "halo must be"),
        ({}, "model must be m as in"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            predict(target, **change)
    source = Noise()
    predict(target, source, model="m")
    assert len(source.read) == 18 - 7
    with pytest.raises(FileExistsError, match=r"a\.zarr must not exist yet; choose another name or pass overwrite"):
        predict(target)
    before = content(target)
    with pytest.raises(KeyboardInterrupt):
        predict(target, network=broken_after(3), threshold=0.4, overwrite=True)
    assert content(target) == before
    predict(target, overwrite=True)
    assert content(target) == before


def test_a_run_of_a_model_without_a_name_is_not_continued_by_another(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    with pytest.raises(KeyboardInterrupt):
        predict(target, network=broken_after(7))
    with pytest.raises(
        ValueError, match=r"model must name what predict is to continue .*\.a\.zarr\.blocks, got ''; pass"
    ):
        predict(target, network=lambda voxels: np.zeros(voxels.shape))
    likelihood, _ = predict(target, network=lambda voxels: np.zeros(voxels.shape), overwrite=True)
    assert not likelihood.any()


class Bare(Noise):
    """A source of one's own, which says of itself what Python says: where it lies in memory."""

    __str__ = object.__str__


class Described(Bare):
    def __repr__(self) -> str:
        return f"Described({self.array.mean()}, {object.__repr__(self)})"


@pytest.mark.parametrize("kind", [Bare, Described])
def test_a_source_that_has_no_name_is_continued_in_another_process(tmp_path: Path, kind) -> None:
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "a.zarr", kind(), network=broken_after(7), model="m")
    source = kind()  # elsewhere in memory
    predict(tmp_path / "a.zarr", source, model="m")
    assert len(source.read) == 18 - 7


@pytest.mark.parametrize(("change", "text"), [
    ({"network": lambda voxels: voxels[1:]}, r"predict must return the shape that it gets, \(8, 10, 18\), got \(7, 10"),
    ({"network": lambda voxels: voxels * np.nan}, r"predict must return a likelihood in \[0, 1\], got values in \[nan"),
    ({"network": lambda voxels: voxels + 2.0}, "got values in .*; apply sigmoid"),
    ({"block_size": (8, 8)}, r"size must hold one number per axis \(3\), got \(8, 8\)"),
    ({"block_size": (8, 0, 8)}, "size must be an integer >= 1, got 0"),
    ({"halo": (8, -1, 8)}, "halo must be an integer >= 0, got -1"),
    ({"threshold": 2}, "threshold must"), ({"version": "0.3"}, "version must be one of '0.4', '0.5', got '0.3'"),
])  # fmt: skip
def test_wrong_settings_and_predictions_are_told(tmp_path: Path, change: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        predict(tmp_path / "a.zarr", **change)
    assert not (tmp_path / "a.zarr").exists()


def test_a_full_disk_is_told_with_the_folder_that_goes_on(tmp_path: Path) -> None:
    def full(voxels: np.ndarray) -> np.ndarray:
        if len(list(tmp_path.rglob("*.npy"))) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as zarr raises it, without a path
        return smooth(voxels)

    with pytest.raises(
        OSError, match=r"No space left on device; free some .* goes on from here: '.*\.a\.zarr\.blocks'"
    ):
        predict(tmp_path / "a.zarr", network=full, model="m")
    predict(tmp_path / "a.zarr", model="m")
    with pytest.raises(OSError, match=r"free some space and start again with overwrite=True: '.*\.b\.zarr\.blocks'"):
        predict(tmp_path / "b.zarr", network=full)


def test_a_stored_volume_keeps_its_voxel_size_and_place(tmp_path: Path) -> None:
    (volume,) = zarr_volumes(files.write_ome_zarr(tmp_path / "in.zarr", files.grey()))
    predict_blocks(
        volume.image, tmp_path / "out.zarr", smooth, spacing=volume.spacing, offset=volume.origin, version="0.5",
        block_size=(4, 16, 16), halo=(2, 2, 2), progress=False,
    )  # fmt: skip
    (out,) = zarr_volumes(tmp_path / "out.zarr")
    assert (out.spacing, out.origin) == (volume.spacing, volume.origin)
    np.testing.assert_allclose(out.image.read(), smooth(files.grey()), atol=1e-6)
    assert json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]["ome"]["version"] == "0.5"
    assert isinstance(out.image, Stored)
