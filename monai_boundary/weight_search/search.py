"""The weight policy of the boundary F1 paper: try several weights from one state, keep the best, go on, repeat."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from monai_boundary._check import check_count, check_number
from monai_boundary.schedules import Increase, Schedule
from monai_boundary.weight_search.policy import SearchPolicy, SearchRound
from monai_boundary.weight_search.saved_state import SavedState, check_same_run, read_search, write_search

__all__ = ["WeightSearch"]


class WeightSearch:
    """Search for the weight of the boundary term while training, and survive a kill at any point.

    Epochs 0 to ``first - 1`` are trained with the weights of `before`. Then, every `every` epochs, each candidate is
    trained for `trial` epochs from one saved state and scored; the state of the best is kept and training goes on from
    it, with its weight until the next search. Of equal scores the earlier candidate wins; NaN is worse than any number.

    After every epoch the whole state goes to one file in `folder` that is replaced in one step. A killed run, started
    again with the same arguments, goes on from there: on the CPU to the same bits as an unbroken one, if `state` names
    all that training changes and the data loader starts new workers in every epoch (no ``persistent_workers``). The
    file and the memory hold up to three states.

    Args:
        loss: `BoundaryF1IoULoss`, or any object with settable `term_weights` (region, boundary); in a search they are
            (1 - weight, weight).
        state: What training changes, each under a name: network, optimizer, learning-rate scheduler, gradient scaler,
            anything with `state_dict` and `load_state_dict`; random generators such as that of a `DataLoader`; MONAI's
            random transforms, where they run in this process. The global generators are saved without being named.
        folder: Where the state lies. One search each; made where it is missing, and removed by nobody.
        max_epochs: Length of the kept course.
        candidates: Weights in [0, 1] to try.
        first: Epoch of the first search, counted from 0.
        every: Epochs from one search to the next.
        trial: Epochs that a candidate is trained for, at most `every`; ``None`` for `every`, as the paper does.
        before: Schedule of the weights before `first`, stretched over these epochs: its boundary weight counts and must
            lie in [0, 1]. The default rises from 0 to the least of the paper's candidates.
        cases: Names of the cases of each split, which a run that goes on must have, too.

    Raises:
        TypeError: `loss` has no `term_weights`, an object of `state` has no state, or a number is none.
        ValueError: A number is wrong, or `folder` holds a search with other settings or cases.
        RuntimeError: The file in `folder` is damaged; more than one process; every candidate scored NaN; something else
            set the weights of the loss.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 4.2.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from monai_boundary import BoundaryF1IoULoss
        >>> loss = BoundaryF1IoULoss()
        >>> with TemporaryDirectory() as folder:
        ...     search = WeightSearch(loss, {}, folder, 4, candidates=(0.3, 0.7), first=1, every=3)
        ...     rounds = search.run(lambda epoch: None, lambda: loss.alpha)  # train_epoch(epoch) and validate()
        >>> print(rounds[0], search.course())
        epochs 1-3  w=0.3 0.3000  w=0.7 0.7000  kept 0.7 [0.0, 0.7, 0.7, 0.7]
    """

    def __init__(  # noqa: PLR0913 - all numbers of the policy are arguments
        self,
        loss: Any,
        state: Mapping[str, Any],
        folder: str | os.PathLike[str],
        max_epochs: int,
        *,
        candidates: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        first: int = 8,
        every: int = 30,
        trial: int | None = None,
        before: Schedule = Increase(0.0, 0.1),  # noqa: B008 - frozen
        cases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if not hasattr(loss, "term_weights"):
            raise TypeError(
                f"loss must have term_weights (region, boundary) that can be set, got {type(loss).__name__}"
            )
        self.loss, self.folder = loss, Path(folder)
        check_count("first", first, 0)
        early = tuple(
            check_number("before, boundary weight", before.weights(epoch, first)[1], strict=False)
            for epoch in range(first)
        )
        self.policy = SearchPolicy(
            tuple(candidates), first, every, every if trial is None else trial, max_epochs, early
        )
        self.epoch = 0  # epochs behind the current state: the number of the next one
        self.rounds: list[SearchRound] = []
        self._training = SavedState(state)
        self._cases = {split: list(names) for split, names in (cases or {}).items()}
        self._snapshots: dict[str, torch.Tensor] = {}  # "current", in a search also "start" and "best"

    def run(self, train_epoch: Callable[[int], Any], validate: Callable[[], float]) -> list[SearchRound]:
        """Train to the end, from the beginning or from where a killed run stopped.

        Args:
            train_epoch: Trains one epoch, given its number counted from 0; it puts the network into training mode.
            validate: Returns the score of the network as it is, higher is better: the paper takes the IoU. What it
                draws from random generators has no effect on the training.

        Returns:
            The rounds of the search.
        """
        self.restore()
        while not self.finished:
            if self.awaits_score:
                self.add_score(validate())
            else:
                train_epoch(self.epoch)
                self.finish_epoch()
        return self.rounds

    @property
    def open_round(self) -> SearchRound | None:
        """The search that goes on, if any."""
        return self.rounds[-1] if self.rounds and self.rounds[-1].open else None

    @property
    def finished(self) -> bool:
        """Whether the last epoch is trained and the last search decided."""
        return self.epoch >= self.policy.max_epochs and self.open_round is None

    @property
    def awaits_score(self) -> bool:
        """Whether a candidate is trained and waits for `add_score`."""
        entry = self.open_round
        return entry is not None and self.epoch == entry.start + entry.epochs

    @property
    def weight(self) -> float:
        """Weight of the boundary term in the next epoch; after the last epoch that of the last search."""
        entry = self.open_round
        return entry.weights[len(entry.scores)] if entry else self.policy.kept_weight(self.epoch, self.rounds)

    def course(self) -> list[float]:
        """Return the weight of every epoch of the kept course so far, to plot."""
        stop = self.open_round.start if self.open_round else self.epoch
        return [self.policy.kept_weight(epoch, self.rounds) for epoch in range(stop)]

    def register(self, name: str, item: Any) -> None:
        """Add an object to the state, before `restore`."""
        self._training.add(name, item)

    def restore(self) -> None:
        """Put everything into the state of the last save in `folder`; without one, save the state as it is.

        Between `restore` and the end call `finish_epoch` after every epoch, and `add_score` whenever `awaits_score`.
        """
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            raise RuntimeError("WeightSearch must run in a single process, got a group of several; start it with one")
        if content := read_search(self.folder, self._settings()):
            check_same_run(self.folder, content, self._cases, self._training)
            self.epoch, self._snapshots = content["epoch"], content["snapshots"]
            self.rounds = [SearchRound(*entry) for entry in content["rounds"]]
        else:
            self.epoch, self.rounds, self._snapshots = 0, [], {"current": self._training.take()}
            self._write()
        self._go_back()  # also to what was just written: that it cannot be read is to be known now, not after hours

    def finish_epoch(self) -> None:
        """Count the epoch that was just trained, and save the state.

        Raises:
            RuntimeError: Something else set the weights of the loss.
        """
        wanted, found = (1 - self.weight, self.weight), tuple(map(float, self.loss.term_weights))
        if not all(math.isclose(*pair, abs_tol=1e-6) for pair in zip(wanted, found, strict=True)):
            raise RuntimeError(
                f"loss.term_weights must stay as the search set them, {wanted} in epoch {self.epoch}, got {found}; "
                "something else set the weights, such as an AlphaScheduleHandler; remove it"
            )
        self.epoch += 1
        self._snapshots["current"] = self._training.take()
        self._write()
        self.loss.term_weights = 1 - self.weight, self.weight

    def add_score(self, score: float) -> None:
        """Note the score of the candidate, and go back to the start for the next one, or on from the best.

        Args:
            score: Finite, higher is better. NaN, of a training that diverged, is the worst.
        """
        if not self.awaits_score:
            raise RuntimeError(f"add_score must follow the last epoch of a trial, got a call after {self.epoch} epochs")
        entry = self.rounds[-1].with_score(score)
        if not entry.open and entry.best is None:
            raise RuntimeError(
                f"validate must return a number for one candidate at least, got NaN for all {len(entry.weights)} from "
                f"epoch {entry.start}; the training diverged: begin again in another folder, with a lower learning rate"
            )
        self.rounds[-1] = entry
        if entry.best == len(entry.scores) - 1:
            self._snapshots["best"] = self._snapshots["current"]
        if entry.open:
            self.epoch, self._snapshots["current"] = entry.start, self._snapshots["start"]
        else:
            self._snapshots = {"current": self._snapshots["best"]}
        self._write()
        self._go_back()

    def _settings(self) -> dict[str, Any]:
        """What must be the same when a killed run is started again."""
        return asdict(self.policy) | {"state": self._training.names}

    def _write(self) -> None:
        """Write everything, with the search that is due."""
        entry = self.policy.round_at(self.epoch)
        if entry and not self.open_round:
            self.rounds.append(entry)
            self._snapshots["start"] = self._snapshots["current"]  # the file holds it once
        rounds = [astuple(entry) for entry in self.rounds]
        content = {
            "epoch": self.epoch, "rounds": rounds, "snapshots": self._snapshots, "cases": self._cases,
            "rates": self._training.rates,
        }  # fmt: skip
        write_search(self.folder, self._settings(), content)

    def _go_back(self) -> None:
        self._training.go_back(self._snapshots["current"])
        self.loss.term_weights = 1 - self.weight, self.weight
