"""Every trainer takes a few steps in every mode of nnU-Net."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5 import nnUNetTrainerDA5
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoDA import nnUNetTrainerNoDA
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring

from monai_boundary.schedules import GradientShare
from nnunet_trainers.boundary import nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary, nnUNetTrainerGDL
from nnunet_trainers.mixin import BoundaryMixin
from tests.nnunet_trainers.datasets import IGNORE, LABELS, REGIONS, REGIONS_IGNORE
from tests.nnunet_trainers.running import build, run_epoch

# nnU-Net divides 0 by 0 for a class that the few patches do not hold
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning:nnunetv2")

MODES = {
    "3d": (LABELS, "3d_fullres", True),
    "3d without deep supervision": (LABELS, "3d_fullres", False),
    "2d": (LABELS, "2d", True),
    "dummy 2d": (LABELS, "dummy_2d", True),
    "cascade": (LABELS, "3d_cascade_fullres", True),
    "regions": (REGIONS, "3d_fullres", True),
    "regions without deep supervision": (REGIONS, "3d_fullres", False),
    "ignore": (IGNORE, "3d_fullres", True),
    "regions and ignore": (REGIONS_IGNORE, "3d_fullres", True),
}


def assert_trains(trainer: nnUNetTrainer) -> None:
    before = {name: parameter.detach().clone() for name, parameter in trainer.network.named_parameters()}
    trained, validated = run_epoch(trainer)
    assert all(np.isfinite(result["loss"]) for result in trained + validated)
    kept = {name for name, parameter in trainer.network.named_parameters() if torch.equal(parameter, before[name])}
    # the head of weight 0, and with deep supervision off every head but the last, gets no gradient
    heads = sorted({name for name in before if "seg_layers" in name})
    assert kept <= set(heads[:-2])
    assert trainer.current_epoch == 1
    assert all(len(values) == 1 for values in trainer.logger.local_logger.my_fantastic_logging.values())


#: Enough for a trainer of which another one, trained in all modes, is a subclass or holds the loss.
FEW_MODES = ("3d", "regions and ignore")


@pytest.mark.parametrize(
    ("trainer_class", "mode"),
    [
        *itertools.product([nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary], MODES),
        *itertools.product([nnUNetTrainerGDL], FEW_MODES),
    ],
)
def test_trains_in_every_mode(trainer_class: type[nnUNetTrainer], mode: str) -> None:
    dataset, configuration, deep_supervision = MODES[mode]
    trainer = build(trainer_class, dataset, configuration, deep_supervision=deep_supervision)
    assert_trains(trainer)
    if isinstance(trainer, BoundaryMixin):
        log = trainer.boundary_log.values
        assert log["gradient_share"] == [GradientShare().weights(0, trainer.num_epochs)[1].value]
        assert log["alpha"][0] > 0
        assert log["region_weight"] == [1.0]
        assert log["alpha_paused"] == [0.0]
        assert all(np.isfinite(log[key][0]) for key in ("region_term", "boundary_term", "region_gradient"))
        labels = trainer.label_manager
        foreground = labels.foreground_regions if labels.has_regions else labels.foreground_labels
        for shares in (log["foreground_true"][0], log["foreground_predicted"][0]):
            assert len(shares) == len(foreground)
            assert all(0 <= share < 1 for share in shares)
        assert sum(log["foreground_true"][0]) > 0


@pytest.mark.parametrize("stock", [nnUNetTrainerNoDA, nnUNetTrainerDA5, nnUNetTrainerNoMirroring])
@pytest.mark.parametrize("configuration", ["3d_fullres", "dummy_2d"])
def test_the_mixin_trains_over_stock_variants(stock: type, configuration: str) -> None:
    class Ours(BoundaryMixin, stock):
        pass

    trainer = build(Ours, configuration=configuration)
    if stock is nnUNetTrainerNoMirroring:  # the mode is on where it is meant to be
        dummy_2d = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()[1]
        assert dummy_2d is (configuration == "dummy_2d")
    assert_trains(trainer)
