"""Build a trainer in-process and run its hooks in nnU-Net's order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from tests.nnunet_trainers.datasets import FOLDER, LABELS, PLANS


def build(
    trainer_class: type[nnUNetTrainer],
    dataset: str = LABELS,
    configuration: str = "3d_fullres",
    started: bool = True,
    deep_supervision: bool = True,
    labels: dict | None = None,
    channels: int = 1,
) -> nnUNetTrainer:
    """Return a trainer on the CPU, after on_train_start unless told otherwise.

    With `labels`, foreground by name, the data set is said to have these and so many channels.
    """
    folder = Path(nnUNet_preprocessed) / dataset
    plans = {**json.loads((folder / f"{PLANS}.json").read_text()), "continue_training": False}
    description = json.loads((folder / "dataset.json").read_text())
    if labels is not None:
        names = {str(channel): "MRI" for channel in range(channels)}
        description |= {"channel_names": names, "labels": {"background": 0, **labels}}
    trainer = trainer_class(plans, configuration, 0, description, torch.device("cpu"))
    trainer.enable_deep_supervision = deep_supervision
    if trainer.is_cascaded:
        write_previous_stage(trainer)
    if started:
        trainer.on_train_start()
    return trainer


def write_previous_stage(trainer: nnUNetTrainer) -> None:
    """Write the true labels, moved by a voxel, as the prediction of the stage before."""
    target = Path(trainer.folder_with_segs_from_previous_stage)
    target.mkdir(parents=True, exist_ok=True)
    source = Path(nnUNet_preprocessed) / trainer.plans_manager.dataset_name / FOLDER
    dataset = nnUNetDatasetBlosc2(str(source))
    for name in dataset.identifiers:
        labels = np.asarray(dataset.load_case(name)[1][:])[0]
        nnUNetDatasetBlosc2.save_seg(np.roll(np.maximum(labels, 0), 1, axis=1), str(target / name))


def run_epoch(trainer: nnUNetTrainer, train_steps: int = 3, validation_steps: int = 2) -> tuple[list, list]:
    """Run one epoch as nnU-Net's run_training does, and return what the steps returned."""
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    trained = [trainer.train_step(next(trainer.dataloader_train)) for _ in range(train_steps)]
    trainer.on_train_epoch_end(trained)
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        validated = [trainer.validation_step(next(trainer.dataloader_val)) for _ in range(validation_steps)]
        trainer.on_validation_epoch_end(validated)
    trainer.on_epoch_end()
    return trained, validated


def pretend_epoch(trainer: nnUNetTrainer, predicted: float | list[float] = 100.0, region_term: float = 0.5) -> None:
    """Run the hooks of an epoch around made-up results: `predicted` of 100 true voxels of each class, and no other."""
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    values = {"loss": 1.0, "region_term": region_term, "boundary_term": 0.25}
    step = {key: np.array(value, np.float32) for key, value in values.items()}
    trainer.on_train_epoch_end([{**step, "alpha": trainer.loss.alpha}])
    classes = len(trainer.label_manager.foreground_labels)
    found = np.broadcast_to(np.asarray(predicted, float), classes)
    result = {"tp_hard": found, "fp_hard": np.zeros(classes), "fn_hard": 100.0 - found}
    trainer.on_validation_epoch_end([{"loss": np.array(1.0, np.float32), **result}])
    trainer.on_epoch_end()


def same_weights(*trainers: nnUNetTrainer) -> None:
    """Give every trainer the weights of the first."""
    state = trainers[0].network.state_dict()
    for trainer in trainers[1:]:
        trainer.network.load_state_dict(state)
