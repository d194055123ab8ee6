"""A training of MONAI's that is killed while it saves goes on from the checkpoint before, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events

from monai_boundary import Rebalance
from monai_boundary.bundles import bundle_folder, list_bundles
from monai_boundary.bundles.checkpoints import load_weights
from monai_boundary.bundles.models import ModelSettings
from monai_boundary.bundles.training import BestNetwork, TrainingCheckpoint
from tests.engines.test_engines import Run, assert_same_weights
from tests.kill.dying import KILLED, die, in_child, needs_fork

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),  # MONAI, Ignite, fork
    needs_fork,
]


def die_in_save(number: int, share: float) -> None:
    """Let this process die in the `number`-th file that it saves, when that share of the file is written."""
    save, count = torch.save, iter(range(1, 1000))

    def cut_off(content: object, file: object) -> None:
        save(content, file)
        if isinstance(file, Path) and next(count) == number:
            with file.open("r+b") as stream:
                stream.truncate(int(share * file.stat().st_size))
            die()

    torch.save = cut_off


def saving(folder: Path, best: tuple[int, ...] = (1, 2, 3, 4)) -> Run:
    """A training of four epochs that saves; the validations of some of them are the best so far."""
    run = Run(Rebalance())
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=-1.0, best_metric_epoch=-1))

    def validate(engine) -> None:
        if (epoch := engine.state.epoch) in best:
            evaluator.state.best_metric, evaluator.state.best_metric_epoch = 0.1 * epoch, epoch

    run.trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    state = {"network": run.network, "optimizer": run.optimizer, "loss": run.loss, "alpha": run.alpha}
    kept = {"model": run.network, "settings": ModelSettings(torch.nn.Identity())}
    TrainingCheckpoint(folder, evaluator, state, kept).attach(run.trainer)
    return run


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("number", [5, 6], ids=["the best network", "the state"])
def test_two_epochs_a_kill_and_two_epochs_are_four_epochs(number: int, share: float, tmp_path: Path) -> None:
    whole = Run(Rebalance())
    whole.trainer.run()

    def train() -> None:
        run = saving(tmp_path)
        die_in_save(number, share)
        run.trainer.run()

    assert in_child(train) == KILLED
    names = {path.name for path in tmp_path.glob("[!.]*")}
    assert names == {"model.pt", "training.pt"}
    second = saving(tmp_path)
    second.trainer.run()
    assert len(second.losses) == len(whole.losses) / 2
    assert second.losses == whole.losses[-len(second.losses) :]
    assert second.weights == whole.weights[2:]
    assert_same_weights(second.network, whole.network)
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_best_network_is_the_one_before_or_the_new_one(share: float, tmp_path: Path) -> None:
    network = torch.nn.Linear(200, 200)

    def validate(*values: float) -> None:
        saver = BestNetwork(tmp_path, {"model": network})
        for epoch, value in enumerate(values):
            torch.nn.init.constant_(network.weight, value)
            best = max(range(epoch + 1), key=lambda one: values[one])
            saver(SimpleNamespace(state=SimpleNamespace(epoch=epoch, best_metric_epoch=best)))

    def killed() -> None:
        die_in_save(2, share)
        validate(0.5, 0.75)

    assert in_child(killed) == KILLED
    assert load_weights(network, tmp_path / "model.pt") == "network"
    assert (network.weight == 0.5).all()
    validate(0.5, 0.75, 0.25)
    load_weights(network, tmp_path / "model.pt")
    assert (network.weight == 0.75).all()


@pytest.mark.parametrize("name", list_bundles())
def test_every_bundle_keeps_its_training_in_this_way(name: str) -> None:
    train = json.loads((bundle_folder(name) / "configs" / "train.json").read_text())["train"]
    given = [train[one.partition("#")[2]] if isinstance(one, str) else one for one in train["handlers"]]
    (saver,) = [one for one in given if one["_target_"].endswith("training.TrainingCheckpoint")]
    assert {"network", "optimizer", "loss", "alpha", "log", "transforms"} <= set(saver["state"])
    assert {"model", "settings"} <= set(saver["best"])
