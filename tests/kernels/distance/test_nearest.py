"""The nearest label: exact, with one rule for labels that are equally far, on every engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from monai_boundary.kernels.distance import batch_nearest_label, nearest, nearest_label
from tests.oracles import scipy_distance
from tests.strategies import shapes, spacings

ENGINES = ["numba", "torch", "scipy"]
EXACT = ["numba", "torch"]
label_arrays = shapes.flatmap(
    lambda shape: hnp.arrays(np.int16, shape, elements=st.sampled_from([0, 0, 0, 0, 1, 2, 3, 500]))
).filter(np.any)


def all_distances(labels: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distances of every voxel to every labelled one, and the labels of these, in raster order."""
    centres = np.argwhere(np.ones(labels.shape, bool)) * np.asarray(spacing, float)
    return cdist(centres, centres[labels.ravel() > 0]), labels[labels > 0]


@pytest.mark.parametrize("engine", ENGINES)
@given(label_arrays, st.data())
def test_no_label_is_nearer_at_any_spacing(engine, labels, data):
    spacing = data.draw(spacings(labels.ndim))
    found, distance, index = nearest_label(labels, spacing, return_distance=True, return_index=True, backend=engine)
    distances, names = all_distances(labels, spacing)
    np.testing.assert_allclose(distance.ravel(), distances.min(1), rtol=1e-6)
    own = np.where(names == found.ravel()[:, None], distances, np.inf).min(1)
    np.testing.assert_allclose(own, distances.min(1), rtol=1e-6)
    np.testing.assert_array_equal(labels[tuple(index)], found)
    steps = (index - np.indices(labels.shape)) * np.reshape(spacing, (-1, *[1] * labels.ndim))
    np.testing.assert_allclose(np.linalg.norm(steps, axis=0), distance, rtol=1e-6)


@pytest.mark.parametrize("engine", EXACT)
@given(label_arrays, st.data())
def test_of_labels_that_are_equally_far_the_smallest_is_taken_and_its_first_voxel(engine, labels, data):
    spacing = data.draw(st.tuples(*[st.sampled_from([0.7, 1.4, 2.1])] * labels.ndim))
    found, index = nearest_label(labels, spacing, return_index=True, backend=engine)
    np.testing.assert_array_equal(nearest_label(labels, spacing, backend=engine), found)
    whole = tuple(round(size / 0.7) for size in spacing)
    distances, names = all_distances(labels, whole)
    equal = np.rint(distances**2) == np.rint(distances.min(1, keepdims=True) ** 2)
    smallest = np.where(equal, names, 1000).min(1)
    np.testing.assert_array_equal(found.ravel(), smallest)
    first = (equal & (names == smallest[:, None])).argmax(1)
    np.testing.assert_array_equal(index.reshape(labels.ndim, -1), np.argwhere(labels)[first].T)


@pytest.mark.parametrize("spacing", [(3.0, 1.0, 1.0), (0.69999, 1.3, 5.1)])
@pytest.mark.parametrize("share", [0.0005, 0.02, 0.7])
def test_engines_agree_to_the_bit_and_with_scipy(rng, spacing, share):
    labels = rng.integers(1, 300, (37, 50, 45)) * (rng.random((37, 50, 45)) < share)
    settings = {"return_distance": True, "return_index": True}
    found = nearest_label(labels, spacing, backend="numba", **settings)
    for one, other in zip(found, nearest_label(labels, spacing, backend="torch", **settings), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(found[1], scipy_distance(labels > 0, spacing), rtol=1e-6)
    steps = (found[2] - np.indices(labels.shape)) * np.reshape(spacing, (3, 1, 1, 1))
    np.testing.assert_allclose(np.linalg.norm(steps, axis=0), found[1], rtol=1e-6)


@pytest.mark.parametrize("engine", EXACT)
def test_thirty_thousand_labels_and_ids_beyond_63_bits(rng, engine):
    labels = np.zeros((40, 60, 50), np.uint64)
    places = rng.choice(labels.size, 30_000, replace=False)
    small = np.zeros(labels.shape, np.int32)
    small.flat[places] = np.arange(1, 30_001)
    labels.flat[places] = np.uint64(2**64 - 40_000) + small.flat[places].astype(np.uint64)
    found, distance = nearest_label(labels, (3.0, 1.0, 1.0), return_distance=True, backend=engine)
    assert found.dtype == np.uint64
    expected = nearest_label(small, (3.0, 1.0, 1.0), backend=engine)
    np.testing.assert_array_equal(found - np.uint64(2**64 - 40_000), expected.astype(np.uint64))
    np.testing.assert_allclose(distance, scipy_distance(small > 0, (3.0, 1.0, 1.0)), rtol=1e-6)


@pytest.mark.parametrize("engine", EXACT)
def test_result_does_not_depend_on_the_order_of_memory(rng, engine):
    labels = rng.integers(1, 9, (8, 9, 11)) * (rng.random((8, 9, 11)) < 0.05)
    spacing = (1.7, 0.3, 1.0)
    expected = nearest_label(labels, spacing, return_distance=True, return_index=True, backend=engine)
    wide = np.zeros((16, 9, 22), labels.dtype)
    wide[::-2, :, ::2] = labels
    for other in (np.asfortranarray(labels), labels.transpose(2, 0, 1).copy().transpose(1, 2, 0), wide[::-2, :, ::2]):
        found = nearest_label(other, spacing, return_distance=True, return_index=True, backend=engine)
        for one, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_labelled_is_zero_infinitely_far_and_nowhere(engine):
    found = nearest_label(np.zeros((2, 3), np.uint8), return_distance=True, return_index=True, backend=engine)
    assert (found[0] == 0).all()
    assert np.isposinf(found[1]).all()
    assert (found[2] == -1).all()
    assert found[2].shape == (2, 2, 3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (7,), (1, 5), (5, 1, 1), (4, 3, 2)])
def test_labelled_voxels_keep_their_label_at_distance_zero(engine, shape):
    labels = np.arange(1, math.prod(shape) + 1).reshape(shape)
    found, distance = nearest_label(labels, return_distance=True, backend=engine)
    np.testing.assert_array_equal(found, labels)
    assert not distance.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_single_voxel_at_the_border_has_all_voxels(engine):
    labels = np.zeros((5, 6, 7), np.int64)
    labels[4, 0, 6] = 9
    found, distance = nearest_label(labels, (3.0, 2.0, 1.0), return_distance=True, backend=engine)
    assert (found == 9).all()
    assert distance[0, 5, 0] == pytest.approx(math.hypot(12, 10, 6))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (np.array([0, 1, 0], bool), np.uint8),
        (np.array([0, 2, 0], np.int16), np.int16),
        (np.array([0.0, 2.0, 0.0], np.float32), np.int64),
        (torch.tensor([0, 2, 0], dtype=torch.uint8), torch.uint8),
        (torch.tensor([0.0, 2.0, 0.0], dtype=torch.bfloat16), torch.int64),
        (torch.tensor([False, True, False]), torch.uint8),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_labels_come_back_in_their_kind_and_type(given, kind, engine):
    found, distance, index = nearest_label(given, return_distance=True, return_index=True, backend=engine)
    assert {type(one) for one in (found, distance, index)} == {type(given)}
    assert found.dtype == kind
    assert len(set(found.tolist())) == 1
    assert distance.tolist() == [1, 0, 1]
    assert index.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_channel_of_a_batch_is_its_own(rng, engine):
    labels = torch.from_numpy(rng.integers(1, 2**40, (2, 3, 5, 6)) * (rng.random((2, 3, 5, 6)) < 0.1))
    labels[1, 2] = 0
    batch = batch_nearest_label(labels, (2.0, 1.0), engine)
    for sample in range(2):
        for channel in range(3):
            alone = nearest_label(labels[sample, channel], (2.0, 1.0), backend=engine)
            assert torch.equal(batch[sample, channel], alone)


@pytest.mark.parametrize("engine", EXACT)
@pytest.mark.parametrize("spacing", [(1e9, 1.0, 1.3), (1e-12, 1.0, 1.0), (5e5, 7.3, 1.1)])
def test_a_spacing_that_leaves_too_few_bits_is_measured_by_scipy(rng, engine, spacing):
    labels = rng.integers(1, 9, (6, 7, 8)) * (rng.random((6, 7, 8)) < 0.05)
    found, distance = nearest_label(labels, spacing, return_distance=True, backend=engine)
    np.testing.assert_allclose(distance, scipy_distance(labels > 0, spacing), rtol=1e-6)
    own = [scipy_distance(labels == label, spacing) for label in range(1, 9)]
    np.testing.assert_allclose(np.choose(found - 1, own), distance, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "spacing", "expected", "most"),
    [
        ((512, 512, 300), (3.0, 0.7, 0.7), [9 * 2**20 * 100 // 49, 2**20, 2**20], 18),
        ((128,) * 3, (2.1, 0.7, 0.7), [9, 1, 1], 43),  # 2.1 / 0.7 is 3 and a bit
        ((128,) * 3, (1.5, 1.0, 1.0), [9, 4, 4], 42),
        ((1, 128, 64), (1e9, 1.0, 1.0), [1, 1, 1], 46),  # one plane is at no distance
    ],
)
def test_squared_spacings_are_the_smallest_whole_numbers(shape, spacing, expected, most):
    plan = nearest.make_plan("labels", np.zeros(shape), spacing, nearest.DistanceMapOptions(), "numba", 0)
    weights, unit = nearest._whole_weights(plan, 1)
    np.testing.assert_allclose(weights, expected, atol=1)
    assert unit * math.sqrt(weights[-1]) == pytest.approx(spacing[-1])
    assert nearest._whole_weights(plan, most)
    assert nearest._whole_weights(plan, most + 1) is None


@pytest.mark.parametrize("count", [2, 40_000])
def test_short_and_long_keys_give_the_same(rng, count, monkeypatch):
    nearest_numba = pytest.importorskip("monai_boundary.kernels.distance.nearest_numba")
    labels = np.zeros((20, 70, 67), np.int32)
    labels.flat[rng.choice(labels.size, count, replace=False)] = np.arange(count) + 1
    engine, taken = nearest_numba._engine, []
    monkeypatch.setattr(nearest_numba, "_engine", lambda bits: taken.append(bits) or engine(bits))
    short = nearest_label(labels, (3.0, 1.0, 1.0), return_distance=True, backend="numba")
    monkeypatch.setattr(nearest_numba, "_engine", lambda _: engine(64))
    long = nearest_label(labels, (3.0, 1.0, 1.0), return_distance=True, backend="numba")
    assert taken == [32]
    for one, other in zip(short, long, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, -3]), "labels must hold ids >= 0, got -3"),
        (np.array([0.0, np.nan]), "labels must hold ids, integers >= 0, got float64"),
        (np.array([0.0, 1.5]), "labels must hold ids, integers >= 0, got float64"),
        (np.zeros((2, 2, 2, 2), int), r"labels must be \(\*S\) with 1 to 3 spatial axes, got shape \(2, 2, 2, 2\)"),
        (np.zeros((0, 2), int), r"labels must not be empty, got shape \(0, 2\)"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_labels_that_are_none_are_refused(labels, message, engine):
    with pytest.raises(ValueError, match=message):
        nearest_label(labels, backend=engine)


def test_wrong_settings_are_refused():
    labels = np.ones((2, 2), int)
    with pytest.raises(ValueError, match=r"spacing must hold one finite value > 0 per spatial axis \(2\)"):
        nearest_label(labels, (1.0,))
    with pytest.raises(ValueError, match="backend must be one of"):
        nearest_label(labels, backend="cuda")
    with pytest.raises(TypeError, match="labels must hold ids, integers >= 0, got dtype complex128"):
        nearest_label(labels * 1j)
