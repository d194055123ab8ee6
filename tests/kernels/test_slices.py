"""Objects of slices that are joined through the volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from monai_boundary.kernels.regions import connected_components
from monai_boundary.kernels.slices import continue_objects, link_slices
from monai_boundary.metrics import instance_scores


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 0.9]))
def test_linked_objects_share_most_with_each_other(seed: int, min_overlap: float) -> None:
    ids = np.kron(np.random.default_rng(seed).integers(0, 4, (3, 3, 4)), np.ones((1, 2, 2), int))
    linked = link_slices(ids, min_overlap)
    last = 0
    for before, after, own in zip([np.zeros_like(linked[0]), *linked], linked, ids, strict=False):
        assert ((after > 0) == (own > 0)).all()
        names = {(a, b) for a, b in zip(own.ravel(), after.ravel(), strict=True) if a}
        assert len(names) == len({a for a, _ in names}) == len({b for _, b in names})
        for mine, name in names:
            shares = {other: ((before == other) & (own == mine)).sum() for other in set(before.ravel().tolist()) - {0}}
            if name > last:
                continue
            there = before == name
            assert shares[name] == max(shares.values())
            assert shares[name] == max(((own == other) & there).sum() for other in set(own.ravel().tolist()) - {0})
            assert shares[name] >= min_overlap * min(there.sum(), (own == mine).sum())
        last = max(last, int(after.max()))
    assert set(np.unique(linked)) - {0} == set(range(1, last + 1))


def test_a_pair_that_shares_enough_is_linked_and_one_that_does_not_is_not() -> None:
    one, other = np.zeros((2, 1, 8), int)
    one[0, :4], other[0, 2:8] = 1, 1  # two of four
    for share, count in ((0.5, 1), (0.51, 2)):
        assert link_slices(np.stack([one, other]), share).max() == count


def test_an_object_that_branches_goes_on_in_its_larger_branch() -> None:
    ids = np.array([[[1] * 9], [[1] * 3 + [0] + [2] * 5], [[7] * 9]])
    assert link_slices(ids)[:, 0].tolist() == [[1] * 9, [2] * 3 + [0] + [1] * 5, [1] * 9]


def test_slice_by_slice_is_the_whole() -> None:
    ids = np.random.default_rng(3).integers(0, 5, (6, 7, 8))
    before, last, found = np.zeros((7, 8), np.int64), 0, []
    for one in ids:
        before, last = continue_objects(before, one, 0.3, last)
        found.append(before)
    np.testing.assert_array_equal(found, link_slices(ids, 0.3))


def test_reserved_and_large_ids_are_no_trouble() -> None:
    ids = np.array([[[2**64 - 1, 2**40, 0]], [[2**64 - 2, 5, 5]]], np.uint64)
    assert link_slices(ids)[:, 0].tolist() == [[0, 1, 0], [0, 1, 1]]
    assert link_slices(np.zeros((2, 3, 4), np.uint8)).max() == 0


@pytest.mark.parametrize(("ids", "share", "text"), [
    (np.ones((4, 4), int), 0.5, r"ids must be a volume \(Z, Y, X\), got shape \(4, 4\)"),
    (np.ones((2, 4, 4), int), 0.0, r"min_overlap must lie in \(0, 1\], got 0.0"),
    (-np.ones((2, 4, 4), int), 0.5, "ids must hold ids >= 0, got -1"),
])  # fmt: skip
def test_wrong_input_is_told(ids: np.ndarray, share: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        link_slices(ids, share)


def carried(inside: np.ndarray, depth: int, drift: float) -> np.ndarray:
    """Ids of the cells of a slice that move on and change their outlines from slice to slice."""
    ids, rng = connected_components(inside), np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(rng.standard_normal(ids.shape), 24) for _ in range(2)]
    moves = [field / field.std() * drift for field in fields]
    grid = np.indices(ids.shape).astype(float)
    steps = ([at + z * move for at, move in zip(grid, moves, strict=True)] for z in range(depth))
    return np.stack([ndimage.map_coordinates(ids, step, order=0) for step in steps])


def voi(ids: np.ndarray, truth: np.ndarray) -> float:
    return instance_scores(ids, truth).voi


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["isbi2012", "vnc_sstem"])
def test_cells_that_move_from_section_to_section_are_followed(name: str, data_dir: Path) -> None:
    import SimpleITK as sitk  # noqa: N813

    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(sorted((data_dir / name / "labels").glob("*.png"))[0])))[
        :400, :400
    ]
    truth = carried(mask > 128 if name == "isbi2012" else mask < 128, 8, 2.0)
    slices = np.stack([connected_components(one) for one in truth])
    apart = slices + np.where(slices > 0, 10_000 * np.arange(8)[:, None, None], 0)
    linked = voi(link_slices(slices), truth)
    assert linked < 0.1
    assert voi(apart, truth) > 4 * linked
    assert voi(connected_components(truth > 0), truth) > 4 * linked


@pytest.mark.real_data
def test_every_fourth_slice_of_real_objects_is_joined(data_dir: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(data_dir / "fibsem_gala" / "gt.lzf.h5") as file:
        truth = file["stack"][::4]
    slices = np.stack([connected_components(one) for one in truth])
    assert voi(link_slices(slices), truth) < 0.25
    assert voi(connected_components(truth > 0), truth) > 4
