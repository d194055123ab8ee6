"""The weight policy of the boundary F1 paper: try several weights from one state, keep the best, go on, repeat."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from tqdm import tqdm

from monai_boundary._check import check_count
from monai_boundary._files import part_pattern
from monai_boundary.schedules import Increase, Schedule
from monai_boundary.weight_search.policy import SearchPolicy, SearchRound, rounds_table
from monai_boundary.weight_search.saved_state import SavedState, read_search, write_search

__all__ = ["WeightSearch"]

_FILE = "weight_search.pt"


class WeightSearch:
    """Search for the weight of the boundary term while training, and survive a kill at any point.

    Epochs 0 to ``first - 1`` are trained with the weights of `before`. Then, every `every` epochs, each candidate is
    trained for `trial` epochs from one saved state and scored; the state of the best is kept and training goes on from
    it, with its weight until the next search. No epoch of the kept course is trained twice: it is the chain of the best
    branches. Of equal scores the earlier candidate wins. A score of NaN is worse than any number. The last period is
    as long as the epochs that are left.

    After every `save_every` epochs, before each search and after each trial the whole state goes to a file in `folder`
    that is replaced in one step. A killed run, started again with the same arguments, goes on from there: on the CPU
    to the same bits as an unbroken one, if `state` names all that training changes and the data loader starts new
    workers in every epoch (no ``persistent_workers``). The file and the memory hold up to three states: the current
    one, that before the trials, and that of the best candidate. One process only.

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
        save_every: Epochs between two saves.
        progress: Whether to show a bar over all epochs of all candidates.

    Raises:
        TypeError: `loss` has no `term_weights`, an object of `state` has no state, or a number is none.
        ValueError: A number is wrong, or `folder` holds a search with other settings.
        RuntimeError: The file in `folder` is damaged; more than one process; every candidate scored NaN.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 4.2.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from monai_boundary import BoundaryF1IoULoss
        >>> loss = BoundaryF1IoULoss()
        >>> with TemporaryDirectory() as folder:
        ...     search = WeightSearch(loss, {}, folder, 4, candidates=(0.3, 0.7), first=1, every=3, progress=False)
        ...     rounds = search.run(lambda epoch: None, lambda: loss.alpha)  # train_epoch(epoch) and validate()
        >>> rounds[0].kept, search.course()
        (0.7, [0.0, 0.7, 0.7, 0.7])
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
        save_every: int = 1,
        progress: bool = True,
    ) -> None:
        if not hasattr(loss, "term_weights"):
            raise TypeError(
                f"loss must have term_weights (region, boundary) that can be set, got {type(loss).__name__}"
            )
        self.loss, self.folder = loss, Path(folder)
        check_count("first", first, 0)
        self.policy = SearchPolicy(
            tuple(candidates), first, every, every if trial is None else trial, max_epochs,
            tuple(before.weights(epoch, first)[1] for epoch in range(first)),
        )  # fmt: skip
        self.save_every, self.progress = check_count("save_every", save_every), progress
        self.epoch = 0  # epochs behind the current state: the number of the next one
        self.rounds: list[SearchRound] = []
        self._training = SavedState(state)
        self._settings = asdict(self.policy) | {"state": self._training.names}
        self._snapshots: dict[str, torch.Tensor] = {}  # "current", in a search also "start" and "best"
        self._bar: tqdm | None = None

    def run(self, train_epoch: Callable[[int], Any], validate: Callable[[], float]) -> list[SearchRound]:
        """Train to the end, from the beginning or from where a killed run stopped.

        Args:
            train_epoch: Trains one epoch, given its number counted from 0; it puts the network into training mode.
            validate: Returns the score of the network as it is, higher is better: the paper takes the IoU. What it
                draws from random generators has no effect on the training.

        Returns:
            The rounds of the search.
        """
        try:
            self.restore()
            while not self.finished:
                if self.awaits_score:
                    self.add_score(validate())
                else:
                    train_epoch(self.epoch)
                    self.finish_epoch()
        finally:
            self.close()
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

    def table(self) -> str:
        """Return the searches as text: epochs of the trials, score of every candidate, weight kept."""
        return rounds_table(self.rounds)

    def register(self, name: str, item: Any) -> None:
        """Add an object to the state, before `restore`."""
        self._training.add(name, item)
        self._settings["state"] = self._training.names

    def restore(self) -> None:
        """Put everything into the state of the last save in `folder`; without one, save the state as it is.

        Between `restore` and the end call `finish_epoch` after every epoch, and `add_score` whenever `awaits_score`.
        """
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            raise RuntimeError("WeightSearch must run in a single process, got a group of several; start it with one")
        for part in self.folder.glob(part_pattern(_FILE)):  # of a writer that was killed
            part.unlink()
        if (self.folder / _FILE).exists():
            self._read()
        else:
            self.epoch, self.rounds, self._snapshots = 0, [], {"current": self._training.take()}
            self._write()
        self._go_back()  # also to what was just written: that it cannot be read is to be known now, not after hours

    def finish_epoch(self) -> None:
        """Count the epoch that was just trained, and save the state where it is due."""
        self.epoch += 1
        if self.awaits_score or self._next_round() or self.finished or self.epoch % self.save_every == 0:
            self._snapshots["current"] = self._training.take()
            self._write()
        self._set_weight()

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

    def close(self) -> None:
        """Leave the progress bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _next_round(self) -> SearchRound | None:
        """The search that begins with the next epoch, if any."""
        return None if self.open_round else self.policy.round_at(self.epoch)

    def _write(self) -> None:
        """Write everything, with the search that is due."""
        if entry := self._next_round():
            self.rounds.append(entry)
            self._snapshots["start"] = self._snapshots["current"]  # the file holds it once
        content = {
            "settings": self._settings, "epoch": self.epoch, "rounds": [astuple(entry) for entry in self.rounds],
            "snapshots": self._snapshots,
        }  # fmt: skip
        write_search(self.folder / _FILE, content)

    def _read(self) -> None:
        content = read_search(self.folder / _FILE, self._settings)
        self.epoch, self._snapshots = content["epoch"], content["snapshots"]
        self.rounds = [SearchRound(*entry) for entry in content["rounds"]]

    def _go_back(self) -> None:
        self._training.go_back(self._snapshots["current"])
        self._set_weight()

    def _set_weight(self) -> None:
        self.loss.term_weights = 1 - self.weight, self.weight
        if self._bar is None:
            self._bar = tqdm(total=self.policy.total_epochs(), unit="epoch", disable=not self.progress)
        count, entry, text = len(self.policy.candidates), self.open_round, f"weight {self.weight:g}"
        if entry is not None:
            best = "" if entry.best is None else f", best {entry.scores[entry.best]:.4f}"
            text = f"search {len(self.rounds)}, {text} ({len(entry.scores) + 1}/{count}){best}"
        self._bar.n = self.epoch + sum((len(one.scores) if one.open else count - 1) * one.epochs for one in self.rounds)
        self._bar.set_description(text)
