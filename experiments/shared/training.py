"""Train a network with MONAI's engine and follow its scores over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.inferers import SimpleInferer
from monai.networks.nets import UNet
from tqdm import tqdm

from monai_boundary.engines import (
    AlphaScheduleHandler,
    Events,
    LossTermsHandler,
    PrepareBatchTarget,
    RestoreLabelHandler,
)
from monai_boundary.schedules import Schedule

Point = dict[str, Any]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Budget:
    """How long a training is; settings of an experiment add to it.

    Args:
        epochs: Number of epochs.
        batch: Items per step.
        lr: Learning rate of Adam.
        score_every: Epochs between two points of the curve; the last epoch always has one.
    """

    epochs: int = 100
    batch: int = 8
    lr: float = 1e-3
    score_every: int = 10


def make_unet(ndim: int, channels: int, outputs: int, features: Sequence[int], **options: Any) -> UNet:
    """Return MONAI's U-Net, with one residual unit per resolution unless `options` say otherwise."""
    return UNet(ndim, channels, outputs, features, (2,) * (len(features) - 1), **{"num_res_units": 1, **options})


def train_network(  # noqa: PLR0913 - what a training is made of
    network: torch.nn.Module,
    loss: torch.nn.Module,
    items: Sequence[Any] | Dataset,
    budget: Budget,
    score: Callable[[Any], Point],
    title: str,
    *,
    shown: str,
    betas: tuple[float, float] = (0.9, 0.999),
    before_epoch: Callable[[int], None] | None = None,
    decay: bool = False,
    **options: Any,
) -> list[Point]:
    """Train on `DEVICE` with Adam, and return the curve: a point after every `score_every` epochs and after the last.

    Args:
        network: Trained in place.
        loss: Takes the network's output and the target.
        items: Training items, ``{"image": ..., "label": ...}`` unless `options` name another ``prepare_batch``.
        budget: Epochs, batch, learning rate, distance of the points.
        score: Returns a point of the curve from the engine.
        title: Of the progress bar.
        shown: Score of a point that the progress bar shows.
        betas: Of Adam.
        before_epoch: Called with the number of every epoch, from 0, before it starts.
        decay: Lower the learning rate to 0 along half a cosine.
        options: More for `monai.engines.SupervisedTrainer`.
    """
    curve: list[Point] = []
    if not any(isinstance(module, torch.nn.Conv3d) for module in network.modules()):
        network.to(memory_format=torch.channels_last)  # a step of 2D on the CPU takes a fifth less time
    network.to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), budget.lr, betas=betas, fused=True)
    data = items if isinstance(items, Dataset) else Dataset(items)
    trainer = SupervisedTrainer(
        device=DEVICE,
        max_epochs=budget.epochs,
        train_data_loader=DataLoader(data, batch_size=budget.batch, shuffle=True, drop_last=len(data) > budget.batch),
        network=network,
        optimizer=optimizer,
        loss_function=loss.to(DEVICE),
        inferer=SimpleInferer(),
        decollate=False,
        **options,
    )

    def follow(engine: Any) -> None:
        epoch = engine.state.epoch
        bar.update()
        if epoch % budget.score_every and epoch != budget.epochs:
            return
        curve.append({"epoch": epoch, **score(engine)})
        bar.set_postfix_str(f"{shown} {score_of(curve[-1], shown):.3f}")

    with tqdm(total=budget.epochs, desc=title, unit="epoch") as bar:
        if before_epoch is not None:
            trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: before_epoch(engine.state.epoch - 1))
        if decay:
            rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, budget.epochs)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _engine: rate.step())
        trainer.add_event_handler(Events.EPOCH_COMPLETED, follow)
        trainer.run()
    return curve


def score_of(point: Point, key: str) -> float:
    """Return a score of a point of a curve, or its mean over the cases of the point."""
    return float(point[key] if key in point else np.nanmean([case[key] for case in point["cases"]]))


def boundary_options(loss: torch.nn.Module, schedule: Schedule | None) -> dict[str, Any]:
    """Return what `train_network` takes to train with a term that wants more than the label.

    Args:
        loss: With a ``target_name``.
        schedule: Of the weights of its terms, which `loss_terms` then finds; ``None`` to leave them.
    """
    handlers: list[Any] = [RestoreLabelHandler()]
    if schedule is not None:
        handlers += [AlphaScheduleHandler(loss, schedule), LossTermsHandler(loss)]
    return {"prepare_batch": PrepareBatchTarget(loss.target_name), "train_handlers": handlers}  # type: ignore[arg-type]


def loss_terms(engine: Any) -> Point:
    """Return alpha and both terms of the loss, means over the epoch that ends."""
    return {key: round(float(engine.state.metrics[key]), 5) for key in ("alpha", "region_term", "boundary_term")}


def finite(logits: torch.Tensor) -> torch.Tensor:
    """Return the network's output on the CPU.

    Raises:
        RuntimeError: It is not finite.
    """
    if not logits.isfinite().all():
        raise RuntimeError("the network's output must be finite, got NaN or infinity: the training diverged; lower lr")
    return logits.cpu()
