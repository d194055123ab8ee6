"""What a user gets wrong is one clear error."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_trainers.boundary import nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary, nnUNetTrainerGDL
from tests.nnunet_trainers.running import build, pretend_epoch


@pytest.mark.parametrize("labels", [{"lesion": 2}, {"a": 1, "b": 3}])
def test_labels_with_a_hole_are_an_error(labels: dict) -> None:
    with pytest.raises(ValueError, match=rf"must be consecutive from 0, got \{[0, *labels.values()]}; renumber"):
        build(nnUNetTrainerBoundary, started=False, labels=labels)


def test_a_results_path_below_a_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "file" / "results"))
    with pytest.raises(RuntimeError, match=r"nnUNet_results must be a folder to write into, got .*file"):
        build(nnUNetTrainerBoundary)


def test_without_a_results_folder_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("nnUNet_results", "")
    with pytest.raises(RuntimeError, match="nnUNet_results must be a folder to write into, got none; export nnUNet_re"):
        build(nnUNetTrainerBoundary, started=False)
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(RuntimeError, match="nnUNet_results must be a folder to write into, got none; export nnUNet_re"):
        build(nnUNetTrainerBoundary, started=False)


def test_a_read_only_results_folder_is_an_error(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not bind root, who runs many test machines.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RuntimeError, match=f"nnUNet_results must be a folder to write into, got read-only {results}"):
        build(nnUNetTrainerBoundary, started=False)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_an_error_that_names_the_file(share: float, results: Path) -> None:
    trainer, path = build(nnUNetTrainerBoundary), results / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(path))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RuntimeError, match=r"must be a whole file .*, got .*checkpoint_latest\.pth.*--c"):
        trainer.load_checkpoint(str(path))


def test_a_flipped_bit_of_a_checkpoint_is_found(results: Path) -> None:
    trainer, path = build(nnUNetTrainerBoundary), results / "checkpoint_latest.pth"
    trainer.save_checkpoint(str(path))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        weights = archive.read(max(archive.infolist(), key=lambda part: part.file_size))
    content[content.index(weights)] ^= 1
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"whole file .*checkpoint_latest\.pth, bad checksum of .*; remove it"):
        trainer.load_checkpoint(str(path))


@pytest.mark.parametrize("trainer_class", [nnUNetTrainerBoundary, nnUNetTrainerGDL])
def test_a_checkpoint_that_is_cut_off_while_it_is_saved_leaves_the_one_before(
    trainer_class, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, path = build(trainer_class, started=False), results / "checkpoint_latest.pth"
    trainer.initialize()
    trainer.save_checkpoint(str(path))
    whole, left = path.read_bytes(), path.with_name(f".{path.name}.{'0af9' * 8}.part")
    left.touch()  # by a run that was killed

    def cut_off(_content, file) -> None:
        Path(file).write_bytes(whole[:1000])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_off)
        with pytest.raises(KeyboardInterrupt):
            trainer.save_checkpoint(str(path))
    assert path.read_bytes() == whole
    trainer.disable_checkpointing = True
    trainer.save_checkpoint(str(results / "none.pth"))
    assert not [*results.glob(".*"), *results.glob("none.pth")]


@pytest.mark.parametrize("content", [b'{"a": 1}', bytes(range(64)), b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_foreign_file_is_an_error_that_names_it(content: bytes, results: Path) -> None:
    path = results / "checkpoint_best.pth"
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"must be a whole file .*, got .*checkpoint_best\.pth"):
        build(nnUNetTrainerBoundary, started=False).load_checkpoint(str(path))


def test_a_missing_checkpoint_and_one_of_another_network_keep_their_own_errors(results: Path) -> None:
    trainer = build(nnUNetTrainerBoundary)
    with pytest.raises(FileNotFoundError):
        trainer.load_checkpoint(str(results / "none.pth"))
    other = build(nnUNetTrainerDiceCEBoundary, configuration="2d")
    other.save_checkpoint(str(results / "other.pth"))
    with pytest.raises(RuntimeError, match=r"Error\(s\) in loading state_dict"):
        trainer.load_checkpoint(str(results / "other.pth"))


def test_a_nan_loss_is_logged_and_does_not_pause_the_boundary_term() -> None:
    trainer = build(nnUNetTrainerBoundary)
    for _ in range(7):
        pretend_epoch(trainer, region_term=float("nan"))
    assert trainer.boundary_log.values["alpha_paused"] == [0] * 7
    assert all(value != value for value in trainer.boundary_log.values["region_term"])


def test_a_stock_trainer_says_nothing_of_alpha() -> None:
    # The keys are registered per trainer, not in nnU-Net's logger class.
    build(nnUNetTrainerBoundary, started=False)
    stock = build(nnUNetTrainer, started=False)
    assert "alpha" not in stock.logger.local_logger.my_fantastic_logging
