"""The weight policy of the boundary F1 paper: try several weights from one state, keep the best, go on, repeat."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import distributed

from monai_boundary._files import part_pattern
from monai_boundary.schedules import Increase, Schedule
from monai_boundary.weight_search.journal import Journal, SearchRound
from monai_boundary.weight_search.plan import SearchBar, SearchPlan, check_count, check_score
from monai_boundary.weight_search.saved_state import SavedState

__all__ = ["WeightSearch"]

_JOURNAL = "journal.json"
_STATES = "state_epoch*_round*_tried*.pt"  # as Journal.file_name


class WeightSearch:
    """Search for the weight of the boundary term while training, and survive a kill at any point.

    Epochs 0 to ``first - 1`` are trained with the weights of `before`. Then, every `every` epochs, each candidate is
    trained for `trial` epochs from one saved state and scored; the state of the best is kept and training goes on from
    it, with its weight until the next search. No epoch of the kept course is trained twice: it is the chain of the best
    branches. Of equal scores the earlier candidate wins. A score of NaN is worse than any number. The last period is
    as long as the epochs that are left; its trials are cut to it.

    After every `save_every` epochs, before each search and after each trial the whole state goes to `folder`, under a
    journal that is replaced in one step. A killed run, started again with the same arguments, goes on from there: on
    the CPU to the same bits as an unbroken one, if `state` names all that training changes and the data loader starts
    new workers in every epoch (no ``persistent_workers``). At most four states lie on the disk at a time. One process
    only.

    Args:
        loss: `BoundaryF1IoULoss`, or any object with settable `weights` (region, boundary); in a search they are
            (1 - weight, weight).
        state: What training changes, each under a name: network, optimizer, learning-rate scheduler, gradient scaler,
            anything with `state_dict` and `load_state_dict`; random generators such as that of a `DataLoader`; MONAI's
            random transforms, where they run in this process. The global generators are saved without being named.
        folder: Where states and journal lie. One search each; made where it is missing, and removed by nobody.
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
        TypeError: `loss` has no `weights`, or an object of `state` has no state.
        ValueError: A number is wrong, or `folder` holds a search with other settings.
        RuntimeError: A file in `folder` is missing or damaged; more than one process; every candidate scored NaN.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, section 4.2.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from monai_boundary import BoundaryF1IoULoss
        >>> loss = BoundaryF1IoULoss()
        >>> with TemporaryDirectory() as folder:
        ...     search = WeightSearch(loss, {}, folder, 4, candidates=(0.3, 0.7), first=1, every=3, progress=False)
        ...     rounds = search.run(lambda epoch: None, lambda: loss.weight)  # train_epoch(epoch) and validate()
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
        if not hasattr(loss, "weights"):
            raise TypeError(f"loss must have weights (region, boundary) that can be set, got {type(loss).__name__}")
        self.loss, self.folder = loss, Path(folder)
        check_count("first", first, 0)
        self.plan = SearchPlan(
            tuple(candidates), first, every, every if trial is None else trial, max_epochs,
            tuple(before.weights(epoch, first)[1] for epoch in range(first)),
        )  # fmt: skip
        self.save_every = check_count("save_every", save_every, 1)
        self._state = SavedState(state)
        self._journal = Journal()
        self._bar = SearchBar(self.plan, progress)

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
    def epoch(self) -> int:
        """Epochs behind the current state: the number of the next one, counted from 0."""
        return self._journal.epoch

    @property
    def rounds(self) -> list[SearchRound]:
        """The searches so far."""
        return list(self._journal.rounds)

    @property
    def finished(self) -> bool:
        """Whether the last epoch is trained and the last search decided."""
        return self.epoch >= self.plan.max_epochs and self._journal.open_round is None

    @property
    def awaits_score(self) -> bool:
        """Whether a candidate is trained and waits for `add_score`."""
        entry = self._journal.open_round
        return entry is not None and self.epoch == entry.start + entry.epochs

    @property
    def weight(self) -> float:
        """Weight of the boundary term in the next epoch; after the last epoch that of the last search."""
        entry = self._journal.open_round
        if entry is not None:
            return entry.weights[len(entry.scores)]
        return self.plan.kept_weight(self.epoch, self.rounds)

    def course(self) -> list[float]:
        """Return the weight of every epoch of the kept course so far, to plot."""
        entry = self._journal.open_round
        return [self.plan.kept_weight(epoch, self.rounds) for epoch in range(entry.start if entry else self.epoch)]

    def table(self) -> str:
        """Return the searches as text: epochs of the trials, score of every candidate, weight kept."""
        return self._journal.table()

    def register(self, name: str, item: Any) -> None:
        """Add an object to the state, before `restore`."""
        self._state.add(name, item)

    def restore(self) -> None:
        """Put everything into the state of the last save in `folder`; without one, save the state as it is.

        Between `restore` and the end call `finish_epoch` after every epoch, and `add_score` whenever `awaits_score`.
        """
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            raise RuntimeError("WeightSearch must run in a single process, got a group of several; start it with one")
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / _JOURNAL).exists():
            self._journal = Journal.read(self.folder / _JOURNAL, self._settings())
        else:
            self._begin()
        # Also what was just written: a state that cannot be read is to be known now, not after hours.
        self._load()
        self._clean()  # what a kill left behind

    def finish_epoch(self) -> None:
        """Count the epoch that was just trained, and save the state where it is due."""
        self._journal.epoch += 1
        if self.awaits_score or self._next_round() or self.finished or self.epoch % self.save_every == 0:
            self._save()
        self._set_weight()

    def add_score(self, score: float) -> None:
        """Note the score of the candidate, and go back to the start for the next one, or on from the best.

        Args:
            score: Finite, higher is better. NaN, of a training that diverged, is the worst.
        """
        journal = self._journal
        if not self.awaits_score:
            raise RuntimeError(f"add_score must follow the last epoch of a trial, got a call after {self.epoch} epochs")
        entry = journal.rounds[-1].with_score(check_score(score))
        if not entry.open and entry.best is None:
            raise RuntimeError(
                f"validate must return a number for one candidate at least, got NaN for all {len(entry.weights)} from "
                f"epoch {entry.start}; the training diverged: begin again in another folder, with a lower learning rate"
            )
        journal.rounds[-1] = entry
        if entry.best == len(entry.scores) - 1:
            journal.files["best"] = journal.files["current"]
        if entry.open:
            journal.epoch, journal.files["current"] = entry.start, journal.files["start"]
        else:
            journal.files = {"current": journal.files["best"]}
        self._write()
        self._load()

    def close(self) -> None:
        """Close the progress bar."""
        self._bar.close()

    def _begin(self) -> None:
        self._journal = Journal()
        others = sorted(path.name for path in self.folder.glob(_STATES) if path.name != self._journal.file_name())
        if others:
            raise RuntimeError(
                f"{self.folder} must hold a {_JOURNAL} beside {others[0]}, got none; restore it from a copy, or begin "
                "again in another folder"
            )
        self._save()

    def _next_round(self) -> SearchRound | None:
        """The search that begins with the next epoch, if any."""
        return None if self._journal.open_round else self.plan.round_at(self.epoch)

    def _save(self) -> None:
        name = self._journal.file_name()
        self._journal.files["current"] = name, self._state.write(self.folder / name)
        self._write()

    def _write(self) -> None:
        """Write the journal, with the search that is due."""
        journal = self._journal
        if entry := self._next_round():
            journal.rounds.append(entry)
            journal.files["start"] = journal.files["current"]
        journal.write(self.folder / _JOURNAL, self._settings())
        self._clean()

    def _clean(self) -> None:
        known = {name for name, _ in self._journal.files.values()}
        left = (_STATES, f".{_STATES}.part", part_pattern(_JOURNAL))  # the last two of a writer that was killed
        for path in [path for pattern in left for path in self.folder.glob(pattern)]:
            if path.name not in known:
                path.unlink()

    def _load(self) -> None:
        name, digest = self._journal.files["current"]
        self._state.read(self.folder / name, digest)
        self._set_weight()

    def _set_weight(self) -> None:
        self.loss.weights = 1 - self.weight, self.weight
        self._bar.show(self._journal, self.weight)

    def _settings(self) -> dict[str, Any]:
        return self.plan.as_json() | {"state": self._state.names}
