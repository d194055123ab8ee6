"""Cells of lesions reach a loss that takes them, alone or beside the distance maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_boundary.kernels.components import components, lesion_cells
from nnunet_trainers.beside import BesideMixin
from nnunet_trainers.boundary import nnUNetTrainerDiceCEBoundary
from nnunet_trainers.targets import AppendLesionCells
from tests.nnunet_trainers.datasets import IGNORE, LABELS, REGIONS, REGIONS_IGNORE, SPACING
from tests.nnunet_trainers.running import build, same_weights


class TakesCells:
    """Keeps what the loss would be given."""

    def beside_label(self):
        return [*super().beside_label(), self.appending(AppendLesionCells)]

    def give_loss(self, beside):
        super().give_loss(beside)
        self.given = beside


class Cells(TakesCells, BesideMixin, nnUNetTrainer):
    """nnU-Net's loss, and cells that nobody takes."""


class CellsAndMaps(TakesCells, nnUNetTrainerDiceCEBoundary):
    """Both, the cells last."""


class CellsAndMapsOnTheDevice(CellsAndMaps):
    distance_maps_on = "device"


def foreground(target: torch.Tensor, trainer: nnUNetTrainer) -> np.ndarray:
    """Masks of the foreground of one sample that count."""
    array, labels = target.numpy(), trainer.label_manager
    if labels.has_regions:
        counted = ~array[-1:] if labels.has_ignore_label else True
        return array[: len(labels.foreground_regions)] & counted
    return np.stack([array[0] == label for label in labels.foreground_labels])


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
@pytest.mark.parametrize("configuration", ["3d_fullres", "2d"])
def test_cells_are_those_of_each_sample_in_millimetres(dataset, configuration):
    trainer = build(Cells, dataset, configuration)
    spacing = SPACING[-len(trainer.configuration_manager.patch_size) :]
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        *targets, cells = next(loader)["target"]
        assert cells.dtype == torch.int32
        assert cells.shape == (2, 2, *trainer.configuration_manager.patch_size)
        assert len(targets) == 3
        for target, found in zip(targets[0], cells, strict=True):
            masks = foreground(target, trainer)
            np.testing.assert_array_equal(found, lesion_cells(masks, spacing=spacing, include_background=True))
            np.testing.assert_array_equal(found.numpy() * masks, np.stack([components(mask) for mask in masks]))


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_with_cells_alone_the_step_is_that_of_stock_nnunet(deep_supervision):
    ours, stock = (build(kind, deep_supervision=deep_supervision) for kind in (Cells, nnUNetTrainer))
    same_weights(ours, stock)
    batch = next(ours.dataloader_train)
    *targets, cells = batch["target"]
    stripped = {**batch, "target": targets if deep_supervision else targets[0]}
    assert ours.train_step(batch)["loss"] == stock.train_step(stripped)["loss"]
    assert list(ours.given) == ["lesion_cells"]
    assert torch.equal(ours.given["lesion_cells"], cells)
    with torch.no_grad():
        assert np.isfinite(ours.validation_step(next(ours.dataloader_val))["loss"])


@pytest.mark.parametrize("kind", [CellsAndMaps, CellsAndMapsOnTheDevice])
def test_a_trainer_may_want_maps_and_cells(kind):
    trainer = build(kind, REGIONS_IGNORE)
    batch = next(trainer.dataloader_train)
    types = [torch.int32] if kind is CellsAndMapsOnTheDevice else [torch.float16, torch.int32]
    assert [one.dtype for one in batch["target"][3:]] == types
    result = trainer.train_step(batch)
    assert np.isfinite(result["boundary_term"])
    assert set(trainer.given) == {"distance_map", "lesion_cells"}
    assert torch.equal(trainer.given["lesion_cells"], batch["target"][-1])


@pytest.mark.parametrize("deep_supervision", [True, False])
@pytest.mark.parametrize("kind", [Cells, CellsAndMaps])
def test_a_batch_without_cells_is_an_error(kind, deep_supervision):
    trainer = build(kind, deep_supervision=deep_supervision)
    batch = next(trainer.dataloader_train)
    batch["target"] = batch["target"][:-1] if len(batch["target"]) > 2 else batch["target"][0]
    with pytest.raises(RuntimeError, match=r"must end with .*lesion_cells \(int32\), got none"):
        trainer.train_step(batch)
