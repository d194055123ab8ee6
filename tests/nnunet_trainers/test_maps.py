"""The distance maps reach the loss: those of the sample, in mm along the right axes, and of no other batch."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import ClassVar

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerDiceLoss import nnUNetTrainerDiceLoss

from monai_boundary import DistanceMapOptions, GradientShare, Share
from monai_boundary.kernels.distance import PUBLISHED as PUBLISHED_MAP
from monai_boundary.losses.map_agreement import MapMismatchWarning
from nnunet_trainers.boundary import (
    nnUNetTrainerBoundary,
    nnUNetTrainerBoundaryPublished,
    nnUNetTrainerDiceCEBoundary,
)
from nnunet_trainers.lesions import LesionsMixin, nnUNetTrainerDiceCELesions
from nnunet_trainers.mixin import BoundaryMixin, GeneralizedDiceMixin
from nnunet_trainers.refine import nnUNetTrainerBoundaryRefine
from nnunet_trainers.targets import AppendDistanceMaps
from tests import oracles
from tests.nnunet_trainers.datasets import IGNORE, LABELS, PATCH, REGIONS, REGIONS_IGNORE, SPACING
from tests.nnunet_trainers.running import build, same_weights

CLIPPED = {"clip": 10.0, "absent": "far", "normalize": "clip"}
PUBLISHED = {"convention": "kervadec"}


def expected_maps(target: torch.Tensor, trainer: nnUNetTrainer, spacing: tuple, settings: dict) -> np.ndarray:
    """The maps of one sample, by the oracle."""
    array, labels = target.numpy(), trainer.label_manager
    if labels.has_regions:
        valid = ~array[-1] if labels.has_ignore_label else None
        masks = list(array[: len(labels.foreground_regions)])
    else:
        valid = array[0] != labels.ignore_label if labels.has_ignore_label else None
        masks = [array[0] == label for label in labels.foreground_labels]
    oracle = {"distance": oracles.scipy_distance, "valid": valid, **settings}
    return np.stack([oracles.signed_map(mask, spacing, **oracle) for mask in masks])


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
@pytest.mark.parametrize("configuration", ["3d_fullres", "2d"])
@pytest.mark.parametrize(
    ("trainer_class", "settings"), [(nnUNetTrainerBoundary, CLIPPED), (nnUNetTrainerBoundaryPublished, PUBLISHED)]
)
def test_maps_are_those_of_each_sample_in_millimetres(
    dataset: str, configuration: str, trainer_class: type, settings: dict
) -> None:
    trainer = build(trainer_class, dataset, configuration)
    spacing = SPACING[-len(trainer.configuration_manager.patch_size) :]
    seen = []
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        *targets, maps = next(loader)["target"]
        assert maps.dtype == torch.float16
        assert maps.shape == (2, 2, *trainer.configuration_manager.patch_size)
        assert len(targets) == 3
        for sample in range(2):
            expected = expected_maps(targets[0][sample], trainer, spacing, settings)
            np.testing.assert_allclose(maps[sample].numpy(), expected, rtol=2e-3, atol=2e-3)
            seen.append(expected)
    # swapped samples could not pass
    assert not any(np.allclose(seen[0], other, rtol=0.05, atol=0.05) for other in seen[1:])


@pytest.mark.parametrize("dataset", [LABELS, REGIONS])
@pytest.mark.parametrize("deep_supervision", [True, False])
def test_the_segmentation_stays_as_nnunet_makes_it(dataset: str, deep_supervision: bool) -> None:
    ours, stock = (
        build(kind, dataset, deep_supervision=deep_supervision) for kind in (nnUNetTrainerBoundary, nnUNetTrainer)
    )
    *targets, _ = next(ours.dataloader_train)["target"]
    expected = next(stock.dataloader_train)["target"]
    expected = expected if deep_supervision else [expected]
    assert [(t.dtype, t.shape) for t in targets] == [(t.dtype, t.shape) for t in expected]
    assert targets[0].dtype == (torch.bool if dataset == REGIONS else torch.int16)


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
@pytest.mark.parametrize("deep_supervision", [True, False])
def test_validation_counts_are_those_of_stock_nnunet(dataset: str, deep_supervision: bool) -> None:
    # Two maps and a label entry are three channels, as many as the network has: packed into the target they would be
    # taken for one-hot labels and give a wrong pseudo Dice without an error.
    ours, stock = (
        build(kind, dataset, deep_supervision=deep_supervision) for kind in (nnUNetTrainerDiceCEBoundary, nnUNetTrainer)
    )
    same_weights(ours, stock)
    batch = next(ours.dataloader_val)
    stripped = deepcopy(batch)
    stripped["target"] = stripped["target"][:-1] if deep_supervision else stripped["target"][0]
    ours.loss.term_weights = (1.0, 0.0)
    with torch.no_grad():
        got, expected = ours.validation_step(batch), stock.validation_step(stripped)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value)


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
def test_with_alpha_0_loss_gradient_and_step_are_those_of_stock_nnunet(dataset: str) -> None:
    ours, stock = build(nnUNetTrainerDiceCEBoundary, dataset), build(nnUNetTrainer, dataset)
    same_weights(ours, stock)
    batch = next(ours.dataloader_train)
    stripped = {**deepcopy(batch), "target": deepcopy(batch)["target"][:-1]}
    ours.loss.term_weights = (1.0, 0.0)
    assert ours.train_step(batch)["loss"] == stock.train_step(stripped)["loss"]
    pairs = zip(ours.network.parameters(), stock.network.parameters(), strict=True)
    for ours_parameter, stock_parameter in pairs:
        assert torch.equal(ours_parameter, stock_parameter)
        if stock_parameter.grad is not None:
            assert torch.equal(ours_parameter.grad, stock_parameter.grad)


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
def test_the_loss_is_the_weighted_sum_of_both_terms(dataset: str) -> None:
    trainer = build(nnUNetTrainerBoundary, dataset)
    trainer.loss.term_weights = (0.7, 0.2)
    regions = trainer.label_manager.has_regions
    batch = next(trainer.dataloader_train)
    *targets, maps = batch["target"]
    with torch.no_grad():
        logits = [head.double() for head in trainer.network(batch["data"])]
    probs = [(torch.sigmoid(head) if regions else torch.softmax(head, 1)).numpy() for head in logits]
    # the second head sees the same map at its own voxels: nearest-exact takes the right one of each pair
    head_maps = [maps.double().numpy(), maps[:, :, :, 1::2, 1::2].double().numpy()]
    head_weights = [2 / 3, 1 / 3]
    region = boundary = 0.0
    for weight, p, m, target in zip(head_weights, probs, head_maps, targets, strict=False):
        t = target.numpy()
        onehot = t[:, :2] if regions else np.concatenate([t == label for label in range(3)], axis=1)
        ignored = t[:, -1:] if dataset == REGIONS_IGNORE else (t == 3) & (dataset == IGNORE)
        counted = ~ignored.astype(bool) if dataset in (IGNORE, REGIONS_IGNORE) else np.ones_like(p, bool)
        region += weight * oracles.generalized_dice_loss(p * counted, (onehot & counted).astype(float))
        boundary += weight * oracles.boundary_loss(p if regions else p[:, 1:], m)
    result = trainer.train_step(batch)
    assert result["region_term"] == pytest.approx(region, rel=1e-4)
    assert result["boundary_term"] == pytest.approx(boundary, rel=1e-4)
    assert result["loss"] == pytest.approx(0.7 * region + 0.2 * boundary, rel=1e-4)


@pytest.mark.parametrize("ddp", [False, True])
def test_heads_are_weighted_as_stock_nnunet_weights_them(ddp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = build(nnUNetTrainer, started=False)
    stock.is_ddp = ddp
    expected = stock._build_loss().weight_factors
    assert bool(expected[-1] > 0) is ddp  # 1e-6 under DDP, which must not meet unused parameters
    for trainer_class in (nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary):
        trainer = build(trainer_class, started=False)
        trainer.is_ddp = ddp
        loss = trainer._build_loss()
        assert loss.head_weights == pytest.approx(expected, abs=0)
        assert loss.region.weight_factors == pytest.approx(expected, abs=0)


def test_each_call_takes_maps_of_its_own() -> None:
    trainer = build(nnUNetTrainerBoundary)
    batch = next(trainer.dataloader_train)
    trainer.train_step(batch)
    with pytest.raises(RuntimeError, match="take_maps must come before each call, got no maps"):
        trainer.loss(trainer.network(batch["data"]), batch["target"][:-1])


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
def test_a_target_that_moved_behind_the_maps_is_found_in_the_first_batch(dataset: str) -> None:
    trainer = build(nnUNetTrainerBoundary, dataset)
    batch = next(trainer.dataloader_train)
    moved = {**batch, "target": [*(head.roll(12, -1) for head in batch["target"][:-1]), batch["target"][-1]]}
    with pytest.raises(ValueError, match=r"distance_map must be negative inside of the label, got positive values at"):
        trainer.train_step(moved)
    trainer.train_step(batch)
    trainer.train_step(moved)  # looked at once


def test_maps_of_other_settings_than_the_loss_expects_are_said_once() -> None:
    trainer = build(nnUNetTrainerBoundary)
    trainer.loss.options = PUBLISHED_MAP
    with pytest.warns(MapMismatchWarning, match=r"clip=10.0 and not None.*preset='published' to SignedDistanceMapd"):
        trainer.train_step(next(trainer.dataloader_train))
    trainer.train_step(next(trainer.dataloader_train))


@pytest.mark.parametrize("deep_supervision", [True, False])
def test_a_batch_without_maps_is_an_error(deep_supervision: bool) -> None:
    # Without the check a tensor would fall apart along its batch axis, and the last head's labels pass for maps.
    trainer, stock = (build(kind, deep_supervision=deep_supervision) for kind in (nnUNetTrainerBoundary, nnUNetTrainer))
    batch = next(stock.dataloader_train)
    for step in (trainer.train_step, trainer.validation_step):
        with pytest.raises(RuntimeError, match=r"must end with distance_map \(float16\), got none"):
            step(batch)


@pytest.mark.parametrize(
    "options",
    [DistanceMapOptions(), DistanceMapOptions(clip=1e6), DistanceMapOptions(clip=100.0, balance=1.0, balance_cap=1e6)],
    ids=["unclipped", "clipped too far", "balanced too much"],
)
def test_maps_beyond_float16_are_an_error_that_names_the_remedy(options: DistanceMapOptions) -> None:
    labels = torch.zeros(1, *PATCH, dtype=torch.int16)
    labels[0, 8, 16, 16] = 1
    transform = AppendDistanceMaps(2, (30000.0, 10000.0, 10000.0), options)
    with pytest.raises(ValueError, match=r"must stay below 65504.*spacing \(30000.*normalize='clip'"):
        transform.of_sample(labels)
    remedy = DistanceMapOptions(clip=300000, normalize="clip")
    assert AppendDistanceMaps(2, transform.spacing, remedy).of_sample(labels).isfinite().all()


@pytest.mark.parametrize("configuration", ["3d_fullres", "dummy_2d", "2d", "3d_cascade_fullres"])
def test_the_maps_come_last(configuration: str) -> None:
    trainer = build(nnUNetTrainerBoundary, configuration=configuration)
    for loader in (trainer.dataloader_train, trainer.dataloader_val):
        kinds = [isinstance(one, AppendDistanceMaps) for one in loader.data_loader.transforms.transforms]
        assert kinds == [False] * (len(kinds) - 1) + [True]


class OnTheDevice(nnUNetTrainerBoundary):
    distance_maps_on = "device"


@pytest.mark.parametrize("dataset", [LABELS, REGIONS, IGNORE, REGIONS_IGNORE])
@pytest.mark.parametrize("deep_supervision", [True, False])
def test_maps_made_on_the_device_train_as_those_of_the_workers(dataset: str, deep_supervision: bool) -> None:
    workers, device = (
        build(kind, dataset, deep_supervision=deep_supervision) for kind in (nnUNetTrainerBoundary, OnTheDevice)
    )
    same_weights(workers, device)
    batch = next(workers.dataloader_train)
    targets = batch["target"][:-1]
    shipped = next(device.dataloader_train)["target"]
    assert [t.dtype for t in (shipped if deep_supervision else [shipped])] == [t.dtype for t in targets]  # no maps
    stripped = {**deepcopy(batch), "target": targets if deep_supervision else targets[0]}
    for trainer in (workers, device):
        trainer.loss.term_weights = (0.7, 0.2)
    seen = []
    device.loss.register_forward_pre_hook(lambda loss, _: seen.append(loss._maps[0].clone()))
    expected, found = workers.train_step(deepcopy(batch)), device.train_step(stripped)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-3, abs=1e-4)  # the workers ship float16
    torch.testing.assert_close(seen[0], batch["target"][-1].float(), rtol=2e-3, atol=2e-3)
    with torch.no_grad():
        assert np.isfinite(device.validation_step(next(device.dataloader_val))["loss"])


@pytest.mark.parametrize(
    ("parent", "name", "value", "text"),
    [
        (nnUNetTrainerBoundary, "distance_maps_on", "gpu", "must be one of 'workers', 'device', got 'gpu'"),
        (nnUNetTrainerBoundary, "boundary_map", "clipped", "must be DistanceMapOptions, got 'clipped'"),
        (nnUNetTrainerBoundary, "boundary_schedule", Share(0.2), "must be a schedule, got Share"),
        (nnUNetTrainerBoundary, "boundary_schedule", GradientShare, "must be a schedule, got <class"),
        (nnUNetTrainerDiceCELesions, "lesion_weight", 2.0, "must lie in .0, 1., got 2.0"),
        (nnUNetTrainerDiceCELesions, "lesions_bidirectional", "no", "must be one of True, False, got 'no'"),
        (nnUNetTrainerBoundary, "boundary_pause", "no", "must be one of True, False, got 'no'"),
        (nnUNetTrainerBoundary, "boundary_schedul", 1, "; did you mean boundary_schedule"),
        (nnUNetTrainerBoundary, "run_epoch", 3, "; did you mean run_epochs"),
        (nnUNetTrainerBoundaryRefine, "refine_lr", math.nan, "must be finite and > 0, got nan"),
        (nnUNetTrainerBoundaryRefine, "refine_lr", "1e-3", "must be a number, got str"),
        (nnUNetTrainerBoundary, "num_epochs", 3, " of Wrong must be set by run_epochs"),
        (nnUNetTrainerBoundary, "initial_lr", 1e-4, " of Wrong must be set by run_epochs"),
    ],
)
def test_settings_are_checked_before_training(parent: type, name: str, value: object, text: str) -> None:
    for annotated in ({}, {"__annotations__": {name: ClassVar}}):
        with pytest.raises((TypeError, ValueError), match=f"{name} ?{text}"):
            build(type("Wrong", (parent,), {name: value, **annotated}), started=False)


@pytest.mark.parametrize("mixin", [BoundaryMixin, LesionsMixin, GeneralizedDiceMixin])
def test_a_mixin_behind_the_trainer_is_refused_and_not_passed_over(mixin: type) -> None:
    with pytest.raises(TypeError, match=rf"{mixin.__name__} must come before .* write class Mine\({mixin.__name__}, "):
        type("Mine", (nnUNetTrainerNoMirroring, mixin), {})
    assert issubclass(type("Mine", (mixin, nnUNetTrainerNoMirroring), {}), mixin)


@pytest.mark.parametrize("other", [nnUNetTrainerDiceLoss, nnUNetTrainerDiceCELesions])
def test_another_loss_in_place_of_that_with_the_boundary_term_is_refused(other: type) -> None:
    with pytest.raises(TypeError, match="the loss of Mine must be that of BoundaryMixin, got"):
        build(type("Mine", (other, nnUNetTrainerDiceCEBoundary), {}))
