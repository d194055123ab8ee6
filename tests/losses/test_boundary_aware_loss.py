"""BoundaryAwareLoss: value and gradient from independent formulas, batches, slices, numerics, and what it refuses."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from monai_boundary import BoundaryAwareLoss
from monai_boundary.kernels.barrier import barrier_weights, minimum_barrier_cut
from tests.losses.samples import cells
from tests.oracles import contour_weights, outer_contours

close = torch.testing.assert_close


def oracle(logits, membrane, seeds, dilation, weighting) -> list[float]:
    """Value of every sample, from cut to sum, in NumPy."""
    values = []
    for z, y, s in zip(logits[:, 0].double().numpy(), membrane[:, 0].numpy(), seeds[:, 0].numpy(), strict=True):
        likelihood = np.floor(255 / (1 + np.exp(-z))).astype(np.uint8)
        contours = outer_contours(minimum_barrier_cut(likelihood, s).regions)
        weights = contour_weights(contours, y > 0.5, dilation, weighting)
        values.append(float((weights * (np.logaddexp(0, z) - y * z)).sum()))
    return values


@pytest.mark.parametrize("shape", [(12,), (7, 12), (4, 5, 12)])
@pytest.mark.parametrize("weighting", ["mean", "count", "area", "published"])
def test_value_is_the_weighted_cross_entropy_along_the_contours(shape, weighting):
    logits, membrane, seeds = cells(shape)
    expected = torch.tensor(oracle(logits, membrane, seeds, 2, weighting))
    settings = {"dilation": 2, "weighting": weighting}
    close(BoundaryAwareLoss(**settings)(logits, membrane, seeds), expected.mean(), rtol=1e-5, atol=1e-7)
    close(BoundaryAwareLoss(**settings, reduction="sum")(logits, membrane, seeds), expected.sum(), rtol=1e-5, atol=1e-7)
    close(BoundaryAwareLoss(**settings, reduction="none")(logits, membrane, seeds), expected, rtol=1e-5, atol=1e-7)


def test_gradient_pulls_the_gap_up_and_is_weight_times_error():
    logits, membrane, seeds = cells((7, 12))
    loss = BoundaryAwareLoss()
    logits.requires_grad_(True)
    loss(logits, membrane, seeds).backward()
    weights = loss.compute_weights(logits, membrane, seeds)
    close(logits.grad, weights * (torch.sigmoid(logits.detach()) - membrane) / 2)
    assert logits.grad[0, 0, 0, 6] == logits.grad.min() < 0


@pytest.mark.parametrize("hole", [0.0, float("nan"), 50.0])
@pytest.mark.parametrize("weighting", ["mean", "count", "area", "published"])
def test_voxels_that_nobody_labelled_are_as_those_outside_the_image(weighting, hole):
    """Value and gradient of an image with such a part are those of the image without it."""
    logits, membrane, seeds = cells((7, 12))
    pad = (0, 0, 3, 2)
    wide = F.pad(logits, pad, value=hole).requires_grad_()
    target = F.pad(membrane.float(), pad, value=255)
    marks = F.pad(seeds, pad, value=9)  # such a seed does not flood anything
    narrow = logits.clone().requires_grad_()
    values = [
        BoundaryAwareLoss(dilation=2, weighting=weighting, ignore_index=255)(wide, target, marks),
        BoundaryAwareLoss(dilation=2, weighting=weighting)(narrow, membrane, seeds),
    ]
    close(*values)
    assert values[0] > 0
    first, second = (torch.autograd.grad(value, z)[0] for value, z in zip(values, (wide, narrow), strict=True))
    close(first[:, :, 3:-2], second)
    assert not first[:, :, :3].any()


@pytest.mark.parametrize("labels", [0, 1])
def test_fewer_than_two_regions_give_an_exact_zero_with_a_graph(labels):
    logits, membrane, seeds = cells((7, 12))
    seeds = torch.where(seeds == 2, 0, seeds) * labels
    logits.requires_grad_(True)
    for weighting in ("mean", "count", "area", "published"):
        value = BoundaryAwareLoss(weighting=weighting)(logits, membrane, seeds)
        assert value.item() == 0.0
        (gradient,) = torch.autograd.grad(value, logits)
        assert not gradient.any()


def test_sample_without_regions_leaves_the_others_alone():
    logits, membrane, seeds = cells((7, 12))
    seeds[1] = 0
    first, second = BoundaryAwareLoss(reduction="none")(logits, membrane, seeds)
    assert first == BoundaryAwareLoss()(logits[:1], membrane[:1], seeds[:1])
    assert second == 0


@pytest.mark.parametrize("threads", [1, 2, None])
def test_batch_is_each_sample_alone_in_any_number_of_threads(threads):
    parts = [cells((7, 12), seed) for seed in range(3)]
    logits, membrane, seeds = (torch.cat(group) for group in zip(*parts, strict=True))
    together = BoundaryAwareLoss(threads=threads, reduction="none")(logits, membrane, seeds)
    alone = [BoundaryAwareLoss()(logits[i : i + 1], membrane[i : i + 1], seeds[i : i + 1]) for i in range(6)]
    close(together, torch.stack(alone))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_volume_cut_by_slices_is_the_mean_over_its_slices(axis):
    logits, membrane, seeds = cells((4, 5, 12))
    seeds[:, 0, :, 2, 1], seeds[:, 0, :, 2, -2] = 1, 2
    logits, membrane, seeds = (
        tensor.movedim(2, axis if axis < 0 else 2 + axis) for tensor in (logits, membrane, seeds)
    )
    loss = BoundaryAwareLoss(slice_axis=axis, reduction="none")
    flat = BoundaryAwareLoss(reduction="none")
    slices = [tensor.unbind(axis if axis < 0 else 2 + axis) for tensor in (logits, membrane, seeds)]
    expected = torch.stack([flat(*group) for group in zip(*slices, strict=True)]).mean(0)
    close(loss(logits, membrane, seeds), expected)
    assert (expected > 0).all()


def test_double_sigmoid_is_the_cross_entropy_of_the_published_code():
    logits, membrane, seeds = cells((7, 12))
    loss = BoundaryAwareLoss(weighting="published", double_sigmoid=True, reduction="none")
    weights = loss.compute_weights(logits, membrane, seeds)
    values = F.binary_cross_entropy_with_logits(torch.sigmoid(logits), membrane, reduction="none")
    close(loss(logits, membrane, seeds), (weights * values).flatten(1).sum(1))


def test_levels_are_the_probability_cut_off_as_in_the_published_code():
    logits, seeds = torch.randn(1, 1, 30, 30), torch.zeros(1, 1, 30, 30, dtype=torch.int32)
    seeds[0, 0, 5::10, 5::10] = torch.arange(1, 10).view(3, 3)
    weights = BoundaryAwareLoss(dilation=0).compute_weights(logits, seeds, seeds)
    levels = np.floor(255 * torch.sigmoid(logits)[0, 0].numpy()).astype(np.uint8)
    expected = barrier_weights(levels, seeds[0, 0].numpy(), np.zeros((30, 30), bool), dilation=0)
    np.testing.assert_array_equal(weights[0, 0].numpy(), expected)


def test_unquantized_cut_sees_steps_below_one_level():
    logits, membrane, seeds = cells((7, 12))
    logits = torch.full_like(logits, -6.0)
    logits[..., 6] += 0.01  # less than a 256th of probability
    fine = BoundaryAwareLoss(dilation=0, quantize=False).compute_weights(logits, membrane, seeds)
    coarse = BoundaryAwareLoss(dilation=0).compute_weights(logits, membrane, seeds)
    assert (fine[0, 0] > 0).nonzero()[:, 1].unique().tolist() == [6]
    assert (coarse[0] > 0).sum() == 8  # a flat leak: the neighbours of the two seeds


@pytest.mark.parametrize("kind", [torch.float64, torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("seeds_type", [torch.uint8, torch.int16, torch.int64])
def test_targets_and_seeds_of_every_type_score_the_same(kind, seeds_type):
    logits, membrane, seeds = cells((7, 12))
    found = BoundaryAwareLoss()(logits, membrane.to(kind), seeds.to(seeds_type))
    assert found == BoundaryAwareLoss()(logits, membrane, seeds)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_under_autocast_is_finite_and_that_of_float32(kind):
    logits, membrane, seeds = cells((7, 12))
    half = (20 * logits).to(kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = BoundaryAwareLoss()(half, membrane, seeds)
    assert value.dtype == torch.float32
    close(value, BoundaryAwareLoss()(half.float(), membrane, seeds))


@pytest.mark.parametrize("double_sigmoid", [False, True])
def test_gradcheck(double_sigmoid):
    logits, membrane, seeds = cells((5, 8))
    logits = logits.double().requires_grad_(True)
    loss = BoundaryAwareLoss(dilation=1, double_sigmoid=double_sigmoid)
    assert torch.autograd.gradcheck(lambda z: loss(z, membrane.double(), seeds), logits)


def test_nan_in_the_prediction_is_not_hidden():
    logits, membrane, seeds = cells((7, 12))
    logits[0, 0, 0, 0] = torch.nan
    assert BoundaryAwareLoss()(logits, membrane, seeds).isnan()


def test_loss_is_copied_and_pickled():
    logits, membrane, seeds = cells((7, 12))
    loss = BoundaryAwareLoss(dilation=(1, 2), weighting="area")
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):  # noqa: S301
        assert twin(logits, membrane, seeds) == loss(logits, membrane, seeds)
    assert repr(loss) == "BoundaryAwareLoss(dilation=(1, 2), weighting='area', connectivity=1)"


WRONG_SETTINGS = [
    ({"dilation": -1}, ValueError, "dilation must be >= 0"),
    ({"dilation": 1.5}, TypeError, "dilation must be an integer"),
    ({"weighting": "sum"}, ValueError, "weighting must be one of"),
    ({"threads": 0}, ValueError, "threads must be None or an integer >= 1"),
    ({"reduction": "max"}, ValueError, "max"),
]
DO_NOT_FIT = [
    ({"connectivity": 3}, "connectivity must be 1 for 4 neighbours"),
    ({"dilation": (1, 1, 1)}, "dilation must be >= 0, one value or one per spatial axis"),
    ({"slice_axis": 2}, "slice_axis must be one of 2 spatial axes"),
]


@pytest.mark.parametrize(("settings", "error", "text"), WRONG_SETTINGS)
def test_wrong_settings_are_refused_at_once(settings, error, text):
    with pytest.raises(error, match=text):
        BoundaryAwareLoss(**settings)


@pytest.mark.parametrize(("settings", "text"), DO_NOT_FIT)
def test_settings_that_do_not_fit_the_image_are_refused(settings, text):
    loss = BoundaryAwareLoss(**settings)
    with pytest.raises(ValueError, match=text):
        loss(*cells((7, 12)))


WRONG_INPUT = [
    (lambda z, y, s: (z.repeat(1, 2, 1, 1), y, s), ValueError, "input must have one channel"),
    (lambda z, y, s: (z.long(), y, s), TypeError, "input must be floating point"),
    (lambda z, y, s: (z, y[..., 1:], s), ValueError, "target must be"),
    (lambda z, y, s: (z, y * 255, s), ValueError, r"target must lie in \[0, 1\] .*, got 255 among"),
    (lambda z, y, s: (z, y * torch.nan, s), ValueError, r"target must lie in \[0, 1\]"),
    (lambda z, y, _: (z, y, None), ValueError, "seeds must be given"),
    (lambda z, y, s: (z, y, s[..., 1:]), ValueError, "input and seeds must share their shape"),
    (lambda z, y, s: (z, y, s.float()), TypeError, "seeds must hold integers"),
    (lambda z, y, s: (z, y, -s), ValueError, "seeds must lie in"),
    (lambda z, y, s: (z.to("meta"), y, s), ValueError, "on one device"),
]


@pytest.mark.parametrize(("change", "error", "text"), WRONG_INPUT)
def test_wrong_input_is_refused_by_name(change, error, text):
    with pytest.raises(error, match=text):
        BoundaryAwareLoss()(*change(*cells((7, 12))))
