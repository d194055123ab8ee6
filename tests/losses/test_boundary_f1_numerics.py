"""Ignored voxels, gradients, compilation and mixed precision of the boundary F1 loss and its companions."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from monai.data import MetaTensor
from monai.networks import one_hot
from scipy import ndimage

from monai_boundary import BoundaryBand, BoundaryF1IoULoss, BoundaryF1Loss, SensitivitySpecificityLoss
from tests.losses.samples import building, labels_like, value_and_gradient
from tests.losses.test_boundary_f1 import SHAPES

close = torch.testing.assert_close

LOSSES = {
    "boundary_f1": lambda **settings: BoundaryF1Loss(softmax=True, **settings),
    "boundary_f1_iou": lambda **settings: BoundaryF1IoULoss(softmax=True, **settings),
    "boundary_f1_iou_sigmoid": lambda **settings: BoundaryF1IoULoss(**settings),
    "sensitivity_specificity": lambda **settings: SensitivitySpecificityLoss(lam=0.3, softmax=True, **settings),
}
NAMES = pytest.mark.parametrize("name", LOSSES)


@NAMES
@pytest.mark.parametrize("include_background", [True, False])
def test_ignored_voxels_change_neither_value_nor_gradient(name, include_background):
    logits, labels = torch.randn(2, 3, 8, 9), labels_like((2, 8, 9), 3)
    labels[:, :, 2:4, 3:] = 255
    loss = LOSSES[name](to_onehot_y=True, ignore_index=255, include_background=include_background)
    edited = torch.where(labels == 255, 20 * torch.randn_like(logits), logits)
    before, after = (value_and_gradient(loss, z, labels) for z in (logits, edited))
    close(after, before, rtol=0, atol=0)
    assert before[1].any()
    assert not before[1][(labels == 255).expand_as(logits)].any()


@NAMES
def test_ignored_rows_at_the_edge_equal_a_batch_without_them(name):
    logits, labels = torch.randn(2, 2, 8, 9), labels_like((2, 8, 9), 2)
    expected = LOSSES[name](to_onehot_y=True)(logits[:, :, 3:], labels[:, :, 3:])
    labels[:, :, :3] = -1
    close(LOSSES[name](to_onehot_y=True, ignore_index=-1)(logits, labels), expected)


@NAMES
def test_all_voxels_ignored_gives_zero_and_no_gradient(name):
    labels = torch.full((2, 1, 6, 7), 255)
    value, gradient = value_and_gradient(
        LOSSES[name](to_onehot_y=True, ignore_index=255), torch.randn(2, 3, 6, 7), labels
    )
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert not gradient.any()


@NAMES
def test_ignored_channels_of_a_one_hot_target(name):
    logits, labels = torch.randn(2, 2, 8, 9), labels_like((2, 8, 9), 2)
    labels[:, :, 2:4] = 255
    target = one_hot(labels.clamp(max=1), 2).where(labels != 255, 255)
    loss = LOSSES[name](ignore_index=255)
    close(loss(logits, target), LOSSES[name](ignore_index=255, to_onehot_y=True)(logits, labels))


@pytest.mark.parametrize("make", [BoundaryF1Loss, SensitivitySpecificityLoss])
def test_channels_of_a_multi_label_target_are_ignored_apart(make):
    logits, target = torch.randn(2, 2, 8, 9), (torch.rand(2, 2, 8, 9) > 0.5).float()
    target[:, 0, :2], target[:, 1, 5:] = 255, 255
    whole = make(sigmoid=True, ignore_index=255, reduction="none")(logits, target)
    close(make(sigmoid=True, ignore_index=255, include_background=False)(logits, target), whole[:, 1].mean())
    close(make(sigmoid=True, ignore_index=255)(logits[:, 1:], target[:, 1:]), whole[:, 1].mean())


# Gradients, compilation, precision


@NAMES
@pytest.mark.parametrize("shape", [(2, 9), (2, 4, 5), (1, 3, 4, 4)], ids=["1d", "2d", "3d"])
@pytest.mark.parametrize("ignore", [None, 2])
def test_gradcheck(name, shape, ignore):
    logits = torch.randn(shape[0], 2, *shape[1:], dtype=torch.float64, requires_grad=True)
    labels = labels_like(shape, 2)
    if ignore is not None:
        labels[:, :, 0] = ignore
    loss = LOSSES[name](to_onehot_y=True, ignore_index=ignore, smooth=0.5)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)


@NAMES
@SHAPES
def test_step_against_the_gradient_lowers_the_loss(name, shape):
    logits, labels = torch.randn(shape[0], 3, *shape[1:]), labels_like(shape, 3)
    loss = LOSSES[name](to_onehot_y=True)
    value, gradient = value_and_gradient(loss, logits, labels)
    assert loss(logits - 0.05 * gradient / gradient.norm(), labels) < value


@NAMES
@pytest.mark.parametrize("ignore", [None, 255])
def test_compiled_loss_equals_the_eager_one(name, ignore):
    logits, labels = torch.randn(2, 3, 6, 7), labels_like((2, 6, 7), 3)
    if ignore is not None:
        labels[:, :, 0] = ignore
    loss = LOSSES[name](to_onehot_y=True, ignore_index=ignore)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    close(value_and_gradient(compiled, logits, labels), value_and_gradient(loss, logits, labels))
    if name != "sensitivity_specificity":
        band = torch.stack([BoundaryBand(3, ignore_index=ignore)(label) for label in labels])
        close(value_and_gradient(compiled, logits, labels, band), value_and_gradient(loss, logits, labels))


def test_weight_set_after_compilation_is_seen_without_another_graph():
    logits, labels = torch.randn(2, 1, 6, 7), labels_like((2, 6, 7), 2).float()
    loss = BoundaryF1IoULoss()
    torch._dynamo.reset()
    graph = torch.compile(loss, fullgraph=True, backend="eager")
    graph(logits, labels)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for loss.alpha in (0.1, 0.9, 0.0):
            close(graph(logits, labels), loss(logits, labels))


@NAMES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_under_autocast_is_finite_and_that_of_float32(name, dtype):
    logits, labels = 30 * torch.randn(2, 2, 16, 24, 24), labels_like((2, 16, 24, 24), 2)
    loss = LOSSES[name](to_onehot_y=True)
    half = logits.to(dtype)
    expected = loss(half.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(loss, half, labels)
    assert value.dtype == torch.float32
    close(value, expected)
    assert gradient.isfinite().all()


@NAMES
def test_non_finite_logits_give_nan(name):
    logits = torch.zeros(1, 2, 6, 6)
    logits[0, 0, 2, 3] = torch.nan
    assert LOSSES[name](to_onehot_y=True)(logits, labels_like((1, 6, 6), 2)).isnan()


@NAMES
def test_losses_can_be_copied_and_pickled(name):
    logits, labels = torch.randn(2, 2, 6, 7), labels_like((2, 6, 7), 2)
    loss = LOSSES[name](to_onehot_y=True)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):  # noqa: S301 - made here
        assert twin(logits, labels) == loss(logits, labels)
    assert not loss.state_dict()


def test_network_output_that_is_a_metatensor():
    logits, target = torch.randn(1, 1, 8, 8), building((1, 1, 8, 8), 2, 6)
    loss = BoundaryF1Loss(sigmoid=True)
    ours, plain = (value_and_gradient(loss, kind(logits), kind(target)) for kind in (MetaTensor, torch.Tensor))
    close(torch.as_tensor(ours[0].as_tensor()), plain[0])
    close(ours[1].as_tensor() if isinstance(ours[1], MetaTensor) else ours[1], plain[1])


def test_descent_sharpens_a_blurred_building():
    target = building((1, 1, 24, 24), 7, 17)
    blurred = torch.from_numpy(ndimage.gaussian_filter(target.numpy(), (0, 0, 2, 2)))
    logits = torch.logit(blurred.clamp(1e-3, 1 - 1e-3)).roll(2, -1).requires_grad_(True)
    loss, optimizer = BoundaryF1IoULoss(), torch.optim.Adam([logits], lr=0.2)
    before = float(loss(logits, target).detach())
    for _ in range(120):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    assert before > 0.5
    assert torch.equal((logits > 0).float(), target)
    assert float(loss.boundary_term) < 0.01
