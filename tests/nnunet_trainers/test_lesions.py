"""The mean over lesions in nnU-Net's steps: of which cells, with what weight, in every mode."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from scipy import ndimage

from monai_boundary.losses import ComponentDiceLoss
from monai_boundary.losses.deep_supervision import resample_nearest
from nnunet_trainers.lesions import (
    RegionAndLesions,
    nnUNetTrainerDiceCELesions,
    nnUNetTrainerDiceCELesionsBoundary,
    nnUNetTrainerDiceCELesionsBoundaryISLES,
    nnUNetTrainerDiceCELesionsBoundaryWMH,
)
from tests.nnunet_trainers.datasets import IGNORE, LABELS, REGIONS, REGIONS_IGNORE
from tests.nnunet_trainers.running import build
from tests.nnunet_trainers.test_modes import FEW_MODES, MODES, assert_trains

# nnU-Net divides 0 by 0 for a class that the few patches do not hold
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning:nnunetv2")


class OneWay(nnUNetTrainerDiceCELesions):
    """Without the prediction's components, which a brute force would have to find as well."""

    lesions_bidirectional = False


@pytest.mark.parametrize(
    ("trainer_class", "mode"),
    [
        *itertools.product([nnUNetTrainerDiceCELesionsBoundary], MODES),
        *itertools.product([nnUNetTrainerDiceCELesions], FEW_MODES),
    ],
)
def test_trains_in_every_mode(trainer_class: type[nnUNetTrainer], mode: str) -> None:
    dataset, configuration, deep_supervision = MODES[mode]
    trainer = build(trainer_class, dataset, configuration, deep_supervision=deep_supervision)
    assert_trains(trainer)
    if trainer_class is nnUNetTrainerDiceCELesionsBoundary:
        assert trainer.boundary_log.values["alpha"][0] > 0


def brute_force(logits: torch.Tensor, target: torch.Tensor, spacing: tuple[float, ...]) -> float:
    """Mean over samples and classes of the mean over lesions of Dice loss and cross-entropy, one lesion at a time."""
    probs, values = logits.softmax(1), []
    entropy = torch.nn.functional.cross_entropy(logits, target[:, 0].long(), reduction="none")
    for sample in range(len(logits)):
        for label in range(1, logits.shape[1]):
            mask = target[sample, 0] == label
            ids, count = ndimage.label(mask.numpy(), ndimage.generate_binary_structure(mask.ndim, mask.ndim))
            nearest = ndimage.distance_transform_edt(ids == 0, spacing, return_distances=False, return_indices=True)
            cells = torch.from_numpy(ids[tuple(nearest)] if count else ids)
            scores = []
            for number in range(1, count + 1) if count else [0]:
                cell, prob = cells == number, probs[sample, label]
                overlap, both = (prob * mask)[cell].sum(), prob[cell].sum() + mask[cell].sum()
                scores.append(1 - 2 * overlap / both + entropy[sample][cell].mean())
            values.append(sum(scores) / len(scores))
    return float(sum(values) / len(values))


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_the_loss_is_nnunets_and_the_mean_over_lesions_half_and_half(deep_supervision: bool) -> None:
    trainer = build(OneWay, LABELS, deep_supervision=deep_supervision)
    stock = copy.deepcopy(trainer.loss.region)
    batch = trainer._hand_over(next(trainer.dataloader_train))
    target = batch["target"]
    with torch.no_grad():
        output = trainer.network(batch["data"])
        found = float(trainer.loss(output, target))
        region = float(stock(output, target))
    heads, targets = (output, target) if deep_supervision else ([output], [target])
    weights = trainer.loss.weight_factors
    spacing = tuple(trainer.configuration_manager.spacing)
    first = brute_force(heads[0].float(), targets[0], spacing)
    if not deep_supervision:
        assert found == pytest.approx((region + first) / 2, rel=1e-4)
        return
    assert weights[0] == pytest.approx(2 / 3)
    # lower heads have the cells of the full patch, so that only the first can be told apart by force
    lower = [head for head, weight in zip(heads, weights, strict=True) if weight][1:]
    trainer.loss.take_cells(trainer.beside_label()[0].of_batch(targets[0]).to(torch.int32))
    alone = RegionAndLesions(lambda *_: torch.zeros(()), trainer.loss.lesions, 0.5, False)
    with torch.no_grad():
        rest = 0.0
        for head, goal, weight in zip(lower, targets[1:], weights[1:], strict=False):
            alone.take_cells(
                torch.nn.functional.interpolate(
                    trainer.loss._cells.float(), size=head.shape[2:], mode="nearest-exact"
                ).int()
            )
            rest += weight * 2 * float(alone(head, goal))
    assert found == pytest.approx((region + weights[0] * first + rest) / 2, rel=1e-4)


@pytest.mark.parametrize("dataset", [IGNORE, REGIONS_IGNORE])
def test_what_is_predicted_where_nobody_labelled_does_not_matter(dataset: str) -> None:
    trainer = build(nnUNetTrainerDiceCELesions, dataset, deep_supervision=False)
    batch = next(trainer.dataloader_train)
    target, cells = batch["target"]
    ignored = target[:, -1:].bool() if dataset == REGIONS_IGNORE else target == 3
    assert ignored.any()
    logits = torch.randn(len(target), trainer.label_manager.num_segmentation_heads, *target.shape[2:])
    values = []
    for there in (0.0, 50.0):
        changed = torch.where(ignored, there, logits)
        trainer.loss.take_cells(cells)
        values.append(float(trainer.loss(changed, target)))
    assert values[0] == values[1]


def test_regions_have_cells_of_their_own() -> None:
    trainer = build(nnUNetTrainerDiceCELesions, REGIONS, deep_supervision=False)
    target, cells = next(trainer.dataloader_train)["target"]
    assert cells.shape == target.shape
    assert ((cells > 0) >= target.bool()).all()


def test_no_batch_is_scored_by_the_cells_of_another() -> None:
    trainer = build(nnUNetTrainerDiceCELesions, LABELS)
    trainer.train_step(next(trainer.dataloader_train))
    batch = next(trainer.dataloader_train)
    with pytest.raises(RuntimeError, match="take_cells must come before each call"):
        trainer.loss(trainer.network(batch["data"]), batch["target"][:-1])


def test_components_of_the_prediction_are_measured_in_the_voxels_of_each_head() -> None:
    sizes, spacings = [(6, 12, 8), (6, 6, 4), (3, 3, 2)], [(3.0, 1.0, 1.0), (3.0, 2.0, 2.0), (6.0, 4.0, 4.0)]
    settings = {"to_onehot_y": True, "softmax": True, "include_background": False, "bidirectional": True}
    region = torch.nn.Module()
    region.forward, region.weight_factors = lambda output, target: torch.zeros(()), (0.5, 0.3, 0.2)  # noqa: ARG005
    loss = RegionAndLesions(region, ComponentDiceLoss(spacing=spacings[0], **settings), 1.0, False)
    heads = [torch.randn(1, 2, *size) - torch.tensor([0.0, 2.5]).view(1, 2, 1, 1, 1) for size in sizes]  # few
    targets = [(torch.rand(1, 1, *size) > 0.9).float() for size in sizes]
    cells = torch.randint(1, 4, (1, 1, *sizes[0]))
    loss.take_cells(cells)
    expected = sum(
        weight * ComponentDiceLoss(spacing=spacing, **settings)(head, target, resample_nearest(cells, head.shape[2:]))
        for weight, spacing, head, target in zip(region.weight_factors, spacings, heads, targets, strict=True)
    )
    torch.testing.assert_close(loss(heads, targets), expected)


def test_lesion_trainers_of_challenges_refuse_other_data_sets() -> None:
    good = {"labels": {"WMH": 1, "ignore": 2}, "channels": 2}
    build(nnUNetTrainerDiceCELesionsBoundaryWMH, configuration="2d", started=False, **good)
    for trainer_class in (nnUNetTrainerDiceCELesionsBoundaryISLES, nnUNetTrainerDiceCELesionsBoundaryWMH):
        with pytest.raises(ValueError, match=r"takes one class.*or train nnUNetTrainerDiceCELesionsBoundary$"):
            build(trainer_class, configuration="2d", started=False, labels={"lesion": 1}, channels=2)
