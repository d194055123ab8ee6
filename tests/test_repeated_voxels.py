"""The law of scale: where every voxel is repeated 6^n times, value and gradient sum of a loss stay, and scores.

What is measured in voxels (windows, the dilation of contours) is made larger along, what is measured in mm keeps its
mm. An absolute constant in a ratio of voxel counts breaks the law, most where a class is absent and hardly predicted.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_boundary import (
    BoundaryF1IoULoss,
    BoundaryF1Loss,
    BoundaryLoss,
    GeneralizedDiceLoss,
    HausdorffDistanceLoss,
    SensitivitySpecificityLoss,
)
from monai_boundary.kernels.barrier import barrier_weights
from monai_boundary.losses import BinaryCrossEntropyLoss, Share, foreground_shares
from monai_boundary.losses.boundary_f1_iou import IoULoss
from monai_boundary.losses.gradient_share import gradient_norms
from monai_boundary.metrics import boundary_f1, instance_scores, lesion_counts, score_buildings, score_pair
from tests.losses.samples import CELL_LOSSES, gathered, repeated, value_and_gradient
from tests.losses.samples import LOSSES as ALL_LOSSES

TIMES = pytest.mark.parametrize("times", [6])


def window(width: int, times: int) -> int:
    return times * (width - 1) + 1


LOSSES = {
    "generalized_dice": GeneralizedDiceLoss,
    "boundary_f1": BoundaryF1Loss,
    "iou": IoULoss,
    "sensitivity_specificity": SensitivitySpecificityLoss,
}


def make_loss(name: str, times: int, **settings) -> torch.nn.Module:
    windows = {"theta0": window(3, times), "theta": window(5, times)} if "f1" in name else {}
    return LOSSES[name](sigmoid=True, **windows, **settings)


def patch(kind: str, ndim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and target `(2, 2, *S)`, channels apart."""
    shape = (2, 2, *(9, 8, 7)[:ndim])
    target = torch.zeros(shape)
    target[(..., *[slice(2, 5)] * ndim)] = 1
    noise = torch.randn(shape)
    if kind == "rare":
        target[:, :] = 0
        target[(..., *[4] * ndim)] = 1
    elif kind != "ordinary":
        target[:, 1] = 0
        target[1] = 0
    if kind == "hardly predicted":
        noise = noise - 16
    elif kind == "nearly full":
        target, noise = 1 - target, 16 - noise
    return noise, target


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["ordinary", "rare", "absent", "hardly predicted", "nearly full"])
@pytest.mark.parametrize("settings", [{}, {"batch": True}, {"ignore_index": 255}], ids=["plain", "batch", "ignore"])
@pytest.mark.parametrize("ndim", [2, 3])
@TIMES
def test_value_and_gradient_sum_of_a_loss_stay(name, kind, settings, ndim, times):
    logits, target = (tensor.double() for tensor in patch(kind, ndim))
    if settings.get("ignore_index"):
        target[:, :, 0], target[0, 1, :, 0] = 255, 255
    small, large = (
        value_and_gradient(make_loss(name, each, reduction="none", **settings), *pair)
        for each, pair in ((1, (logits, target)), (times, (repeated(logits, times), repeated(target, times))))
    )
    torch.testing.assert_close(large[0], small[0], rtol=1e-6, atol=1e-6)
    # which of equal voxels a maximum takes its gradient from is arbitrary: the sum of all is that of the law
    ours, theirs = gathered(large[1], times), small[1]
    if name == "boundary_f1":
        ours, theirs = ours.sum(), theirs.sum()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", [*CELL_LOSSES[::2], "generalized_surface", "region_wise", "hausdorff"])
@pytest.mark.parametrize("kind", ["ordinary", "rare", "absent", "hardly predicted", "nearly full"])
@pytest.mark.parametrize("settings", [{}, {"batch": True}, {"ignore_index": 255}], ids=["plain", "batch", "ignore"])
@TIMES
def test_value_and_gradient_sum_of_a_loss_stay_beside_what_is_given(name, kind, settings, times):
    """The map of the prediction is no part of it: distances between centres of voxels depend on their size."""
    logits, target = (tensor.double() for tensor in patch(kind, 3))
    beside = torch.arange(7).div(3, rounding_mode="floor").add(1).expand(target.shape) if name in CELL_LOSSES else (
        torch.randn_like(target))  # fmt: skip
    if settings.get("ignore_index"):
        target[:, :, 0], target[0, 1, :, 0] = 255, 255
    settings = {**settings, "sigmoid": True, "reduction": "none"}
    settings |= {"one_sided": True} if name == "hausdorff" else {}
    settings |= {} if name in CELL_LOSSES else {"check_map": False}
    loss = (HausdorffDistanceLoss if name == "hausdorff" else ALL_LOSSES[name])(**settings)
    small = value_and_gradient(loss, logits, target, beside)
    large = value_and_gradient(loss, *(repeated(one, times) for one in (logits, target, beside)))
    torch.testing.assert_close(large[0], small[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gathered(large[1], times), small[1], rtol=1e-5, atol=1e-9)


@TIMES
def test_the_sum_of_three_and_cross_entropy_stay(times):
    logits, target = patch("hardly predicted", 2)
    large = repeated(logits, times), repeated(target, times)
    wide = BoundaryF1IoULoss(0.3, theta0=window(3, times), theta=window(5, times))
    torch.testing.assert_close(wide(*large), BoundaryF1IoULoss(0.3)(logits, target))
    torch.testing.assert_close(BinaryCrossEntropyLoss(1.1)(*large), BinaryCrossEntropyLoss(1.1)(logits, target))


@TIMES
def test_a_mean_of_probability_times_map_and_the_norms_behind_a_share_stay(times):
    logits, target = patch("ordinary", 3)
    maps = torch.randn_like(target)
    loss, region = BoundaryLoss(sigmoid=True, check_map=False), GeneralizedDiceLoss(sigmoid=True)
    large = repeated(logits, times), repeated(target, times), repeated(maps, times)
    torch.testing.assert_close(loss(large[0], None, large[2]), loss(logits, None, maps))
    ratios = []
    for z, y, m in ((logits, target, maps), large):
        norms = gradient_norms(z, lambda heads, y=y, m=m: (region(heads, y), loss(heads, None, m)))
        ratios.append(norms[0] / norms[1])
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-4)  # alpha of a share
    assert Share(0.5).alpha(1.0, 1.0) == 1
    small = foreground_shares(logits[:, :1], target[:, :1])
    found = foreground_shares(large[0][:, :1], large[1][:, :1])
    assert np.array(found) == pytest.approx(np.array(small), rel=1e-6)


@pytest.mark.parametrize("weighting", ["mean", "area"])
def test_weights_of_contours_add_up_to_one_on_images_of_any_size(weighting):
    """A contour is one voxel wide on any grid: what stays is the sum of the weights, not that of each place."""
    for times in (1, 2, 6):
        likelihood = np.zeros((9 * times, 11 * times), np.uint8)
        likelihood[:, 5 * times] = 200
        seeds = np.zeros(likelihood.shape, np.int32)
        seeds[4 * times, 2 * times], seeds[4 * times, 8 * times] = 1, 2
        weights = barrier_weights(likelihood, seeds, likelihood > 0, dilation=times, weighting=weighting)
        assert weights.sum() == pytest.approx(1, abs=1e-5)


def test_equation_4_and_the_published_weights_fade_with_the_size_of_the_image_as_they_are_written():
    """By name: both divide a number of contour voxels by that of all voxels. ``weighting="mean"`` is the remedy."""
    sums = []
    for times in (1, 2, 4):
        likelihood = np.zeros((12 * times, 16 * times), np.uint8)
        likelihood[:, 8 * times] = 200
        seeds = np.zeros(likelihood.shape, np.int32)
        seeds[6 * times, 2 * times], seeds[6 * times, 13 * times] = 1, 2
        sums.append(barrier_weights(likelihood, seeds, likelihood > 0, dilation=0, weighting="count").sum())
    assert sums[1] / sums[0] == pytest.approx(0.5, rel=0.1)
    assert sums[2] / sums[1] == pytest.approx(0.5, rel=0.1)


# Scores


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), 1.2)
    return field > 0.1, field + 0.3 * ndimage.gaussian_filter(rng.standard_normal(shape), 1.2) > 0.1


@pytest.mark.parametrize("ndim", [2, 3])
@TIMES
def test_scores_of_volume_and_number_stay(ndim, times):
    pair = blobs(ndim, (9, 12, 10)[:ndim])
    large = [np.kron(mask, np.ones((times,) * ndim, bool)) for mask in pair]
    spacing = (3.0, 1.0, 0.5)[:ndim]
    names = ["dice", "volume_difference_ml", "lesion_f1", "lesion_count_difference"]
    expected = score_pair("isles", *pair, spacing, scores=names)
    found = score_pair("isles", *large, [size / times for size in spacing], scores=names)
    assert found == pytest.approx(expected)
    assert score_pair("wmh", *large, None, scores=["volume_difference_percent"]) == pytest.approx(
        score_pair("wmh", *pair, None, scores=["volume_difference_percent"])
    )
    assert lesion_counts(*large) == lesion_counts(*pair)
    ids, large_ids = ([1 + ndimage.label(mask)[0] for mask in masks] for masks in (pair, large))
    # Voxels without a predicted object, id 0, are weighed by their number: by name, the definition of CREMI.
    for name in ("voi_split", "voi_merge", "adapted_rand_recall"):
        assert getattr(instance_scores(*large_ids), name) == pytest.approx(getattr(instance_scores(*ids), name))


@TIMES
def test_iou_stays_and_boundary_scores_converge(times):
    """Surfaces are counted in voxels (MONAI's definition): a finer grid has more of them, elsewhere by half a voxel."""
    pair = blobs(5, (40, 48))
    large = [np.kron(mask, np.ones((times, times), bool)) for mask in pair]
    assert score_buildings(*large).iou == score_buildings(*pair).iou
    f1 = boundary_f1(*pair, 2.0).f1
    assert boundary_f1(*large, 2.0, (1 / times, 1 / times)).f1 == pytest.approx(f1, abs=0.1)
