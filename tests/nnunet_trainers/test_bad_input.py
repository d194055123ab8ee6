"""What a user gets wrong is one clear error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_trainers.boundary import nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary
from tests.nnunet_trainers.datasets import LABELS, plans
from tests.nnunet_trainers.running import build, pretend_epoch


@pytest.mark.parametrize("labels", [{"lesion": 2}, {"a": 1, "b": 3}])
def test_labels_with_a_hole_are_an_error(labels: dict, results: Path) -> None:
    description = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, **labels}, "file_ending": ".nii.gz"}
    values = [0, *labels.values()]
    with pytest.raises(ValueError, match=rf"must be consecutive from 0, got \{values}; renumber"):
        nnUNetTrainerBoundary(
            {**plans(LABELS), "continue_training": False}, "3d_fullres", 0, description, torch.device("cpu")
        )


def test_a_results_path_below_a_file_is_an_error(
    nnunet_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "file" / "results"))
    with pytest.raises(RuntimeError, match=r"nnUNet_results must be a folder to write into, got .*file"):
        build(nnUNetTrainerBoundary, LABELS)


def test_a_read_only_results_folder_is_an_error(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not bind root, who runs many test machines.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RuntimeError, match=f"nnUNet_results must be a folder to write into, got read-only {results}"):
        build(nnUNetTrainerBoundary, LABELS, started=False)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_an_error_that_names_the_file(share: float, results: Path) -> None:
    trainer = build(nnUNetTrainerBoundary, LABELS)
    whole, part = results / "whole.pth", results / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(whole))
    content = whole.read_bytes()
    part.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RuntimeError, match=r"must be a whole file .*, got .*checkpoint_latest\.pth.*--c"):
        trainer.load_checkpoint(str(part))


def test_a_foreign_file_is_an_error_that_names_it(results: Path) -> None:
    trainer = build(nnUNetTrainerBoundary, LABELS)
    file = results / "checkpoint_best.pth"
    for content in (json.dumps({"a": 1}).encode(), os.urandom(64), b"PK\x03\x04", b"\x80\x02}q\x00."):
        file.write_bytes(content)
        with pytest.raises(RuntimeError, match=r"must be a whole file .*, got .*checkpoint_best\.pth"):
            trainer.load_checkpoint(str(file))


def test_a_missing_checkpoint_and_one_of_another_network_keep_their_own_errors(results: Path) -> None:
    trainer = build(nnUNetTrainerBoundary, LABELS)
    with pytest.raises(FileNotFoundError):
        trainer.load_checkpoint(str(results / "none.pth"))
    other = build(nnUNetTrainerDiceCEBoundary, LABELS, "2d")
    other.save_checkpoint(str(results / "other.pth"))
    with pytest.raises(RuntimeError, match=r"Error\(s\) in loading state_dict"):
        trainer.load_checkpoint(str(results / "other.pth"))


def test_a_nan_loss_is_logged_and_does_not_pause_the_boundary_term(results: Path) -> None:
    trainer = build(nnUNetTrainerBoundary, LABELS)
    for _ in range(7):
        pretend_epoch(trainer, region_term=float("nan"))
    assert trainer.boundary_log.values["alpha_paused"] == [0] * 7
    assert all(value != value for value in trainer.boundary_log.values["region_term"])


def test_a_stock_trainer_says_nothing_of_alpha(results: Path) -> None:
    # The keys are registered per trainer, not in nnU-Net's logger class.
    build(nnUNetTrainerBoundary, LABELS, started=False)
    stock = build(nnUNetTrainer, LABELS, started=False)
    assert "alpha" not in stock.logger.local_logger.my_fantastic_logging
