"""One rule for what a target may hold, wherever it comes in: transforms, losses, metrics, readers, and files."""

from __future__ import annotations

import math

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

from monai_boundary import (
    BlobLoss,
    BoundaryBand,
    ComponentDiceLoss,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    GeneralizedSurfaceLoss,
    HausdorffDistanceLoss,
    RegionSeeds,
    SignedDistanceMap,
    SignedDistanceMapd,
    signed_distance_map,
)
from monai_boundary.datasets import read_labels
from monai_boundary.evaluation import EvaluationSettings, evaluate_folder
from monai_boundary.losses import DeepSupervisionLoss, Share, foreground_shares
from monai_boundary.metrics import ProtocolMetric, dice_score, score_pair
from monai_boundary.precompute import precompute_maps

LABELS = np.zeros((1, 8, 9), np.int64)
LABELS[0, 2:5, 3:7] = 1
LOGITS, TARGET = torch.randn(1, 2, 8, 9, generator=torch.Generator().manual_seed(0)), torch.from_numpy(LABELS)[None]


@pytest.mark.parametrize("wrong", [1.5, True, math.nan, "255", [255]])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: SignedDistanceMap(2, ignore_index=value),
        lambda value: SignedDistanceMap(ignore_index=value),
        lambda value: BoundaryBand(2, ignore_index=value),
        lambda value: signed_distance_map(LABELS, 2, ignore_index=value),
        lambda value: signed_distance_map(LABELS, 2, ignore_index=value, backend="torch"),
        lambda value: EvaluationSettings(ignore_index=value),
        lambda value: score_pair("surface", LABELS, LABELS, None, ignore_index=value),
        lambda value: foreground_shares(LOGITS, TARGET, value),
        lambda value: precompute_maps(".", ".", 2, ignore_index=value),
    ],
    ids=["map", "map_one_hot", "band", "kernel", "torch_kernel", "evaluate", "score_pair", "shares", "precompute"],
)
def test_an_ignore_index_is_an_integer_everywhere(make, wrong):
    with pytest.raises(TypeError, match="ignore_index must be None or an integer"):
        make(wrong)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
@pytest.mark.parametrize("ignore", [None, 255])
def test_unsigned_labels_pass_the_check_of_the_map_a_share_and_several_heads(dtype, ignore):
    labels, maps = TARGET.clone(), torch.from_numpy(signed_distance_map(LABELS, 2))[None]
    if ignore is not None:
        labels[..., 0] = ignore
    for alpha in (0.3, Share(0.2)):
        expected, found = (
            DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(alpha=alpha, ignore_index=ignore))(
                [LOGITS.clone().requires_grad_(), LOGITS[..., ::2, ::3].clone().requires_grad_()], target, maps
            )
            for target in (labels, labels.to(dtype))
        )
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


# What scaling leaves


@pytest.mark.parametrize("stored", [255, 49, 41, 3])
def test_a_slope_is_read_alike_by_every_reader(tmp_path, stored):
    data, folders = np.zeros((20, 18, 6), np.int16), [tmp_path / name for name in ("labels", "found")]
    data[4:12, 5:11, 2:4], data[12:15, 5:9, 1:3] = stored, 2 * stored
    image = nibabel.Nifti1Image(data, np.eye(4))
    image.header.set_slope_inter(1 / stored, 0)
    for folder in folders:
        folder.mkdir()
        nibabel.save(image, folder / "a.nii.gz")
        content = nibabel.load(folder / "a.nii.gz")
        assert content.dataobj.slope != 1
    whole = data // stored
    assert np.array_equal(read_labels(folders[0] / "a.nii.gz").array, whole.T)
    result = evaluate_folder(folders[1], folders[0], EvaluationSettings(labels=(1, 2)), progress=False)
    assert not result.failed
    assert [row.scores["dice"] for row in result.rows] == [1.0, 1.0]
    precompute_maps(folders[0], tmp_path / "maps", 3, progress=False)
    expected = signed_distance_map(whole[None], 3, clip=10.0, absent="far", normalize="clip")
    steps = [
        LoadImaged("label", dtype=np.float64),
        EnsureChannelFirstd("label"),
        SignedDistanceMapd("label", num_classes=3),
    ]
    sample = Compose(steps)({"label": str(folders[0] / "a.nii.gz")})
    np.testing.assert_array_equal(sample["distance_map"].numpy(), expected)


@pytest.mark.parametrize("offset", [-6e-8, 6e-8, 1e-5])
def test_labels_next_to_a_whole_number_are_that_number_in_transforms_losses_and_metrics(offset):
    off = LABELS.astype(np.float64) * (1 + offset)
    target = torch.from_numpy(off)[None]
    np.testing.assert_array_equal(
        SignedDistanceMap(2, spacing=(1, 1))(off), SignedDistanceMap(2, spacing=(1, 1))(LABELS)
    )
    onehot = np.concatenate([1 - off, off])
    np.testing.assert_array_equal(BoundaryBand()(onehot), BoundaryBand(2)(LABELS))
    seeds = RegionSeeds(spacing=(1, 1))
    np.testing.assert_array_equal(seeds(off)[0], seeds(LABELS)[0])
    settings = {"softmax": True, "to_onehot_y": True}
    losses = (GeneralizedDiceLoss, ComponentDiceLoss, BlobLoss, GeneralizedSurfaceLoss, HausdorffDistanceLoss)
    for loss in (*(kind(**settings) for kind in losses), GeneralizedDiceBoundaryLoss(spacing=(1, 1))):
        torch.testing.assert_close(loss(LOGITS, target), loss(LOGITS, TARGET), rtol=0, atol=0)
    loss = GeneralizedDiceLoss(sigmoid=True)
    torch.testing.assert_close(loss(LOGITS[:, :1], target), loss(LOGITS[:, :1], TARGET), rtol=0, atol=1e-4)
    assert foreground_shares(LOGITS, target) == foreground_shares(LOGITS, TARGET)
    for settings in ({}, {"num_classes": 2}):
        metric = ProtocolMetric("surface", "dice", **settings)
        metric(TARGET, target)
        assert float(metric.aggregate()) == 1.0
    assert score_pair("surface", off, LABELS, None)["dice"] == 1.0


# Scores of masks


def with_rim(value: float) -> np.ndarray:
    return np.where(np.arange(9) < 1, value, LABELS)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (255 * LABELS, "must hold the label 1, got a mask of 0 and 255; divide it by 255"),
        (with_rim(255), "must hold 0 and 1, got 255 at 8 voxels beside them; pass ignore_index=255"),
        (with_rim(-1), "must hold labels >= 0 or ignore_index=None, got -1; name the value"),
        (with_rim(0.5), "must hold integers, got float64 with fractional"),
    ],
)
def test_a_pair_is_scored_only_if_both_hold_labels(side, labels, text):
    pair = [LABELS[0], LABELS[0]]
    pair[side] = labels[0]
    with pytest.raises(ValueError, match=("pred ", "target ")[side] + text):
        score_pair("surface", *pair, None)


@pytest.mark.parametrize("ignore", [255, -1, 7])
def test_what_a_pair_ignores_may_have_any_number(ignore):
    labels = with_rim(ignore)[0]
    assert score_pair("surface", LABELS[0], labels, None, ignore_index=ignore)["dice"] == 1.0
    assert score_pair("surface", labels, labels, None, ignore_index=ignore)["dice"] == 1.0


def test_dice_is_that_of_masks_alone():
    mask = LABELS[0]
    assert dice_score(mask, np.roll(mask, 1, 0)) == dice_score(mask > 0, torch.from_numpy(np.roll(mask, 1, 0))) == 2 / 3
    for wrong in (255 * mask, 2 * mask):
        with pytest.raises(ValueError, match=r"target must be bool \(or integers 0 and 1\), got values in"):
            dice_score(mask, wrong)
    with pytest.raises(TypeError, match=r"target must be bool .*got dtype float64; threshold it first"):
        dice_score(mask, 0.5 * mask)


def test_soft_masks_count_from_a_half_on():
    soft = torch.tensor([[[0.0, 0.3, 0.6, 1.0]]])
    assert foreground_shares(torch.ones(1, 1, 4), soft) == ([1.0], [0.5])
