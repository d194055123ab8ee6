"""A training of MONAI's that is killed while it saves goes on from the checkpoint before, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.handlers import CheckpointLoader

from monai_boundary import Rebalance
from monai_boundary.bundles import bundle_folder
from monai_boundary.bundles.checkpoints import WholeCheckpointSaver, load_weights
from tests.engines.test_engines import Run, assert_same_weights
from tests.kill.dying import KILLED, die, in_child, needs_fork

TARGET = f"{WholeCheckpointSaver.__module__}.{WholeCheckpointSaver.__name__}"
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),  # MONAI, Ignite, fork
    needs_fork,
]


def die_in_save(number: int, share: float) -> None:
    """Let this process die in its `number`-th save, when that share of the file is written."""
    save, count = torch.save, iter(range(1, 1000))

    def cut_off(content: object, path: Path) -> None:
        save(content, path)
        if next(count) == number:
            with path.open("r+b") as stream:
                stream.truncate(int(share * path.stat().st_size))
            die()

    torch.save = cut_off


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_two_epochs_a_kill_and_two_epochs_are_four_epochs(share: float, tmp_path: Path) -> None:
    whole = Run(Rebalance())
    whole.trainer.run()

    def keep(run: Run) -> dict:
        return {"net": run.network, "opt": run.optimizer, "trainer": run.trainer, "alpha": run.alpha}

    def train() -> None:
        run = Run(Rebalance())
        WholeCheckpointSaver(save_dir=str(tmp_path), save_dict=keep(run), save_interval=1).attach(run.trainer)
        die_in_save(3, share)
        run.trainer.run()

    assert in_child(train) == KILLED
    files = sorted(tmp_path.glob("*.pt"))
    assert [path.name.partition("epoch=")[2] for path in files] == ["1.pt", "2.pt"]
    second = Run(Rebalance())
    CheckpointLoader(str(files[-1]), load_dict=keep(second), strict=True).attach(second.trainer)
    second.trainer.run()
    assert second.losses == whole.losses[-len(second.losses) :]
    assert second.weights == whole.weights[2:]
    assert_same_weights(second.network, whole.network)


@pytest.mark.parametrize("name", ["buildings_boundary_f1", "em_boundary_aware"])
def test_the_checkpoint_of_a_bundle_is_the_one_before_or_the_new_one(name: str, tmp_path: Path) -> None:
    """By the handler of its train.json, which keeps the best network."""
    config = ConfigParser()
    config.read_config(str(bundle_folder(name) / "configs" / "train.json"))
    (given,) = [one for one in config["validate"]["handlers"] if one["_target_"] == TARGET]

    def validate(*scores: float) -> Callable[[], None]:
        def run() -> None:
            network = torch.nn.Linear(200, 200)
            settings = {key: value for key, value in given.items() if key not in ("_target_", "save_dict", "save_dir")}
            saver = WholeCheckpointSaver(save_dir=str(tmp_path), save_dict={"model": network}, **settings)
            engine = Engine(lambda _engine, _batch: None)
            engine.state_dict_user_keys.append("best")
            engine.state.key_metric_name, left = "score", list(scores)

            def score(engine: Engine) -> None:
                value = left.pop(0)
                engine.state.metrics["score"] = -value if given.get("key_metric_negative_sign") else value
                torch.nn.init.constant_(network.weight, value)

            engine.add_event_handler(Events.EPOCH_COMPLETED, score)
            saver.attach(engine)
            engine.run([0], max_epochs=len(scores))

        return run

    def killed(share: float) -> Callable[[], None]:
        def run() -> None:
            die_in_save(2, share)
            validate(0.5, 0.75)()

        return run

    path = tmp_path / given["key_metric_filename"]
    for share in (0.0, 0.5, 1.0):
        assert in_child(killed(share)) == KILLED
        network = torch.nn.Linear(200, 200)
        assert load_weights(network, path) == "network"
        assert (network.weight == 0.5).all()
        assert len(list(tmp_path.iterdir())) == 2  # it, and what was being written
    assert in_child(validate(0.5, 0.75)) == 0
    assert list(tmp_path.iterdir()) == [path]
    load_weights(network, path)
    assert (network.weight == 0.75).all()
