"""A loss looks at its first map: whose settings it has, and whether it belongs to the label."""

from __future__ import annotations

import copy
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor
from monai.transforms import (
    Compose,
    RandAffined,
    RandFlipd,
    RandRotate90d,
    RandRotated,
    RandSpatialCropd,
    RandZoomd,
    Spacingd,
    SpatialPadd,
)

from monai_boundary import (
    BoundaryLoss,
    DeepSupervisionLoss,
    DistanceMapOptions,
    GeneralizedDiceBoundaryLoss,
    RescaleDistanceMapd,
    SignedDistanceMap,
    SignedDistanceMapd,
)
from monai_boundary._geometry import MissingSpacingWarning
from monai_boundary.kernels.distance import CLIPPED, CONVENTIONS, PUBLISHED, ROBUST
from monai_boundary.losses.map_agreement import FirstMapCheck, MapMismatchWarning, check_signs, label_masks

KEYS = ["label", "distance_map"]
LINEAR, TRILINEAR = ["nearest", "bilinear"], ["nearest", "trilinear"]
TURN, SCALE = {"rotate_range": [0.4] * 3, "mode": LINEAR}, [0.3] * 3
SIZE = (20, 30, 30)
OPTIONS = [
    ROBUST,
    CLIPPED,
    *(DistanceMapOptions(convention) for convention in CONVENTIONS),
    DistanceMapOptions("kervadec", clip=5, absent="far", normalize="clip"),
    DistanceMapOptions("kervadec", balance=1.0),
    DistanceMapOptions("centre", normalize="max", balance=1.0),
    DistanceMapOptions("half", absent="far", normalize="diagonal"),
]


def labels(seed: int, radius: tuple[float, float] = (2.0, 6.0)) -> np.ndarray:
    """Ellipsoids of classes 1 and 2, `(1, *SIZE)`."""
    rng, result = np.random.default_rng(seed), np.zeros((1, *SIZE), np.uint8)
    grid = np.moveaxis(np.indices(SIZE), 0, -1)
    for number in range(6):
        offset = (grid - rng.uniform(0, SIZE)) / rng.uniform(0.7, 1.3, 3)
        result[0, np.linalg.norm(offset, axis=-1) <= rng.uniform(*radius)] = 1 + number % 2
    return result


def sample(seed: int, options: DistanceMapOptions, spacing=(1.0, 1.0, 1.0), **shape) -> dict:
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    step = SignedDistanceMapd("label", num_classes=3, preset=None, include_background=False, **vars(options))
    return step({"label": MetaTensor(torch.from_numpy(labels(seed, **shape)), affine=affine)})


def collated(samples: list[dict]) -> tuple[torch.Tensor, torch.Tensor]:
    (batch,) = DataLoader(samples, batch_size=len(samples))
    return batch["label"], batch["distance_map"]


def agree(target: torch.Tensor, maps: torch.Tensor, options: DistanceMapOptions, ignore_index: int | None = None):
    logits = torch.empty(len(target), 3, *target.shape[2:])
    return check_signs(maps, *label_masks(target, logits, 1, ignore_index), options)


PIPELINES = {
    "flips and quarter turns": [RandFlipd(KEYS, 1.0, 0), RandFlipd(KEYS, 0.5, 2), RandRotate90d(KEYS, 1.0, 3, (1, 2))],
    "crop": [RandSpatialCropd(KEYS, (6, 12, 12), random_size=False)],
    "edge padding": [SpatialPadd(KEYS, (16, 32, 32), mode="edge")],
    "zoom in": [RandZoomd(KEYS, 1.0, 1.4, 1.4, TRILINEAR, "edge"), RescaleDistanceMapd(KEYS[1])],
    "zoom out": [RandZoomd(KEYS, 1.0, 0.7, 0.7, TRILINEAR, "edge"), RescaleDistanceMapd(KEYS[1])],
    "rotation": [RandRotated(KEYS, 0.5, 0.5, 0.5, 1.0, mode=LINEAR, padding_mode="border")],
    "affine, label padded with background": [
        RandAffined(KEYS, prob=1.0, scale_range=SCALE, padding_mode=["zeros", "border"], **TURN)
    ],
    "other spacing": [Spacingd(KEYS, (1.3, 1.3, 1.3), mode=LINEAR)],
}  # fmt: skip


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (6.0, 0.6, 0.6), (0.3, 0.3, 0.3)], ids=str)
@pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES)
def test_maps_that_moved_with_their_label_pass(steps, spacing):
    for seed, options in enumerate(OPTIONS):
        moved = [
            Compose(steps).set_random_state(seed)(sample(number, options, spacing, radius=radius))
            for number, radius in ((seed, (2.0, 6.0)), (seed + 100, (0.3, 1.2)))
        ]
        for item in moved:
            with warnings.catch_warnings():
                warnings.simplefilter("error", MapMismatchWarning)
                found = agree(item["label"][None], item["distance_map"][None], options)
            assert found == {index - 1 for index in (1, 2) if (item["label"] == index).sum() >= 10}


MISTAKES = {
    "label flipped": lambda target, maps: (target.flip(-1), maps),
    "label cropped elsewhere": lambda target, maps: (target[..., :14], maps[..., -14:]),
    "another case": lambda target, maps: (target, maps.flip(0)),
    "channels in another order": lambda target, maps: (target, maps.flip(1)),
    "positive inside": lambda target, maps: (target, -maps),
}


@pytest.mark.parametrize("options", [o for o in OPTIONS if o != DistanceMapOptions("kervadec", balance=1.0)], ids=str)
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("half", [False, True])
def test_maps_that_belong_to_no_such_label_are_refused(mistake, options, half):
    target, maps = mistake(*(tensor.as_tensor() for tensor in collated([sample(1, options), sample(2, options)])))
    with pytest.raises(ValueError, match=r"must be negative inside .*, got positive values at \d+% of the foreground"):
        agree(target, maps.half() if half else maps, options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_zeros_that_a_crop_or_a_rotation_padded_are_named(options):
    padded = [SpatialPadd(KEYS, (16, 32, 32), mode="constant"),
              RandAffined(KEYS, prob=1.0, translate_range=[(4, 4)] * 3, mode=LINEAR, padding_mode="zeros")]  # fmt: skip
    for step in padded:
        item = step(sample(3, options))
        with pytest.warns(MapMismatchWarning, match=r"got exactly 0 at \d+% of those voxels.*padding_mode='border'"):
            agree(item["label"][None], item["distance_map"][None], options)


def test_a_map_of_zeros_is_right_only_where_the_label_has_no_contour():
    target, maps = torch.zeros(1, 1, *SIZE), torch.zeros(1, 2, *SIZE)
    for value in (0, 1):  # absent, and all there is
        assert bool(agree(target + value, maps, PUBLISHED)) is bool(value)
    target[..., 3:9] = 1
    with pytest.warns(MapMismatchWarning, match="exactly 0 at"):
        agree(target, maps, PUBLISHED)


def test_voxels_that_do_not_count_are_looked_at_by_neither(recwarn):
    target, maps = (tensor.as_tensor().clone() for tensor in collated([sample(4, ROBUST)]))
    target[..., :12], maps[..., :12] = 255, 0
    assert agree(target, maps, ROBUST)
    assert agree(target, maps, ROBUST, ignore_index=255)
    target[..., 12:18], maps[..., 12:18] = 2, 0
    assert agree(target, maps, ROBUST, ignore_index=2)
    assert not recwarn.list


@pytest.mark.parametrize("zoomed", [False, True])
@pytest.mark.parametrize("ignored", [None, 2])
def test_a_map_that_counts_what_the_loss_ignores_is_named(ignored, zoomed, recwarn):
    step = SignedDistanceMapd("label", num_classes=3, include_background=False, ignore_index=ignored, spacing=(1, 1, 1))
    made = step({"label": MetaTensor(torch.from_numpy(labels(5, radius=(5.0, 7.0))))})
    if zoomed:  # linear interpolation blurs the zeros of what is ignored
        made = Compose([RandZoomd(KEYS, 1.0, 1.3, 1.3, TRILINEAR, "edge"), RescaleDistanceMapd(KEYS[1])])(made)
    assert agree(*collated([made]), ROBUST, ignore_index=2)
    named = [warning for warning in recwarn if "ignore_index" in str(warning.message)]
    assert len(named) == (ignored is None)


def test_masks_come_from_label_maps_and_from_channels():
    target = torch.from_numpy(labels(5))[None].long()
    onehot = torch.cat([target == index for index in range(3)], 1)
    logits = torch.empty(1, 3, *SIZE)
    for given, ignored in ((target, None), (target[:, 0], None), (onehot, None), (onehot.float(), 255), (target, 255)):
        for first in (0, 1):
            masks, valid = label_masks(given, logits, first, ignored)
            assert torch.equal(masks, onehot[:, first:])
            assert valid.all()
    assert torch.equal(label_masks(target, logits[:, :1], 0, 2)[1], target != 2)
    for wrong in (None, target[..., 1:], onehot[:, :2], torch.zeros(1, 3)):
        assert label_masks(wrong, logits, 0, None) is None


def test_settings_are_compared_once_and_the_remedy_is_named():
    target, maps = collated([sample(6, PUBLISHED)])
    check = FirstMapCheck()
    text = r"clip=None and not 10.0.*; pass preset='robust' to SignedDistanceMapd .*, or preset='published' to the loss"
    with pytest.warns(MapMismatchWarning, match=text):
        check(maps, ROBUST, lambda: None)
    check(maps, ROBUST, lambda: None)  # warnings are errors here
    with pytest.warns(
        MapMismatchWarning, match=r"pass preset=None, convention='half', .* or options=DistanceMapOptions\("
    ):
        FirstMapCheck()(collated([sample(6, DistanceMapOptions(clip=3.0))])[1], DistanceMapOptions(), lambda: None)
    FirstMapCheck()(maps, PUBLISHED, lambda: label_masks(target, torch.empty(1, 3, *SIZE), 1, None))
    FirstMapCheck()(maps.as_tensor(), ROBUST, lambda: None)  # a plain tensor says nothing of itself


def test_the_check_waits_for_a_batch_with_foreground_and_looks_no_further():
    target, maps = (tensor.as_tensor() for tensor in collated([sample(7, ROBUST)]))
    logits, check, calls = torch.empty(1, 3, *SIZE), FirstMapCheck(), []

    def masks(label):
        calls.append(label)
        return label_masks(label, logits, 1, None)

    check(maps.abs() + 0.1, ROBUST, lambda: masks(torch.zeros_like(target)))
    check(maps, ROBUST, lambda: masks(target))
    check(-maps, ROBUST, lambda: masks(target))
    assert len(calls) == 2
    assert not copy.deepcopy(check).looks[True]


def test_a_class_of_a_few_voxels_is_not_judged_and_the_next_map_is():
    check, logits = FirstMapCheck(), torch.empty(1, 2, 9, 12)
    for width in (9, 10):
        target = torch.zeros(1, 1, 9, 12)
        target[..., 4, 1 : 1 + width] = 1
        maps = -SignedDistanceMap(2, include_background=False, spacing=(1, 1))(target[0])[None]
        if width == 9:
            check(maps, CLIPPED, partial(label_masks, target, logits, 1, None))
        else:
            with pytest.raises(ValueError, match="must be negative inside"):
                check(maps, CLIPPED, partial(label_masks, target, logits, 1, None))


def test_validation_and_training_are_looked_at_each_for_itself():
    target, maps = collated([sample(9, CLIPPED)])
    loss, logits = LOSSES["alone"](), torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        loss(logits, target, maps)
    with pytest.raises(ValueError, match="must be negative inside of the label"):
        loss(logits, target, maps.flip(-1))


def test_each_channel_is_judged_once_it_is_there_and_looking_has_an_end():
    target, maps = (tensor.as_tensor() for tensor in collated([sample(9, CLIPPED)]))
    logits, check = torch.empty(1, 3, *SIZE), FirstMapCheck()
    for rare in (False, True):  # the background and class 1 are in every batch
        label = target if rare else target.where(target < 2, 0)
        for _ in range(1 if rare else 90):
            if rare:
                with pytest.raises(ValueError, match=r"100% of the foreground of channel 1;"):
                    check(
                        torch.cat([maps[:, :1], -maps[:, 1:]], 1), CLIPPED, partial(label_masks, label, logits, 1, None)
                    )
            else:
                check(maps, CLIPPED, partial(label_masks, label, logits, 1, None))
    for _ in range(20):
        check(maps, CLIPPED, partial(label_masks, target.where(target < 2, 0), logits, 1, None))
    check(-maps, CLIPPED, partial(label_masks, target, logits, 1, None))


@pytest.mark.parametrize("ndim", [1, 2])
def test_one_and_two_axes_are_checked_too(ndim):
    target, maps = (t.as_tensor() for t in collated([sample(8, ROBUST)]))
    index = (slice(None), slice(None), *(target == 1).nonzero()[0, 2:][: 3 - ndim].tolist())
    target, maps = (torch.cat([tensor[index]] * 10) for tensor in (target, maps))
    agree(target, maps, ROBUST)
    with pytest.raises(ValueError, match="must be negative inside"):
        agree(target, -maps, ROBUST)


LOSSES = {
    "alone": lambda **settings: BoundaryLoss(False, True, softmax=True, **settings),
    "combined": lambda **settings: GeneralizedDiceBoundaryLoss(**settings),
    "heads": lambda **settings: DeepSupervisionLoss(GeneralizedDiceBoundaryLoss(**settings)),
}


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
def test_every_boundary_loss_checks_its_first_map_and_no_other(make):
    target, maps = collated([sample(9, CLIPPED)])
    logits = torch.randn(1, 3, *SIZE)
    given = [logits, logits[..., ::2, ::2, ::2]] if isinstance(make(), DeepSupervisionLoss) else logits
    with pytest.raises(ValueError, match="must be negative inside of the label"):
        make()(given, target, maps.flip(-1))
    make(check_map=False)(given, target, maps.flip(-1))
    loss = make()
    loss(given, target, maps)
    loss(given, target, maps.flip(-1))  # looked at once: a look waits for the device
    with pytest.warns(MapMismatchWarning, match="pass preset='published' to SignedDistanceMapd"):
        make(preset="published")(given, target, maps)


def test_transform_and_loss_make_the_same_map_by_default():
    affine = torch.diag(torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=torch.float64))
    case = {"label": MetaTensor(torch.from_numpy(labels(10)), affine=affine)}
    target, maps = collated([SignedDistanceMapd("label", num_classes=3, include_background=False)(case)])
    logits = torch.randn(1, 3, *SIZE)
    for make in LOSSES.values():
        if make is not LOSSES["heads"]:
            torch.testing.assert_close(make()(logits, target), make()(logits, target, maps))


@pytest.mark.parametrize("to_onehot_y", [True, False])
def test_a_loss_that_makes_its_map_takes_the_spacing_of_each_label(to_onehot_y):
    samples = [sample(11, CLIPPED, spacing) for spacing in ((3.0, 1.0, 1.0), (1.0, 0.5, 2.0))]
    target, maps = collated(samples)
    if not to_onehot_y:
        onehot = torch.cat([target == index for index in range(3)], 1).float()
        target = MetaTensor(onehot.as_tensor(), meta=target.meta)
    loss = BoundaryLoss(False, to_onehot_y, softmax=True)
    logits = torch.randn(2, 3, *SIZE)
    torch.testing.assert_close(loss(logits, target), loss(logits, None, maps))


@pytest.mark.filterwarnings("error:spacing of the target is unknown")
def test_unknown_spacing_is_said_once_and_not_where_it_is_known_or_not_needed():
    target, maps = collated([sample(12, CLIPPED)])
    logits, loss = torch.randn(1, 3, *SIZE), LOSSES["alone"]()
    loss(logits, target)
    loss(logits, target.as_tensor(), maps)
    LOSSES["alone"](spacing=(1, 1, 1))(logits, target.as_tensor())
    with pytest.warns(MissingSpacingWarning, match=r"makes distance maps in voxels; pass spacing= to the loss"):
        loss(logits, target.as_tensor())
    loss(logits, target.as_tensor())
