"""Ids of objects: overlaps, consecutive ids, borders."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from monai_boundary.kernels import ids as module
from monai_boundary.kernels.ids import compact_ids, id_borders, id_overlaps

HUGE = 2**63 + 11


def brute_borders(ids: np.ndarray, width: float, spacing: tuple[float, ...]) -> np.ndarray:
    """From the definition: every voxel against every voxel."""
    places = list(np.ndindex(ids.shape))

    def at_border(place):
        steps = [np.abs(np.subtract(place, other)).sum() for other in places]
        return any(step == 1 and ids[place] != ids[other] for step, other in zip(steps, places, strict=True))

    edge = [place for place in places if at_border(place)]
    near = np.zeros(ids.shape, bool)
    for place in places:
        gaps = [np.linalg.norm(np.subtract(place, other) * spacing) for other in edge]
        near[place] = bool(gaps) and min(gaps) <= width + 1e-4
    return near


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_overlaps_are_those_of_a_count_by_hand(rng, monkeypatch, block, order):
    monkeypatch.setattr(module, "_BLOCK", block)
    target, pred = rng.integers(0, 4, (3, 5, 6)), rng.integers(0, 5, (3, 5, 6)).astype(np.uint64) * HUGE
    target, pred = np.asarray(target, order=order), np.asarray(pred, order=order)
    table = id_overlaps(pred, target)
    expected = Counter(zip(target.ravel().tolist(), pred.ravel().tolist(), strict=True))
    expected = {pair: count for pair, count in expected.items() if pair[0]}
    found = zip(zip(table.target.tolist(), table.pred.tolist(), strict=True), table.counts.tolist(), strict=True)
    assert dict(found) == expected
    assert len(table.counts) == len(expected)
    assert table.voxels == 90


def test_overlaps_do_not_depend_on_strides_or_kind(rng):
    target, pred = rng.integers(0, 4, (6, 5)), rng.integers(0, 4, (6, 5))
    plain = id_overlaps(pred, target)
    turned = id_overlaps(np.asfortranarray(pred), target[::-1][::-1])
    tensors = id_overlaps(torch.from_numpy(pred).float(), torch.from_numpy(target).to(torch.uint8))
    for other in (turned, tensors):
        assert (other.counts == plain.counts).all()
        assert (other.pred == plain.pred).all()


def test_ids_that_differ_beyond_double_precision_stay_apart():
    table = id_overlaps(np.array([HUGE, HUGE + 1], np.uint64), np.array([1, 1]))
    assert table.pred.tolist() == [HUGE, HUGE + 1]


@pytest.mark.parametrize("block", [1, 4, 1 << 22])
def test_compact_ids_keep_order_and_background(monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    ids = np.array([[9, 9, 2**64 - 1], [0, HUGE, 3]], np.uint64)
    compact, count = compact_ids(ids, background=(0, 2**64 - 1))
    assert compact.tolist() == [[2, 2, 0], [0, 3, 1]]
    assert (compact.dtype, count) == (np.int32, 3)
    assert compact_ids(ids)[0].tolist() == [[2, 2, 4], [0, 3, 1]]


@pytest.mark.parametrize("width", [0.0, 1.0, 2.3, 4.0])
def test_borders_are_those_of_the_definition(rng, width):
    ids = np.kron(rng.integers(0, 4, (2, 2, 2)), np.ones((2, 3, 4), int))
    ids[0, 0, 0] = 9
    spacing = (2.0, 1.0, 1.5)
    assert (id_borders(ids, width, spacing) == brute_borders(ids, width, spacing)).all()


@pytest.mark.parametrize("width", [0.0, 4.0, 9.0])
def test_borders_per_slice_see_no_neighbour_in_other_slices(rng, width):
    ids = np.kron(rng.integers(0, 3, (3, 2, 2)), np.ones((1, 4, 4), int))
    ids[1] = 7  # one object fills the slice: no border in it
    found = id_borders(ids, width, (40.0, 4.0, 3.0), per_slice=True)
    assert not found[1].any()
    for index in (0, 2):
        assert (found[index] == brute_borders(ids[index], width, (4.0, 3.0))).all()


def test_borders_of_huge_neighbouring_ids_are_found():
    ids = np.array([HUGE, HUGE, HUGE + 1], np.uint64)
    assert id_borders(ids).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.array([1, -3]), ValueError, "ids must hold ids >= 0, got -3"),
        (np.array([1.5, 2]), ValueError, "ids must hold ids, integers >= 0, got float64 with values that are fract"),
        (np.array([np.nan, 2]), ValueError, "fractional, not finite"),
        (np.array([2**24 + 2], np.float32), ValueError, ">= 16777216, where neighbouring ids are the same"),
        (np.array(["a"]), TypeError, "ids must hold ids, integers >= 0, got dtype <U1"),
        (np.zeros((0, 3), int), ValueError, r"ids must not be empty, got shape \(0, 3\)"),
        (np.zeros((1, 1, 1, 1), int), ValueError, r"1 to 3 spatial axes, got shape \(1, 1, 1, 1\)"),
    ],
)
def test_what_is_no_map_of_ids_is_refused(array, error, text):
    for call in (compact_ids, id_borders):
        with pytest.raises(error, match=text):
            call(array)


def test_wrong_width_spacing_and_slices_are_refused():
    with pytest.raises(ValueError, match=r"width must be finite and >= 0, got -1"):
        id_borders(np.ones((2, 2), int), -1)
    with pytest.raises(ValueError, match=r"per spatial axis \(2\), got \(1.0,\)"):
        id_borders(np.ones((2, 2), int), 1, (1,))
    with pytest.raises(ValueError, match=r"slice axis and others with per_slice=True, got shape \(2,\)"):
        id_borders(np.ones(2, int), 1, per_slice=True)
    with pytest.raises(ValueError, match=r"same shape, got \(2, 2\) and \(2, 3\)"):
        id_overlaps(np.ones((2, 2), int), np.ones((2, 3), int))
