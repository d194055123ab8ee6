"""Glue between the losses and MONAI's Ignite engines: JSON alone sets up a `SupervisedTrainer` with them.

    trainer = SupervisedTrainer(..., loss_function=loss, prepare_batch=PrepareBatchTarget(),
                                train_handlers=[RestoreLabelHandler(), AlphaScheduleHandler(loss, schedule), ...])

`prepare_batch` can hand the loss one target only, so the label and what the loss wants beside it travel as a
dictionary; `RestoreLabelHandler` then puts the label back for metrics, postprocessing and decollating. Multi-GPU
configurations of MONAI's model zoo cut the last handlers of the list on all ranks but the first: keep these three at
its front. A rank without them would train with other weights; the means over the ranks that the others wait for make
such a run break off after its first epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from monai.data.utils import list_data_collate
from monai.engines import PrepareBatch
from monai.engines.utils import IterationEvents
from monai.utils import IgniteInfo, min_version, optional_import

from monai_boundary.kernels.distance.finish import sum_dtype
from monai_boundary.losses.region_boundary import TARGET_TRANSFORMS
from monai_boundary.schedules import Schedule, check_schedule

Events, _ = optional_import("ignite.engine", IgniteInfo.OPT_IMPORT_VERSION, min_version, "Events")
idist, _ = optional_import("ignite", IgniteInfo.OPT_IMPORT_VERSION, min_version, "distributed")

__all__ = [
    "AlphaScheduleHandler",
    "LossTermsHandler",
    "PrepareBatchTarget",
    "RestoreLabelHandler",
]


class PrepareBatchTarget(PrepareBatch):
    """Return the image, and the label with what the loss wants beside it as one target: ``{"label": ..., name: ...}``.

    Args:
        name: What the loss wants, its `target_name`: ``"distance_map"``, ``"target_boundary"``, ``"seeds"``
            or ``"lesion_cells"``.
        image_key: Key of the image `(B, C, *S)` in the batch.
        label_key: Key of the label.
        target_key: Key of what is wanted; ``None`` for `name`.
        transform: ``None``: it is in the batch, made by a transform of the data loader. A transform such as
            `SignedDistanceMap` makes it here of each label, once that is on the device of the training; the data loader
            then need not. It is the map of the patch, not that of the volume: clip it. After an augmentation that zooms
            or shears pass its `spacing`, that from before: MONAI writes the zoom into the affine.

    Raises:
        TypeError: `transform` cannot be called.
    """

    def __init__(
        self,
        name: str = "distance_map",
        image_key: str = "image",
        label_key: str = "label",
        target_key: str | None = None,
        transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        if transform is not None and not callable(transform):
            raise TypeError(
                f"transform must be None or a transform such as SignedDistanceMap, got {type(transform).__name__}"
            )
        self.name = name
        self.keys = [image_key, label_key] + ([name if target_key is None else target_key] if transform is None else [])
        self.transform = transform

    def __call__(
        self,
        batchdata: Mapping[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Move the tensors to `device`, and make there what is to be made there.

        Raises:
            TypeError: What a key holds, or what the transform gives, is no tensor.
            ValueError: A key is not in the batch.
        """
        missing = [key for key in self.keys if key not in batchdata]
        if missing:
            raise ValueError(
                f"batchdata must hold {', '.join(self.keys)}, got no {', '.join(missing)} among {sorted(batchdata)}; "
                f"put {TARGET_TRANSFORMS.get(self.name, 'what makes it')} into the transforms, or name the keys"
            )
        for key in self.keys:
            if not isinstance(batchdata[key], torch.Tensor):
                raise TypeError(
                    f"batchdata[{key!r}] must be a tensor (B, C, *S), got {type(batchdata[key]).__name__}; load "
                    "batches with monai.data.DataLoader, which makes tensors of arrays"
                )
        image, label, *rest = (
            batchdata[key].to(device=device, non_blocking=non_blocking, **kwargs) for key in self.keys
        )
        if self.transform is not None:
            rest = [_made_of_each(label, self.transform)]
        return image, {"label": label, self.name: rest[0]}


def _made_of_each(label: torch.Tensor, transform: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return what a transform makes of each sample, which has an affine, and so a spacing, of its own."""
    made = [transform(sample) for sample in label]
    for one in made:
        if not isinstance(one, torch.Tensor):
            raise TypeError(
                f"transform must give one tensor per label, got {type(one).__name__} from {type(transform).__name__}; "
                "what gives more, as RegionSeeds gives seeds and membrane, goes into the data loader: RegionSeedsd "
                "there, and PrepareBatchTarget('seeds', label_key='membrane') here"
            )
    stacked: torch.Tensor = list_data_collate(made)  # each keeps its spacing
    return stacked


class RestoreLabelHandler:
    """Put the plain label back into the engine's output once the loss has read the target of both."""

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Replace the dictionary."""
        target = engine.state.output["label"]
        if isinstance(target, Mapping):
            engine.state.output["label"] = target["label"]


def _after_loss(engine: Any, handler: Callable[[Any], None]) -> None:
    """Call `handler` in each step before another engine, such as that of a validation, can call the same loss.

    And again at its end, for engines that do not say when the loss is done: `_EpochMeans` counts a step once.
    """
    with suppress(ValueError):  # an engine of ignite's own
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, handler)
    engine.add_event_handler(Events.ITERATION_COMPLETED, handler)


class _EpochMeans:
    """Means over an epoch and over all ranks, summed on the device: reading a value would wait for it at each step."""

    def __init__(self) -> None:
        self.total: torch.Tensor | None = None
        self.count = 0
        self._step: int | None = None

    def add(self, step: int, *values: torch.Tensor) -> None:
        if step == self._step:
            return
        self._step = step
        # plain: of a batch of one MetaTensor the terms have metadata that no slice of their row fits
        plain = [value.detach().as_subclass(torch.Tensor) for value in values]
        row = torch.stack([value.to(sum_dtype(value.device)) for value in plain])
        self.total = row if self.total is None else self.total + row
        self.count += 1

    def pop(self) -> list[float]:
        if self.total is None:
            return []
        total = idist.all_reduce(torch.cat([self.total, self.total.new_tensor([self.count])]))
        self.total, self.count, self._step = None, 0, None
        means: list[float] = (total[:-1] / total[-1]).tolist()
        return means


class AlphaScheduleHandler:
    """Set the weights of the loss at the start of every epoch, on every rank.

    They follow from the epoch alone, so a resumed run gets those of an unbroken one. `WaitForRegion` also looks at the
    region terms of the epochs before, and `GradientShare` at moving averages of gradient norms: for these put the
    handler into the `save_dict` of `CheckpointSaver`, and into the `load_dict` of `CheckpointLoader`.

    Args:
        loss: Any `RegionBoundaryLoss`, a `DeepSupervisionLoss`, or any object with `term_weights` and `region_term`. A
            loss whose weights have the sum 1, such as `BoundaryF1IoULoss`, takes alpha alone from the schedule.
        schedule: From `monai_boundary.schedules`.
        max_epochs: Length of the schedule; ``None`` for the engine's.
    """

    def __init__(self, loss: Any, schedule: Schedule, max_epochs: int | None = None) -> None:
        self.loss = loss
        self.schedule = check_schedule("schedule", schedule)
        self.max_epochs = max_epochs
        self.history: list[float] = []
        self._means = _EpochMeans()

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)
        _after_loss(engine, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._close)

    def __call__(self, engine: Any) -> None:
        """Set the weights of this epoch."""
        epoch = engine.state.epoch - 1
        del self.history[epoch:]  # an epoch that is run again
        self._means = _EpochMeans()
        total = engine.state.max_epochs if self.max_epochs is None else self.max_epochs
        pair = self.schedule.weights(epoch, total, self.history)
        if getattr(self.loss, "mode", None) == "complement":
            self.loss.alpha = pair[1]
        else:
            self.loss.term_weights = pair

    def _collect(self, engine: Any) -> None:
        self._means.add(engine.state.iteration, self.loss.region_term)

    def _close(self, engine: Any) -> None:  # noqa: ARG002
        self.history.extend(self._means.pop())

    def state_dict(self) -> dict[str, Any]:
        """Return the region terms of the finished epochs, what a share goes by, and the schedule."""
        norms, found = (getattr(self.loss, name, None) for name in ("gradient_norms", "found_by_class"))
        behind = {"gradient_norms": norms, "foreground_found": found}
        return {"history": list(self.history), **behind, "schedule": repr(self.schedule)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over, and say so where the schedule is another one; it then goes on with this handler's."""
        self.history = [float(value) for value in state["history"]]
        norms = state.get("gradient_norms")
        if norms is not None or getattr(self.loss, "gradient_norms", None) is not None:
            self.loss.gradient_norms = norms
            self.loss.foreground_found = state.get("foreground_found")
        before = state.get("schedule", "not recorded")  # by versions before the share of the gradient
        if before != repr(self.schedule):
            warnings.warn(
                f"schedule was {before} in the run that this one goes on with, and is {self.schedule} from here on",
                stacklevel=2,
            )


class LossTermsHandler:
    """Put both terms and their weights into ``engine.state.metrics`` at the end of every epoch.

    With `GradientShare` also what alpha comes from: the share, the moving averages of both gradient norms, and the part
    of the foreground that is found.

    `StatsHandler` and `TensorBoardStatsHandler` show them from there when they come later in the list.

    Args:
        loss: Any `RegionBoundaryLoss`, a `DeepSupervisionLoss`, or any object with `term_weights`, `region_term` and
            `boundary_term`.
        gradient_share: Also measure, in the first step of each epoch, which part of the gradient with respect to the
            network's output is the boundary term's: alpha |gb| / (region weight |gr| + alpha |gb|). Costs one more
            evaluation of the loss per epoch; needs `measure_gradients` of `RegionBoundaryLoss`.
    """

    def __init__(self, loss: Any, gradient_share: bool = False) -> None:
        self.loss = loss
        self.gradient_share = gradient_share
        self._means = _EpochMeans()
        self._norms: tuple[float, float] | None = None
        self._share: float | None = None

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        if self.gradient_share:  # an event of MONAI's engines alone
            engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._measure)
        _after_loss(engine, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Write the means of the epoch."""
        means = self._means.pop()
        names = ("region_term", "boundary_term")
        of_share = ("gradient_share", "gradient_norms", "foreground_found")
        share, norms, found = (getattr(self.loss, name, None) for name in of_share)
        if share is not None and norms is not None:  # the weights by them: the last batch may hold no foreground
            self.loss.gradient_norms = norms
        weights = dict(zip(("region_weight", "alpha"), self.loss.term_weights, strict=True))
        engine.state.metrics.update(weights, **dict(zip(names, means, strict=bool(means))))
        if self._share is not None:
            engine.state.metrics["boundary_gradient_share"] = self._share
        if share is not None and norms is not None:
            behind = dict(zip(("region_gradient", "boundary_gradient"), norms, strict=True))
            engine.state.metrics.update(gradient_share=share, **behind, foreground_found=found)

    def _start(self, engine: Any) -> None:  # noqa: ARG002
        self._means, self._norms, self._share = _EpochMeans(), None, None

    def _collect(self, engine: Any) -> None:
        self._means.add(engine.state.iteration, self.loss.region_term, self.loss.boundary_term)
        if self._norms is not None and self._share is None:  # the loss has set the weights of this step by now
            region, boundary = (weight * norm for weight, norm in zip(self.loss.term_weights, self._norms, strict=True))
            self._share = 0.0 if region + boundary == 0 else boundary / (region + boundary)  # NaN shows

    def _measure(self, engine: Any) -> None:
        if self._norms is not None:
            return
        self._norms = self.loss.measure_gradients(engine.state.output["pred"], engine.state.output["label"])
