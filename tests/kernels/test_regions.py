"""Objects of label maps: components, distances and seeds, consecutive ids, overlaps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from monai_boundary.kernels import regions
from monai_boundary.kernels.regions import (
    compact_ids,
    connected_components,
    id_overlaps,
    region_distance,
    region_seeds,
    unlabelled_voxels,
)
from tests.oracles import brute_force_distance
from tests.strategies import shapes, spacings

HUGE = 2**63 + 11
label_arrays = shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(0, 3)))


@given(label_arrays, st.data())
def test_components_are_scipys_numbered_in_raster_order(labels, data):
    connectivity = data.draw(st.integers(1, labels.ndim))
    structure = ndimage.generate_binary_structure(labels.ndim, connectivity)
    found = connected_components(labels, connectivity)
    assert (found > 0).tolist() == (labels > 0).tolist()
    for label in range(1, 4):
        parts, count = ndimage.label(labels == label, structure)
        pairs = set(zip(parts[labels == label].tolist(), found[labels == label].tolist(), strict=True))
        assert len(pairs) == count == len({region for _, region in pairs})
    first = [int(np.flatnonzero(found == region)[0]) for region in range(1, found.max() + 1)]
    assert first == sorted(first)


@given(label_arrays, st.booleans(), st.data())
def test_distance_is_that_to_the_nearest_voxel_of_another_region(labels, image_edge, data):
    spacing = data.draw(spacings(labels.ndim))
    edge = [(int(image_edge and size > 1),) * 2 for size in labels.shape]
    padded, inside = np.pad(labels, edge), tuple(slice(a, -a or None) for a, _ in edge)
    expected = np.zeros(labels.shape)
    for label in range(1, 4):
        own = labels == label
        others = padded != label
        expected[own] = brute_force_distance(others, spacing)[inside][own] if others.any() else np.inf
    np.testing.assert_allclose(region_distance(labels, spacing, image_edge), expected, rtol=1e-5)


@given(label_arrays, st.data())
def test_every_region_has_one_seed_at_its_first_farthest_voxel(labels, data):
    spacing = data.draw(spacings(labels.ndim))
    regions = connected_components(labels)
    seeds, distance = region_seeds(regions, spacing), region_distance(regions, spacing)
    assert sorted(seeds[seeds > 0].tolist()) == list(range(1, regions.max() + 1))
    assert (regions[seeds > 0] == seeds[seeds > 0]).all()
    for region in range(1, regions.max() + 1):
        own = np.where(regions == region, distance, -1).ravel()
        assert np.flatnonzero(seeds == region)[0] == np.argmax(own)


def test_image_edge_keeps_the_seed_away_from_it():
    strip = np.zeros((9, 9), int)
    strip[:, :4] = 1
    inner, free = region_seeds(strip), region_seeds(strip, image_edge=False)
    assert np.argwhere(inner).tolist() == [[1, 1]]
    assert np.argwhere(free).tolist() == [[0, 0]]


def test_spacing_decides_where_the_middle_is():
    shape = np.zeros((9, 13), int)
    shape[1:8, 1:4] = shape[2:5, 1:12] = 1  # an upright bar with a long arm
    assert np.argwhere(region_seeds(shape, (1, 1))).tolist() != np.argwhere(region_seeds(shape, (1, 9))).tolist()


def test_small_regions_get_no_seed_and_keep_the_numbers_of_the_others():
    regions = np.array([[1, 1, 1, 0, 2, 0, 3, 3]])
    assert region_seeds(regions, min_region_size=2).max() == 3
    assert (region_seeds(regions, min_region_size=2) > 0).sum() == 2
    assert not region_seeds(regions, min_region_size=4).any()


def test_connectivity_decides_whether_corners_join():
    corner = np.eye(2, dtype=np.uint8)
    assert [connected_components(corner, connectivity).max() for connectivity in (1, 2)] == [2, 1]
    edge, point = np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int)
    edge[0, 0, 0] = edge[0, 1, 1] = point[0, 0, 0] = point[1, 1, 1] = 1
    assert [connected_components(edge, connectivity).max() for connectivity in (1, 2, 3)] == [2, 1, 1]
    assert [connected_components(point, connectivity).max() for connectivity in (1, 2, 3)] == [2, 2, 1]


def test_ids_of_any_width_and_tensors_are_taken():
    ids = np.array([[2**63, 2**63, 0, 2**40]], np.uint64)
    assert connected_components(ids).tolist() == [[1, 1, 0, 2]]
    assert connected_components(torch.tensor([[9, 9, 0, 4]])).tolist() == [[1, 1, 0, 2]]
    assert connected_components(np.array([[9.0, 9.0, 0.0, 4.0]], np.float32)).tolist() == [[1, 1, 0, 2]]
    assert connected_components(np.array([True, False, True])).tolist() == [1, 0, 2]


WRONG = [
    (np.array([0.5]), ValueError, "must hold ids, integers >= 0, got float64 with values that are fractional"),
    (np.array([2.0**24], np.float32), ValueError, "got float32 .* or >= 16777216, where neighbouring ids are the same"),
    (np.array([-1]), ValueError, "must hold ids >= 0, got -1"),
    (np.array(["a"]), TypeError, "must hold ids, integers >= 0, got dtype"),
    (np.zeros((1, 1, 1, 1)), ValueError, "(labels|regions) must be"),
    (np.zeros((0, 2)), ValueError, "(labels|regions) must not be empty"),
]


@pytest.mark.parametrize("call", [connected_components, region_distance, region_seeds])
@pytest.mark.parametrize(("labels", "error", "text"), WRONG)
def test_bad_labels_are_refused(call, labels, error, text):
    with pytest.raises(error, match=text):
        call(labels)


def test_ids_too_large_for_a_seed_map_are_refused():
    with pytest.raises(ValueError, match=r"regions must be below 2\*\*31"):
        region_seeds(np.array([2**31]))


def test_negative_size_is_refused():
    with pytest.raises(ValueError, match="min_region_size must be an integer >= 0"):
        region_seeds(np.array([1]), min_region_size=-1)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_overlaps_are_those_of_a_count_by_hand(rng, monkeypatch, block, order):
    monkeypatch.setattr(regions, "_BLOCK", block)
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
    monkeypatch.setattr(regions, "_BLOCK", block)
    ids = np.array([[9, 9, 2**64 - 1], [0, HUGE, 3]], np.uint64)
    compact, count = compact_ids(ids, background=(0, 2**64 - 1))
    assert compact.tolist() == [[2, 2, 0], [0, 3, 1]]
    assert (compact.dtype, count) == (np.int32, 3)
    assert compact_ids(ids)[0].tolist() == [[2, 2, 4], [0, 3, 1]]


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
    with pytest.raises(error, match=text):
        compact_ids(array)


def test_overlaps_of_arrays_that_differ_in_shape_are_refused():
    with pytest.raises(ValueError, match=r"same shape, got \(2, 2\) and \(2, 3\)"):
        id_overlaps(np.ones((2, 2), int), np.ones((2, 3), int))


def test_reserved_ids_are_no_objects_in_either_map():
    reserved = 2**64 - np.arange(1, 4, dtype=object)
    target = np.array([*reserved, 0, 5, 5, 2**64 - 4], np.uint64)
    pred = np.array([1, 1, 1, 1, 2**64 - 2, 9, 1], np.uint64)
    table = id_overlaps(pred, target)
    assert table.target.tolist() == [5, 5, 2**64 - 4]
    assert table.pred.tolist() == [0, 9, 1]
    assert (
        unlabelled_voxels(target).tolist()
        == unlabelled_voxels(target.astype(">u8")).tolist()
        == [True] * 3 + [False] * 4
    )
    assert not unlabelled_voxels(np.array([2**32 - 1], np.uint32)).any()


@pytest.mark.parametrize("image_edge", [True, False])
def test_distances_do_not_depend_on_the_order_of_memory(image_edge):
    regions = np.random.default_rng(0).integers(0, 3, (6, 7, 8))
    regions[1:5, 2:6, 1:7] = 1
    expected = region_distance(regions, (4, 1, 2), image_edge)
    np.testing.assert_array_equal(region_distance(np.asfortranarray(regions), (4, 1, 2), image_edge), expected)
