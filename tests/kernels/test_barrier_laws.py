"""Laws of the minimum-barrier cut, against the exact distance from the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_boundary.kernels.barrier import minimum_barrier_cut
from tests.oracles import barrier_by_states, barrier_by_thresholds, barrier_regions, outer_contours

KINDS = st.sampled_from([np.uint8, np.float32])


@st.composite
def seeded_images(draw: st.DrawFn, max_side: int = 6, max_labels: int = 4) -> tuple[np.ndarray, np.ndarray, int]:
    """Values of 0 to 9, seeds of 1 to 4 labels, and a connectivity."""
    shape = draw(
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=max_side).filter(lambda s: np.prod(s) > 3)
    )
    values = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 9)))
    places = draw(st.lists(st.integers(0, values.size - 1), min_size=1, max_size=max_labels, unique=True))
    seeds = np.zeros(shape, np.int32)
    seeds.flat[places] = range(1, len(places) + 1)
    return values, seeds, draw(st.integers(1, len(shape)))


def two_least(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ordered = np.sort(np.concatenate([distances, np.full((1, *distances.shape[1:]), np.inf)]), axis=0)
    return ordered[0], ordered[1]


@given(seeded_images(max_side=3, max_labels=2))
def test_both_exact_oracles_agree(image):
    assert (barrier_by_states(*image) == barrier_by_thresholds(*image)).all()


@given(seeded_images(), KINDS)
def test_distances_are_never_below_the_exact_ones(image, kind):
    values, seeds, connectivity = image
    nearest, second = two_least(barrier_by_thresholds(*image))
    cut = minimum_barrier_cut(values.astype(kind), seeds, connectivity)
    assert (cut.distance >= nearest).all()
    assert (cut.second_distance >= second).all()
    assert (cut.distance <= cut.second_distance).all()


@given(seeded_images(), KINDS)
def test_cut_is_exact_when_no_value_lies_below_the_seeds(image, kind):
    # The barrier then is the highest value of the path, for which propagation is exact.
    values, seeds, connectivity = image
    values = np.where(seeds > 0, 0, values)
    distances = barrier_by_thresholds(values, seeds, connectivity)
    cut = minimum_barrier_cut(values.astype(kind), seeds, connectivity)
    nearest, second = two_least(distances)
    assert (cut.distance == nearest).all()
    assert (cut.second_distance == second).all()
    assert (cut.regions == barrier_regions(distances, seeds, connectivity)).all()


@given(seeded_images(max_labels=2), KINDS)
def test_line_with_two_seeds_is_exact(image, kind):
    values, seeds = image[0].ravel(), image[1].ravel()  # one path from voxel to voxel
    nearest, second = two_least(barrier_by_thresholds(values, seeds))
    cut = minimum_barrier_cut(values.astype(kind), seeds)
    assert (cut.distance == nearest).all()
    assert (cut.second_distance == second).all()


@given(seeded_images(), KINDS)
def test_contours_surround_the_regions(image, kind):
    values, seeds, connectivity = image
    cut = minimum_barrier_cut(values.astype(kind), seeds, connectivity)
    expected = outer_contours(cut.regions, connectivity)
    assert set(cut.contour_regions.tolist()) <= set(expected)
    for label, mask in expected.items():
        found = cut.contour_voxels[cut.contour_regions == label]
        assert sorted(found.tolist()) == np.flatnonzero(mask).tolist()


@given(seeded_images(), KINDS)
def test_regions_hold_their_seeds_hang_together_and_are_strictly_nearest(image, kind):
    values, seeds, connectivity = image
    cut = minimum_barrier_cut(values.astype(kind), seeds, connectivity)
    assert (cut.regions[seeds > 0] == seeds[seeds > 0]).all()
    assert (cut.distance[seeds > 0] == 0).all()
    assert (cut.distance < cut.second_distance)[(cut.regions > 0) & (seeds == 0)].all()
    for label in range(1, seeds.max() + 1):
        own = cut.regions == label
        together = barrier_regions(np.where(own, 0.0, np.inf)[None], (seeds == label).astype(np.int32), connectivity)
        assert (own == (together == 1)).all()


@given(seeded_images(), KINDS, st.integers(1, 20))
def test_adding_a_constant_changes_nothing(image, kind, constant):
    values, seeds, connectivity = image
    plain, raised = (minimum_barrier_cut(v.astype(kind), seeds, connectivity) for v in (values, values + constant))
    assert (plain.regions == raised.regions).all()
    assert (plain.distance == raised.distance).all()


@given(seeded_images())
def test_higher_labels_do_not_change_the_cut(image):
    values, seeds, connectivity = image
    plain, renamed = (minimum_barrier_cut(values, s, connectivity) for s in (seeds, seeds * 7))
    assert (plain.regions * 7 == renamed.regions).all()
    assert (plain.contour_regions * 7 == renamed.contour_regions).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_fronts_are_mostly_exact_on_noise(kind):
    rng = np.random.default_rng(0)
    exact, shares = [], []
    for _ in range(6):
        values, seeds = rng.integers(0, 256, (12, 12)).astype(np.uint8), np.zeros((12, 12), np.int32)
        seeds.flat[rng.choice(144, 4, replace=False)] = range(1, 5)
        exact.append(two_least(barrier_by_thresholds(values, seeds))[0])
        shares.append((minimum_barrier_cut(values.astype(kind), seeds).distance == exact[-1]).mean())
    assert np.mean(shares) > 0.6


def test_heap_grows_with_the_fronts():
    # 400 seeds on noise: at its fullest the heap holds 1674 entries, and it starts with room for 441.
    rng = np.random.default_rng(1)
    values, seeds = rng.integers(1, 256, (40, 40)).astype(np.uint8), np.zeros((40, 40), np.int32)
    seeds[::2, ::2] = np.arange(1, 401).reshape(20, 20)
    values[seeds > 0] = 0
    levels, floats = (minimum_barrier_cut(values.astype(kind), seeds) for kind in (np.uint8, np.float32))
    assert (levels.distance == floats.distance).all()
    assert (levels.regions == floats.regions).all()


@given(seeded_images(), KINDS, st.data())
def test_blocked_voxels_are_as_those_outside_the_image(image, kind, data):
    values, seeds, connectivity = image
    axis = data.draw(st.integers(0, values.ndim - 1))
    before, behind = data.draw(st.tuples(st.integers(0, 2), st.integers(1, 2)))
    widths = [(before, behind) if index == axis else (0, 0) for index in range(values.ndim)]
    padded, marks = np.pad(values, widths, constant_values=3), np.pad(seeds, widths, constant_values=77)
    valid = np.pad(np.ones(values.shape, bool), widths)
    alone = minimum_barrier_cut(values.astype(kind), seeds, connectivity)
    cut = minimum_barrier_cut(padded.astype(kind), marks, connectivity, valid=valid)
    for name in ("regions", "distance", "second_distance"):
        np.testing.assert_array_equal(getattr(cut, name)[valid].reshape(values.shape), getattr(alone, name))
    assert not cut.regions[~valid].any()
    assert np.isinf(cut.distance[~valid]).all()
    places = np.flatnonzero(valid)[alone.contour_voxels]
    assert sorted(zip(cut.contour_voxels, cut.contour_regions, strict=True)) == sorted(
        zip(places, alone.contour_regions, strict=True)
    )


@given(seeded_images())
def test_no_path_goes_through_blocked_voxels(image):
    values, seeds, connectivity = image
    valid = values != 5
    wall = np.where(valid, values, 5)
    cut = minimum_barrier_cut(wall, seeds, connectivity, valid=valid)
    changed = minimum_barrier_cut(np.where(valid, values, 0), np.where(valid, seeds, 3), connectivity, valid=valid)
    np.testing.assert_array_equal(cut.regions, changed.regions)
    np.testing.assert_array_equal(cut.contour_voxels, changed.contour_voxels)
    assert valid.ravel()[cut.contour_voxels].all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_every_voxel_may_be_a_seed(kind):
    """All of them wait at the start: more than the fronts of an image of one seed per region ever hold."""
    seeds = np.kron(np.arange(1, 21).reshape(4, 5), np.ones((5, 6), int))
    for _ in range(20):
        np.testing.assert_array_equal(minimum_barrier_cut(np.zeros(seeds.shape, kind), seeds).regions, seeds)
