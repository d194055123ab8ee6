"""Laws of distances and distance maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_boundary import distance_transform, signed_distance, signed_distance_map
from tests import oracles
from tests.strategies import CONVENTIONS, label_maps, masks_and_spacings, spacings

close = np.testing.assert_allclose
conventions = st.sampled_from(CONVENTIONS)
symmetric = st.sampled_from(["half", "centre"])


@given(masks_and_spacings())
def test_distance_equals_brute_force(case):
    close(distance_transform(*case), oracles.brute_force_distance(*case), rtol=1e-5, atol=1e-5)


@given(masks_and_spacings())
def test_distance_is_zero_exactly_on_the_seeds(case):
    np.testing.assert_array_equal(distance_transform(*case) == 0, case[0])


@given(masks_and_spacings(), st.floats(0.1, 50))
def test_distance_scales_with_the_spacing(case, factor):
    mask, spacing = case
    scaled = distance_transform(mask, [factor * size for size in spacing])
    close(scaled, factor * distance_transform(mask, spacing), rtol=1e-5)


@given(masks_and_spacings(), st.data())
def test_permuting_axes_with_their_spacing_permutes_the_map(case, data):
    mask, spacing = case
    order = data.draw(st.permutations(range(mask.ndim)))
    permuted = signed_distance(mask.transpose(order), [spacing[axis] for axis in order])
    close(permuted, signed_distance(mask, spacing).transpose(order), rtol=1e-5, atol=1e-5)


@given(masks_and_spacings(), conventions, st.data())
def test_flipping_an_axis_flips_the_map(case, convention, data):
    mask, spacing = case
    axis = data.draw(st.integers(0, mask.ndim - 1))
    flipped = signed_distance(np.flip(mask, axis), spacing, convention)
    close(flipped, np.flip(signed_distance(mask, spacing, convention), axis), rtol=1e-5, atol=1e-5)


@given(masks_and_spacings(), st.data())
def test_more_seeds_never_raise_a_distance(case, data):
    mask, spacing = case
    more = mask.copy()
    more.flat[data.draw(st.integers(0, mask.size - 1))] = True
    assert (distance_transform(more, spacing) <= distance_transform(mask, spacing) + 1e-5).all()


@given(masks_and_spacings())
def test_neighbours_differ_by_at_most_their_spacing(case):
    mask, spacing = case
    distance = distance_transform(mask, spacing)
    for axis, size in enumerate(spacing):
        assert (np.abs(np.diff(distance, axis=axis)) <= size * (1 + 1e-5) + 1e-5).all()


@given(masks_and_spacings(), symmetric)
def test_complement_has_the_negative_map(case, convention):
    mask, spacing = case
    close(
        signed_distance(~mask, spacing, convention), -signed_distance(mask, spacing, convention), rtol=1e-5, atol=1e-6
    )


@given(masks_and_spacings(), symmetric)
def test_map_is_negative_exactly_inside_at_any_spacing(case, convention):
    mask, spacing = case
    maps = signed_distance(mask, spacing, convention)
    np.testing.assert_array_equal(maps < 0, mask)
    np.testing.assert_array_equal(maps > 0, ~mask)


@given(masks_and_spacings())
def test_kervadec_in_mm_is_never_positive_inside(case):
    mask, spacing = case
    maps = signed_distance(mask, spacing, "kervadec_mm")
    assert (maps[mask] <= 1e-6).all()
    assert (maps[~mask] > 0).all()


@given(masks_and_spacings(), st.floats(0.1, 50), st.sampled_from(["half", "centre", "kervadec_mm"]))
def test_signed_map_scales_with_the_spacing(case, factor, convention):
    mask, spacing = case
    scaled = signed_distance(mask, [factor * size for size in spacing], convention)
    expected = factor * signed_distance(mask, spacing, convention)
    close(scaled, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("backend", ["numba", "edt", "torch"])
@given(
    label_maps(ignore=9), st.data(), conventions, st.none() | st.floats(0.25, 8, width=32),
    st.sampled_from(["zero", "far"]), st.sampled_from([None, "clip", "diagonal", "max"]), st.booleans(),
)  # fmt: skip
def test_map_equals_the_definition_in_every_setting(
    backend, labels, data, convention, clip, absent, normalize, ignored
):
    spacing = data.draw(spacings(labels.ndim - 1))
    settings = {"convention": convention, "clip": clip, "absent": absent,
                "normalize": None if clip is None and normalize == "clip" else normalize}  # fmt: skip
    if not ignored:
        labels = np.where(labels == 9, 0, labels)
    ignore_index = 9 if ignored else None
    maps = signed_distance_map(labels, 3, spacing, ignore_index=ignore_index, backend=backend, **settings)
    expected = [oracles.signed_map(labels[0] == c, spacing, valid=labels[0] != 9, **settings) for c in range(3)]
    close(maps, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", ["numba", "edt", "torch"])
@given(label_maps(), st.data(), st.floats(0.1, 1), st.floats(0.5, 100))
def test_balanced_map_equals_the_definition(backend, labels, data, balance, cap):
    spacing = data.draw(spacings(labels.ndim - 1))
    settings = {"balance": balance, "balance_cap": cap}
    maps = signed_distance_map(labels, 3, spacing, backend=backend, **settings)
    expected = [oracles.signed_map(labels[0] == c, spacing, **settings) for c in range(3)]
    close(maps, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["numba", "edt", "torch"])
@given(
    label_maps(ignore=9), st.data(), st.sampled_from(["half", "kervadec_mm"]), st.sampled_from(["zero", "far"]),
    st.sampled_from([None, "clip", "max"]), st.floats(0, 1), st.sampled_from([0.0, 0.5]),
)  # fmt: skip
def test_map_with_balanced_lesions_equals_the_definition(
    backend, labels, data, convention, absent, normalize, gamma, balance
):
    spacing = data.draw(spacings(labels.ndim - 1))
    settings = {"convention": convention, "absent": absent, "clip": 20.0, "normalize": normalize,
                "balance_lesions": gamma, "balance": balance}  # fmt: skip
    for classes in (2, 3):  # two of them share a sweep
        given = np.where(labels == 9, 9, labels % classes)
        maps = signed_distance_map(given, classes, spacing, ignore_index=9, backend=backend, **settings)
        expected = [oracles.signed_map(given[0] == c, spacing, valid=given[0] != 9, **settings) for c in range(classes)]
        close(maps, expected, rtol=1e-3, atol=1e-4)


@given(label_maps(2, ignore=9), st.data(), conventions, st.floats(0.25, 8, width=32))
def test_clipped_map_is_the_whole_map_clipped(labels, data, convention, clip):
    spacing = data.draw(spacings(labels.ndim - 1))
    whole, clipped = (
        signed_distance_map(labels, 2, spacing, convention, clip=limit, ignore_index=9) for limit in (None, clip)
    )
    close(clipped, np.clip(whole, -clip, clip), rtol=1e-6, atol=1e-6)


@given(label_maps(4), st.permutations(range(4)), conventions)
def test_renaming_classes_permutes_the_channels(labels, names, convention):
    renamed = np.asarray(names)[labels]
    maps = signed_distance_map(labels, 4, None, convention)
    np.testing.assert_array_equal(signed_distance_map(renamed, 4, None, convention)[list(names)], maps)


@given(label_maps(ignore=9), st.data())
def test_ignoring_more_voxels_never_brings_a_boundary_nearer(labels, data):
    spacing = data.draw(spacings(labels.ndim - 1))
    fewer = labels.copy()
    fewer.flat[data.draw(st.integers(0, labels.size - 1))] = 9
    before, after = (signed_distance_map(x, 3, spacing, "centre", ignore_index=9) for x in (labels, fewer))
    kept = (fewer[0] != 9) & (after != 0)
    assert (np.abs(after)[kept] >= np.abs(before)[kept] - 1e-5).all()
    assert not after[:, fewer[0] == 9].any()


@given(label_maps(), st.data(), st.sampled_from(["clip", "diagonal", "max"]))
def test_normalised_maps_lie_within_one(labels, data, normalize):
    maps = signed_distance_map(labels, 3, data.draw(spacings(labels.ndim - 1)), clip=2.0, normalize=normalize)
    assert np.abs(maps).max() <= 1 + 1e-6
    peaks = np.abs(maps).reshape(3, -1).max(axis=1)
    assert normalize != "max" or all(peak == 0 or abs(peak - 1) < 1e-6 for peak in peaks)


@given(masks_and_spacings(), st.floats(0, 1))
def test_balance_keeps_outside_values_and_signs(case, balance):
    mask, spacing = case
    plain, balanced = (signed_distance_map(mask[None].astype(int), 2, spacing, balance=b)[1] for b in (0.0, balance))
    np.testing.assert_array_equal(balanced[~mask], plain[~mask])
    assert (balanced[mask] < 0).all()


@given(label_maps(), st.sampled_from(["uint8", "int16", "int32", "float32", "float64", ">i4"]))
def test_map_does_not_see_dtype_layout_or_kind(labels, dtype):
    expected = signed_distance_map(labels, 3)
    close(signed_distance_map(np.asfortranarray(labels.astype(dtype)), 3), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(signed_distance_map(torch.from_numpy(labels), 3).numpy(), expected)
