"""The policy of the search against a loop written by hand, and its numbers against the paper's."""

from __future__ import annotations

import copy
import math
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from monai_boundary import BoundaryF1IoULoss, GeneralizedDiceBoundaryLoss, Increase, WaitForRegion, Warmup
from monai_boundary.weight_search import SearchRound, WeightSearch
from tests.weight_search.course import CANDIDATES, MAX_EPOCHS, Training, make_search, run_whole


class Counter:
    """A training without a network: its state is the list of (epoch, weight) that led to it."""

    def __init__(self, score=lambda path: path[-1][1]) -> None:
        self.loss = SimpleNamespace(term_weights=(1.0, 0.0))
        self.path: list[tuple[int, float]] = []
        self.trained: list[tuple[int, float]] = []
        self.score = score

    def state_dict(self) -> dict:
        return {"path": list(self.path)}

    def load_state_dict(self, state: dict) -> None:
        self.path = list(state["path"])

    def train_epoch(self, epoch: int) -> None:
        self.path.append((epoch, self.loss.term_weights[1]))
        self.trained.append(self.path[-1])

    def run(self, folder: Path, max_epochs: int, **options) -> WeightSearch:
        search = WeightSearch(self.loss, {"path": self}, folder, max_epochs, **options)
        search.run(self.train_epoch, lambda: self.score(self.path))
        return search


def remember(training: Training) -> tuple:
    objects = [training.network, training.optimizer, training.scheduler]
    generators = training.order.get_state(), training.noise.bit_generator.state, training.flip.R.get_state()
    global_ones = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    return copy.deepcopy(([item.state_dict() for item in objects], generators, global_ones))


def go_back(training: Training, memory: tuple) -> None:
    states, (order, noise, flip), (python, numpy, torch_state) = copy.deepcopy(memory)
    for item, state in zip((training.network, training.optimizer, training.scheduler), states, strict=True):
        item.load_state_dict(state)
    training.order.set_state(order)
    training.noise.bit_generator.state = noise
    training.flip.R.set_state(flip)
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(torch_state)


def by_hand() -> tuple[list[torch.Tensor], list[list[float]]]:
    """The policy of `course.NUMBERS`, in memory and without any of the package's code for it."""
    training, table = Training(), []
    for epoch, weight in enumerate((0.0, 0.1)):
        training.loss.alpha = weight
        training.train_epoch(epoch)
    for epochs in ((2, 3, 4), (5, 6, 7), (8,)):
        start, ends, scores = remember(training), [], []
        for weight in CANDIDATES:
            go_back(training, start)
            training.loss.alpha = weight
            for epoch in epochs:
                training.train_epoch(epoch)
            ends.append(remember(training))
            scores.append(training.validate())
        table.append(scores)
        best = scores.index(max(scores))
        go_back(training, ends[best])
        training.loss.alpha = CANDIDATES[best]
    return training.fingerprint(), table


def test_a_search_is_the_loop_written_by_hand_to_the_bit(tmp_path):
    ours, search = run_whole(tmp_path)
    theirs, table = by_hand()
    assert [list(entry.scores) for entry in search.rounds] == table
    assert [entry.kept for entry in search.rounds][:2] == [0.9, 0.5]
    assert all(map(torch.equal, ours, theirs))


def test_the_paper_searches_every_30_epochs_from_epoch_8_among_five_weights(tmp_path):
    counter = Counter(score=lambda path: -abs(path[-1][1] - 0.7))
    search = counter.run(tmp_path, 98)
    assert [(r.start, r.epochs, r.weights, r.kept) for r in search.rounds] == [
        (start, 30, (0.1, 0.3, 0.5, 0.7, 0.9), 0.7) for start in (8, 38, 68)
    ]
    assert len(counter.trained) == 8 + 3 * 5 * 30
    assert [epoch for epoch, _ in counter.path] == list(range(98))
    assert [weight for _, weight in counter.path[:8]] == pytest.approx([0.1 * epoch / 7 for epoch in range(8)])
    assert {weight for _, weight in counter.path[8:]} == {0.7}


def test_every_candidate_starts_from_one_state_and_the_best_goes_on(tmp_path):
    counter = Counter(score=lambda path: 1.0 if path[-1] in ((2, 0.6), (4, 0.4)) else 0.0)
    search = counter.run(tmp_path, 5, candidates=(0.4, 0.6), first=1, every=2, before=Increase(0.2, 0.2))
    assert counter.trained == [
        (0, 0.2), (1, 0.4), (2, 0.4), (1, 0.6), (2, 0.6), (3, 0.4), (4, 0.4), (3, 0.6), (4, 0.6)
    ]  # fmt: skip
    assert counter.path == [(0, 0.2), (1, 0.6), (2, 0.6), (3, 0.4), (4, 0.4)]
    assert search.course() == [0.2, 0.6, 0.6, 0.4, 0.4]
    assert counter.loss.term_weights == (1 - 0.4, 0.4)


def test_short_trials_are_followed_by_the_rest_of_the_period_with_the_best_weight(tmp_path):
    counter = Counter(score=lambda path: {0.4: 0.5, 0.6: 0.7}[path[-1][1]])
    search = counter.run(tmp_path, 9, candidates=(0.4, 0.6), first=1, every=4, trial=2, before=Increase(0.2, 0.2))
    kept = [(epoch, 0.6) for epoch in range(1, 9)]
    assert counter.trained == [
        (0, 0.2), (1, 0.4), (2, 0.4), *kept[:4], (5, 0.4), (6, 0.4), *kept[4:]
    ]  # fmt: skip
    assert [(entry.start, entry.epochs) for entry in search.rounds] == [(1, 2), (5, 2)]


@pytest.mark.parametrize(("max_epochs", "last"), [(5, 1), (6, 2), (7, 3), (8, 1)])
def test_trials_end_with_the_training(tmp_path, max_epochs, last):
    counter = Counter()
    search = counter.run(tmp_path, max_epochs, candidates=(0.4, 0.6), first=1, every=3)
    assert search.rounds[-1].epochs == last
    assert [epoch for epoch, _ in counter.path] == list(range(max_epochs))
    assert search.finished


def test_the_search_may_begin_with_the_first_epoch_and_the_first_of_equals_wins(tmp_path):
    counter = Counter(score=lambda _: torch.tensor(0.5))  # a score may be a tensor
    search = counter.run(tmp_path, 2, candidates=(0.6, 0.4), first=0, every=2)
    assert counter.trained == [(0, 0.6), (1, 0.6), (0, 0.4), (1, 0.4)]
    assert search.rounds[0].kept == 0.6


def test_a_diverged_candidate_is_the_worst(tmp_path):
    scores = {0.1: math.nan, 0.2: -2.0, 0.3: math.nan}
    numbers = {"candidates": (0.1, 0.2, 0.3), "first": 1, "every": 1}
    counter = Counter(score=lambda path: scores[path[-1][1]])
    search = counter.run(tmp_path, 2, **numbers)
    assert search.rounds[0].kept == 0.2
    again = WeightSearch(counter.loss, {"path": counter}, tmp_path, 2, **numbers)
    again.restore()
    assert str(again.rounds[0]) == "epochs 1-1  w=0.1 nan  w=0.2 -2.0000  w=0.3 nan  kept 0.2"
    assert SearchRound(0, 1, (0.1, 0.2), (math.nan,)).best is None


@pytest.mark.parametrize(
    ("score", "error", "text"),
    [
        (math.nan, RuntimeError, "NaN for all 2 from epoch 1; the training diverged"),
        (None, TypeError, "validate must return a number, got NoneType"),
        (math.inf, ValueError, "validate must return a finite score, or NaN for the worst, got inf"),
    ],
)
def test_a_score_that_is_none_is_refused(tmp_path, score, error, text):
    with pytest.raises(error, match=text):
        Counter(score=lambda _: score).run(tmp_path, 2, candidates=(0.4, 0.6), first=1, every=1)


def test_any_schedule_of_the_epoch_leads_up_to_the_first_search(tmp_path):
    before = Warmup(2, Increase(0.2, 0.6))
    counter = Counter()
    counter.run(tmp_path, 6, candidates=(0.4,), first=5, every=1, before=before)
    assert [weight for _, weight in counter.path] == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.4])


def test_losses_with_two_weights_are_driven_as_well(tmp_path):
    loss = GeneralizedDiceBoundaryLoss()
    search = WeightSearch(loss, {}, tmp_path, 2, candidates=(0.25,), first=1, every=1)
    pairs = []
    search.run(lambda _: pairs.append(loss.term_weights), lambda: 0.0)
    assert pairs == [(1.0, 0.0), (0.75, 0.25)]


def test_a_search_that_goes_on_shows_what_is_decided_and_what_is_not(tmp_path):
    search = make_search(Training(), tmp_path)
    search.restore()
    with pytest.raises(RuntimeError, match="add_score must follow the last epoch of a trial, got a call after 0 epo"):
        search.add_score(0.5)
    for score in (None, None, None, None, None, 0.5, None, None, None, 0.25):
        if score is None:
            search.finish_epoch()
        else:
            search.add_score(score)
    assert list(map(str, search.rounds)) == ["epochs 2-4  w=0.2 0.5000  w=0.5 0.2500"]
    assert search.course() == [0.0, 0.1]
    assert search.weight == 0.9


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"candidates": ()}, ValueError, "candidates must be different weights in .0, 1., at least one, got"),
        ({"candidates": (0.5, 0.5)}, ValueError, "candidates must be different weights"),
        ({"candidates": (0.5, 1.5)}, ValueError, r"candidates must lie in \[0, 1\], got 1.5"),
        ({"candidates": ("a",)}, TypeError, "candidates must be a number, got str"),
        ({"first": -1}, ValueError, "first must be an integer >= 0, got -1"),
        ({"first": 2.0}, TypeError, "first must be an integer >= 0, got 2.0"),
        ({"first": MAX_EPOCHS}, ValueError, "max_epochs must be > first=9, got 9; without a search use a schedule"),
        ({"max_epochs": True}, TypeError, "max_epochs must be an integer >= 1, got True"),
        ({"every": 0}, ValueError, "every must be an integer >= 1, got 0"),
        ({"trial": 0}, ValueError, "trial must be an integer >= 1, got 0"),
        ({"trial": 4}, ValueError, "trial must be <= every=3, got 4"),
        ({"before": Increase(0.5, 2.0)}, ValueError, r"the boundary weight of before must lie in \[0, 1\], got 2"),
        ({"before": WaitForRegion()}, ValueError, "history must hold one region term per finished epoch"),
    ],
)
def test_wrong_numbers_are_named(tmp_path, options, error, text):
    with pytest.raises(error, match=text):
        make_search(Training(), tmp_path, **options)


def test_a_loss_without_weights_and_an_object_without_a_state_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"loss must have term_weights \(region, boundary\) that can be set, got MSELo"):
        WeightSearch(torch.nn.MSELoss(), {}, tmp_path, 9)
    with pytest.raises(TypeError, match=r"state\['net'\] must have state_dict and load_state_dict, or be a random"):
        WeightSearch(BoundaryF1IoULoss(), {"net": 3}, tmp_path, 9)


def test_the_weight_before_the_start_is_refused_by_name(tmp_path: Path) -> None:
    search = WeightSearch(SimpleNamespace(term_weights=(1.0, 0.0)), {"path": Counter()}, tmp_path, 8, first=0)
    with pytest.raises(RuntimeError, match=r"must be restored before its weight is read: call run\(\) or restore\(\)"):
        _ = search.weight
