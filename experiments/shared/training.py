"""Train a network with MONAI's engine and follow its scores over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.inferers import SimpleInferer
from tqdm import tqdm

from monai_boundary.engines import Events

__all__ = ["Budget", "computing_device", "train_network"]

Point = dict[str, Any]


class Budget(Protocol):
    """What the settings of a protocol say about the length of a training."""

    @property
    def epochs(self) -> int:
        """Number of epochs."""

    @property
    def batch(self) -> int:
        """Items per step."""

    @property
    def lr(self) -> float:
        """Learning rate of Adam."""

    @property
    def score_every(self) -> int:
        """Epochs between two points of the curve; the last epoch always has one."""


def computing_device() -> torch.device:
    """Return the first CUDA device, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_network(  # noqa: PLR0913 - what a training is made of
    network: torch.nn.Module,
    loss: torch.nn.Module,
    items: Sequence[Any] | Dataset,
    budget: Budget,
    score: Callable[[Any], Point],
    describe: Callable[[Point], str],
    title: str,
    betas: tuple[float, float] = (0.9, 0.999),
    before_epoch: Callable[[int], None] | None = None,
    decay: bool = False,
    **options: Any,
) -> list[Point]:
    """Train with Adam, and return the curve: one point after every `score_every` epochs and after the last.

    Args:
        network: On the device where it is trained.
        loss: Takes the network's output and the target.
        items: Training items, ``{"image": ..., "label": ...}`` unless `options` name another ``prepare_batch``.
        budget: Epochs, batch, learning rate, distance of the points.
        score: Returns a point of the curve from the engine.
        describe: Says a point in some words, for the progress bar.
        title: Of the progress bar.
        betas: Of Adam.
        before_epoch: Called with the number of every epoch, from 0, before it starts.
        decay: Lower the learning rate to 0 along half a cosine.
        options: More for `monai.engines.SupervisedTrainer`.
    """
    curve: list[Point] = []
    optimizer = torch.optim.Adam(network.parameters(), budget.lr, betas=betas)
    trainer = SupervisedTrainer(
        device=next(network.parameters()).device,
        max_epochs=budget.epochs,
        train_data_loader=DataLoader(
            items if isinstance(items, Dataset) else Dataset(items),
            batch_size=budget.batch,
            shuffle=True,
            drop_last=len(items) > budget.batch,
        ),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
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
        bar.set_postfix_str(describe(curve[-1]))

    with tqdm(total=budget.epochs, desc=title, unit="epoch") as bar:
        if before_epoch is not None:
            trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: before_epoch(engine.state.epoch - 1))
        if decay:
            rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, budget.epochs)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _engine: rate.step())
        trainer.add_event_handler(Events.EPOCH_COMPLETED, follow)
        trainer.run()
    return curve
