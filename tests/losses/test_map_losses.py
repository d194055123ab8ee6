"""The other losses on the signed distance map, against their authors' code or its formula, and MONAI's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor, list_data_collate
from monai.losses import HausdorffDTLoss
from monai.networks import one_hot
from monai.transforms import Rotate90d
from scipy import ndimage

from monai_boundary import (
    DeepSupervisionLoss,
    DistanceMapOptions,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    GeneralizedSurfaceLoss,
    HausdorffDistanceLoss,
    RegionBoundaryLoss,
    RegionWiseLoss,
    SignedDistanceMap,
    SignedDistanceMapd,
)
from monai_boundary.losses.map_agreement import MapMismatchWarning
from tests.losses.samples import labels_like, value_and_gradient

close = torch.testing.assert_close
LABELS = {"softmax": True, "to_onehot_y": True, "include_background": False}
LOSSES = [GeneralizedSurfaceLoss, RegionWiseLoss, HausdorffDistanceLoss]
CENTRE = DistanceMapOptions(convention="centre")


def blobs(shape: tuple[int, ...], channels: int, seed: int = 0) -> torch.Tensor:
    """Labels `(B, 1, *S)`, smooth."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(
        rng.standard_normal((shape[0], channels, *shape[1:])), (0, 0, *[1.5] * (len(shape) - 1))
    )
    return torch.from_numpy(fields.argmax(1))[:, None]


# Hausdorff: MONAI's value


@pytest.mark.parametrize("shape", [(2, 14, 15), (2, 9, 8, 10)], ids=["2d", "3d"])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("include_background", [False, True])
def test_hausdorff_has_the_value_and_gradient_of_monai(shape, alpha, batch, include_background):
    labels, logits = blobs(shape, 3), 3 * torch.randn(shape[0], 3, *shape[1:])
    settings = {"softmax": True, "to_onehot_y": True, "include_background": include_background, "batch": batch}
    ours = HausdorffDistanceLoss(alpha=alpha, spacing=[1] * (len(shape) - 1), **settings)
    theirs = HausdorffDTLoss(alpha=alpha, **settings)
    close(value_and_gradient(ours, logits, labels), value_and_gradient(theirs, logits, labels), rtol=1e-5, atol=1e-7)
    none = HausdorffDTLoss(alpha=alpha, reduction="none", **settings)(logits, labels).flatten()
    close(
        HausdorffDistanceLoss(alpha=alpha, reduction="none", **settings)(logits, labels).flatten(),
        none,
        rtol=1e-5,
        atol=0,
    )


@pytest.mark.parametrize("case", ["empty target", "full target", "empty prediction", "full prediction", "one voxel"])
def test_hausdorff_has_the_value_of_monai_without_a_surface(case):
    target, logits = torch.zeros(1, 1, 9, 10), torch.randn(1, 1, 9, 10)
    target[..., 3:6, 2:5] = 1
    target = {"empty target": 0 * target, "full target": target * 0 + 1}.get(case, target)
    logits = {"empty prediction": logits - 20, "full prediction": logits + 20}.get(case, logits)
    if case == "one voxel":
        target, logits = target[..., :1, :1] + 1, logits[..., :1, :1]
    settings = {"sigmoid": True, "include_background": True}
    close(HausdorffDistanceLoss(**settings)(logits, target), HausdorffDTLoss(**settings)(logits, target))


def test_hausdorff_is_in_mm_and_takes_a_given_map_for_that_of_the_target():
    labels, logits = blobs((2, 9, 8, 10), 2), torch.randn(2, 2, 9, 8, 10)
    affine = torch.diag(torch.tensor([3.0, 1.0, 0.5, 1.0]))
    sample = SignedDistanceMap(2, preset=None, convention="centre", include_background=False)
    maps = torch.stack([sample(MetaTensor(label, affine=affine)) for label in labels])
    assert isinstance(maps, MetaTensor)
    expected = HausdorffDistanceLoss(spacing=(3, 1, 0.5), **LABELS)(logits, labels)
    close(torch.as_tensor(HausdorffDistanceLoss(**LABELS)(logits, labels, maps)).as_subclass(torch.Tensor), expected)
    close(
        HausdorffDistanceLoss(spacing=(3, 1, 0.5), **LABELS)(logits, labels, maps.as_subclass(torch.Tensor)), expected
    )
    assert expected != HausdorffDistanceLoss(**LABELS)(logits, labels)
    two = [HausdorffDistanceLoss(spacing=size, **LABELS)(logits[i : i + 1], labels[i : i + 1]) for i, size in
           enumerate([(3, 1, 0.5), (1, 1, 1)])]  # fmt: skip
    mixed = MetaTensor(labels)
    mixed.affine = torch.stack([affine, torch.eye(4)])
    mixed.meta["original_affine"] = mixed.affine
    mixed.is_batch = True
    found = HausdorffDistanceLoss(**LABELS)(logits, mixed)
    close(torch.as_tensor(found).as_subclass(torch.Tensor), sum(two) / 2)


@pytest.mark.parametrize("collated", [False, True])
def test_hausdorff_measures_as_the_map_was_told_to_and_not_as_the_affine_says(collated):
    labels, logits, size = blobs((2, 8, 9), 2), torch.randn(2, 2, 9, 8), (3.0, 0.5)
    made = SignedDistanceMapd("label", num_classes=2, preset=None, convention="centre", spacing=size)
    turn = Rotate90d(["label", "distance_map"], k=1)
    samples = [turn(made({"label": MetaTensor(label)})) for label in labels]  # of an affine of ones
    batch = list_data_collate(samples) if collated else {
        key: torch.stack([sample[key] for sample in samples]) for key in samples[0]
    }  # fmt: skip
    found = HausdorffDistanceLoss(**LABELS)(logits, batch["label"], batch["distance_map"])
    plain = torch.stack([sample["label"].as_tensor() for sample in samples])
    expected = HausdorffDistanceLoss(spacing=size[::-1], **LABELS)(logits, plain)
    close(torch.as_tensor(found).as_subclass(torch.Tensor), expected)


def test_the_map_of_the_prediction_starts_at_counted_voxels_only():
    target, logits = torch.zeros(1, 1, 12), torch.full((1, 1, 12), -9.0)
    target[..., 8:10], target[..., :3], logits[..., 1:5] = 1, 255, 9.0
    loss = HausdorffDistanceLoss(sigmoid=True, ignore_index=255)
    counted = HausdorffDistanceLoss(sigmoid=True)(logits[..., 3:], target[..., 3:])
    close(12 * loss(logits, target), 9 * counted)


def test_one_sided_leaves_out_the_map_of_the_prediction():
    labels, logits = blobs((2, 14, 15), 2), torch.randn(2, 2, 14, 15)
    onehot, maps = one_hot(labels, 2)[:, 1:], torch.randn(2, 1, 14, 15)
    loss = HausdorffDistanceLoss(one_sided=True, check_map=False, **LABELS)
    expected = ((onehot - torch.softmax(logits, 1)[:, 1:]) ** 2 * maps**2).mean()
    close(loss(logits, labels, maps), expected)


# The others: their formula and their authors' code


@pytest.mark.parametrize("name", ["gsl", "hdos"])
def test_values_are_those_of_mist(name):
    pytest.importorskip("mist")
    from mist.loss_functions.losses.generalized_surface import GenSurfLoss
    from mist.loss_functions.losses.hausdorff_one_sided import HDOneSidedLoss

    labels, logits, maps = blobs((2, 9, 8, 10), 3), torch.randn(2, 3, 9, 8, 10), torch.rand(2, 3, 9, 8, 10) * 2 - 1
    theirs, ours = {
        "gsl": (GenSurfLoss(), GeneralizedSurfaceLoss(check_map=False, **LABELS)),
        "hdos": (HDOneSidedLoss(), HausdorffDistanceLoss(check_map=False, one_sided=True, **LABELS)),
    }[name]
    found = value_and_gradient(ours, logits, labels, maps[:, 1:])
    expected = value_and_gradient(lambda z: theirs(labels, z, dtm=maps, alpha=0.0), logits)
    close(found, expected, rtol=1e-5, atol=1e-7)


def published_region_wise_map(onehot: np.ndarray) -> np.ndarray:
    """The authors' README in words: minus the depth in voxels, divided by the largest, inside; 1 elsewhere."""
    result = np.ones(onehot.shape)
    for index in np.ndindex(*onehot.shape[:2]):
        depth = ndimage.distance_transform_edt(onehot[index])
        if depth.any():
            result[index] = np.where(depth > 0, -depth / depth.max(), 1)
    return result


@given(st.integers(0, 10**6), st.sampled_from([(2, 30), (2, 9, 11), (1, 5, 6, 7)]))
def test_region_wise_map_is_the_published_one(seed, shape):
    labels = blobs(shape, 3, seed)
    logits = torch.randn(shape[0], 3, *shape[1:], generator=torch.Generator().manual_seed(seed))
    maps = published_region_wise_map(one_hot(labels, 3).numpy())
    if any((labels[b] == labels[b].flatten()[0]).all() for b in range(len(labels))):
        return  # a class that fills the volume: scipy measures to a voxel that is not there
    expected = (torch.softmax(logits.double(), 1) * torch.from_numpy(maps)).mean()
    found = RegionWiseLoss(softmax=True, to_onehot_y=True)(logits.double(), labels)
    close(found, expected, rtol=1e-5, atol=1e-7)


def test_region_wise_loss_of_a_class_that_is_absent_or_everywhere_is_not_free():
    logits = torch.zeros(2, 1, 6, 7)
    target = torch.stack([torch.zeros(1, 6, 7), torch.ones(1, 6, 7)])
    value, gradient = value_and_gradient(RegionWiseLoss(sigmoid=True, reduction="none"), logits, target)
    close(value[:, 0], torch.tensor([0.5, -0.5]))
    assert (gradient[0] > 0).all()
    assert (gradient[1] < 0).all()


@given(st.integers(0, 10**6), st.sampled_from([(2, 30), (2, 9, 11), (1, 5, 6, 7)]))
def test_generalized_surface_lies_in_0_to_1_and_is_0_for_the_target_alone(seed, shape):
    labels = blobs(shape, 2, seed)
    probs = torch.rand(shape[0], 2, *shape[1:], generator=torch.Generator().manual_seed(seed))
    loss, target = GeneralizedSurfaceLoss(), one_hot(labels, 2)
    assert -1e-6 <= float(loss(probs, target)) <= 1
    assert float(loss(target, target)) == pytest.approx(0, abs=1e-6)
    assert float(loss(1 - target, target)) == pytest.approx(1, abs=1e-6)


def test_generalized_surface_costs_a_false_alarm_on_the_robust_map_and_says_nothing_on_a_map_of_zeros():
    empty = torch.zeros(1, 1, 8, 9)
    assert float(GeneralizedSurfaceLoss()(torch.ones_like(empty), empty)) == pytest.approx(1)
    zero = GeneralizedSurfaceLoss(options=CENTRE)
    assert not any(part.any() for part in value_and_gradient(zero, torch.rand_like(empty), empty))


# What all have in common


@pytest.mark.parametrize("kind", LOSSES)
def test_a_given_map_is_the_one_that_the_loss_makes(kind):
    labels, logits = blobs((2, 9, 8, 10), 3), torch.randn(2, 3, 9, 8, 10)
    loss = kind(spacing=(3, 1, 1), **LABELS)
    maps = loss.compute_distance_map(labels, logits)
    expected = value_and_gradient(loss, logits, labels)
    close(value_and_gradient(loss, logits, labels, maps), expected)
    close(value_and_gradient(loss, logits, labels, torch.cat([0 * maps[:, :1], maps], 1)), expected)
    deep = DeepSupervisionLoss(RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True, to_onehot_y=True), loss))
    heads = [logits, logits[..., ::2, ::2, ::2]]
    close(deep(heads, labels), deep(heads, labels, maps))


@pytest.mark.parametrize("kind", LOSSES)
def test_a_map_of_other_settings_or_of_another_label_is_named(kind):
    labels, logits = torch.zeros(1, 1, 20, 20, dtype=torch.long), torch.zeros(1, 2, 20, 20)
    labels[..., 4:12, 4:12] = 1
    sample = SignedDistanceMap(2, preset="published", spacing=(1, 1), include_background=False)
    maps = sample(MetaTensor(labels[0]))[None]
    with pytest.warns(MapMismatchWarning, match=r"distance_map was made with other settings.*convention='kervadec'"):
        kind(spacing=(1, 1), **LABELS)(logits, labels, maps)
    loss = kind(spacing=(1, 1), **LABELS)
    with pytest.raises(ValueError, match="distance_map must be negative inside of the label"):
        loss(logits, labels, loss.compute_distance_map(labels.roll(8, -1), logits))
    with pytest.raises(TypeError, match=r"distance_map must be floating point, got torch\.int64"):
        kind(**LABELS)(logits, labels, labels)
    with pytest.raises(ValueError, match=r"distance_map must have shape \(1, 1, 20, 20\)"):
        kind(**LABELS)(logits, labels, maps[..., 1:])


@pytest.mark.parametrize("kind", LOSSES)
def test_options_and_presets_are_taken(kind):
    assert kind(preset="clipped").options.clip == 10
    assert kind(options=CENTRE.replace(clip=3)).options.clip == 3
    default = "half" if kind is GeneralizedSurfaceLoss else "centre"
    assert kind().options.convention == default
    assert f"convention={default!r}" in repr(kind())


def test_a_power_that_is_none_is_refused():
    with pytest.raises(ValueError, match="alpha must be finite and > 0, got 0"):
        HausdorffDistanceLoss(alpha=0)


def test_a_step_on_labels_of_noise_is_finite():
    for kind in LOSSES:
        value, gradient = value_and_gradient(kind(**LABELS), 50 * torch.randn(2, 3, 9, 9), labels_like((2, 9, 9), 3))
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("size", [4e-6, 1e-6, 1e4])
def test_surface_loss_has_no_unit(size) -> None:
    logits, mask = torch.randn(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    mask[..., 4:9, 4:9] = 1
    losses = [GeneralizedSurfaceLoss(sigmoid=True, options=DistanceMapOptions(), spacing=(s, s)) for s in (1, size)]
    close(losses[0](logits, mask), losses[1](logits, mask))


def test_map_settings_of_another_kind_are_refused_at_once():
    with pytest.raises(TypeError, match=r"options must be DistanceMapOptions, got \{'clip': 5\}"):
        GeneralizedDiceBoundaryLoss(options={"clip": 5})
