"""Child of test_command_line.py: load batches in spawned worker processes, as macOS and Windows do."""

from __future__ import annotations

import multiprocessing
import os
import sys

import torch


def main() -> None:
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    from nnunet_trainers import discovery_folder
    from tests.nnunet_trainers.datasets import LABELS
    from tests.nnunet_trainers.running import build

    multiprocessing.set_start_method("spawn", force=True)
    os.environ.update({"nnUNet_extTrainer": str(discovery_folder()), "nnUNet_n_proc_DA": "1"})
    trainer = build(recursive_find_trainer_class_by_name("nnUNetTrainerBoundary"), LABELS)
    assert isinstance(trainer.dataloader_train, NonDetMultiThreadedAugmenter)
    batch = next(trainer.dataloader_train)
    assert batch["target"][-1].dtype == torch.float16
    trainer.on_train_epoch_start()
    print("loss", trainer.train_step(batch)["loss"])
    trainer.on_train_end()


if __name__ == "__main__":
    main()
    sys.exit(0)
