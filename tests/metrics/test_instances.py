"""Variation of information, adapted Rand and the CREMI score against counts by hand and other implementations."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from scipy.stats import entropy

from monai_boundary.metrics import INSTANCE_SCORES, cremi_target, instance_scores
from monai_boundary.metrics.instances import id_borders
from tests.strategies import shapes

HUGE = 2**63 + 11


def by_pairs(pred: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Adapted Rand precision and recall: every voxel against every voxel, itself included."""
    counted = target.ravel() > 0
    p, t = pred.ravel()[counted], target.ravel()[counted]
    same_target = t[:, None] == t[None]
    same_pred = (p[:, None] == p[None]) & (p[:, None] > 0)
    singles = (p == 0).sum() / target.size
    both = (same_target & same_pred).sum() + singles
    return both / (same_pred.sum() + singles), both / same_target.sum()


def by_entropy(pred: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """H(pred | target) and H(target | pred) from scipy's entropies of the joint table."""
    counted = target.ravel() > 0
    rows, columns = (np.unique(ids.ravel()[counted], return_inverse=True)[1] for ids in (target, pred))
    joint = sparse.coo_matrix((np.ones(rows.size), (rows, columns))).toarray()
    whole = entropy(joint.ravel(), base=2)
    return whole - entropy(joint.sum(1), base=2), whole - entropy(joint.sum(0), base=2)


def id_maps(shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=st.integers(0, 5))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A prediction, and a target with at least one object."""
    shape = draw(shapes)
    target = draw(id_maps(shape))
    target.flat[draw(st.integers(0, target.size - 1))] = 3
    return draw(id_maps(shape)), target


@pytest.fixture
def maps(rng):
    """A prediction and a target with voxels of no object in both."""
    return rng.integers(0, 6, (4, 6, 7)), rng.integers(0, 4, (4, 6, 7))


@given(pairs())
def test_every_pair_of_voxels_and_the_entropies_give_the_scores(pair):
    scores = instance_scores(*pair)
    precision, recall = by_pairs(*pair)
    assert (scores.adapted_rand_precision, scores.adapted_rand_recall) == pytest.approx((precision, recall), rel=1e-12)
    assert scores.adapted_rand_index == pytest.approx(2 * precision * recall / (precision + recall), rel=1e-12)
    assert scores.adapted_rand_error == 1 - scores.adapted_rand_index
    assert (scores.voi_split, scores.voi_merge) == pytest.approx(by_entropy(*pair), abs=1e-12)
    assert scores.voi == scores.voi_split + scores.voi_merge
    assert scores.cremi_score == pytest.approx(math.sqrt(max(0, scores.voi * scores.adapted_rand_error)))


def test_counts_by_hand_give_these_scores():
    # target 1 has six voxels: four in object 1, one in object 2, one without; target 2 has two, in object 2
    target = np.array([1, 1, 1, 1, 1, 1, 2, 2, 0, 0])
    pred = np.array([1, 1, 1, 1, 2, 0, 2, 2, 1, 3])
    scores = instance_scores(pred, target)
    together = 16 + 1 + 4 + 1 / 10
    assert scores.adapted_rand_precision == pytest.approx(together / (16 + 9 + 1 / 10))
    assert scores.adapted_rand_recall == pytest.approx(together / (36 + 4))
    assert scores.voi_split == pytest.approx((4 * math.log2(6 / 4) + 2 * math.log2(6)) / 8)
    assert scores.voi_merge == pytest.approx((1 * math.log2(3) + 2 * math.log2(3 / 2)) / 8)


def test_voi_is_that_of_scikit_image_without_target_zero(maps):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    scores = instance_scores(*maps)
    expected = metrics.variation_of_information(maps[1], maps[0], ignore_labels=(0,))
    assert (scores.voi_split, scores.voi_merge) == pytest.approx(tuple(expected), abs=1e-10)
    assert not np.allclose(metrics.variation_of_information(maps[1], maps[0]), expected, atol=1e-3)


def test_scikit_image_swaps_precision_and_recall_and_takes_no_object_for_one(rng):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    target = np.kron(rng.integers(1, 30, (12, 12)), np.ones((10, 10), int))
    pred = target * 2 + (np.indices(target.shape)[1] % 10 > 6)  # every object in two
    error, precision, recall = metrics.adapted_rand_error(target, pred)
    scores = instance_scores(pred, target)
    assert (scores.adapted_rand_precision, scores.adapted_rand_recall) == pytest.approx((recall, precision), abs=1e-3)
    assert scores.adapted_rand_error == pytest.approx(error, abs=1e-3)
    assert scores.adapted_rand_error != pytest.approx(error, abs=1e-9)  # pairs with repetition
    pred[pred % 4 == 0] = 0
    error = metrics.adapted_rand_error(target, pred)[0]
    assert abs(instance_scores(pred, target).adapted_rand_error - error) > 0.02


def test_empty_truth_scores_nan():
    scores = instance_scores(np.arange(4), np.zeros(4, int))
    assert all(math.isnan(getattr(scores, name)) for name in INSTANCE_SCORES)


def test_prediction_without_objects_is_no_perfect_one():
    scores = instance_scores(np.zeros(6, int), np.array([1, 1, 1, 2, 2, 2]))
    assert (scores.voi_split, scores.voi_merge) == (0, 1)
    assert scores.adapted_rand_recall == pytest.approx(1 / 18)
    assert scores.cremi_score > 0.9


def test_ids_beyond_31_bits_score_as_small_ones(maps):
    pred, target = (ids.astype(np.uint64) * np.uint64(2**61) for ids in maps)
    assert instance_scores(pred, target) == instance_scores(*maps)
    assert instance_scores(torch.from_numpy(pred), torch.from_numpy(target)) == instance_scores(*maps)


def test_cremi_target_leaves_out_borders_and_keeps_id_zero():
    ids = np.array([[[0, 0, 0, 5, 5, 5, 5, 5]] * 3, [[5] * 8] * 3], np.uint64)
    target = cremi_target(ids, border=4, spacing=(40, 4, 4))
    assert target[0, 0].tolist() == [1, 0, 0, 0, 0, 6, 6, 6]
    assert (target[1] == 6).all()  # no border within the slice
    assert cremi_target(ids[0], border=0, spacing=(4, 4))[0].tolist() == [1, 1, 0, 0, 6, 6, 6, 6]


def test_cremi_target_leaves_out_the_unlabelled_and_six_pixels_of_4_nm_by_default():
    ids = np.full((1, 1, 9), 2**64 - 1, np.uint64)
    ids[..., 5:] = 3
    assert cremi_target(ids, border=0).ravel().tolist() == [0] * 6 + [4] * 3
    ids = np.repeat(np.arange(2, dtype=np.uint64), 20)[None, None]
    assert np.flatnonzero(cremi_target(ids)[0, 0] == 0).tolist() == list(range(13, 27))


@pytest.mark.parametrize("reserved", [2**64 - 1, 2**64 - 2, 2**64 - 3])
@pytest.mark.parametrize("form", [np.uint64, ">u8"])
def test_a_volume_half_of_which_nobody_labelled_scores_as_its_other_half(rng, reserved, form):
    """On the grid of CREMI: what is predicted where nobody labelled counts for nothing."""
    ids = np.kron(rng.integers(1, 9, (2, 3, 4)), np.ones((1, 6, 6), int)).astype(form)
    pred = rng.integers(1, 5, ids.shape)
    known = ids[:, :12].copy(), pred[:, :12]
    ids[:, 12:] = reserved
    scores = instance_scores(pred, ids)
    halves = instance_scores(known[1], known[0])
    assert (scores.voi_split, scores.voi_merge, scores.adapted_rand_recall) == (
        halves.voi_split, halves.voi_merge, halves.adapted_rand_recall,
    )  # fmt: skip
    target = cremi_target(ids, border=8)
    assert not target[:, 12:].any()
    assert instance_scores(np.where(target == 0, 77, ids.astype(np.uint64)), target).voi == 0
    np.testing.assert_array_equal(target[:, :9], cremi_target(known[0], border=8)[:, :9])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: instance_scores(np.ones(2, int), np.ones(3, int)), ValueError,
         r"pred and target must have the same shape, got \(2,\) and \(3,\)"),
        (lambda: instance_scores(np.ones(2, int), np.array([1, -1])), ValueError, "target must hold ids >= 0, got -1"),
        (lambda: instance_scores(np.ones(2, complex), np.ones(2, int)), TypeError,
         "pred must hold ids, integers >= 0, got dtype complex"),
        (lambda: cremi_target(np.ones(4, int)), ValueError,
         r"slices \(Y, X\) or a volume \(Z, Y, X\), got shape \(4,\)"),
        (lambda: cremi_target(np.ones((4, 4), int), -2, (4, 4)), ValueError, "border must be finite and >= 0, got -2"),
        (lambda: cremi_target(np.ones((4, 4), int)), ValueError, r"per spatial axis \(2\), got \(40.0, 4.0, 4.0\)"),
    ],
)  # fmt: skip
def test_wrong_arguments_of_scores_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


# Laws


def close(first, second) -> bool:
    return np.allclose(dataclasses.astuple(first), dataclasses.astuple(second), rtol=1e-10, atol=1e-12)


def renamed(ids: np.ndarray, draw_seed: int) -> np.ndarray:
    names = np.random.default_rng(draw_seed).permutation(np.arange(1, 9, dtype=np.uint64) * np.uint64(2**60 + 1))
    return np.concatenate([[np.uint64(0)], names])[ids]


@given(pairs(), st.integers(0, 1000), st.integers(0, 5))
def test_laws(pair, seed, value):
    pred, target = pair
    scores = instance_scores(pred, target)
    assert close(instance_scores(renamed(pred, seed), renamed(target, seed + 1)), scores)  # names do not matter
    assert close(instance_scores(np.where(target == 0, value, pred), target), scores)  # nor what is outside the target
    itself = instance_scores(renamed(target, seed), target)
    assert itself.voi == itself.adapted_rand_error == itself.cremi_score == 0
    assert itself.adapted_rand_precision == itself.adapted_rand_recall == 1
    values = {name: getattr(scores, name) for name in INSTANCE_SCORES}
    assert all(math.isfinite(value) and value >= 0 for value in values.values()), values
    assert all(value <= 1 + 1e-12 for name, value in values.items() if "rand" in name)
    assert scores.voi <= 2 * math.log2(max(2, pred.size))


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
    found = cremi_target(ids, width, (40.0, 4.0, 3.0)) == 0
    assert not found[1].any()
    for index in (0, 2):
        assert (found[index] == brute_borders(ids[index], width, (4.0, 3.0))).all()


def test_borders_of_huge_neighbouring_ids_are_found():
    ids = np.array([HUGE, HUGE, HUGE + 1], np.uint64)
    assert id_borders(ids, 0.0, (1.0,)).tolist() == [False, True, True]
