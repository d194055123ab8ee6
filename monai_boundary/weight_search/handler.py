"""Glue between `WeightSearch` and MONAI's Ignite engines."""

from __future__ import annotations

import math
from typing import Any

from monai.utils import IgniteInfo, min_version, optional_import

from monai_boundary.weight_search.search import WeightSearch

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")

__all__ = ["WeightSearchHandler"]


class WeightSearchHandler:
    """Run a `WeightSearch` inside a `SupervisedTrainer`; the trainer's epoch goes back with every candidate.

        search = WeightSearch(loss, {"network": network, "optimizer": optimizer}, "search", max_epochs)
        trainer = SupervisedTrainer(..., max_epochs=max_epochs, loss_function=loss,
                                    train_handlers=[..., WeightSearchHandler(search, evaluator)])

    It acts after all other handlers of an epoch, so a learning-rate handler has made its step before the state is
    saved. With ``amp=True`` the trainer's gradient scaler is saved, too. Its folder takes the place of a
    `CheckpointSaver` and `CheckpointLoader` on the trainer: start a killed run again with the same script. Every epoch
    begins with a new pass over the loader. Other handlers see the same epoch once for every candidate, and the
    evaluator's `best_metric_epoch` is 0 where a validation before, also one before a kill, was as good or better.

    Args:
        search: Its `max_epochs` is the trainer's.
        evaluator: A MONAI evaluator, run at the end of every trial: its key metric, higher is better, is the score.

    Raises:
        ValueError: The trainer has another `max_epochs`, or a loader without length and no `epoch_length`; the
            evaluator has no key metric, or one of which lower is better.
    """

    def __init__(self, search: WeightSearch, evaluator: Any) -> None:
        self.search, self.evaluator = search, evaluator
        self._attached: Any = None

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Any) -> None:
        """Put trainer and state to where the search stands."""
        if engine.state.max_epochs != self.search.policy.max_epochs:
            raise ValueError(
                f"max_epochs of search and trainer must be the same, got {self.search.policy.max_epochs} and "
                f"{engine.state.max_epochs}"
            )
        if not engine.state.epoch_length:
            raise ValueError("epoch_length must be given to the trainer, got a loader without length")
        if not self.evaluator.metric_cmp_fn(1.0, 0.0):
            raise ValueError(
                "evaluator must have a score of which higher is better, got a metric_cmp_fn that takes 0 for better "
                "than 1; leave metric_cmp_fn out, and give it a metric such as the IoU"
            )
        if getattr(engine, "scaler", None) is not None:  # the trainer makes a new one at every start
            self.search.register("trainer.scaler", engine.scaler)
        if self._attached is not engine:
            # only now, so that they come after the handlers that the trainer was given
            engine.add_event_handler(Events.EPOCH_STARTED, self._renew_loader)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch)
            self._attached = engine
        self.search.restore()
        self._settle(engine)

    def _finish_epoch(self, engine: Any) -> None:
        self.search.finish_epoch()
        self._settle(engine)

    def _renew_loader(self, engine: Any) -> None:
        engine.set_data(engine.state.dataloader)  # as a run that is resumed here does

    def _remind(self) -> None:
        """Tell the evaluator the best score so far: a kill loses it, NaN hides it, and its epoch comes again."""
        state = self.evaluator.state
        scores = [score for entry in self.search.rounds for score in entry.scores]
        if state.best_metric_epoch != -1:
            scores.append(state.best_metric)  # also of validations that are none of the search
        known = [score for score in scores if not math.isnan(score)]
        state.best_metric, state.best_metric_epoch = (max(known), 0) if known else (-1, -1)

    def _settle(self, engine: Any) -> None:
        if self.search.awaits_score:
            self._remind()
            self.evaluator.run(self.search.epoch)
            if self.evaluator.state.key_metric_name is None:
                raise ValueError("evaluator must have a key metric, the score, got none; give it a key_val_metric")
            self.search.add_score(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
        engine.state.epoch = self.search.epoch
        engine.state.iteration = self.search.epoch * engine.state.epoch_length
