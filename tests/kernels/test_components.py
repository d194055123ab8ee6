"""Lesions and their cells: components as scipy finds them, and every voxel with the lesion nearest to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from monai_boundary.kernels.components import components, lesion_cells
from tests.oracles import brute_force_distance
from tests.strategies import any_masks, label_maps, shapes, spacings


@given(any_masks, st.data())
def test_components_are_scipys_in_raster_order(mask, data):
    connectivity = data.draw(st.sampled_from([None, *range(1, mask.ndim + 1)]))
    structure = ndimage.generate_binary_structure(mask.ndim, connectivity or mask.ndim)
    found = components(mask, connectivity)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, ndimage.label(mask, structure)[0])
    tensor = components(torch.from_numpy(mask), connectivity)
    np.testing.assert_array_equal(tensor.numpy(), found)


def test_all_foreground_holes_and_nothing():
    assert (components(np.ones((3, 4, 5), bool)) == 1).all()
    assert not components(np.zeros((3, 4), bool)).any()
    ring = np.ones((5, 5), np.uint8)
    ring[1:4, 1:4] = 0
    ring[2, 2] = 1
    assert components(ring).max() == 2


@pytest.mark.parametrize(
    ("mask", "kind", "message"),
    [
        (np.array([0.0, 1.0]), TypeError, "mask must be bool .* got dtype float64; threshold it first"),
        (np.array([0, 2]), ValueError, r"mask must be bool .* got values in \[0, 2\]"),
        (np.zeros((1, 1, 1, 1), bool), ValueError, "mask must be .* 1 to 3 spatial axes"),
    ],
)
def test_what_is_no_mask_is_refused(mask, kind, message):
    with pytest.raises(kind, match=message):
        components(mask)
    with pytest.raises(ValueError, match="connectivity must be 1 for 2 neighbours on 1 axes, got 2"):
        components(np.zeros(3, bool), 2)


def expected_cells(mask: np.ndarray, spacing: tuple[float, ...], structure: np.ndarray) -> np.ndarray:
    """Number of the lesion that is nearest by distances rounded to a millionth; of several the smallest."""
    ids, count = ndimage.label(mask, structure)
    if not count:
        return np.zeros(mask.shape, int)
    distances = [np.round(brute_force_distance(ids == number, spacing), 6) for number in range(1, count + 1)]
    return np.argmin(distances, axis=0) + 1


@given(label_maps(num_classes=3, ignore=7), st.data())
def test_cells_are_those_of_the_nearest_lesion_of_each_class(labels, data):
    ndim = labels.ndim - 1
    connectivity = data.draw(st.integers(1, ndim))
    spacing = data.draw(st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * ndim))
    found = lesion_cells(labels, 3, spacing, connectivity=connectivity, ignore_index=7)
    assert found.dtype == np.int16
    structure = ndimage.generate_binary_structure(ndim, connectivity)
    for label in (1, 2):
        np.testing.assert_array_equal(found[label - 1], expected_cells(labels[0] == label, spacing, structure))


@given(shapes.flatmap(lambda shape: hnp.arrays(bool, (3, *shape))), st.data())
def test_cells_of_overlapping_regions_give_their_ids_back(masks, data):
    spacing = data.draw(spacings(masks.ndim - 1))
    found = lesion_cells(torch.from_numpy(masks), spacing=spacing, include_background=True)
    assert found.shape == masks.shape
    for mask, cells in zip(masks, found.numpy(), strict=True):
        np.testing.assert_array_equal(cells * mask, components(mask))
    without = lesion_cells(masks, spacing=spacing)
    np.testing.assert_array_equal(without, found[1:].numpy())


def test_a_class_without_a_lesion_has_zeros_and_one_lesion_has_all():
    labels = np.zeros((1, 4, 5), np.uint8)
    labels[0, 3, 4] = 2
    cells = lesion_cells(labels, 3)
    assert (cells[0] == 0).all()
    assert (cells[1] == 1).all()
    assert (lesion_cells(np.ones((1, 4, 5)), 2) == 1).all()


def test_a_label_to_ignore_is_of_no_lesion_even_if_it_is_a_class():
    assert (lesion_cells(np.array([[1, 1, 2]]), 3, ignore_index=2)[1] == 0).all()


def test_more_lesions_than_int16_holds_give_int32():
    checkers = np.indices((32, 64, 48)).sum(0)[None] % 2
    cells = lesion_cells(checkers, 2, connectivity=1)
    assert cells.dtype == np.int32
    assert cells.max() == checkers.sum() == 49152
    assert lesion_cells(torch.from_numpy(checkers), 2, connectivity=1).dtype == torch.int32
    with pytest.raises(ValueError, match=r"dtype must be torch.int32 for more than 32767 .* 49152 lesions"):
        lesion_cells(checkers, 2, connectivity=1, dtype=torch.int16)
    assert lesion_cells(checkers, 2, dtype=torch.int32).dtype == np.int32
    with pytest.raises(ValueError, match=r"dtype must be one of None, torch.int32, torch.int16, got torch.uint8"):
        lesion_cells(checkers, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (np.zeros((2, 3, 3), int), {"num_classes": 2}, "labels must have one channel, .* leave num_classes out"),
        (np.full((1, 3), 5), {"num_classes": 2}, r"labels must lie in \[0, 1\]"),
        (np.full((1, 3), -1), {"num_classes": 2}, r"labels must lie in \[0, 1\]"),
        (np.full((1, 3), np.nan), {"num_classes": 2}, "labels must hold integers"),
        (np.full((2, 3), 0.5), {}, "one-hot labels must hold 0 and 1"),
        (np.zeros((1, 3), int), {}, "labels must have a channel besides the background"),
        (np.zeros((1, 3), int), {"num_classes": 1}, "num_classes must be an integer >= 2"),
        (np.zeros((1, 3), int), {"num_classes": 2, "spacing": (1.0, 1.0)}, "spacing must hold one finite value"),
        (np.zeros((1, 3), int), {"num_classes": 2, "connectivity": 2}, "connectivity must be"),
        (np.zeros((2, 3), int), {"ignore_index": 2}, "ignore_index must be None for one-hot input"),
    ],
)
def test_wrong_labels_and_settings_are_refused(labels, settings, message):
    with pytest.raises(ValueError, match=message):
        lesion_cells(labels, **settings)
