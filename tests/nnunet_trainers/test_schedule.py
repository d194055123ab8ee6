"""Weights over the epochs, their log, what a resumed run makes of it, and the pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_boundary.reports.boundary_log import LOG_KEYS, plot_boundary_log
from monai_boundary.schedules import Increase, Rebalance, WaitForRegion
from nnunet_trainers import short
from nnunet_trainers.boundary import (
    nnUNetTrainerBoundary,
    nnUNetTrainerBoundaryPublished,
    nnUNetTrainerDiceCEBoundary,
)
from tests.nnunet_trainers.running import build, pretend_epoch, run_epoch


def checkpoint(trainer: nnUNetTrainer) -> str:
    """Save as nnU-Net does after the last epoch, and return the file."""
    trainer.on_train_end()
    return str(Path(trainer.output_folder) / "checkpoint_final.pth")


def assert_log_is_whole(trainer: nnUNetTrainer) -> None:
    log = trainer.logger.local_logger.my_fantastic_logging
    assert {key: len(values) for key, values in log.items()} == dict.fromkeys(log, trainer.current_epoch)
    assert set(LOG_KEYS) <= set(log)


def logged_weights(trainer: nnUNetTrainer) -> list[tuple[float, float]]:
    """Weights of region and boundary term by epoch."""
    log = trainer.boundary_log.values
    return list(zip(log["region_weight"], log["alpha"], strict=True))


class Rebalanced(nnUNetTrainerBoundary):
    boundary_schedule = Rebalance()


class Increased(nnUNetTrainerDiceCEBoundary):
    boundary_schedule = Increase(end=0.3)


@pytest.mark.parametrize(
    ("trainer_class", "schedule"),
    [
        (Rebalanced, Rebalance()),
        (nnUNetTrainerBoundaryPublished, Rebalance(pace=100)),
        (Increased, Increase(end=0.3)),
    ],
)
def test_every_epoch_has_the_weights_of_the_schedule(trainer_class: type, schedule: Rebalance) -> None:
    trainer = build(trainer_class)
    trainer.num_epochs = 6
    for epoch in range(6):
        pretend_epoch(trainer)
        assert trainer.loss.term_weights == schedule.weights(epoch, 6)
        assert_log_is_whole(trainer)
    assert logged_weights(trainer) == [schedule.weights(epoch, 6) for epoch in range(6)]


@pytest.mark.parametrize("trainer_class", [nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary])
def test_the_share_rises_to_a_fifth_of_the_gradient(trainer_class: type) -> None:
    trainer = build(trainer_class)
    trainer.num_epochs = 10
    for _ in range(5):
        pretend_epoch(trainer)
    assert trainer.boundary_log.values["gradient_share"] == pytest.approx([0.2 / 3, 0.4 / 3, 0.2, 0.2, 0.2])
    assert trainer.loss.term_weights[0] == 1


def test_the_first_hundred_published_epochs_rise_by_a_hundredth_in_a_run_of_any_length() -> None:
    trainer = build(nnUNetTrainerBoundaryPublished)
    assert trainer.num_epochs == 1000
    for _ in range(3):
        pretend_epoch(trainer, predicted=0)
    assert trainer.boundary_log.values["alpha"] == pytest.approx([0.01, 0.02, 0.03])


def test_a_length_in_the_name_sets_epochs_and_learning_rate() -> None:
    for name in ("nnUNetTrainerBoundary", "nnUNetTrainerGDL", "nnUNetTrainerBoundaryPublished"):
        for epochs in (10, 100):
            trainer = build(getattr(short, f"{name}_{epochs}epochs"))
            assert trainer.num_epochs == epochs
            assert trainer.lr_scheduler.max_steps == epochs
            assert trainer.num_iterations_per_epoch == 250


def test_every_trainer_has_short_variants() -> None:
    names = {name for room in short.ROOMS for name in room.__all__} - {"nnUNetTrainerDiceCEBoundaryDemo"}
    assert {"nnUNetTrainerBoundaryWMH", "nnUNetTrainerBoundaryPublished", "nnUNetTrainerBoundaryRefine"} <= names
    assert set(short.__all__) == {f"{name}_{epochs}epochs" for name in names for epochs in (10, 100)}


def test_the_means_of_the_steps_are_logged() -> None:
    trainer = build(Rebalanced)
    trained, validated = run_epoch(trainer)
    log = trainer.boundary_log.values
    for key in ("region_term", "boundary_term"):
        assert log[key] == [pytest.approx(np.mean([step[key] for step in trained]), rel=1e-6)]
    voxels = 2 * 2 * 16 * 32 * 32
    for key, other in (("foreground_predicted", "fp_hard"), ("foreground_true", "fn_hard")):
        counts = sum(step["tp_hard"] + step[other] for step in validated)
        assert log[key] == [pytest.approx(counts / voxels)]
        assert len(log[key][0]) == 2  # one for each class


def test_a_resumed_run_continues_log_and_alpha() -> None:
    first = build(Rebalanced)
    first.num_epochs = 5
    for _ in range(2):
        run_epoch(first, 1, 1)
    file = checkpoint(first)
    second = build(Rebalanced)
    second.num_epochs = 5
    second.load_checkpoint(file)
    run_epoch(second, 1, 1)
    schedule = Rebalance()
    assert second.boundary_log.values["alpha"] == [schedule.weights(epoch, 5)[1] for epoch in range(3)]
    assert second.boundary_log.values["region_term"][:2] == first.boundary_log.values["region_term"]
    assert_log_is_whole(second)


def test_a_stock_checkpoint_resumes_with_a_gap_in_the_log() -> None:
    stock = build(nnUNetTrainer)
    for _ in range(2):
        run_epoch(stock, 1, 1)
    file = checkpoint(stock)
    ours = build(Rebalanced)
    ours.load_checkpoint(file)
    assert_log_is_whole(ours)
    run_epoch(ours, 1, 1)
    assert_log_is_whole(ours)
    np.testing.assert_array_equal(ours.boundary_log.values["alpha"], [math.nan] * 2 + [Rebalance().weights(2, 1000)[1]])
    assert ours.boundary_log.guard.updates == 1


class WaitingTrainer(nnUNetTrainerBoundary):
    boundary_schedule = WaitForRegion(Rebalance(pace=5), window=1, tolerance=0.1)


def test_a_schedule_sees_the_region_terms_before_and_after_resuming() -> None:
    terms = [0.9, 0.6, 0.58, 0.5]  # settled after the third
    whole, first = (build(WaitingTrainer) for _ in range(2))
    for term in terms:
        pretend_epoch(whole, region_term=term)
    assert whole.boundary_log.values["alpha"] == [0.0, 0.0, 0.0, 0.01]
    for term in terms[:2]:
        pretend_epoch(first, region_term=term)
    second = build(WaitingTrainer)
    second.load_checkpoint(checkpoint(first))
    for term in terms[2:]:
        pretend_epoch(second, region_term=term)
    assert second.boundary_log.values["alpha"] == whole.boundary_log.values["alpha"]


# Predicted foreground voxels, of 100 true ones: gone, and back in the seventh epoch.
COLLAPSE = [0, 0, 0, 0, 0, 0, 100, 100, 100]
# The guard speaks after five epochs: two epochs leave the boundary term out, then the schedule goes on where it was.
EXPECTED = [
    (1.0, 0.0) if epoch is None else Rebalance().weights(epoch, 1000) for epoch in (0, 1, 2, 3, 4, None, None, 5, 6)
]
PAUSED = [0, 0, 0, 0, 0, 1, 1, 0, 0]


def test_a_collapse_pauses_the_boundary_term_and_the_schedule_goes_on_where_it_stopped() -> None:
    trainer = build(Rebalanced)
    for predicted in COLLAPSE:
        pretend_epoch(trainer, predicted)
    assert trainer.boundary_log.values["alpha_paused"] == PAUSED
    assert logged_weights(trainer) == EXPECTED
    assert trainer.loss.term_weights == EXPECTED[-1]
    text = Path(trainer.log_file).read_text()
    for label in (1, 2):
        assert text.count(f"WARNING: the predicted foreground of class {label} is 0 of the true one") == 1
    assert text.count("boundary term paused: the predicted foreground is falling away") == 2


def test_a_schedule_that_waits_does_not_look_at_paused_epochs() -> None:
    trainer = build(WaitingTrainer)
    terms = [1, 0.5, 0.25, 0.125, 0.0625, 0.06, 0.06, 0.03, 0.015, 0.0075]  # settled in the paused ones alone
    for predicted, term in zip([*COLLAPSE, 100], terms, strict=True):
        pretend_epoch(trainer, predicted, region_term=term)
    assert trainer.boundary_log.values["alpha_paused"] == [*PAUSED, 0]
    assert trainer.boundary_log.values["alpha"] == [0] * 10


def test_the_loss_of_one_class_of_two_pauses_the_boundary_term() -> None:
    trainer = build(Rebalanced)
    for predicted in COLLAPSE:
        pretend_epoch(trainer, [100.0, predicted])
    assert trainer.boundary_log.values["alpha_paused"] == PAUSED
    assert "foreground of class 2 is" in Path(trainer.log_file).read_text()


@pytest.mark.parametrize("epochs", [4, 5, 6, 7])
def test_a_pause_is_the_same_after_resuming(epochs: int) -> None:
    first = build(Rebalanced)
    for predicted in COLLAPSE[:epochs]:
        pretend_epoch(first, predicted)
    second = build(Rebalanced)
    file = checkpoint(first)
    for _ in range(2):  # as --val_best does after --c; the guard must not count the epochs twice
        second.load_checkpoint(file)
    assert second.boundary_log.guard.updates == epochs
    for predicted in COLLAPSE[epochs:]:
        pretend_epoch(second, predicted)
    assert second.boundary_log.values["alpha_paused"] == PAUSED
    assert logged_weights(second) == EXPECTED


def test_the_published_trainer_warns_of_a_collapse_and_goes_on() -> None:
    trainer = build(nnUNetTrainerBoundaryPublished)
    for predicted in COLLAPSE:
        pretend_epoch(trainer, predicted)
    assert trainer.boundary_log.values["alpha_paused"] == [0] * len(COLLAPSE)
    assert trainer.boundary_log.values["alpha"] == pytest.approx([0.01 * (epoch + 1) for epoch in range(len(COLLAPSE))])
    assert "WARNING: the predicted foreground" in Path(trainer.log_file).read_text()


def test_both_pictures_are_written_every_epoch(pictures: None) -> None:
    trainer = build(Rebalanced)
    folder = Path(trainer.output_folder)
    pretend_epoch(trainer)
    first = (folder / "boundary.png").read_bytes()
    pretend_epoch(trainer)
    assert (folder / "boundary.png").read_bytes() != first
    assert imread(folder / "boundary.png").shape == (1080, 960, 4)
    assert (folder / "progress.png").stat().st_size > 0


def test_the_picture_shows_gaps_pauses_and_an_empty_log(tmp_path: Path) -> None:
    epochs = np.arange(12)
    log = {key: np.where(epochs < 2, np.nan, 0.01 * epochs) for key in LOG_KEYS}
    log["alpha_paused"] = np.where(epochs < 2, np.nan, (epochs > 7) * 1.0)
    log["foreground_predicted"] = [[0.02, 0.0] if epoch > 6 else math.nan for epoch in epochs]
    pictures = []
    for name, values in (
        ("whole", log),
        ("no pauses", {**log, "alpha_paused": 0 * epochs}),
        ("empty", {key: [] for key in LOG_KEYS}),
    ):
        plot_boundary_log(values, tmp_path / f"{name}.png", "title")
        pictures.append(imread(tmp_path / f"{name}.png"))
    assert len({picture.tobytes() for picture in pictures}) == 3
