"""What holds for every loss: ignored rows, gradients, compilation, mixed precision, copies, wrong shapes."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from monai.data import MetaTensor
from monai.networks import one_hot

from monai_boundary import BoundaryBand
from tests.losses.samples import (
    CELL_LOSSES,
    IMAGE_LOSSES,
    LOSSES,
    MAP_LOSSES,
    building,
    labels_like,
    value_and_gradient,
)

close = torch.testing.assert_close
NAMES = pytest.mark.parametrize("name", LOSSES)
LABELS = {"softmax": True, "to_onehot_y": True}
#: These see where voxels lie: rows that do not count are not the same as rows that are not there.
SEES_PLACES = set(MAP_LOSSES) - {"generalized_surface"}
SUMS = {"generalized_dice_boundary", "boundary_f1_iou"}
NO_CHANNELS = SUMS | {"generalized_dice"}


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - SEES_PLACES))
@pytest.mark.parametrize("ignore", [-1, 2, 255])
def test_ignored_rows_at_the_edge_equal_a_batch_without_them(name, ignore):
    logits, labels = torch.randn(2, 2, 8, 9), labels_like((2, 8, 9), 2)
    expected = LOSSES[name](**LABELS)(logits[:, :, 3:], labels[:, :, 3:])
    labels[:, :, :3] = ignore
    close(LOSSES[name](ignore_index=ignore, **LABELS)(logits, labels), expected)


@NAMES
def test_all_voxels_ignored_gives_zero_and_no_gradient(name):
    labels = torch.full((2, 1, 6, 7), 255)
    value, gradient = value_and_gradient(LOSSES[name](ignore_index=255, **LABELS), torch.randn(2, 3, 6, 7), labels)
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert not gradient.any()


@NAMES
def test_one_hot_targets_and_labels_score_the_same(name):
    logits, labels = torch.randn(2, 2, 8, 9), labels_like((2, 8, 9), 2)
    labels[:, :, 2:4] = 255
    target = one_hot(labels.clamp(max=1), 2).where(labels != 255, 255)
    loss = LOSSES[name](ignore_index=255, **LABELS)
    close(LOSSES[name](ignore_index=255, softmax=True)(logits, target), loss(logits, labels))
    close(loss(logits, labels[:, 0]), loss(logits, labels))


@NAMES
def test_channels_of_a_multi_label_target_are_ignored_apart(name):
    logits, target = torch.randn(2, 2, 8, 9), (torch.rand(2, 2, 8, 9) > 0.5).float()
    target[:, 0, :2], target[:, 1, 5:] = 255, 255
    loss = LOSSES[name](ignore_index=255, sigmoid=True)
    edited = logits.clone()
    edited[:, 0, :2], edited[:, 1, 5:] = 7.0, -7.0
    close(loss(edited, target), loss(logits, target), rtol=0, atol=0)
    logits[:, 1, 0] += 1
    assert loss(logits, target) != loss(edited, target)


@pytest.mark.parametrize("name", sorted(IMAGE_LOSSES.keys() - SUMS))
@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_reductions_agree(name, include_background, batch):
    logits, labels = torch.randn(2, 3, 7, 8), labels_like((2, 7, 8), 3)
    settings = {**LABELS, "include_background": include_background, "batch": batch}
    none, mean, total = (
        IMAGE_LOSSES[name](reduction=one, **settings)(logits, labels) for one in ("none", "mean", "sum")
    )
    channels = () if name == "generalized_dice" else (3 - (not include_background),)
    assert none.shape == (*(() if batch else (2,)), *channels)
    close(mean, none.mean())
    close(total, none.sum())


@pytest.mark.parametrize("name", sorted(IMAGE_LOSSES.keys() - NO_CHANNELS))
def test_without_background_equals_the_other_channels(name):
    logits, labels = torch.randn(2, 3, 7, 8), labels_like((2, 7, 8), 3)
    whole = IMAGE_LOSSES[name](reduction="none", **LABELS)(logits, labels)
    close(IMAGE_LOSSES[name](reduction="none", include_background=False, **LABELS)(logits, labels), whole[:, 1:])


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"boundary_f1_iou"}))  # which knows two activations
def test_any_function_may_activate(name):
    logits, target = torch.randn(2, 1, 7, 8), (torch.rand(2, 1, 7, 8) > 0.5).float()
    close(LOSSES[name](other_act=torch.sigmoid)(logits, target), LOSSES[name](sigmoid=True)(logits, target))
    with pytest.raises(ValueError, match="more than 1 of"):
        LOSSES[name](sigmoid=True, softmax=True)


# Gradients, compilation, precision


@NAMES
@pytest.mark.parametrize("shape", [(2, 12), (2, 7, 8), (2, 4, 5, 6)], ids=["1d", "2d", "3d"])
def test_step_against_the_gradient_lowers_the_loss(name, shape):
    logits, labels = torch.randn(shape[0], 3, *shape[1:]), labels_like(shape, 3)
    loss = LOSSES[name](**LABELS)
    value, gradient = value_and_gradient(loss, logits, labels)
    assert loss(logits - 0.05 * gradient / gradient.norm(), labels) < value


@NAMES
@pytest.mark.parametrize("ignore", [None, 255])
def test_compiled_loss_equals_the_eager_one_with_what_it_wants_beside_the_target_and_without(name, ignore):
    logits, labels = torch.randn(2, 3, 6, 7), labels_like((2, 6, 7), 3)
    if ignore is not None:
        labels[:, :, 0] = ignore
    settings = {"backend": "torch"} if name in MAP_LOSSES else {}
    loss = LOSSES[name](ignore_index=ignore, **LABELS, **settings)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    beside = []
    if "f1" in name:
        beside = [torch.stack([BoundaryBand(3, ignore_index=ignore)(label) for label in labels])]
    elif settings:
        beside = [torch.randn(2, 3, 6, 7)]
    elif name in CELL_LOSSES:
        beside = [torch.randint(1, 5, (2, 3, 6, 7), dtype=torch.int16)]
    for given in ([], beside) if beside else ([],):
        expected = value_and_gradient(loss, logits, labels, *given)
        close(value_and_gradient(compiled, logits, labels, *given), expected)


@NAMES
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_under_autocast_is_finite_and_that_of_float32(name, dtype):
    logits, labels = 30 * torch.randn(2, 2, 16, 24, 24), labels_like((2, 16, 24, 24), 2)
    loss = LOSSES[name](**LABELS)
    half = logits.to(dtype)
    expected = loss(half.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_gradient(loss, half, labels)
    assert value.dtype == torch.float32
    close(value, expected)
    assert gradient.isfinite().all()


@NAMES
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_non_finite_logits_that_count_give_nan(name, bad):
    logits = torch.zeros(1, 2, 6, 6)
    logits[0, 0, 2, 3] = bad
    assert LOSSES[name](**LABELS)(logits, labels_like((1, 6, 6), 2)).isnan()


@NAMES
def test_losses_can_be_copied_and_pickled_and_have_no_state(name):
    logits, labels = torch.randn(2, 2, 6, 7), labels_like((2, 6, 7), 2)
    loss = LOSSES[name](**LABELS)
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):  # noqa: S301 - made here
        assert twin(logits, labels) == loss(logits, labels)
    assert not loss.state_dict()
    assert not list(loss.parameters())


@NAMES
def test_output_and_target_that_are_metatensors_score_the_same(name):
    logits, target = torch.randn(1, 1, 8, 8), building((1, 1, 8, 8), 2, 6)
    loss = LOSSES[name](sigmoid=True)
    ours, plain = (value_and_gradient(loss, kind(logits), kind(target)) for kind in (MetaTensor, torch.Tensor))
    close(torch.as_tensor(ours[0]).as_subclass(torch.Tensor), plain[0])
    close(torch.as_tensor(ours[1]).as_subclass(torch.Tensor), plain[1])


@NAMES
def test_wrong_shapes_and_kinds_are_refused(name):
    loss, logits = LOSSES[name](**LABELS), torch.zeros(1, 2, 4, 4)
    with pytest.raises(TypeError, match=r"input must be a tensor \(B, C, \*S\), got list"):
        loss([0.0], logits)
    with pytest.raises(ValueError, match=r"input must be \(B, C, \*S\) with 1 to 3 spatial axes, none empty, got"):
        loss(logits[0, 0], logits)
    with pytest.raises(TypeError, match=r"input must be floating point logits or probabilities, got torch.int64"):
        loss(logits.long(), logits)
    with pytest.raises(ValueError, match=r"target must be \(1, 1, 4, 4\), got \(1, 1, 4, 5\)"):
        loss(logits, torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match="pass to_onehot_y=True"):
        LOSSES[name](softmax=True)(logits, torch.zeros(1, 1, 4, 4))
    with pytest.raises(TypeError, match=r"target must hold real numbers, got torch\.complex64"):
        loss(logits, torch.zeros(1, 1, 4, 4, dtype=torch.complex64))
