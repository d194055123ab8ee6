"""The policy as pure functions of the epoch: where searches begin, how long trials are, what is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from monai_boundary._check import check_count, check_fraction

__all__ = ["SearchPolicy", "SearchRound"]


@dataclass(frozen=True)
class SearchRound:
    """One search: several weights tried from one state.

    Args:
        start: First epoch of the trials, counted from 0.
        epochs: Epochs that every weight was trained for.
        weights: The candidates, in the order of their trials.
        scores: Score of each candidate so far; fewer than `weights` while the search goes on.
    """

    start: int
    epochs: int
    weights: tuple[float, ...]
    scores: tuple[float, ...] = ()

    @property
    def open(self) -> bool:
        """Whether candidates are still to be tried."""
        return len(self.scores) < len(self.weights)

    @property
    def best(self) -> int | None:
        """Index of the first of the highest scores so far; NaN is worse than any, ``None`` where there is no other."""
        numbers = [index for index, score in enumerate(self.scores) if not math.isnan(score)]
        return max(numbers, key=lambda index: self.scores[index], default=None)

    @property
    def kept(self) -> float | None:
        """Weight that training went on with, ``None`` while the search goes on."""
        return None if self.open or self.best is None else self.weights[self.best]

    def with_score(self, score: Any) -> SearchRound:
        """Return the round with one more candidate scored: a finite number, or NaN."""
        try:
            number = float(score)
        except (TypeError, ValueError):
            raise TypeError(f"validate must return a number, got {type(score).__name__}") from None
        if math.isinf(number):
            raise ValueError(f"validate must return a finite score, or NaN for the worst, got {number}")
        return replace(self, scores=(*self.scores, number))

    def __str__(self) -> str:
        """Epochs of the trials, score of every candidate, weight kept."""
        tried = zip(self.weights, self.scores, strict=False)
        scores = "  ".join(f"w={weight:g} {score:.4f}" for weight, score in tried)
        kept = "" if self.kept is None else f"  kept {self.kept:g}"
        return f"epochs {self.start}-{self.start + self.epochs - 1}  {scores}{kept}"


@dataclass(frozen=True)
class SearchPolicy:
    """The numbers of `WeightSearch`, checked; `before` holds one weight per epoch before `first`."""

    candidates: tuple[float, ...]
    first: int
    every: int
    trial: int
    max_epochs: int
    before: tuple[float, ...]

    def __post_init__(self) -> None:
        for weight in self.candidates:
            check_fraction("candidates", weight)
        if not self.candidates or len(set(self.candidates)) < len(self.candidates):
            raise ValueError(f"candidates must be different weights in [0, 1], at least one, got {self.candidates}")
        check_count("every", self.every)
        if check_count("trial", self.trial) > self.every:
            raise ValueError(f"trial must be <= every={self.every}, got {self.trial}")
        if check_count("max_epochs", self.max_epochs) <= self.first:
            raise ValueError(
                f"max_epochs must be > first={self.first}, got {self.max_epochs}; without a search use a schedule"
            )
        for weight in self.before:
            check_fraction("the boundary weight of before", weight)

    def round_at(self, epoch: int) -> SearchRound | None:
        """Return the search that begins at `epoch`, if any; its trials end with the training at the latest."""
        if not self.first <= epoch < self.max_epochs or (epoch - self.first) % self.every:
            return None
        return SearchRound(epoch, min(self.trial, self.max_epochs - epoch), self.candidates)

    def kept_weight(self, epoch: int, rounds: Sequence[SearchRound]) -> float:
        """Return the weight of `epoch` in the kept course, all searches up to it decided."""
        if epoch < self.first:
            return self.before[epoch]
        if not rounds:
            raise RuntimeError("WeightSearch must be restored before its weight is read: call run() or restore() first")
        return [entry.kept for entry in rounds if entry.start <= epoch and entry.kept is not None][-1]
