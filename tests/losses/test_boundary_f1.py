"""The boundary F1 loss: its equations, the values that its documentation promises, laws."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.networks import one_hot

from monai_boundary import BoundaryBand, BoundaryF1Loss
from monai_boundary.losses.target import SMOOTH_VOXELS
from tests.losses.samples import building, labels_like, value_and_gradient
from tests.strategies import logits_and_maps

close = torch.testing.assert_close
SHAPES = pytest.mark.parametrize("shape", [(2, 12), (2, 7, 8), (2, 4, 5, 6)], ids=["1d", "2d", "3d"])
POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def published(probs: torch.Tensor, target: torch.Tensor, theta0: int, theta: int, smooth: float) -> torch.Tensor:
    """Equations 1 to 4 as the paper writes them, `(B, C)`."""

    def pool(values: torch.Tensor, window: int) -> torch.Tensor:
        return POOL[values.ndim - 2](values, window, 1, window // 2)

    boundary, target_boundary = (pool(1 - y, theta0) - (1 - y) for y in (probs, target))
    extended, target_extended = pool(boundary, theta), pool(target_boundary, theta)
    over = list(range(2, probs.ndim))
    precision = ((boundary * target_extended).sum(over) + smooth) / (boundary.sum(over) + smooth)
    recall = ((target_boundary * extended).sum(over) + smooth) / (target_boundary.sum(over) + smooth)
    return 1 - 2 * precision * recall / (precision + recall)


def shifted(mask: torch.Tensor, by: int) -> torch.Tensor:
    return mask.roll(by, -1)


@SHAPES
@pytest.mark.parametrize(("theta0", "theta"), [(3, 5), (3, 7), (5, 9)])
def test_value_and_gradient_are_those_of_the_equations(shape, theta0, theta):
    logits, labels = torch.randn(shape[0], 3, *shape[1:]), labels_like(shape, 3)
    target = one_hot(labels, 3)
    loss = BoundaryF1Loss(theta0=theta0, theta=theta, softmax=True, reduction="none")
    ours = value_and_gradient(loss, logits, target)
    smooth = 1e-5 * labels[0].numel() / SMOOTH_VOXELS
    theirs = value_and_gradient(lambda z, t: published(z.softmax(1), t, theta0, theta, smooth), logits, target)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_batch_sums_the_boundaries_of_the_samples():
    pred, target = torch.rand(2, 1, 6, 7), (torch.rand(2, 1, 6, 7) > 0.5).float()
    # side by side with enough cells of the foreground between them that no window sees both
    gap = torch.ones(1, 1, 6, 3)
    valid = torch.ones_like(gap) * 2
    joined = torch.cat([pred[:1], gap, pred[1:]], -1), torch.cat([target[:1], valid, target[1:]], -1)
    whole = BoundaryF1Loss(batch=True, theta=3)(pred, target)
    close(BoundaryF1Loss(ignore_index=2, theta=3)(*joined), whole)


def test_target_boundary_given_is_the_target(monkeypatch):
    logits, labels = torch.randn(2, 3, 7, 8), labels_like((2, 7, 8), 3)
    labels[:, :, 0] = 255
    settings = {"softmax": True, "to_onehot_y": True, "ignore_index": 255}
    bands = torch.stack([BoundaryBand(3, ignore_index=255)(label) for label in labels])
    expected = value_and_gradient(BoundaryF1Loss(**settings), logits, labels)
    monkeypatch.setattr("monai_boundary.losses.boundary_f1.boundary_band", None)
    for band in (bands, bands.float(), MetaTensor(bands)):
        close(value_and_gradient(BoundaryF1Loss(softmax=True), logits, None, band), expected)
    foreground = BoundaryF1Loss(softmax=True, include_background=False)
    assert foreground(logits, None, bands) == foreground(logits, None, bands[:, 1:])


def test_soft_targets_are_cut_at_a_half():
    logits, target = torch.randn(1, 1, 9, 8), torch.rand(1, 1, 9, 8)
    loss = BoundaryF1Loss(sigmoid=True)
    assert loss(logits, target) == loss(logits, (target > 0.5).float())


# The values that the documentation promises


@SHAPES
def test_perfect_prediction_scores_zero_and_nothing_less(shape):
    target = (torch.rand(shape[0], 2, *shape[1:]) > 0.5).float()
    assert float(BoundaryF1Loss()(target, target)) == 0
    assert (BoundaryF1Loss(reduction="none")(torch.rand_like(target), target) >= 0).all()


def test_so_does_a_shift_within_the_tolerance_and_the_inverted_mask():
    target = building()
    for theta, reach in ((3, 1), (5, 2), (7, 3)):
        loss = BoundaryF1Loss(theta=theta)
        assert float(loss(shifted(target, reach), target)) == 0
        assert float(loss(shifted(target, reach + 1), target)) > 0.1
    assert float(BoundaryF1Loss()(1 - target, target)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_target_without_boundary(value):
    target, loss = torch.full((1, 1, 16, 16), value), BoundaryF1Loss(smooth=0.5 * SMOOTH_VOXELS / 256)
    for flat in (0.0, 0.3, 1.0):
        assert float(loss(torch.full_like(target, flat), target)) == 0
    boundary = 20.0  # of a 6 x 6 box
    assert float(loss(building(), target)) == pytest.approx(boundary / (boundary + 1))
    value, gradient = value_and_gradient(BoundaryF1Loss(sigmoid=True), torch.randn(1, 1, 16, 16), target)
    assert float(value) == pytest.approx(1, abs=1e-4)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_prediction_without_boundary(value):
    target = building()
    loss = BoundaryF1Loss(smooth=0.5 * SMOOTH_VOXELS / 256)
    assert float(loss(torch.full_like(target, value), target)) == pytest.approx(20 / 21)


def test_object_cut_by_the_edge_has_no_boundary_there():
    target = torch.zeros(1, 1, 12, 12)
    target[..., :5, 3:9] = 1
    extended = F.pad(target, (0, 0, 4, 0), mode="replicate")  # the object goes on beyond the edge
    pred = torch.rand_like(target)
    assert float(BoundaryF1Loss()(target, target)) == 0
    band, whole = BoundaryBand()(target[0]), BoundaryBand()(extended[0])
    assert torch.equal(band, whole[:, 4:])
    assert float(BoundaryF1Loss()(pred, target)) > 0


def test_batch_keeps_an_empty_sample_from_being_a_case():
    target = torch.cat([building(), torch.zeros(1, 1, 16, 16)])
    pred = target.clone()
    pred[1, 0, 2:4, 2:4] = 1
    assert float(BoundaryF1Loss(reduction="none")(pred, target)[1, 0]) == pytest.approx(1, abs=1e-4)
    precision = 20 / 24
    assert float(BoundaryF1Loss(batch=True)(pred, target)) == pytest.approx(
        1 - 2 * precision / (1 + precision), abs=1e-5
    )


def test_slices_of_a_volume_can_be_left_apart():
    logits, target = torch.randn(1, 1, 4, 9, 8), (torch.rand(1, 1, 4, 9, 8) > 0.5).float()
    volume = BoundaryF1Loss(theta0=(1, 3, 3), theta=(1, 5, 5), sigmoid=True)(logits, target)
    slices = BoundaryF1Loss(theta0=3, theta=5, sigmoid=True, batch=True)(logits[0, 0, :, None], target[0, 0, :, None])
    close(volume, slices)


# Laws


@given(logits_and_maps(), st.integers(0, 2**31))
def test_loss_lies_in_zero_one_and_knows_no_order(case, seed):
    logits = torch.from_numpy(case[0])
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, logits.shape[1], (len(logits), 1, *logits.shape[2:]), generator=generator)
    loss = BoundaryF1Loss(softmax=True, to_onehot_y=True, reduction="none")
    values = loss(logits, labels)
    assert ((values >= -1e-12) & (values <= 1)).all()
    order = torch.randperm(len(logits), generator=generator)
    close(loss(logits[order], labels[order]), values[order])
    axes = list(range(2, logits.ndim))
    close(loss(logits.flip(axes), labels.flip(axes)), values)
    close(loss(logits.transpose(2, -1), labels.transpose(2, -1)), values)


@given(logits_and_maps(), st.sampled_from([(3, 5), (5, 7), (1, 3)]))
def test_wider_tolerance_never_costs_more(case, windows):
    probs = torch.from_numpy(case[0]).softmax(1)
    target = (torch.from_numpy(case[1]) > 0).double()
    narrow, wide = (BoundaryF1Loss(theta=theta, reduction="none")(probs, target) for theta in windows)
    assert (wide <= narrow + 1e-12).all()
