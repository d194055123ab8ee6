"""The search in MONAI's SupervisedTrainer against the plain loop, and schedules that drive the weight of the loss."""

from __future__ import annotations

import operator
import warnings
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, MeanIoUHandler, ValidationHandler, from_engine
from monai.inferers import SimpleInferer
from monai.transforms import AsDiscreted
from torch import nn

from monai_boundary import BoundaryF1IoULoss, Increase, WeightSearch
from monai_boundary.engines import AlphaScheduleHandler
from monai_boundary.weight_search import WeightSearchHandler

# MONAI and Ignite, not this package
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore:.*CUDA is not available:UserWarning"
)
CPU, MAX_EPOCHS = torch.device("cpu"), 6


def items() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(4, 1, 12, 12)
    for index, label in enumerate(labels):
        label[:, 2 + index : 9, 3 : 8 + index] = 1
    return [{"image": label + 0.5 * torch.randn(1, 12, 12, generator=generator), "label": label} for label in labels]


class Run:
    """Trainer, evaluator and search; training draws from the global generator by shuffling and dropout."""

    def __init__(self, folder: Path, handlers=(), trainer=None, key=True, **numbers) -> None:
        torch.manual_seed(1)
        self.loss = BoundaryF1IoULoss()
        self.network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(4, 1, 1))
        self.optimizer = torch.optim.Adam(self.network.parameters(), 0.02)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.5)
        self.loader = DataLoader(items(), batch_size=2, shuffle=True)
        iou = MeanIoUHandler(output_transform=from_engine(["pred", "label"]))
        self.evaluator = SupervisedEvaluator(
            CPU, DataLoader(items(), batch_size=2), self.network, inferer=SimpleInferer(),
            postprocessing=AsDiscreted("pred", threshold=0.0), key_val_metric={"iou": iou} if key else None,
        )  # fmt: skip
        state = {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler}
        numbers = {"max_epochs": MAX_EPOCHS, "candidates": (0.2, 0.8), "first": 1, "every": 3, **numbers}
        self.search = WeightSearch(self.loss, state, folder, **numbers)
        self.handler = WeightSearchHandler(self.search, self.evaluator)
        self.seen: list[tuple[int, float]] = []
        self.trainer = SupervisedTrainer(
            device=CPU, max_epochs=MAX_EPOCHS, train_data_loader=self.loader, network=self.network,
            optimizer=self.optimizer, loss_function=self.loss, inferer=SimpleInferer(),
            train_handlers=[self.handler, LrScheduleHandler(self.scheduler, print_lr=False), *handlers],
            **(trainer or {}),
        )  # fmt: skip
        self.trainer.add_event_handler(Events.EPOCH_STARTED, self._note)

    def _note(self, engine) -> None:
        self.seen.append((engine.state.epoch - 1, self.loss.alpha))

    def train_epoch(self, epoch: int) -> None:
        self.network.train()
        self.seen.append((epoch, self.loss.alpha))
        for batch in self.loader:
            self.optimizer.zero_grad()
            self.loss(self.network(batch["image"]), batch["label"]).backward()
            self.optimizer.step()
        self.scheduler.step()

    def validate(self) -> float:
        self.evaluator.run(1)
        return self.evaluator.state.metrics["iou"]

    def end(self) -> tuple:
        weights = [*self.network.state_dict().values(), *self.optimizer.state_dict()["state"][0].values()]
        return [weight.tolist() for weight in weights], self.scheduler.get_last_lr(), torch.rand(2).tolist()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Run(tmp_path_factory.mktemp("unbroken"))
        run.trainer.run()
        run.result = run.end()
    return run


def test_the_engine_searches_like_the_plain_loop(unbroken, tmp_path):
    plain = Run(tmp_path)
    plain.search.run(plain.train_epoch, plain.validate)
    assert unbroken.search.rounds == plain.search.rounds
    assert unbroken.seen == plain.seen
    assert unbroken.result == plain.end()
    assert [(entry.start, entry.epochs) for entry in plain.search.rounds] == [(1, 3), (4, 2)]


def test_the_trainer_ends_after_its_epochs_with_the_last_one_counted(unbroken):
    assert unbroken.trainer.state.epoch == MAX_EPOCHS
    assert unbroken.trainer.state.iteration == MAX_EPOCHS * 2
    assert len(unbroken.seen) == 1 + 2 * 3 + 2 * 2


class Killer:
    """Raises at the given count of an event, as a kill would end the run."""

    def __init__(self, event: Events, count: int) -> None:
        self.event, self.count = event, count

    def attach(self, engine) -> None:
        engine.add_event_handler(self.event, self)

    def __call__(self, _engine) -> None:
        self.count -= 1
        if self.count == 0:
            raise KeyboardInterrupt


def killed_and_started_again(folder: Path, killer: Killer, change=lambda _run: None, **options) -> Run:
    """Run until the kill, and again with other generators: the saved ones count."""
    in_validation = killer.event is Events.STARTED
    broken = Run(folder, () if in_validation else [killer], **options)
    change(broken)
    if in_validation:
        killer.attach(broken.evaluator)
    with pytest.raises(KeyboardInterrupt):
        broken.trainer.run()
    assert broken.search.awaits_score == in_validation
    again = Run(folder, **options)
    change(again)
    torch.manual_seed(99)
    again.trainer.run()
    return again


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (Events.ITERATION_COMPLETED, 1),
        (Events.ITERATION_COMPLETED, 9),
        (Events.EPOCH_COMPLETED, 4),
        (Events.EPOCH_STARTED, 8),
        (Events.EPOCH_COMPLETED, 11),
        (Events.STARTED, 2),
    ],
)
def test_a_killed_run_started_again_is_the_unbroken_one_to_the_bit(unbroken, tmp_path, event, count):
    again = killed_and_started_again(tmp_path, Killer(event, count))
    assert again.search.rounds == unbroken.search.rounds
    assert again.end() == unbroken.result


@pytest.mark.parametrize(
    ("options", "change"),
    [
        # an evaluation draws the seed of its loader from the global generator: another course, the same after a kill
        ({}, lambda run: ValidationHandler(1, run.evaluator).attach(run.trainer)),
        ({"trainer": {"epoch_length": 1}}, lambda _run: None),  # shorter than the loader: every epoch is a new pass
    ],
    ids=["validation of every epoch", "short epochs"],
)
def test_other_courses_survive_a_kill_as_well(tmp_path, options, change):
    whole = Run(tmp_path / "whole", **options)
    change(whole)
    whole.trainer.run()
    expected = whole.end()
    killer = Killer(Events.ITERATION_COMPLETED, 4 if options else 9)
    assert killed_and_started_again(tmp_path / "broken", killer, change, **options).end() == expected
    assert [entry.start for entry in whole.search.rounds] == [1, 4]


def test_a_terminated_trainer_goes_on_with_the_next_run(unbroken, tmp_path):
    run = Run(tmp_path)
    stop = run.trainer.add_event_handler(Events.EPOCH_COMPLETED(once=3), lambda engine: engine.terminate())
    run.trainer.run()
    stop.remove()  # else the other candidate's third epoch ends the run, too
    assert not run.search.finished
    run.trainer.run()
    assert run.search.finished
    assert run.end() == unbroken.result


def test_a_finished_search_trains_no_more(unbroken):
    again = Run(unbroken.search.folder)
    again.trainer.run()
    assert again.seen == []
    assert again.end() == unbroken.result


class Scaler:
    """Stands in for CUDA's gradient scaler, which has no state on the CPU."""

    def __init__(self) -> None:
        self.scale = 1.0

    def state_dict(self) -> dict:
        return {"scale": self.scale}

    def load_state_dict(self, state: dict) -> None:
        self.scale = state["scale"]


def test_the_gradient_scaler_of_the_trainer_is_part_of_the_state(tmp_path):
    def grow(engine) -> None:
        engine.scaler.scale *= 2
        scales.append(engine.scaler.scale)

    run, scales = Run(tmp_path), []
    # before the handler of the search, as MONAI makes a scaler before the engine starts
    make = (lambda: setattr(run.trainer, "scaler", Scaler())), (), {}
    run.trainer._event_handlers[Events.STARTED].insert(0, make)
    run.trainer.add_event_handler(Events.EPOCH_COMPLETED, grow)
    run.trainer._process_function = lambda *_: run.optimizer.step()  # the stand-in cannot make one
    run.trainer.run()
    assert scales == [2, 4, 8, 16, 4, 8, 16, 32, 64, 32, 64]


def test_a_mixed_precision_run_on_the_cpu_is_searched(tmp_path):
    run = Run(tmp_path, trainer={"amp": True, "amp_kwargs": {"dtype": torch.bfloat16}})
    run.trainer.run()
    assert run.search.finished


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"key": False}, "evaluator must have a key metric, the score, got none; give it a key_val_metric"),
        ({"max_epochs": 7}, "max_epochs of search and trainer must be the same, got 7 and 6"),
    ],
)
def test_a_trainer_and_an_evaluator_that_do_not_fit_are_refused(tmp_path, options, text):
    with pytest.raises(ValueError, match=text):
        Run(tmp_path, **options).trainer.run()


def test_a_score_of_which_lower_is_better_is_refused(tmp_path):
    run = Run(tmp_path)
    run.evaluator.metric_cmp_fn = operator.lt
    with pytest.raises(ValueError, match="a score of which higher is better, got a metric_cmp_fn that takes 0"):
        run.trainer.run()


def test_weights_that_something_else_sets_are_no_candidates(tmp_path):
    run = Run(tmp_path)
    AlphaScheduleHandler(run.loss, Increase(0.2, 0.3)).attach(run.trainer)
    with pytest.raises(RuntimeError, match=r"as the search set them, .* in epoch 0, got \(0\.8, 0\.2\); .*; remove it"):
        run.trainer.run()
