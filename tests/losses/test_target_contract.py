"""What every loss makes of its target alike: voxels that do not count, values, kinds and shapes, one channel."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import torch
from monai.networks import one_hot

from monai_boundary import (
    BlobLoss,
    BoundaryAwareLoss,
    BoundaryF1Loss,
    BoundaryLoss,
    ComponentDiceLoss,
    CrossEntropyBoundaryAwareLoss,
    GeneralizedDiceLoss,
    GeneralizedSurfaceLoss,
    HausdorffDistanceLoss,
    RegionWiseLoss,
    SensitivitySpecificityLoss,
    TopologyLoss,
)
from monai_boundary.losses import BinaryCrossEntropyLoss, foreground_shares
from monai_boundary.losses.values import check_label_values
from tests.losses.samples import IMAGE_LOSSES, MAP_LOSSES, cells, labels_like, value_and_gradient
from tests.oracles import monai_boundary_loss

NAMES = pytest.mark.parametrize("name", IMAGE_LOSSES)
LABELS, MASKS = {"softmax": True, "to_onehot_y": True}, {"sigmoid": True}
IGNORED = pytest.mark.parametrize("ignore", [255, -1, 2])


def ignored_stripe(kind: str, ignore: int) -> tuple[dict, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Settings, logits, target and bool of the logits that do not count, `(2, C, 8, 9)`."""
    channels = {"labels": 2, "one_hot": 2, "one_channel": 1, "multi_label": 2}[kind]
    logits, labels = torch.randn(2, channels, 8, 9), labels_like((2, 8, 9), 2)
    stripe = torch.zeros(2, 1, 8, 9, dtype=torch.bool)
    stripe[:, :, 2:4, 3:], stripe[1, :, 7] = True, True
    if kind == "labels":
        return (
            {"softmax": True, "to_onehot_y": True},
            logits,
            labels.where(~stripe, ignore),
            stripe.expand(-1, 2, -1, -1),
        )
    if kind == "multi_label":  # each channel has voxels of its own that do not count
        stripe = torch.cat([stripe, stripe.flip(2)], 1)
        return MASKS, logits, torch.cat([labels, 1 - labels], 1).where(~stripe, ignore).float(), stripe
    if kind == "one_channel":
        return MASKS, logits, labels.where(~stripe, ignore).float(), stripe
    target = one_hot(labels, 2).where(~stripe, ignore)
    return {"softmax": True}, logits, target, stripe.expand(-1, 2, -1, -1)


@NAMES
@IGNORED
@pytest.mark.parametrize("kind", ["labels", "one_hot", "one_channel", "multi_label"])
def test_whatever_stands_at_ignored_voxels_reaches_neither_loss_nor_gradient(name, ignore, kind):
    settings, logits, target, stripe = ignored_stripe(kind, ignore)
    loss = IMAGE_LOSSES[name](ignore_index=ignore, **settings)
    value, gradient = value_and_gradient(loss, logits, target)
    assert value.isfinite()
    assert not gradient[stripe].any()
    assert gradient[~stripe].any()
    for bad in (torch.nan, torch.inf, -torch.inf, 1e30):
        found = value_and_gradient(loss, torch.where(stripe, bad, logits), target)
        torch.testing.assert_close(found, (value, gradient), rtol=0, atol=0)


@pytest.mark.parametrize("name", MAP_LOSSES)
@pytest.mark.parametrize("kind", ["labels", "one_hot", "one_channel", "multi_label"])
def test_a_given_map_does_not_count_at_ignored_voxels_either(name, kind):
    settings, logits, target, stripe = ignored_stripe(kind, 255)
    loss, maps = IMAGE_LOSSES[name](ignore_index=255, **settings), torch.randn_like(logits)
    value, gradient = value_and_gradient(loss, logits, target, maps)
    edited = torch.where(stripe, torch.nan, logits), target, torch.where(stripe, 99.0, maps)
    torch.testing.assert_close(value_and_gradient(loss, *edited), (value, gradient), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["labels", "one_hot", "one_channel", "multi_label"])
def test_ignored_voxels_have_the_map_zero_and_are_no_foreground(kind):
    settings, logits, target, stripe = ignored_stripe(kind, 255)
    maps = BoundaryLoss(ignore_index=255, **settings).compute_distance_map(target, logits)
    assert not maps[stripe].any()
    foreground = target == torch.arange(2).view(1, 2, 1, 1) if kind == "labels" else target == 1
    assert (maps[~stripe & foreground] < 0).all()
    assert (maps[~stripe & ~foreground] > 0).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("settings", [{}, {"preset": "published"}, None], ids=["default", "published", "BCE"])
def test_ignored_membranes_reach_neither_loss_nor_gradient(settings, bad):
    logits, membrane, seeds = cells((8, 12))
    membrane[:, :, :2] = 255
    loss, args = BinaryCrossEntropyLoss(ignore_index=255), (membrane,)
    if settings is not None:
        loss, args = CrossEntropyBoundaryAwareLoss(ignore_index=255, **settings), (membrane, seeds)
    value, gradient = value_and_gradient(loss, logits, *args)
    assert not gradient[membrane == 255].any()
    found = value_and_gradient(loss, torch.where(membrane == 255, bad, logits), *args)
    torch.testing.assert_close(found, (value, gradient), rtol=0, atol=0)


def test_contours_weigh_nothing_at_ignored_voxels():
    logits, membrane, seeds = cells((8, 12))
    assert BoundaryAwareLoss(ignore_index=255)(logits, torch.full_like(membrane, 255), seeds) == 0


def test_ignored_rows_count_as_little_in_cross_entropy_as_rows_that_are_not_there():
    logits, membrane, _ = cells((8, 12))
    for balance in (None, 1.1):
        expected = BinaryCrossEntropyLoss(balance)(logits[:, :, 2:], membrane[:, :, 2:])
        ignored = membrane.clone()
        ignored[:, :, :2] = 255
        torch.testing.assert_close(BinaryCrossEntropyLoss(balance, ignore_index=255)(logits, ignored), expected)


WRONG = {
    "0 and 255 in a mask": (MASKS, lambda y: 255 * y, r"must lie in \[0, 1\] .*got 255 among .*divide a mask of 0 and"),
    "0, 1 and 255 in a mask": (MASKS, lambda y: y.index_fill(2, torch.tensor(0), 255), "must lie in .*got 255 among"),
    "-1 in a mask": (MASKS, lambda y: -y, "must lie in .*got -1 among"),
    "NaN in a mask": (MASKS, lambda y: y.index_fill(2, torch.tensor(0), torch.nan), "must lie in .*got nan"),
    "label out of range": (LABELS, lambda y: 5 * y, r"labels (in|must lie in) \[0, 1\].*got .*5"),
    "fraction in labels": (LABELS, lambda y: y * 0.5, r"labels.*got .*(0\.5|fractional).*mode='nearest'"),
    "rest of a resampling in labels": (LABELS, lambda y: y * 0.999, "labels.*mode='nearest'"),
    "NaN in labels": (LABELS, lambda y: y.index_fill(2, torch.tensor(0), torch.nan), "labels.*got .*(nan|non-finite)"),
}


@NAMES
@pytest.mark.parametrize("case", WRONG)
def test_values_out_of_range_are_named_with_the_remedy(name, case):
    settings, change, text = WRONG[case]
    target = labels_like((2, 6, 7), 2).float()
    logits = torch.randn(2, 2 if settings is LABELS else 1, 6, 7)
    for ignore in (None, 7):
        loss = IMAGE_LOSSES[name](ignore_index=ignore, **settings)
        loss(logits, target)
        with pytest.raises(ValueError, match=text):
            loss(logits, change(target))


@NAMES
def test_one_hot_values_out_of_range_are_refused(name):
    target = one_hot(labels_like((2, 6, 7), 3), 3)
    for settings in ({"softmax": True}, {"sigmoid": True}):
        with pytest.raises(ValueError, match=r"target must lie in .*got 255"):
            IMAGE_LOSSES[name](**settings)(torch.randn(2, 3, 6, 7), 255 * target)


@NAMES
@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint8, torch.int16, torch.bool, torch.float16])
def test_labels_of_every_type_score_the_same(name, dtype):
    logits, labels = torch.randn(2, 2, 6, 7), labels_like((2, 6, 7), 2)
    loss = IMAGE_LOSSES[name](ignore_index=255, **LABELS)
    torch.testing.assert_close(loss(logits, labels.to(dtype)), loss(logits, labels), rtol=0, atol=0)


@NAMES
@pytest.mark.parametrize("ignore", [1.5, True, float("nan"), "255", [255]])
def test_an_ignore_index_that_is_no_integer_is_refused(name, ignore):
    with pytest.raises(TypeError, match="ignore_index must be None or an integer"):
        IMAGE_LOSSES[name](ignore_index=ignore, **MASKS)


@NAMES
@pytest.mark.parametrize("target", [None, [[0, 1]], np.zeros((2, 1, 6, 7)), "label"])
def test_a_target_that_is_no_tensor_is_refused_by_name(name, target):
    with pytest.raises((TypeError, ValueError), match=r"target (must be a tensor|is None).*"):
        IMAGE_LOSSES[name](**MASKS)(torch.randn(2, 1, 6, 7), target)


def test_shares_look_at_the_same_values():
    logits, labels = torch.randn(1, 2, 4, 5), labels_like((1, 4, 5), 2)
    for wrong in (5 * labels, 0.5 * labels, labels * torch.nan):
        with pytest.raises(ValueError, match="labels must hold labels in"):
            foreground_shares(logits, wrong)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\] .*got 255"):
        foreground_shares(logits[:, :1], 255 * labels)
    assert foreground_shares(logits, labels.to(torch.uint16)) == foreground_shares(logits, labels)


@NAMES
@pytest.mark.parametrize("setting", [{"softmax": True}, {"to_onehot_y": True}, {"include_background": False}])
def test_one_channel_is_warned_of_exactly_once_in_a_call(name, setting):
    logits, target = torch.rand(2, 1, 8, 8), labels_like((2, 8, 8), 2).float()
    loss = IMAGE_LOSSES[name](**setting)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = loss(logits, target)
    expected = 0 if name == "generalized_dice_boundary" and "include_background" in setting else 1
    assert [text for one in caught if (text := str(one.message)).startswith("single")] == expected * [
        f"single channel prediction, `{'='.join(map(str, next(iter(setting.items()))))}` ignored."
    ]
    if "softmax" not in setting:
        assert found == IMAGE_LOSSES[name]()(logits, target)


@pytest.mark.parametrize(
    "loss",
    [
        BoundaryLoss,
        GeneralizedDiceLoss,
        BoundaryF1Loss,
        SensitivitySpecificityLoss,
        TopologyLoss,
        ComponentDiceLoss,
        BlobLoss,
        GeneralizedSurfaceLoss,
        RegionWiseLoss,
        HausdorffDistanceLoss,
    ],
)
def test_monais_seven_arguments_come_first_and_the_others_by_keyword(loss):
    monai = list(inspect.signature(monai_boundary_loss()).parameters.values())
    ours = list(inspect.signature(loss).parameters.values())
    assert [(one.name, one.default) for one in ours[:7]] == [(one.name, one.default) for one in monai]
    assert all(one.kind is one.KEYWORD_ONLY for one in ours[7:])


def test_five_wrong_labels_and_how_many_voxels_hold_one_are_named():
    with pytest.raises(ValueError, match="got 2, 3, 4, 5, 6 among its values, at 7 voxels"):
        check_label_values("labels", torch.arange(9), 2)


def test_activation_that_changes_the_channels_is_refused() -> None:
    logits, target = torch.randn(2, 2, 8, 8), one_hot(labels_like((2, 8, 8), 2), 2)
    for loss in (GeneralizedDiceLoss, BoundaryLoss, BoundaryF1Loss, ComponentDiceLoss, RegionWiseLoss):
        with pytest.raises(ValueError, match=r"other_act must keep the shape of input, \(2, 2, 8, 8\), got \(2, 1"):
            loss(other_act=lambda values: values.softmax(1)[:, 1:])(logits, target)


@pytest.mark.parametrize("wrong", [torch.ones(2, 8, 8, dtype=torch.bool), torch.ones(2, 1, 8, 8)])
def test_mask_of_what_counts_is_bool_and_of_the_shape_of_the_target(wrong) -> None:
    logits, target = torch.randn(2, 2, 8, 8), one_hot(labels_like((2, 8, 8), 2), 2)
    with pytest.raises(ValueError, match=r"valid must be bool of shape \(2, 1, 8, 8\), got torch"):
        GeneralizedDiceLoss(softmax=True, scale_free=False)(logits, target, valid=wrong)


@pytest.mark.parametrize("loss", [ComponentDiceLoss, BlobLoss])
def test_double_precision_target_beside_single_precision_logits(loss) -> None:
    logits, target = torch.randn(2, 2, 8, 8), one_hot(labels_like((2, 8, 8), 2), 2).float()
    torch.testing.assert_close(loss(softmax=True)(logits, target.double()), loss(softmax=True)(logits, target))
