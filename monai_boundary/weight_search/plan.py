"""Which epoch belongs to which search: the numbers of the policy, and a bar over what they add up to."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from monai_boundary._check import check_fraction
from monai_boundary.weight_search.journal import Journal, SearchRound

__all__ = ["SearchBar", "SearchPlan"]


@dataclass(frozen=True)
class SearchPlan:
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
        check_count("every", self.every, 1)
        if check_count("trial", self.trial, 1) > self.every:
            raise ValueError(f"trial must be <= every={self.every}, got {self.trial}")
        if check_count("max_epochs", self.max_epochs, 1) <= self.first:
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

    def total_epochs(self) -> int:
        """Return the epochs to train, those of all candidates included."""
        rounds = [self.round_at(epoch) for epoch in range(self.first, self.max_epochs, self.every)]
        return self.max_epochs + (len(self.candidates) - 1) * sum(entry.epochs for entry in rounds if entry)

    def kept_weight(self, epoch: int, rounds: Sequence[SearchRound]) -> float:
        """Return the weight of `epoch` in the kept course, all searches up to it decided."""
        if epoch < self.first:
            return self.before[epoch]
        kept = [entry.kept for entry in rounds if entry.start <= epoch and entry.kept is not None]
        return kept[-1]

    def as_json(self) -> dict[str, Any]:
        """Return the numbers as JSON gives them back, where tuples are lists."""
        numbers: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return numbers


def check_count(name: str, value: Any, low: int) -> int:
    """Return `value` when it is an integer of at least `low`, raise ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{name} must be an integer >= {low}, got {value!r}")
    return value


def check_score(score: Any) -> float:
    """Return a finite number, or NaN, as float."""
    try:
        number = float(score)
    except (TypeError, ValueError):
        raise TypeError(f"validate must return a number, got {type(score).__name__}") from None
    if math.isinf(number):
        raise ValueError(f"validate must return a finite score, or NaN for the worst, got {number}")
    return number


class SearchBar:
    """A progress bar over all epochs of all candidates."""

    def __init__(self, plan: SearchPlan, show: bool) -> None:
        self._plan, self._hidden = plan, not show
        self._bar: tqdm | None = None

    def show(self, journal: Journal, weight: float) -> None:
        """Show where the search stands."""
        if self._hidden:
            return
        if self._bar is None:
            self._bar = tqdm(total=self._plan.total_epochs(), unit="epoch")
        count, entry = len(self._plan.candidates), journal.open_round
        self._bar.n = journal.epoch + sum((len(r.scores) if r.open else count - 1) * r.epochs for r in journal.rounds)
        text, best = f"weight {weight:g}", None if entry is None else entry.best
        if entry is not None:
            text = f"search {len(journal.rounds)}, {text} ({len(entry.scores) + 1}/{count})"
        self._bar.set_postfix_str("" if entry is None or best is None else f"best {entry.scores[best]:.4f}", False)
        self._bar.set_description(text)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
