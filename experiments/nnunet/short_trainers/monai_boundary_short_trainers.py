"""Trainers of the evidence runs: the package's own and stock nnU-Net, shortened to what a CPU can do in minutes.

Also the pattern for a variant of your own: a file in a folder of yours that nnUNet_extTrainer names.
"""

import os

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_trainers.boundary import (
    FewSteps,
    nnUNetTrainerBoundary,
    nnUNetTrainerBoundaryPublished,
    nnUNetTrainerDiceCEBoundary,
    nnUNetTrainerGDL,
)


class Short(FewSteps):
    """12 epochs of 25 iterations with AdamW, alike for all."""

    run_epochs = 12
    run_iterations = 25
    run_validation_iterations = 4

    def initialize(self) -> None:
        """Keep to the threads that were asked for: on a CPU nnU-Net takes all cores."""
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
        super().initialize()


class nnUNetTrainerShort(Short, nnUNetTrainer):
    """Stock nnU-Net."""


class nnUNetTrainerGDLShort(Short, nnUNetTrainerGDL):
    """Generalized Dice."""


class nnUNetTrainerBoundaryShort(Short, nnUNetTrainerBoundary):
    """Generalized Dice and boundary."""


class nnUNetTrainerDiceCEBoundaryShort(Short, nnUNetTrainerDiceCEBoundary):
    """nnU-Net's loss and boundary."""


class nnUNetTrainerBoundaryPublishedShort(Short, nnUNetTrainerBoundaryPublished):
    """Published map, in mm, and pace."""
