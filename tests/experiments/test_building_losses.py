"""The four losses of the boundary F1 paper as its tables combine them, and the scores of a mask."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from experiments.buildings.losses import LOSSES, building_loss, iou, raise_weight, score_building
from monai_boundary.losses import BoundaryF1IoULoss, BoundaryF1Loss


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.zeros(2, 1, 12, 12)
    mask[0, 0, 2:7, 3:9] = 1
    mask[1, 0, 5:12, 0:4] = 1
    return torch.from_numpy(rng.normal(0, 2, (2, 1, 12, 12))), mask.double()


def by_hand(name: str, logits: torch.Tensor, mask: torch.Tensor, weight: float) -> float:
    """Section 2 of the paper, image by image."""
    values = []
    for one, true in zip(1 / (1 + np.exp(-logits.numpy())), mask.numpy(), strict=True):
        tp, fp = (one * true).sum(), (one * (1 - true)).sum()
        fn, tn = ((1 - one) * true).sum(), ((1 - one) * (1 - true)).sum()
        region = 1 - tp / (tp + fp + fn)
        other = {
            "iou": region,
            "ss+iou": 1 - 0.5 * tn / (tn + fp) - 0.5 * tp / (tp + fn),
            "dice+iou": 1 - 2 * tp / (2 * tp + fp + fn),
            "bf1+iou": float(BoundaryF1Loss(theta=5)(torch.from_numpy(one)[None], torch.from_numpy(true)[None])),
        }[name]
        values.append(weight * other + (1 - weight) * region)
    return float(np.mean(values))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weight", [0.5, 0.2])
def test_a_row_is_the_weighted_sum_of_the_paper(name: str, weight: float, pair) -> None:
    assert float(building_loss(name, weight)(*pair)) == pytest.approx(by_hand(name, *pair, weight), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_cross_entropy_is_added_to_every_row(name: str, pair) -> None:
    probs, mask = torch.sigmoid(pair[0]).numpy(), pair[1].numpy()
    entropy = -np.mean(mask * np.log(probs) + (1 - mask) * np.log(1 - probs))
    value = float(building_loss(name, 0.3, cross_entropy=True)(*pair))
    assert value == pytest.approx(by_hand(name, *pair, 0.3) + entropy, abs=1e-5)


def test_with_cross_entropy_the_first_row_is_the_loss_of_the_package() -> None:
    assert isinstance(building_loss("bf1+iou", cross_entropy=True), BoundaryF1IoULoss)


@pytest.mark.parametrize("cross_entropy", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_pixels_without_data_count_as_little_as_pixels_beyond_the_edge(name: str, cross_entropy: bool, pair) -> None:
    logits, mask = pair[0].clone().requires_grad_(), pair[1].clone()
    mask[..., 8:] = 255
    loss = building_loss(name, cross_entropy=cross_entropy, ignore_index=255)
    value = loss(logits, mask)
    value.backward()
    assert not logits.grad[..., 8:].any()
    assert logits.grad[..., :8].any()
    cropped = building_loss(name, cross_entropy=cross_entropy)(pair[0][..., :8], pair[1][..., :8])
    assert value.item() == pytest.approx(cropped.item(), abs=1e-5)


def test_the_weight_rises_from_nothing_to_its_value_in_the_last_epoch() -> None:
    loss = building_loss("bf1+iou", 0.8)
    before = raise_weight(loss, 0.8, 5)
    seen = []
    for epoch in range(5):
        before(epoch)
        seen.append(loss.alpha)
    assert seen == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_an_unknown_row_or_weight_is_named() -> None:
    with pytest.raises(ValueError, match=r"name must be one of 'bf1\+iou', .* got 'vgg'"):
        building_loss("vgg")
    with pytest.raises(ValueError, match="alpha must"):
        building_loss("iou", 1.5)


def test_scores_count_only_pixels_with_data() -> None:
    pred, target = np.zeros((2, 8, 8), bool)
    pred[2:6, 2:6], target[2:6, 2:8] = True, True
    assert iou(pred, target) == 16 / 24
    valid = np.ones((8, 8), bool)
    valid[:, 6:] = False
    assert score_building(pred, target).iou == 16 / 24
    scores = score_building(pred, target, valid)
    assert scores.iou == 1
    assert score_building(~pred & False, target, valid).row() == {"iou": 0, "f1_3": 0, "f1_5": 0}
    assert math.isnan(iou(pred & False, target & False))
