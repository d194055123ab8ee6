"""The minimum-barrier cut on mazes made by hand, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from monai_boundary.kernels import barrier
from monai_boundary.kernels.barrier import barrier_weights, minimum_barrier_cut
from monai_boundary.kernels.barrier_fronts import propagate_levels
from tests.oracles import contour_weights, outer_contours

KINDS = pytest.mark.parametrize("kind", [np.uint8, np.float32])


def two_rooms(gap: int, wall: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A wall along column 4 of 9 x 9 with a gap in row 6, and a seed in each room."""
    values, seeds = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.int32)
    values[:, 4] = wall
    values[6, 4] = gap
    seeds[2, 1], seeds[2, 7] = 1, 2
    return values, seeds


def contour_of(cut, label: int) -> np.ndarray:
    mask = np.zeros(cut.regions.size, bool)
    mask[cut.contour_voxels[cut.contour_regions == label]] = True
    return mask.reshape(cut.regions.shape)


@KINDS
def test_contour_closes_the_gap_of_a_wall(kind):
    values, seeds = two_rooms(gap=10)
    cut = minimum_barrier_cut(values.astype(kind), seeds)
    rooms = np.zeros((9, 9), np.int32)
    rooms[:, :4], rooms[:, 5:] = 1, 2
    assert (cut.regions == rooms).all()
    for label in (1, 2):
        assert (contour_of(cut, label) == (np.arange(9) == 4)[None].repeat(9, 0)).all()
    assert cut.distance[6, 4] == cut.second_distance[6, 4] == 10
    assert cut.distance[0, 4] == 200
    assert cut.second_distance[0, 0] == 10


@KINDS
def test_room_of_higher_values_wins_the_gap(kind):
    values, seeds = two_rooms(gap=10)
    values[:, :4] = 4  # the barrier of the gap is 4 less from here: it is won, and the contour lies behind it
    cut = minimum_barrier_cut(values.astype(kind), seeds)
    assert cut.regions[6, 4] == 1
    assert contour_of(cut, 1)[6, 5]
    assert contour_of(cut, 2)[6, 4]


@KINDS
def test_flat_leak_leaves_the_seeds_alone(kind):
    values, seeds = two_rooms(gap=0)
    cut = minimum_barrier_cut(values.astype(kind), seeds)
    assert (cut.regions == seeds).all()
    assert contour_of(cut, 1).sum() == 4


@KINDS
def test_weakest_wall_decides_between_three_rooms(kind):
    values, seeds = np.zeros((5, 11), np.uint8), np.zeros((5, 11), np.int32)
    values[:, 3], values[:, 7] = 50, 90
    seeds[2, 1], seeds[2, 9] = 3, 8  # no seed in the middle: it falls to the lower wall's side
    cut = minimum_barrier_cut(values.astype(kind), seeds)
    assert (cut.regions[:, :7] == 3).all()
    assert (cut.regions[:, 8:] == 8).all()
    assert (cut.regions[:, 7] == 0).all()
    assert (cut.distance[:, 3:7] == 50).all()
    assert (cut.second_distance[:, :7] == 90).all()


@KINDS
def test_part_that_is_cut_off_from_its_seed_belongs_to_nobody(kind):
    # The voxel of value 5 ties: [4, 9] from the first seed, [0, 5] from the second. Right of it the first is nearer.
    values = np.array([[4, 9, 5, 9], [255, 255, 0, 255]], kind)
    cut = minimum_barrier_cut(values, np.array([[1, 0, 0, 0], [0, 0, 2, 0]]))
    assert cut.distance[0].tolist() == [0, 5, 5, 5]
    assert cut.second_distance[0].tolist() == [9, 9, 5, 9]
    assert cut.regions.tolist() == [[1, 1, 0, 0], [1, 1, 2, 0]]


@KINDS
def test_hole_in_a_plate_of_a_volume_is_closed(kind):
    values, seeds = np.zeros((5, 6, 7), np.uint8), np.zeros((5, 6, 7), np.int32)
    values[2], values[2, 3, 3] = 120, 1
    seeds[0, 0, 0], seeds[4, 5, 6] = 1, 2
    cut = minimum_barrier_cut(values.astype(kind), seeds)
    assert (cut.regions[:2] == 1).all()
    assert (cut.regions[3:] == 2).all()
    assert (cut.regions[2] == 0).all()


@pytest.mark.parametrize(("connectivity", "leaks"), [(1, False), (2, True)])
def test_diagonal_wall_leaks_through_its_corners_with_eight_neighbours(connectivity, leaks):
    values, seeds = (255 * np.eye(7)).astype(np.uint8), np.zeros((7, 7), np.int32)
    seeds[6, 0], seeds[0, 6] = 1, 2
    cut = minimum_barrier_cut(values, seeds, connectivity)
    assert ((cut.regions > 0).sum() == 2) == leaks


@pytest.mark.parametrize(("connectivity", "around"), [(1, 6), (2, 18), (3, 26)])
def test_seed_alone_in_a_flat_volume_is_framed_by_its_neighbours(connectivity, around):
    values, seeds = np.zeros((5, 5, 9), np.uint8), np.zeros((5, 5, 9), np.int32)
    seeds[2, 2, 2], seeds[2, 2, 6] = 1, 2
    assert contour_of(minimum_barrier_cut(values, seeds, connectivity), 1).sum() == around


def test_of_paths_of_one_barrier_that_of_fewer_steps_goes_on():
    # Both ways have barrier 5: [0, 5] in two steps, [5, 10] in six. The exact distance at the end is the latter's, 5.
    values = np.array([[5, 0, 5, 10], [10, 255, 10, 255], [10, 10, 10, 255]], np.uint8)
    seeds = np.zeros((3, 4), np.int32)
    seeds[0, 0] = 1
    assert minimum_barrier_cut(values, seeds).distance[0].tolist() == [0, 5, 5, 10]


@pytest.mark.parametrize("every", [1, 50])
def test_queue_of_levels_grows_when_it_is_full(monkeypatch, every):
    rng = np.random.default_rng(0)
    values, seeds = rng.integers(0, 256, (12, 40, 40)).astype(np.uint8), np.zeros(12 * 40 * 40, np.int32)
    seeds[::every] = rng.integers(1, 9, len(seeds[::every]))
    whole = minimum_barrier_cut(values, seeds.reshape(values.shape))
    monkeypatch.setattr(barrier, "propagate_levels", lambda *given: propagate_levels(*given[:-1], 0))
    grown = minimum_barrier_cut(values, seeds.reshape(values.shape))
    assert np.isfinite(grown.second_distance).all()
    assert (grown.regions == whole.regions).all()
    assert (grown.second_distance == whole.second_distance).all()


def test_fewer_than_two_labels_cut_nothing():
    values, seeds = two_rooms(gap=10)
    empty = minimum_barrier_cut(values, np.zeros_like(seeds))
    assert not empty.regions.any()
    assert np.isinf(empty.distance).all()
    alone = minimum_barrier_cut(values, seeds * (seeds == 2))
    assert (alone.regions == 2).all()
    assert np.isfinite(alone.distance).all()
    assert np.isinf(alone.second_distance).all()
    for seeded in (seeds * 0, seeds * (seeds == 2)):
        assert not barrier_weights(values, seeded, values > 0).any()


def test_labels_need_not_be_dense_and_may_stand_at_several_voxels():
    values, seeds = two_rooms(gap=10)
    many = np.where(seeds == 1, 2**31 - 1, seeds)
    many[8, 0] = 2**31 - 1
    cut, plain = minimum_barrier_cut(values, many), minimum_barrier_cut(values, seeds)
    assert (np.where(cut.regions == 2**31 - 1, 1, cut.regions) == plain.regions).all()
    assert set(cut.contour_regions.tolist()) == {2, 2**31 - 1}


def test_same_input_gives_the_same_output_in_every_layout_and_thread(rng_volume):
    values, seeds, membrane = rng_volume
    expected = barrier_weights(values, seeds, membrane)
    for layout in (np.asfortranarray, lambda array: np.ascontiguousarray(array[:, ::-1])[:, ::-1], torch.from_numpy):
        assert (barrier_weights(layout(values), layout(seeds), layout(membrane)) == expected).all()
    with ThreadPoolExecutor(2) as pool:
        for weights in pool.map(lambda _: barrier_weights(values, seeds, membrane), range(4)):
            assert (weights == expected).all()


@pytest.fixture
def rng_volume() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    seeds = np.zeros((6, 9, 8), np.int32)
    seeds.flat[rng.choice(seeds.size, 5, replace=False)] = range(1, 6)
    return rng.integers(0, 256, seeds.shape).astype(np.uint8), seeds, rng.random(seeds.shape) < 0.3


@pytest.mark.parametrize("weighting", ["mean", "count", "area", "published"])
@pytest.mark.parametrize("dilation", [0, 1, (0, 3, 2)])
def test_weights_are_those_of_the_formulas(rng_volume, weighting, dilation):
    values, seeds, membrane = rng_volume
    contours = outer_contours(minimum_barrier_cut(values, seeds).regions)
    weights = barrier_weights(values, seeds, membrane, dilation=dilation, weighting=weighting)
    np.testing.assert_allclose(weights, contour_weights(contours, membrane, dilation, weighting), rtol=1e-5, atol=1e-9)


def test_dilation_stops_at_the_edge_of_the_image():
    values, seeds = two_rooms(gap=10)
    wide = barrier_weights(values, seeds, values > 0, dilation=(0, 3), weighting="count") * values.size
    assert (wide == 2 * ((np.arange(9) >= 1) & (np.arange(9) <= 7))[None]).all()


WRONG = [
    ({"likelihood": np.zeros((2, 3), np.int64)}, TypeError, "uint8 or floating point"),
    ({"likelihood": np.full((2, 3), np.nan)}, ValueError, "likelihood must be finite"),
    ({"likelihood": np.zeros((2, 2, 2, 2), np.uint8)}, ValueError, "likelihood must be"),
    ({"likelihood": np.zeros((0, 3), np.uint8)}, ValueError, "likelihood must not be empty"),
    ({"seeds": np.zeros((3, 2), int)}, ValueError, "share their shape"),
    ({"seeds": np.zeros((2, 3))}, TypeError, "seeds must hold integers"),
    ({"seeds": np.full((2, 3), -1)}, ValueError, "seeds must lie in"),
    ({"seeds": np.full((2, 3), 2**31)}, ValueError, "seeds must lie in"),
    ({"connectivity": 3}, ValueError, "connectivity must be 1 for 4 neighbours, 2 for 8 neighbours on 2 axes, got 3"),
    ({"connectivity": 1.0}, TypeError, "connectivity must be an integer"),
    ({"membrane": np.zeros((3, 3), bool)}, ValueError, "likelihood and membrane must share"),
    ({"membrane": np.full((2, 3), 255)}, ValueError, "membrane must be bool"),
    ({"dilation": -1}, ValueError, "dilation must be >= 0"),
    ({"dilation": (1, 1, 1)}, ValueError, r"dilation must be >= 0, one value or one per spatial axis \(2\)"),
    ({"dilation": 1.5}, TypeError, "dilation must be an integer"),
    ({"weighting": "sum"}, ValueError, "weighting must be one of 'mean'"),
]


@pytest.mark.parametrize(("wrong", "error", "text"), WRONG)
def test_bad_input_is_refused_by_name(wrong, error, text):
    good = {"likelihood": np.zeros((2, 3), np.uint8), "seeds": np.eye(2, 3, dtype=int), "membrane": np.eye(2, 3) > 0}
    with pytest.raises(error, match=text):
        barrier_weights(**{**good, **wrong})


def test_folder_that_cannot_be_written_to_costs_the_cache_only(monkeypatch):
    from numba.core import caching

    from monai_boundary.kernels.compiled import compiled

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert compiled()(lambda value: value + 1)(2) == 3
