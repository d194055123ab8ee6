"""Trainers of the evidence runs: the package's own and stock nnU-Net, shortened to what a CPU can do in minutes.

Also the pattern for a variant of your own: a file in a folder of yours that nnUNet_extTrainer names.
"""

import os
from typing import ClassVar

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_boundary.schedules import Constant, Schedule
from nnunet_trainers.boundary import (
    FewSteps,
    RunLength,
    nnUNetTrainerBoundary,
    nnUNetTrainerDiceCEBoundary,
    nnUNetTrainerGDL,
)
from nnunet_trainers.refine import nnUNetTrainerBoundaryRefine


class OneCore:
    """Keeps to the threads that were asked for: on a CPU nnU-Net takes all cores."""

    def initialize(self) -> None:
        """Set the threads."""
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
        super().initialize()  # type: ignore[misc]


class Short(OneCore, FewSteps):
    """12 epochs of 25 iterations with AdamW, alike for all."""

    run_epochs = 12
    run_iterations = 25
    run_validation_iterations = 4


class nnUNetTrainerShort(Short, nnUNetTrainer):
    """Stock nnU-Net."""


class nnUNetTrainerGDLShort(Short, nnUNetTrainerGDL):
    """Generalized Dice."""


class nnUNetTrainerBoundaryShort(Short, nnUNetTrainerBoundary):
    """Generalized Dice and boundary."""


class nnUNetTrainerDiceCEBoundaryShort(Short, nnUNetTrainerDiceCEBoundary):
    """nnU-Net's loss and boundary."""


class Converged(OneCore, RunLength):
    """100 epochs of 50 iterations with nnU-Net's own optimiser and schedule."""

    run_epochs = 100
    run_iterations = 50
    run_validation_iterations = 4


class nnUNetTrainerConverged(Converged, nnUNetTrainer):
    """Stock nnU-Net."""


class nnUNetTrainerDiceCEBoundaryConverged(Converged, nnUNetTrainerDiceCEBoundary):
    """nnU-Net's loss and boundary."""


class nnUNetTrainerGDLConverged(Converged, nnUNetTrainerGDL):
    """Generalized Dice."""


class nnUNetTrainerBoundaryConverged(Converged, nnUNetTrainerBoundary):
    """Generalized Dice and boundary."""


class nnUNetTrainerBoundaryRefineConverged(Converged, nnUNetTrainerBoundaryRefine):
    """Half as long from the stock model, with the boundary term from the start."""

    run_epochs = 50


class nnUNetTrainerRefineConverged(nnUNetTrainerBoundaryRefineConverged):
    """The same without the term: what the further training alone buys."""

    boundary_schedule: ClassVar[Schedule] = Constant(0.0)
