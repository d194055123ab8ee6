"""Laws of the scores of segmentations into objects."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_boundary.metrics import INSTANCE_SCORES, instance_scores
from tests.strategies import shapes


def id_maps(shape: tuple[int, ...], low: int = 0) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int64, shape, elements=st.integers(low, 5))


@st.composite
def pairs(draw: st.DrawFn, low: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A prediction from `low` on, and a target with at least one object."""
    shape = draw(shapes)
    target = draw(id_maps(shape))
    target.flat[draw(st.integers(0, target.size - 1))] = 3
    return draw(id_maps(shape, low)), target


def close(first, second) -> bool:
    return np.allclose(dataclasses.astuple(first), dataclasses.astuple(second), rtol=1e-10, atol=1e-12)


def renamed(ids: np.ndarray, draw_seed: int) -> np.ndarray:
    names = np.random.default_rng(draw_seed).permutation(np.arange(1, 9, dtype=np.uint64) * np.uint64(2**60 + 1))
    return np.concatenate([[np.uint64(0)], names])[ids]


@given(pairs(), st.integers(0, 1000))
def test_other_names_for_objects_leave_the_scores(pair, seed):
    pred, target = pair
    assert close(instance_scores(renamed(pred, seed), renamed(target, seed + 1)), instance_scores(pred, target))


@given(pairs(), st.integers(0, 1000))
def test_the_same_objects_score_perfectly(pair, seed):
    target = pair[1]
    scores = instance_scores(renamed(target, seed), target)
    assert scores.voi == scores.adapted_rand_error == scores.cremi_score == 0
    assert scores.adapted_rand_precision == scores.adapted_rand_recall == 1


@given(pairs(low=1))
def test_prediction_and_target_swap_split_and_merge(pair):
    pred, target = pair[0], np.maximum(pair[1], 1)
    one, other = instance_scores(pred, target), instance_scores(target, pred)
    assert (one.voi_split, one.voi_merge) == pytest.approx((other.voi_merge, other.voi_split), abs=1e-12)
    assert one.adapted_rand_precision == pytest.approx(other.adapted_rand_recall)
    assert one.adapted_rand_error == pytest.approx(other.adapted_rand_error)


@given(pairs(low=1), st.data())
def test_cutting_an_object_of_the_truth_in_two_raises_the_split_alone(pair, data):
    target = pair[1]
    inside = np.flatnonzero(target == 3)
    pred = target.copy()
    part = inside[: data.draw(st.integers(0, inside.size))]
    pred.flat[part] = 9
    scores = instance_scores(pred, target)
    cut = 0 < part.size < inside.size
    assert scores.voi_merge == 0
    assert (scores.voi_split > 0) == cut
    assert scores.adapted_rand_precision == 1
    assert (scores.adapted_rand_recall < 1) == cut


@given(pairs(low=1))
def test_joining_two_predicted_objects_never_lowers_the_merge_nor_raises_the_split(pair):
    pred, target = pair
    before, after = instance_scores(pred, target), instance_scores(np.where(pred == 2, 1, pred), target)
    assert after.voi_merge >= before.voi_merge - 1e-12
    assert after.voi_split <= before.voi_split + 1e-12
    assert after.adapted_rand_recall >= before.adapted_rand_recall - 1e-12


@given(pairs(), st.integers(0, 5))
def test_what_is_predicted_outside_the_target_does_not_count(pair, value):
    pred, target = pair
    assert close(instance_scores(np.where(target == 0, value, pred), target), instance_scores(pred, target))


@given(pairs())
def test_scores_lie_in_their_ranges(pair):
    scores = instance_scores(*pair)
    values = {name: getattr(scores, name) for name in INSTANCE_SCORES}
    assert all(math.isfinite(value) and value >= 0 for value in values.values()), values
    assert all(value <= 1 + 1e-12 for name, value in values.items() if "rand" in name)
    assert scores.voi <= 2 * math.log2(max(2, pair[0].size))
