"""The loss of several heads against its sum over them, written by hand of the losses of one."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import nn
from torch.nn import functional as F

from monai_boundary import (
    BoundaryBand,
    BoundaryF1IoULoss,
    BoundaryLoss,
    ComponentDiceLoss,
    DeepSupervisionLoss,
    DistanceMapOptions,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    HausdorffDistanceLoss,
    RegionBoundaryLoss,
    SignedDistanceMap,
)

MM = DistanceMapOptions()
# Sizes of the heads, of which none but the first in 2D divides the one before in each axis
SIZES = {"2D": [(16, 12), (8, 6), (4, 3)], "anisotropic 3D": [(14, 9, 5), (7, 5, 5), (4, 3, 3)]}
DEFAULT = (4 / 7, 2 / 7, 1 / 7)


def at_nearest(volume: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """The voxels that hold the centres of a coarser grid's voxels, by integer arithmetic."""
    array = volume.numpy()
    for axis, (old, new) in enumerate(zip(volume.shape[2:], size, strict=True), start=2):
        array = np.take(array, [(2 * i + 1) * old // (2 * new) for i in range(new)], axis=axis)
    return torch.from_numpy(array)


def case(sizes: list[tuple[int, ...]], classes: int = 3) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Heads, labels and maps in mm, of two samples."""
    heads = [torch.randn(2, classes, *size, requires_grad=True) for size in sizes]
    labels = torch.zeros(2, 1, *sizes[0])
    labels[0, :, 2:7, 3:8], labels[0, :, 8:, 1:4], labels[1, :, 1:9, :5] = 1, 2, 1
    spacing = (3.0, 1.0, 0.5)[: len(sizes[0])]
    transform = SignedDistanceMap(classes, preset=None, spacing=spacing)
    maps = torch.stack([torch.as_tensor(transform(label)) for label in labels])
    return heads, labels, maps


def by_hand(weights, heads, labels, maps, alpha: float) -> torch.Tensor:
    """Of public losses, one head after the other."""
    dice = GeneralizedDiceLoss(softmax=True, to_onehot_y=True)
    boundary = BoundaryLoss(include_background=False, softmax=True)
    total = torch.zeros(())
    for weight, head in zip(weights, heads, strict=True):
        size = tuple(head.shape[2:])
        region = dice(head, at_nearest(labels, size))
        total = total + weight * (max(0.1, 1 - alpha) * region + alpha * boundary(head, None, at_nearest(maps, size)))
    return total


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


# The value


@pytest.mark.parametrize("weights", [None, (0.5, 0.3, 0.4)])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_list_of_heads_scores_the_weighted_sum_over_heads_and_each_gets_its_gradient(sizes, weights):
    heads, labels, maps = case(sizes)
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=0.3), weights)
    value, expected = loss(heads, labels, maps), by_hand(weights or DEFAULT, heads, labels, maps, 0.3)
    close(value, expected)
    gradients, wanted = torch.autograd.grad(value, heads), torch.autograd.grad(expected, heads)
    for gradient, want in zip(gradients, wanted, strict=True):
        assert gradient.abs().max() > 0
        close(gradient, want)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_stacked_heads_score_what_a_list_of_them_does(sizes):
    heads, labels, maps = case([sizes[0]] * 3)
    stacked = torch.stack(heads, dim=1).detach().requires_grad_()
    value = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=0.3))(stacked, labels, maps)
    expected = by_hand(DEFAULT, heads, labels, maps, 0.3)
    close(value, expected)
    close(torch.autograd.grad(value, stacked)[0], torch.stack(torch.autograd.grad(expected, heads), dim=1))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.int16])
def test_integer_labels_are_resampled_too_and_keep_their_type(dtype):
    heads, labels, maps = case(SIZES["2D"])
    loss, seen = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss()), []
    loss.loss.region.register_forward_pre_hook(lambda _, given: seen.append(given[1].dtype))
    assert loss(heads, labels.to(dtype), maps) == loss(heads, labels, maps)
    assert seen[:3] == [dtype] * 3


def test_ignored_voxels_stay_ignored_in_every_head():
    heads, labels, maps = case(SIZES["2D"])
    labels[:, :, 4:9] = 255
    maps[:, :, 4:9] = 0
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(ignore_index=255, alpha=0.5))
    ignored = [at_nearest(labels, tuple(head.shape[2:])) == 255 for head in heads]
    edited = [torch.where(mask, 50 * torch.randn_like(head), head) for mask, head in zip(ignored, heads, strict=True)]
    assert all((a != b).any() for a, b in zip(edited, heads, strict=True))
    close(loss(edited, labels, maps), loss(heads, labels, maps))


class SeenMaps(BoundaryLoss):
    """A boundary loss that remembers the maps it was given."""

    def forward(self, input, target=None, distance_map=None):
        self.seen = [*getattr(self, "seen", []), distance_map]
        return super().forward(input, target, distance_map)


@pytest.mark.parametrize("given", [True, False])
def test_each_head_sees_millimetres_of_the_full_resolution(given: bool):
    heads, labels, maps = case([(16, 12), (8, 12), (4, 6)])
    boundary = SeenMaps(include_background=False, to_onehot_y=True, softmax=True, options=MM, spacing=(3.0, 1.0))
    loss = RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True, to_onehot_y=True), boundary)
    DeepSupervisionLoss(loss)(heads, labels, maps if given else None)
    for seen, head in zip(boundary.seen, heads, strict=True):
        torch.testing.assert_close(seen[:, -2:], at_nearest(maps[:, 1:], tuple(head.shape[2:])), rtol=0, atol=1e-5)
    # a coarser grid has no shorter distances: 3 mm a row, whatever the head
    assert boundary.seen[2].max() > 0.7 * boundary.seen[0].max()


@pytest.mark.parametrize("meta", [False, True])
@pytest.mark.parametrize("kind", [HausdorffDistanceLoss, ComponentDiceLoss])
def test_what_a_loss_makes_of_the_prediction_is_in_millimetres_of_each_head_too(kind, meta: bool):
    settings = {"include_background": False, "to_onehot_y": True, "softmax": True}
    settings |= {"bidirectional": True} if kind is ComponentDiceLoss else {}
    heads, labels, _ = case([(16, 12), (8, 12), (4, 6)])
    dice, weights = GeneralizedDiceLoss(softmax=True, to_onehot_y=True), (0.5, 0.3, 0.2)
    given = MetaTensor(labels, affine=torch.diag(torch.tensor([3.0, 1.0, 1.0, 1.0]))) if meta else labels
    loss = RegionBoundaryLoss(dice, kind(spacing=None if meta else (3.0, 1.0), **settings))
    deep = DeepSupervisionLoss(loss, weights)
    deep(heads, given)
    beside = getattr(kind(spacing=(3.0, 1.0), **settings), f"compute_{loss.target_name}")(labels, heads[0])
    expected = 0.0
    for weight, head, spacing in zip(weights, heads, [(3.0, 1.0), (6.0, 1.0), (12.0, 2.0)], strict=True):
        size = tuple(head.shape[2:])
        alone = kind(spacing=spacing, **settings)
        expected = expected + weight * alone(head, at_nearest(labels, size), at_nearest(beside, size))
    close(deep.boundary_term, expected.detach())
    close(loss.boundary(heads[0], given), kind(spacing=(3.0, 1.0), **settings)(heads[0], labels))  # as before


def test_a_head_of_weight_zero_is_skipped():
    heads, labels, maps = case(SIZES["2D"])
    heads[1] = torch.full_like(heads[1], math.nan).requires_grad_()
    value = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=0.3), (0.7, 0, 0.3))(heads, labels, maps)
    close(value, by_hand((0.7, 0.3), heads[::2], labels, maps, 0.3))
    assert torch.autograd.grad(value, heads, allow_unused=True)[1] is None


@pytest.mark.parametrize("maps_given", [True, False])
def test_the_one_output_of_evaluation_scores_as_without_heads(maps_given: bool):
    (head, *_), labels, maps = case(SIZES["anisotropic 3D"])
    inner = GeneralizedDiceBoundaryLoss(alpha=0.3)
    expected = inner(head, labels, maps if maps_given else None)
    loss = DeepSupervisionLoss(copy.deepcopy(inner), (0.5, 0.3, 0.2))
    assert loss(head, labels, maps if maps_given else None) == expected


def test_default_weights_add_up_to_one_for_any_number_of_heads():
    heads, labels, maps = case(SIZES["2D"])
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss())
    single = loss(heads[0], labels, maps)
    for count in (1, 2, 5):
        close(loss([heads[0]] * count, labels, maps), single)


def test_half_precision_heads_score_in_float32():
    heads, labels, maps = case(SIZES["2D"])
    value = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=1.0))([h.half() for h in heads], labels, 200 * maps)
    assert value.dtype == torch.float32
    assert value.isfinite()


# What handlers read and set


def test_weights_and_terms_are_those_of_the_loss_inside():
    heads, labels, maps = case(SIZES["2D"])
    inner = GeneralizedDiceBoundaryLoss()
    loss = DeepSupervisionLoss(inner)
    loss.term_weights = (0.25, 0.75)
    value = loss(heads, labels, maps)
    assert inner.term_weights == loss.term_weights == (0.25, 0.75)
    assert inner.region_term is loss.region_term
    assert inner.boundary_term is loss.boundary_term
    close(value.detach(), 0.25 * loss.region_term + 0.75 * loss.boundary_term)
    close(loss.boundary_term, by_hand(DEFAULT, heads, labels, maps, 1.0).detach() - 0.1 * loss.region_term)
    loss.alpha = 0.4
    assert (inner.alpha, loss.alpha, inner.term_weights) == (0.4, 0.4, (0.6, 0.4))


def test_nothing_of_it_goes_into_a_checkpoint():
    assert not DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(), (1, 2)).state_dict()


# Wrong arguments


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("weights", [(0.6, 0.4), (0.4, 0.3, 0.2, 0.1)])
def test_a_wrong_number_of_weights_is_refused(weights, stacked: bool):
    heads, labels, maps = case([(16, 12)] * 3)
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(), weights)
    message = rf"weights must hold one value per head \(3\), got {len(weights)}; .*or pass None for 1, 1/2, 1/4"
    with pytest.raises(ValueError, match=message):
        loss(torch.stack(heads, 1) if stacked else heads, labels, maps)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((), "weights must hold a value above 0"),
        ((0, 0.0), "weights must hold a value above 0"),
        ((1, -0.5), "weights must be finite and >= 0, got -0.5"),
        ((1, math.nan), "weights must be finite and >= 0, got nan"),
    ],
)
def test_weights_that_weigh_nothing_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(), weights)


def test_heads_from_low_to_high_resolution_are_refused():
    heads, labels, maps = case(SIZES["2D"])
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss())
    for wrong in (heads[::-1], heads[1:], [], torch.stack([heads[1]] * 2, dim=1)):
        with pytest.raises(ValueError, match=r"target's size \(16, 12\) first, got .*; order them from high to low"):
            loss(wrong, labels, maps)


def test_a_map_of_another_size_is_refused_not_resampled():
    heads, labels, maps = case(SIZES["2D"])
    with pytest.raises(ValueError, match=r"distance_map must have the size of the label, \(16, 12\), got \(8, 6\)"):
        DeepSupervisionLoss(GeneralizedDiceBoundaryLoss())(heads, labels, maps[..., ::2, ::2])


@pytest.mark.parametrize("given", [True, False])
def test_lower_heads_of_the_boundary_f1_loss_are_enlarged(given: bool):
    heads, labels, _ = case(SIZES["2D"])
    inner = BoundaryF1IoULoss(0.3, softmax=True, to_onehot_y=True)
    band = torch.stack([BoundaryBand(3)(label) for label in labels]) if given else None
    value = DeepSupervisionLoss(inner)(heads, labels, band)
    large = [head if index == 0 else F.interpolate(head, (16, 12), mode="bilinear") for index, head in enumerate(heads)]
    close(value, sum(weight * inner(head, labels, band) for weight, head in zip(DEFAULT, large, strict=True)))


def test_a_loss_without_a_boundary_term_is_refused():
    with pytest.raises(TypeError, match="loss must be a RegionBoundaryLoss, got GeneralizedDiceLoss; wrap"):
        DeepSupervisionLoss(GeneralizedDiceLoss())


def test_a_map_is_asked_for_when_the_boundary_loss_computes_none():
    class Product(nn.Module):
        def forward(self, logits, target, distance_map):  # noqa: ARG002
            return (logits * distance_map).mean()

    heads, labels, maps = case(SIZES["2D"])
    loss = DeepSupervisionLoss(RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True, to_onehot_y=True), Product()))
    assert loss(heads, labels, maps).isfinite()
    with pytest.raises(ValueError, match=r"got None and Product .*; put SignedDistanceMapd"):
        loss(heads, labels)


@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_the_compiled_loss_equals_the_eager_one_at_every_alpha():
    heads, labels, maps = case(SIZES["2D"])
    loss = DeepSupervisionLoss(GeneralizedDiceBoundaryLoss())
    graph = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for alpha in (0.01, 0.7):
        loss.alpha = alpha
        close(graph(heads, labels, maps), loss(heads, labels, maps))


@pytest.mark.parametrize("loss", [HausdorffDistanceLoss, ComponentDiceLoss])
def test_region_term_knows_the_voxel_size_of_a_smaller_head(loss) -> None:
    torch.manual_seed(0)
    settings = {"softmax": True, "to_onehot_y": True, "include_background": False}
    label, heads = torch.zeros(1, 1, 8, 16, 16), [torch.randn(1, 2, 8, 16, 16), torch.randn(1, 2, 8, 8, 8)]
    label[..., 2:6, 1:5, 2:6] = label[..., 6:8, 9:15, 8:16] = 1
    both = RegionBoundaryLoss(loss(**settings, spacing=(3, 1, 1)), BoundaryLoss(**settings, spacing=(3, 1, 1)))
    several = DeepSupervisionLoss(both, head_weights=(0, 1))
    several(heads, label)
    alone = loss(**settings, spacing=(3, 2, 2))(heads[1], label[..., 1::2, 1::2])
    torch.testing.assert_close(both.region_term, alone)
    several([heads[0], heads[0]], label)  # and forgets it
    torch.testing.assert_close(both.region_term, loss(**settings, spacing=(3, 1, 1))(heads[0], label))


@pytest.mark.parametrize("size", [(8, 12), (6, 8, 12)])
def test_a_label_without_its_channel_axis_is_no_stack_of_heads(size):
    labels = torch.zeros(2, 1, *size)
    labels[..., 2:5, 3:8] = 1
    loss = DeepSupervisionLoss(BoundaryF1IoULoss())
    with pytest.raises(
        ValueError, match=r"target must have a channel axis, \(B, 1, \*S\), got .*; pass target\[:, None\]"
    ):
        loss((2 * labels - 1) * 20, labels[:, 0])


def test_a_single_slice_whose_label_lacks_the_channel_is_not_taken_for_heads():
    inner = GeneralizedDiceBoundaryLoss(spacing=(1, 1, 1))
    output, label = torch.randn(2, 2, 1, 8, 8), torch.ones(2, 1, 8, 8, dtype=torch.int64)
    label[..., 4:] = 0
    with pytest.raises(ValueError, match=r"target must have a channel axis, .*; pass target\[:, None\]"):
        DeepSupervisionLoss(inner)(output, label)
    torch.testing.assert_close(DeepSupervisionLoss(inner)(output, label[:, None]), inner(output, label[:, None]))
