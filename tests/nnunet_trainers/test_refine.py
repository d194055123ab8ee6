"""A trained model goes on with the boundary term: whole, of the right fold, at a small rate."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from nnunetv2.run.run_training import maybe_load_checkpoint
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_boundary.export import export_checkpoint
from monai_boundary.schedules import GradientShare
from nnunet_trainers.refine import nnUNetTrainerBoundaryRefine
from tests.nnunet_trainers.datasets import LABELS, REGIONS
from tests.nnunet_trainers.running import build, run_epoch

HEAD = "decoder.seg_layers.2.weight"


def stock_checkpoint(dataset: str = LABELS, fold: int = 0, **labels) -> tuple[nnUNetTrainer, str]:
    """A stock trainer after an epoch, and the file that it leaves."""
    stock = build(nnUNetTrainer, dataset, **labels)
    run_epoch(stock, 1, 1)
    stock.my_init_kwargs["fold"] = fold
    path = Path(stock.output_folder) / "checkpoint_final.pth"
    stock.save_checkpoint(str(path))
    return stock, str(path)


def refined(file: str, monkeypatch: pytest.MonkeyPatch, option: str = "-pretrained_weights", **kwargs) -> nnUNetTrainer:
    """What nnU-Net's command makes of the file."""
    given = {"": [], "=": [f"-pretrained_weights={file}"]}.get(option, [option, file])
    monkeypatch.setattr(sys, "argv", ["nnUNetv2_train", "901", "3d_fullres", "0", "-p", "tinyPlans", *given])
    trainer = build(nnUNetTrainerBoundaryRefine, started=False, **kwargs)
    maybe_load_checkpoint(trainer, False, False, file)
    trainer.on_train_start()
    return trainer


def log_of(trainer: nnUNetTrainer) -> str:
    return Path(trainer.log_file).read_text()


@pytest.mark.parametrize("option", ["-pretrained_weights", "="])
def test_it_starts_from_the_whole_model(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stock, file = stock_checkpoint()
    trainer = refined(file, monkeypatch, option)
    expected = stock.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in trainer.network.state_dict().items())
    assert f"refines {file}, segmentation layers included" in log_of(trainer)
    assert "WARNING" not in log_of(trainer)


def test_it_runs_for_fifty_epochs_at_a_small_rate_with_the_share_from_the_first(monkeypatch) -> None:
    trainer = refined(stock_checkpoint()[1], monkeypatch)
    assert (trainer.num_epochs, trainer.lr_scheduler.max_steps, trainer.initial_lr) == (50, 50, 1e-3)
    assert type(trainer.optimizer) is torch.optim.SGD
    before = trainer.network.state_dict()[HEAD].clone()
    run_epoch(trainer, 2, 1)
    assert trainer.boundary_log.values["gradient_share"] == [GradientShare().end]
    assert trainer.boundary_log.values["alpha"][0] > 0
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-3
    moved = trainer.network.state_dict()[HEAD] - before
    assert 0 < moved.abs().max() < 0.05


def test_an_untrained_network_is_refused_with_the_file_that_is_wanted() -> None:
    for started in (True, False):
        trainer = build(nnUNetTrainerBoundaryRefine, started=False)
        if started:
            trainer.initialize()
        path = r"\S*nnUNetTrainer__tinyPlans__3d_fullres/fold_0/checkpoint_final\.pth"
        with pytest.raises(
            RuntimeError, match=rf"must start from a trained model, got none; add -pretrained_w\S+ {path}"
        ):
            trainer.on_train_start()


def test_a_resumed_run_needs_no_weights_and_goes_on(monkeypatch) -> None:
    first = refined(stock_checkpoint()[1], monkeypatch)
    run_epoch(first, 2, 1)
    first.on_train_end()
    file = str(Path(first.output_folder) / "checkpoint_final.pth")
    monkeypatch.setattr(sys, "argv", ["nnUNetv2_train", "--c"])
    second = build(nnUNetTrainerBoundaryRefine, started=False)
    second.load_checkpoint(file)
    expected = second.network.state_dict()[HEAD].clone()
    second.on_train_start()
    assert torch.equal(second.network.state_dict()[HEAD], expected)
    run_epoch(second, 1, 1)
    assert second.current_epoch == 2


def test_what_is_not_taken_over_is_said(monkeypatch) -> None:
    _, file = stock_checkpoint(fold=3)
    assert f"WARNING: {file} was trained on fold 3 of {LABELS}" in log_of(refined(file, monkeypatch))
    trainer = refined(file, monkeypatch, option="")
    said = "WARNING: the segmentation layers start from chance: nnU-Net leaves them out, and"
    assert f"{said} -pretrained_weights is not on the command line" in log_of(trainer)
    _, file = stock_checkpoint(REGIONS)
    trainer = refined(file, monkeypatch)
    assert f"the segmentation layers start from chance: nnU-Net leaves them out, and {file} has other" in log_of(
        trainer
    )


def test_regions_in_another_order_are_other_segmentation_layers(monkeypatch) -> None:
    stock, file = stock_checkpoint(REGIONS)
    _, *regions = stock.dataset_json["labels"].items()
    assert len(regions) > 1
    trainer = refined(file, monkeypatch, dataset=REGIONS)
    assert "segmentation layers included" in log_of(trainer)
    labels = dict(reversed(regions))
    trainer = refined(file, monkeypatch, dataset=REGIONS, labels=labels)
    assert trainer.label_manager.foreground_regions == stock.label_manager.foreground_regions[::-1]
    assert f"{file} has other labels, or regions in another order" in log_of(trainer)
    assert not torch.equal(trainer.network.state_dict()[HEAD], stock.network.state_dict()[HEAD])


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_stock_nnunet_resumes_from_an_export_whatever_the_optimizer_was(kind: type, tmp_path: Path) -> None:
    stock, file = stock_checkpoint()
    checkpoint = torch.load(file, weights_only=False)
    other = kind(stock.network.parameters(), 1e-3)
    sum(value.sum() for value in stock.network.parameters()).backward()
    other.step()
    checkpoint |= {"trainer_name": "nnUNetTrainerWMH", "optimizer_state": other.state_dict(), "current_epoch": 1}
    torch.save(checkpoint, file)
    path = export_checkpoint(file, tmp_path / "exported.pth")
    resumed = build(nnUNetTrainer, started=False)
    resumed.load_checkpoint(str(path))
    resumed.on_train_start()
    run_epoch(resumed, 1, 1)
    group = resumed.optimizer.param_groups[0]
    expected = build(nnUNetTrainer).optimizer.param_groups[0]
    assert {key: value for key, value in group.items() if key not in ("params", "lr")} == {
        key: value for key, value in expected.items() if key not in ("params", "lr")
    }
