"""The boundary F1 loss, its sum with cross-entropy and IoU, and the sensitivity-specificity loss."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.losses import DiceLoss
from monai.networks import one_hot
from scipy import ndimage

from monai_boundary import BoundaryBand, BoundaryF1IoULoss, BoundaryF1Loss, SensitivitySpecificityLoss
from tests.strategies import logits_and_maps
from tests.unit.test_boundary_loss import labels_like, value_and_gradient

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


def building(shape=(1, 1, 16, 16), low=5, high=11) -> torch.Tensor:
    """A box in the middle."""
    mask = torch.zeros(shape)
    mask[(slice(None), slice(None), *[slice(low, high)] * (len(shape) - 2))] = 1
    return mask


def shifted(mask: torch.Tensor, by: int) -> torch.Tensor:
    return mask.roll(by, -1)


@SHAPES
@pytest.mark.parametrize(("theta0", "theta"), [(3, 5), (3, 7), (5, 9)])
def test_value_and_gradient_are_those_of_the_equations(shape, theta0, theta):
    logits, labels = torch.randn(shape[0], 3, *shape[1:]), labels_like(shape, 3)
    target = one_hot(labels, 3)
    loss = BoundaryF1Loss(theta0, theta, softmax=True, reduction="none")
    ours = value_and_gradient(loss, logits, target)
    theirs = value_and_gradient(lambda z, t: published(z.softmax(1), t, theta0, theta, 1e-5), logits, target)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_value_by_hand():
    # boundaries: prediction at 1 and 2 (the mask 1 1), target at 4 and 6, extended by 1: 3 to 7, and 0 to 3
    pred, target = torch.zeros(1, 1, 9), torch.zeros(1, 1, 9)
    pred[..., 2:4], target[..., 4:7] = 1, 1
    loss = BoundaryF1Loss(theta=3, smooth=1e-9)(pred, target)
    precision, recall = 1 / 2, 1 / 2  # 3 lies in 3..7, 2 does not; 4 lies in 1..4, 6 does not
    assert float(loss) == pytest.approx(1 - 2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_reductions_agree(include_background, batch):
    logits, labels = torch.randn(2, 3, 7, 8), labels_like((2, 7, 8), 3)
    none, mean, total = (
        BoundaryF1Loss(
            softmax=True, to_onehot_y=True, include_background=include_background, batch=batch, reduction=name
        )(logits, labels)
        for name in ("none", "mean", "sum")
    )
    assert none.shape == (3 - (not include_background),) if batch else (2, 3 - (not include_background))
    close(mean, none.mean())
    close(total, none.sum())


def test_without_background_equals_the_other_channels():
    logits, labels = torch.randn(2, 3, 7, 8), labels_like((2, 7, 8), 3)
    settings = {"softmax": True, "to_onehot_y": True, "reduction": "none"}
    whole = BoundaryF1Loss(**settings)(logits, labels)
    close(BoundaryF1Loss(**settings, include_background=False)(logits, labels), whole[:, 1:])


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
    target, loss = torch.full((1, 1, 16, 16), value), BoundaryF1Loss(smooth=0.5)
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
    assert float(BoundaryF1Loss(smooth=0.5)(torch.full_like(target, value), target)) == pytest.approx(20 / 21)


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
    volume = BoundaryF1Loss((1, 3, 3), (1, 5, 5), sigmoid=True)(logits, target)
    slices = BoundaryF1Loss(3, 5, sigmoid=True, batch=True)(logits[0, 0, :, None], target[0, 0, :, None])
    close(volume, slices)


def test_volume_of_equal_slices_scores_as_the_slice():
    logits, target = torch.randn(1, 1, 9, 8), (torch.rand(1, 1, 9, 8) > 0.5).float()
    loss = BoundaryF1Loss(sigmoid=True)
    stacked = [values[:, :, None].expand(-1, -1, 5, -1, -1) for values in (logits, target)]
    close(loss(*stacked), loss(logits, target))


# Ignored voxels

LOSSES = {
    "boundary_f1": lambda **settings: BoundaryF1Loss(softmax=True, **settings),
    "boundary_f1_iou": lambda **settings: BoundaryF1IoULoss(softmax=True, **settings),
    "boundary_f1_iou_sigmoid": lambda **settings: BoundaryF1IoULoss(**settings),
    "sensitivity_specificity": lambda **settings: SensitivitySpecificityLoss(0.3, softmax=True, **settings),
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
        for loss.weight in (0.1, 0.9, 0.0):
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


# The sum


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("include_background", [True, False])
def test_sum_is_cross_entropy_and_the_two_weighted_losses(softmax, weight, include_background):
    logits, labels = torch.randn(2, 3, 9, 8), labels_like((2, 9, 8), 3)
    target, act = one_hot(labels, 3), {"softmax": True} if softmax else {"sigmoid": True}
    settings = {**act, "include_background": include_background}
    entropy = F.cross_entropy(logits, labels[:, 0]) if softmax else F.binary_cross_entropy_with_logits(logits, target)
    iou = DiceLoss(jaccard=True, smooth_nr=2e-5, smooth_dr=2e-5, **settings)(logits, target)
    boundary = BoundaryF1Loss(**settings)(logits, target)
    loss = BoundaryF1IoULoss(weight, softmax=softmax, include_background=include_background)
    close(loss(logits, target), entropy + weight * boundary + (1 - weight) * iou)
    close((loss.cross_entropy_term, loss.boundary_term, loss.region_term), (entropy, boundary, iou))


def test_batch_of_the_sum_is_that_of_monai():
    logits, target = torch.randn(2, 1, 9, 8), (torch.rand(2, 1, 9, 8) > 0.5).float()
    loss = BoundaryF1IoULoss(batch=True)
    loss(logits, target)
    close(loss.region_term, DiceLoss(sigmoid=True, jaccard=True, batch=True)(logits, target), rtol=1e-5, atol=1e-6)
    close(loss.boundary_term, BoundaryF1Loss(sigmoid=True, batch=True)(logits, target))


def test_target_boundary_is_passed_on():
    logits, target = torch.randn(1, 1, 12, 12), building((1, 1, 12, 12), 3, 8)
    loss, band = BoundaryF1IoULoss(), BoundaryBand()(target[0])[None]
    assert loss(logits, target, band) == loss(logits, target)
    loss(logits, target, torch.zeros_like(band))
    assert float(loss.boundary_term) == pytest.approx(1, abs=1e-4)


# Sensitivity and specificity


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_sensitivity_specificity_by_counting(lam):
    pred, target = (torch.rand(2, 2, 2, 9, 8) > 0.4).float()
    values = SensitivitySpecificityLoss(lam, reduction="none", smooth=1e-9)(pred, target)
    for index in np.ndindex(2, 2):
        p, t = pred[index] > 0, target[index] > 0
        specificity = float((~p & ~t).sum() / (~t).sum())
        sensitivity = float((p & t).sum() / t.sum())
        assert float(values[index]) == pytest.approx(1 - lam * specificity - (1 - lam) * sensitivity, abs=1e-6)


def test_sensitivity_of_an_absent_class_is_one():
    target = torch.zeros(1, 1, 4, 4)
    assert float(SensitivitySpecificityLoss(0.0)(torch.rand(1, 1, 4, 4), target)) == 0
    assert float(SensitivitySpecificityLoss(1.0)(torch.rand(1, 1, 4, 4), 1 - target)) == 0
    assert float(SensitivitySpecificityLoss()(target, target)) == 0


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


# Bad input


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        (
            {"theta0": 2},
            ValueError,
            "theta0 must be odd and >= 1, .* got 2; an even window has no centre: take the next",
        ),
        ({"theta": (3, 4)}, ValueError, r"theta must be odd and >= 1, .* got \(3, 4\)"),
        ({"theta": 5.0}, TypeError, "theta must be an odd integer .* got 5.0"),
        ({"smooth": 0}, ValueError, "smooth must be finite and > 0, got 0"),
        ({"smooth": "1"}, TypeError, "smooth must be a number, got str"),
    ],
)
@pytest.mark.parametrize("make", [BoundaryF1Loss, BoundaryF1IoULoss])
def test_wrong_settings_are_refused(make, settings, error, text):
    with pytest.raises(error, match=text):
        make(**settings)


def test_settings_of_one_loss_are_refused():
    with pytest.raises(ValueError, match="more than 1 of"):
        BoundaryF1Loss(sigmoid=True, softmax=True)
    with pytest.raises(ValueError, match=r"weight must lie in \[0, 1\], got 1.5"):
        BoundaryF1IoULoss().weight = 1.5
    with pytest.raises(ValueError, match=r"lam must lie in \[0, 1\], got 2"):
        SensitivitySpecificityLoss(2)
    with pytest.raises(ValueError, match=r"theta must be odd .* per spatial axis \(3\), got \(1, 5\)"):
        BoundaryF1Loss(theta=(1, 5))(torch.rand(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4))


@NAMES
def test_wrong_input_is_refused(name):
    loss, logits = LOSSES[name](to_onehot_y=True), torch.zeros(1, 2, 4, 4)
    with pytest.raises(ValueError, match=r"input must be \(B, C, \*S\) with 1 to 3 spatial axes, none empty, got"):
        loss(logits[0, 0], logits)
    with pytest.raises(TypeError, match=r"input must be floating point logits or probabilities, got torch.int64"):
        loss(logits.long(), logits)
    with pytest.raises(ValueError, match=r"target must be \(1, 1, 4, 4\), got \(1, 1, 4, 5\)"):
        loss(logits, torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match=r"target must hold labels in \[0, 1\] .*, got values in \[0, 2\]; check"):
        loss(logits, torch.tensor([0.0, 2.0]).repeat(8).view(1, 1, 4, 4))
    with pytest.raises(ValueError, match="pass to_onehot_y=True"):
        LOSSES[name]()(logits, torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("band", "error", "text"),
    [
        (None, ValueError, "target_boundary must be given when target is None; pass one of them"),
        (torch.zeros(1, 2, 4, 5), ValueError, r"target_boundary must have shape \(1, 2, 4, 4\) .*got \(1, 2, 4, 5\)"),
        (torch.zeros(1, 2, 4, 4) > 0, TypeError, "target_boundary must hold the codes .*, got bool"),
        (
            torch.full((1, 2, 4, 4), 0.5),
            ValueError,
            "target_boundary must hold the codes .* got 0.5 among them; resample",
        ),
        (torch.full((1, 2, 4, 4), 3).byte(), ValueError, "target_boundary must hold the codes .* got 3 among them"),
    ],
)
def test_wrong_target_boundary_is_refused(band, error, text):
    with pytest.raises(error, match=text):
        BoundaryF1Loss(softmax=True)(torch.zeros(1, 2, 4, 4), None, band)


@pytest.mark.parametrize("settings", [{"softmax": True}, {"to_onehot_y": True}, {"include_background": False}])
def test_single_channel_warns_and_passes_over(settings):
    pred, target = torch.rand(1, 1, 8, 8), building((1, 1, 8, 8), 2, 6)
    name, value = next(iter(settings.items()))
    with pytest.warns(UserWarning, match=rf"single channel prediction, `{name}={value}` ignored"):
        ours = BoundaryF1Loss(**settings)(pred, target)
    with warnings.catch_warnings():
        assert ours == BoundaryF1Loss()(pred, target)


def test_settings_are_shown():
    assert "theta0=3, theta=(1, 5, 5)" in repr(BoundaryF1Loss(theta=(1, 5, 5)))
    assert "weight=0.25" in repr(BoundaryF1IoULoss(0.25))
    assert "lam=0.75" in repr(SensitivitySpecificityLoss(0.75))
