"""The trainers, by the names that ``nnUNetv2_train ... -tr`` takes."""

from __future__ import annotations

from typing import ClassVar

from nnunet_trainers import require_nnunet

require_nnunet()

import torch  # noqa: E402
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402

from monai_boundary._check import check_count  # noqa: E402
from monai_boundary.kernels.distance import PUBLISHED, DistanceMapOptions  # noqa: E402
from monai_boundary.schedules import Rebalance, Schedule  # noqa: E402
from nnunet_trainers.mixin import BoundaryMixin, GeneralizedDiceMixin  # noqa: E402

__all__ = [
    "nnUNetTrainerBoundary",
    "nnUNetTrainerBoundaryPublished",
    "nnUNetTrainerDiceCEBoundary",
    "nnUNetTrainerDiceCEBoundaryDemo",
    "nnUNetTrainerGDL",
]


class RunLength:
    """Sets how long a trainer runs; nnU-Net has no option for it, so a length is a class."""

    run_epochs: ClassVar[int | None] = None
    run_iterations: ClassVar[int | None] = None
    run_validation_iterations: ClassVar[int | None] = None

    def initialize(self) -> None:
        """Set the length before the learning rate schedule is made from it."""
        lengths = {
            "num_epochs": self.run_epochs, "num_iterations_per_epoch": self.run_iterations,
            "num_val_iterations_per_epoch": self.run_validation_iterations,
        }  # fmt: skip
        for name, value in lengths.items():
            if value is not None:
                vars(self)[name] = check_count(f"length of the run, {name},", value)
        super().initialize()  # type: ignore[misc]


class FewSteps(RunLength):
    """For runs of a few hundred iterations: AdamW, because nnU-Net's SGD with momentum 0.99 takes longer to start."""

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """Return AdamW with nnU-Net's polynomial decay."""
        self.initial_lr = 3e-3
        network: torch.nn.Module = self.network  # type: ignore[attr-defined]
        optimizer = torch.optim.AdamW(network.parameters(), self.initial_lr, weight_decay=self.weight_decay)  # type: ignore[attr-defined]
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)  # type: ignore[attr-defined]


class nnUNetTrainerGDL(RunLength, GeneralizedDiceMixin, nnUNetTrainer):
    """Generalized Dice alone: the control of `nnUNetTrainerBoundary`."""


class nnUNetTrainerBoundary(RunLength, BoundaryMixin, GeneralizedDiceMixin, nnUNetTrainer):
    """Generalized Dice and the boundary loss, which rises to a fifth of the gradient; maps clipped and scaled."""


class nnUNetTrainerBoundaryPublished(nnUNetTrainerBoundary):
    """The published map and the published pace of alpha: +0.01 per epoch for 100 epochs."""

    boundary_map: ClassVar[DistanceMapOptions] = PUBLISHED
    boundary_schedule: ClassVar[Schedule] = Rebalance(pace=100)
    boundary_pause: ClassVar[bool] = False


class nnUNetTrainerDiceCEBoundary(RunLength, BoundaryMixin, nnUNetTrainer):
    """nnU-Net's own loss, kept at weight 1, and the boundary loss, which rises to a fifth of the gradient."""


class nnUNetTrainerDiceCEBoundaryDemo(FewSteps, nnUNetTrainerDiceCEBoundary):
    """A run of minutes on a CPU, for ``monai-boundary demo``: 8 epochs of 20 iterations."""

    run_epochs = 8
    run_iterations = 20
    run_validation_iterations = 4
