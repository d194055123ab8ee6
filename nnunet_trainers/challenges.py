"""The protocol of the paper on its two data sets, as trainers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler

from nnunet_trainers.boundary import nnUNetTrainerBoundaryPublished

if TYPE_CHECKING:  # what the mixin is mixed into
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as _Trainer
else:
    _Trainer = object

__all__ = ["nnUNetTrainerBoundaryISLES", "nnUNetTrainerBoundaryWMH"]


class Challenge(_Trainer):
    """Refuses another data set than that of a challenge.

    Attributes:
        challenge: What ``monai-boundary convert`` calls it.
        channels: How many there may be.
        ignores: Whether it has a label that is not counted.
        elsewhere: The trainer for other data sets.
    """

    challenge: ClassVar[str]
    channels: ClassVar[tuple[int, ...]]
    ignores: ClassVar[bool]
    elsewhere: ClassVar[str]

    def _check_settings(self) -> None:
        super()._check_settings()  # type: ignore[misc]
        labels, content = self.label_manager, self.dataset_json
        found = len(labels.foreground_labels), labels.has_regions, labels.has_ignore_label
        if found != (1, False, self.ignores) or len(content["channel_names"]) not in self.channels:
            ignored = "and the label ignore" if self.ignores else "and no label ignore"
            raise ValueError(
                f"{type(self).__name__} takes one class {ignored}, and {' or '.join(map(str, self.channels))} "
                f"channels, got labels {content['labels']} and channels {content['channel_names']}; make the data set "
                f"with 'monai-boundary convert {self.challenge}', or train {self.elsewhere}"
            )


class OnWmh(Challenge):
    """WMH 2017: FLAIR and T1; label 2, other pathology, is ignored as in the scoring."""

    challenge = "wmh"
    channels = (2,)
    ignores = True


class OnIsles(Challenge):
    """ISLES 2018 (CT and four perfusion maps) or ISLES 2022 (DWI, ADC, FLAIR)."""

    challenge = "isles2018"
    channels = (5, 3)
    ignores = False


class _Protocol(nnUNetTrainerBoundaryPublished):
    """Adam at 1e-3 and 100 epochs beside the published map and weights; one class, checked before training.

    What stays nnU-Net's: network, patches, batch size, augmentation, polynomial decay of the learning rate. The paper
    has a plain 2D UNet on whole slices, batch 8, no augmentation, and halves the rate (`python -m experiments`).

    References:
        Kervadec et al., MIDL 2019, section 3; MedIA 2021.
    """

    run_epochs = 100
    elsewhere: ClassVar[str] = nnUNetTrainerBoundaryPublished.__name__

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """Return Adam as published, with nnU-Net's polynomial decay."""
        self.initial_lr = 1e-3
        optimizer = torch.optim.Adam(self.network.parameters(), self.initial_lr, betas=(0.9, 0.99))
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)


class nnUNetTrainerBoundaryWMH(OnWmh, _Protocol):
    """White-matter hyperintensities (WMH 2017).

    The published code takes label 2 for background in training; here it neither counts nor makes a contour.
    """


class nnUNetTrainerBoundaryISLES(OnIsles, _Protocol):
    """Stroke lesions (ISLES 2018 or 2022)."""
