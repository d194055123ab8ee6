"""nnU-Net's training that is killed while it saves, and a worker of its loader that is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from monai_boundary import Rebalance
from nnunet_trainers.boundary import nnUNetTrainerBoundary
from tests.kill.dying import KILLED, die, in_child, needs_fork
from tests.nnunet_trainers.running import build, pretend_epoch
from tests.nnunet_trainers.test_share import saved

pytestmark = [pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"), needs_fork]


class Rebalanced(nnUNetTrainerBoundary):
    boundary_schedule = Rebalance()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_run_that_is_killed_while_it_saves_goes_on_from_the_checkpoint_before(share: float, results: Path) -> None:
    trainer = build(Rebalanced)
    trainer.num_epochs = 5
    save = torch.save

    def cut_off(content: object, file: object) -> None:
        save(content, file)
        with Path(file).open("r+b") as stream:
            stream.truncate(int(share * Path(file).stat().st_size))
        die()

    def train() -> None:
        for _ in range(2):
            pretend_epoch(trainer)
            saved(trainer)
        torch.save = cut_off
        pretend_epoch(trainer)
        saved(trainer)

    assert in_child(train) == KILLED
    folder = Path(trainer.output_folder)
    assert len(list(folder.glob(".checkpoint_latest.pth.*.part"))) == 1
    second = build(Rebalanced)
    second.num_epochs = 5
    second.load_checkpoint(str(folder / "checkpoint_latest.pth"))
    assert second.current_epoch == 2
    for _ in range(2):
        pretend_epoch(second)
    assert second.boundary_log.values["alpha"] == [Rebalance().weights(epoch, 5)[1] for epoch in range(4)]
    saved(second)
    assert not list(folder.glob(".checkpoint_latest.pth.*.part"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # in a thread of the loader, too
def test_a_killed_worker_of_the_loader_is_an_error(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_n_proc_DA", "2")
    trainer = build(nnUNetTrainerBoundary)
    try:
        next(trainer.dataloader_train)
        for worker in trainer.dataloader_train._processes:
            os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="background workers are no longer alive"):  # noqa: PT012
            for _ in range(100):  # some batches were made before
                next(trainer.dataloader_train)
    finally:
        trainer.dataloader_train._finish()
        trainer.dataloader_val._finish()
    assert not multiprocessing.active_children()
