"""What a bundle keeps of its training: the last state, the best network, and the log behind boundary.png."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from torch.optim.lr_scheduler import CosineAnnealingLR

from monai_boundary._files import remove_parts, write_torch
from monai_boundary.bundles.checkpoints import read_checkpoint
from monai_boundary.bundles.models import check_same
from monai_boundary.bundles.ranks import is_first_rank
from monai_boundary.losses import foreground_shares
from monai_boundary.reports.boundary_log import LOG_KEYS, plot_boundary_log
from monai_boundary.weight_search.saved_state import SavedState, check_same_run

__all__ = ["BestNetwork", "EpochLog", "TrainingCheckpoint"]

_LAST, _BEST = "training.pt", "model.pt"


class TrainingCheckpoint:
    """Save the whole state of a training after every epoch, and the best network; a killed run goes on from there.

    ``training.pt`` holds the last state and ``model.pt`` the network of the best validation; both are replaced in one
    step. A run that is started again with the same command goes on after the last epoch that was finished, in one
    process on the CPU with the bits of an unbroken run of as many threads. Every epoch begins with a new pass over the
    loader. The handler comes after those of validation and log.

    Args:
        folder: Of both files.
        evaluator: MONAI's, with the key metric that says which network is best.
        state: All that training changes, by name, see `SavedState`.
        best: What ``model.pt`` holds, by name: objects with `state_dict`, `ModelSettings` among them as ``"settings"``.
            A run that goes on must have the same settings.
        cases: Names of the cases of each split, which a run that goes on must have, too. They are in ``training.pt``
            alone, as ``model.pt`` is given to others.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        evaluator: Any,
        state: Mapping[str, Any],
        best: Mapping[str, Any],
        cases: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._folder, self._evaluator, self._best = Path(folder), evaluator, dict(best)
        self._cases = {split: list(names) for split, names in (cases or {}).items()}
        self._training = SavedState(state)
        self._schedulers = [item for item in state.values() if isinstance(item, CosineAnnealingLR)]

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self._go_on)
        engine.add_event_handler(Events.EPOCH_STARTED, self._renew_loader)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Save."""
        if not is_first_rank():
            return
        score = self._evaluator.state
        if score.best_metric_epoch == engine.state.epoch:
            _write_best(self._folder, self._best)
        content = {
            "settings": self._best["settings"].state_dict(), "epoch": engine.state.epoch,
            "best": (float(score.best_metric), score.best_metric_epoch), "training": self._training.take(),
            "cases": self._cases, "rates": self._training.rates,
        }  # fmt: skip
        write_torch(self._folder / _LAST, content)

    def _go_on(self, engine: Any) -> None:
        """Put everything to where the run before stood."""
        if getattr(engine, "scaler", None) is not None:  # the trainer makes a new one at every start
            self._training.add("scaler", engine.scaler)
        path, first = self._folder / _LAST, is_first_rank()
        if first:
            for name in (_LAST, _BEST):
                remove_parts(self._folder, name)
        if not path.exists():
            return
        content = read_checkpoint(path)
        if not isinstance(content, Mapping) or not {"settings", "epoch", "best", "training"} <= set(content):
            raise ValueError(f"{path} must be the state of a training, got another file; choose another ckpt_dir")
        given = {name: value for name, value in self._best["settings"].state_dict().items() if name != "version"}
        check_same(f"in the run that {path} goes on with", content["settings"], given)
        check_same_run(path, content, self._cases, self._training)
        lengths = [item.T_max for item in self._schedulers]
        self._training.go_back(content["training"])
        for item, length in zip(self._schedulers, lengths, strict=True):
            _stretch(item, length)
        engine.state.epoch, limit = content["epoch"], engine.state.max_epochs
        engine.state.iteration = engine.state.epoch * (engine.state.epoch_length or 0)
        self._evaluator.state.best_metric, self._evaluator.state.best_metric_epoch = content["best"]
        if first:
            rest = f"goes on to {limit}" if engine.state.epoch < limit else "is finished; --max_epochs makes it longer"
            print(f"the run in {self._folder} has {engine.state.epoch} epochs and {rest}; remove {path} to begin again")

    @staticmethod
    def _renew_loader(engine: Any) -> None:
        engine.set_data(engine.state.dataloader)  # as a run that goes on here does


def _stretch(scheduler: CosineAnnealingLR, length: int) -> None:
    """Put a scheduler whose state was loaded to where it stood had it had this length from the beginning.

    Its state holds the length of the run before, after which the learning rate would rise again.
    """
    if scheduler.T_max == length:
        return  # else a run that goes on would not have the same bits
    scheduler.T_max, least = length, scheduler.eta_min
    share = (1 + math.cos(math.pi * scheduler.last_epoch / length)) / 2
    rates = [least + (base - least) * share for base in scheduler.base_lrs]
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = rates


class BestNetwork:
    """Save the network of the best validation alone, where something else keeps the state of the training.

    Args:
        folder: Of ``model.pt``.
        best: What it holds, see `TrainingCheckpoint`.
    """

    def __init__(self, folder: str | os.PathLike[str], best: Mapping[str, Any]) -> None:
        self._folder, self._best = Path(folder), dict(best)

    def attach(self, engine: Any) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Save, where the validation that ends is the best."""
        if is_first_rank() and engine.state.best_metric_epoch == engine.state.epoch:
            _write_best(self._folder, self._best)


def _write_best(folder: Path, best: Mapping[str, Any]) -> None:
    write_torch(folder / _BEST, {name: item.state_dict() for name, item in best.items()})


class EpochLog:
    """Keep terms, weights and foreground shares of every epoch, and draw them as boundary.png.

    It comes after `RestoreLabelHandler` and `LossTermsHandler`, whose values it takes.

    Args:
        path: Of the picture.
        title: Above it.
        ignore_index: Label that is not counted.
    """

    def __init__(self, path: str | os.PathLike[str], title: str = "", ignore_index: int | None = None) -> None:
        self._path, self._title, self._ignore_index = Path(path), title, ignore_index
        self.values: dict[str, list[Any]] = {key: [] for key in LOG_KEYS}
        self._shares: list[Any] = []

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _collect(self, engine: Any) -> None:
        output = engine.state.output
        self._shares.append(foreground_shares(output["pred"].detach(), output["label"], self._ignore_index))

    def __call__(self, engine: Any) -> None:
        """Take the values of the epoch, and draw all."""
        predicted, true = np.mean(self._shares, axis=0).tolist()
        self._shares = []
        known = {"alpha_paused": 0.0, "foreground_predicted": predicted, "foreground_true": true}
        for key, values in self.values.items():
            values.append(known.get(key, engine.state.metrics.get(key, math.nan)))
        if is_first_rank():
            plot_boundary_log(self.values, self._path, self._title, "training")

    def state_dict(self) -> dict[str, Any]:
        """Return the log."""
        return {key: list(values) for key, values in self.values.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it over."""
        unknown = [math.nan] * len(state["alpha"])  # of an earlier version
        self.values = {key: list(state.get(key, unknown)) for key in LOG_KEYS}
