"""Trainers in which every lesion counts as much, whatever its size."""

from __future__ import annotations

from typing import ClassVar

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from monai_boundary._check import check_choice, check_fraction
from monai_boundary.losses import ComponentDiceLoss
from monai_boundary.losses.deep_supervision import resample_nearest, sum_over_heads
from monai_boundary.losses.gradient_share import Heads
from monai_boundary.losses.target import seen_coarser
from nnunet_trainers.beside import BesideMixin
from nnunet_trainers.boundary import RunLength
from nnunet_trainers.challenges import OnIsles, OnWmh
from nnunet_trainers.checked import CheckedMixin
from nnunet_trainers.mixin import BoundaryMixin
from nnunet_trainers.targets import AppendBeside, AppendLesionCells

__all__ = [
    "nnUNetTrainerDiceCELesions",
    "nnUNetTrainerDiceCELesionsBoundary",
    "nnUNetTrainerDiceCELesionsBoundaryISLES",
    "nnUNetTrainerDiceCELesionsBoundaryWMH",
]

_IGNORED = 255  # in channels of regions, which hold 0 and 1


class RegionAndLesions(nn.Module):
    """nnU-Net's loss of the whole patch, and the mean over its lesions, half and half as published.

    The trainer hands the cells over with `take_cells` before each step, as nnU-Net's own steps know two arguments only.

    Args:
        region: nnU-Net's loss, wrapped for deep supervision where that is on.
        lesions: Of one head; its labels are those of nnU-Net's target.
        weight: Of the lesions; the region loss has what is left of 1.
        ignore_channel: Whether the last channel of the target says which voxels do not count.
    """

    def __init__(self, region: nn.Module, lesions: ComponentDiceLoss, weight: float, ignore_channel: bool) -> None:
        super().__init__()
        self.region = region
        self.lesions = lesions
        self.weight = weight
        self.ignore_channel = ignore_channel
        self._cells: torch.Tensor | None = None

    @property
    def weight_factors(self) -> tuple[float, ...]:
        """Of the heads, as nnU-Net weighs them."""
        found: tuple[float, ...] = getattr(self.region, "weight_factors", (1.0,))
        return found

    def take_cells(self, cells: torch.Tensor) -> None:
        """Take the cells `(B, C, *S)` of the batch that the next call is for."""
        self._cells = cells

    def forward(self, output: Heads, target: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
        """Return the loss."""
        if self._cells is None:
            raise RuntimeError("take_cells must come before each call, got no cells; train_step of the mixin does it")
        cells, self._cells = self._cells, None  # never the cells of another batch
        heads = [output] if isinstance(output, torch.Tensor) else output
        targets = [target] if isinstance(target, torch.Tensor) else target
        by_size = {each.shape[2:]: self._label(each) for each in targets}

        def of_head(head: torch.Tensor) -> tuple[torch.Tensor]:
            size = head.shape[2:]
            return (self.lesions(head, by_size[size], resample_nearest(cells, size)),)

        with seen_coarser(self.lesions, tuple(cells.shape[2:])):
            lesions = sum_over_heads(of_head, heads, self.weight_factors)[0]
        loss: torch.Tensor = (1 - self.weight) * self.region(output, target) + self.weight * lesions
        return loss

    def _label(self, target: torch.Tensor) -> torch.Tensor:
        if not self.ignore_channel:
            return target
        return target[:, :-1].float().masked_fill(target[:, -1:].bool(), _IGNORED)


class LesionsMixin(BesideMixin, CheckedMixin):
    """Adds the mean over the lesions to the loss of any nnU-Net trainer, half and half.

    Attributes:
        lesion_weight: Weight of the mean over the lesions; the loss of the whole patch has what is left of 1.
        lesions_bidirectional: Look from the components of the prediction, too, so that a false one counts as a missed
            lesion does. They are found on the CPU, in each step.
    """

    lesion_weight: ClassVar[float] = 0.5
    lesions_bidirectional: ClassVar[bool] = True

    def _check_settings(self) -> None:
        super()._check_settings()
        check_fraction("lesion_weight", self.lesion_weight)
        check_choice("lesions_bidirectional", self.lesions_bidirectional, (True, False))

    def beside_label(self) -> list[AppendBeside]:
        """Return the cells of the lesions."""
        return [*super().beside_label(), self.appending(AppendLesionCells)]

    def give_loss(self, beside: dict[str, torch.Tensor]) -> None:
        """Give the loss the cells."""
        super().give_loss(beside)
        self._lesion_loss.take_cells(beside["lesion_cells"])

    def _build_loss(self) -> nn.Module:
        labels, patch = self.label_manager, self.configuration_manager
        regions, ignored = labels.has_regions, labels.ignore_label
        lesions = ComponentDiceLoss(
            include_background=regions, sigmoid=regions, softmax=not regions, to_onehot_y=not regions,
            ignore_index=_IGNORED if regions and ignored is not None else ignored,
            bidirectional=self.lesions_bidirectional,
            spacing=tuple(float(size) for size in patch.spacing)[-len(patch.patch_size) :],
        )  # fmt: skip
        self._lesion_loss = RegionAndLesions(
            super()._build_loss(), lesions, self.lesion_weight, regions and ignored is not None
        )
        return self._lesion_loss


class nnUNetTrainerDiceCELesions(RunLength, LesionsMixin, nnUNetTrainer):
    """nnU-Net's own loss, and the same lesion by lesion."""


class nnUNetTrainerDiceCELesionsBoundary(RunLength, BoundaryMixin, LesionsMixin, nnUNetTrainer):
    """The same, and the boundary loss, which rises to a fifth of the gradient."""


class nnUNetTrainerDiceCELesionsBoundaryWMH(OnWmh, nnUNetTrainerDiceCELesionsBoundary):
    """The same for white-matter hyperintensities (WMH 2017)."""

    elsewhere: ClassVar[str] = nnUNetTrainerDiceCELesionsBoundary.__name__


class nnUNetTrainerDiceCELesionsBoundaryISLES(OnIsles, nnUNetTrainerDiceCELesionsBoundary):
    """The same for stroke lesions (ISLES 2018 or 2022)."""

    elsewhere: ClassVar[str] = nnUNetTrainerDiceCELesionsBoundary.__name__
