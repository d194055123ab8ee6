"""The boundary term as a share of the gradient inside nnU-Net: measured right, resumed, a change said."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_boundary.losses import CollapseGuard
from monai_boundary.losses.gradient_share import Share
from monai_boundary.reports.boundary_log import GRADIENT_KEYS
from monai_boundary.schedules import GradientShare, Increase
from nnunet_trainers.boundary import nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary
from tests.nnunet_trainers.datasets import IGNORE, LABELS, REGIONS, REGIONS_IGNORE
from tests.nnunet_trainers.running import build, pretend_epoch, run_epoch, same_weights

MODES = [
    (LABELS, "3d_fullres", True), (LABELS, "2d", False), (REGIONS, "3d_fullres", True), (IGNORE, "2d", True),
    (REGIONS_IGNORE, "3d_fullres", True), (REGIONS_IGNORE, "2d", False),
]  # fmt: skip


def outputs_of(trainer: nnUNetTrainer, batch: dict) -> tuple:
    """What the network makes of a batch, the target as nnU-Net's loss knows it, and the maps."""
    *targets, maps = batch["target"]
    trainer.loss.take_maps(maps, trainer.boundary_map)
    return trainer.network(batch["data"]), targets if trainer.enable_deep_supervision else targets[0], maps


@pytest.mark.parametrize("trainer_class", [nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary])
@pytest.mark.parametrize("mode", MODES)
def test_the_share_of_the_main_head_is_the_one_asked_for(trainer_class: type, mode: tuple) -> None:
    dataset, configuration, deep_supervision = mode
    trainer = build(trainer_class, dataset, configuration, deep_supervision=deep_supervision)
    trainer.loss.alpha = Share(0.3)
    output, target, maps = outputs_of(trainer, next(trainer.dataloader_train))
    loss = trainer.loss(output, target)
    region, boundary = trainer.loss.measure_gradients(output, target, maps)
    alpha = trainer.loss.alpha
    share = 0.3 * found_of(trainer, output, target)
    assert alpha * boundary / (region + alpha * boundary) == pytest.approx(share, rel=1e-3)
    heads = output if deep_supervision else [output]
    found = torch.autograd.grad(loss, heads, allow_unused=True)
    terms = trainer.loss.terms(output, target, maps)
    expected = torch.autograd.grad(terms[0] + alpha * terms[1], heads, allow_unused=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)
    assert [gradient is None for gradient in found] == [False, False, True][: len(heads)]  # the head of weight 0


def found_of(trainer: nnUNetTrainer, output: Any, target: Any) -> float:
    """Mean probability of the foreground voxels at the main head, of the class of which least is found."""
    head, whole, labels = (output[0], target[0], trainer.label_manager) if isinstance(output, list | tuple) else (
        output, target, trainer.label_manager
    )  # fmt: skip
    if labels.has_regions:
        counted = ~whole[:, -1].bool() if labels.has_ignore_label else torch.ones_like(whole[:, 0], dtype=torch.bool)
        probs, masks = head.sigmoid(), [whole[:, k].bool() & counted for k in range(head.shape[1])]
    else:
        probs, masks = head.softmax(1)[:, 1:], [whole[:, 0] == k for k in range(1, head.shape[1])]
    return min(probs[:, k][mask].mean().item() for k, mask in enumerate(masks) if mask.any())


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
def test_a_batch_without_counted_foreground_moves_nothing(dataset: str) -> None:
    trainer = build(nnUNetTrainerDiceCEBoundary, dataset)
    trainer.loss.alpha = Share(0.3)
    batch = next(trainer.dataloader_train)
    trainer.train_step(batch)
    norms = trainer.loss.gradient_norms
    labels = trainer.label_manager
    for target in batch["target"][:-1]:
        if labels.has_ignore_label and labels.has_regions:
            target[:, -1] = True
        elif labels.has_ignore_label:
            target[target > 0] = labels.ignore_label
        else:
            target.zero_()
    batch["target"][-1].fill_(1)
    trainer.loss._first_map.looks[True] = 0
    trainer.train_step(batch)
    assert trainer.loss.gradient_norms == norms


class Shared(nnUNetTrainerDiceCEBoundary):
    boundary_schedule = GradientShare(end=0.3, ramp=0.5)
    run_epochs = 4


class SharedMore(Shared):
    boundary_schedule = GradientShare(end=0.4, ramp=0.5)


class ByNumber(Shared):
    boundary_schedule = Increase(end=0.3)


def epoch_on(trainer: nnUNetTrainer, batches: list[dict]) -> None:
    """An epoch on given batches; those of nnU-Net's loader are drawn at random."""
    trainer.dataloader_train = iter([{**batch, "target": list(batch["target"])} for batch in batches])
    run_epoch(trainer, len(batches), 1)


def saved(trainer: nnUNetTrainer, name: str = "checkpoint_latest.pth") -> str:
    path = Path(trainer.output_folder) / name
    trainer.current_epoch -= 1  # nnU-Net counts one on
    trainer.save_checkpoint(str(path))
    trainer.current_epoch += 1
    return str(path)


def test_a_resumed_run_has_the_bits_of_an_unbroken_one() -> None:
    whole, first, second = (build(Shared) for _ in range(3))
    same_weights(whole, first)
    batches = [next(whole.dataloader_train) for _ in range(4)]
    for epoch in range(4):
        epoch_on(whole, batches[epoch : epoch + 2])
    for epoch in range(2):
        epoch_on(first, batches[epoch : epoch + 2])
    second.load_checkpoint(saved(first))
    for epoch in range(2, 4):
        epoch_on(second, batches[epoch : epoch + 2])
    for key in ("alpha", "region_weight", "region_term", "boundary_term", *GRADIENT_KEYS, "train_losses"):
        assert second.boundary_log.values[key] == whole.boundary_log.values[key], key
    expected = whole.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in second.network.state_dict().items())
    assert "WARNING" not in Path(second.log_file).read_text()
    log = whole.boundary_log.values
    assert log["gradient_share"] == pytest.approx([0.15, 0.3, 0.3, 0.3])
    assert all(0 < found < 1 for classes in log["foreground_found"] for found in classes)
    for alpha, share, region, boundary in zip(*(log[key] for key in ("alpha", *GRADIENT_KEYS[:3])), strict=True):
        assert 0 < alpha * boundary / (region + alpha * boundary) < 1.1 * share


CHANGES = {
    "more": (
        Shared,
        SharedMore,
        "was 0.300 in epoch 1 of .*, and would be 0.400 there",
    ),
    "number": (Shared, ByNumber, "was 0.300 in epoch 1 of .*, and would be alpha by a schedule there"),
    "from a number": (ByNumber, Shared, "was alpha by a schedule in epoch 1 of .*, and would be 0.300 there"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_share_that_changed_is_said_and_taken(change: tuple) -> None:
    before, after, text = change
    first, second = build(before), build(after)
    for _ in range(2):
        run_epoch(first, 1, 1)
    second.load_checkpoint(saved(first))
    log = Path(second.log_file).read_text()
    assert log.count("WARNING") == 1
    assert re.search(rf"WARNING: the boundary term's share of the gradient {text}", log)
    run_epoch(second, 1, 1)
    share = after.boundary_schedule.weights(2, 4)[1]
    expected = share.value if isinstance(share, Share) else math.nan
    np.testing.assert_equal(second.boundary_log.values["gradient_share"][2], expected)


def test_a_checkpoint_from_before_there_were_shares_goes_on() -> None:
    first, second = build(ByNumber), build(Shared)
    run_epoch(first, 1, 1)
    for key in GRADIENT_KEYS:
        del first.boundary_log.values[key]
    second.load_checkpoint(saved(first))
    assert second.loss.gradient_norms is None
    assert "was alpha by a schedule in epoch 0" in Path(second.log_file).read_text()
    run_epoch(second, 1, 1)
    np.testing.assert_array_equal(second.boundary_log.values["gradient_share"], [math.nan, 0.3])
    assert second.boundary_log.values["alpha"][1] > 0


def test_a_gradient_scaler_trains_the_same_network() -> None:
    plain, scaled = (build(Shared) for _ in range(2))
    same_weights(plain, scaled)
    scaled.grad_scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)  # nnU-Net has one on CUDA
    batches = [next(plain.dataloader_train) for _ in range(2)]
    for trainer in (plain, scaled):
        epoch_on(trainer, batches)
    assert scaled.loss.gradient_norms == pytest.approx(plain.loss.gradient_norms, rel=1e-5)
    torch.testing.assert_close(scaled.network.state_dict(), plain.network.state_dict(), rtol=1e-4, atol=1e-6)


def test_a_log_from_before_what_is_found_was_kept_is_read() -> None:
    trainer = build(Shared)
    run_epoch(trainer, 1, 1)
    norms = trainer.loss.gradient_norms
    trainer.boundary_log.values["foreground_found"][-1] = math.nan
    again = build(Shared)
    again.load_checkpoint(saved(trainer))
    assert (again.loss.gradient_norms, again.loss.foreground_found) == (norms, 1)


def test_the_averages_outlive_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = build(Shared)
    run_epoch(trainer, 1, 1)
    norms, found = trainer.loss.gradient_norms, trainer.loss.foreground_found
    with monkeypatch.context() as patch:
        patch.setattr(CollapseGuard, "collapsed", True)
        run_epoch(trainer, 1, 1)
    log = trainer.boundary_log.values
    assert log["alpha"][1] == 0
    assert (log["region_gradient"][1], log["boundary_gradient"][1]) == norms
    again = build(Shared)
    again.load_checkpoint(saved(trainer))
    assert again.loss.gradient_norms == norms
    assert "WARNING" not in Path(again.log_file).read_text()
    pretend_epoch(again)
    share = 0.3 * found
    assert again.boundary_log.values["alpha"][2] == pytest.approx(share / (1 - share) * norms[0] / norms[1], rel=1e-5)
