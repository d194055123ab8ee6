"""Every bad input of kernels, transforms and losses is a clear error; test_odd_input.py has those with a value."""

# ruff: noqa: E501 - a table reads best with one row per line

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_boundary import (
    BoundaryLoss,
    CollapseGuard,
    GeneralizedDiceBoundaryLoss,
    GeneralizedDiceLoss,
    RegionBoundaryLoss,
    SignedDistanceMap,
    distance_transform,
    signed_distance,
    signed_distance_map,
)
from monai_boundary.kernels.distance import preset_options

MASK = np.array([[False, True, True, False]] * 3)
LABELS = MASK[None].astype(np.int64)
LOGITS, MAPS = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4)
TARGET = torch.from_numpy(LABELS)[None]


def spaced(spacing):
    return lambda: signed_distance(MASK, spacing)


def labelled(labels, num_classes=2, **settings):
    return lambda: signed_distance_map(labels, num_classes, **settings)


def boundary(*args, **settings):
    return lambda: BoundaryLoss(softmax=True, **settings)(*args)


def dice(*args, **settings):
    return lambda: GeneralizedDiceLoss(softmax=True, **{"to_onehot_y": True, **settings})(*args)


def transformed(labels, *args, **settings):
    return lambda: SignedDistanceMap(*args, spacing=(1, 1), **settings)(labels)


def with_label(value, dtype=np.int64):
    labels = LABELS.astype(dtype)
    labels[0, 1, 1] = value
    return labels


CALLS = {
    # spacing
    "spacing zero": (spaced((0.0, 1.0)), ValueError, r"spacing must hold one finite value > 0 .* \(2\), got \(0.0, 1.0\)"),
    "spacing negative": (spaced((1, -1)), ValueError, r"spacing must hold one finite value > 0 .*, got \(1.0, -1.0\)"),
    "spacing nan": (spaced((1, float("nan"))), ValueError, r"spacing must hold .*, got \(1.0, nan\)"),
    "spacing inf": (spaced((float("inf"), 1)), ValueError, r"spacing must hold .*, got \(inf, 1.0\)"),
    "spacing too short": (spaced((1.0,)), ValueError, r"spacing must hold .*\(2\), got \(1.0,\)"),
    "spacing too long": (spaced((1, 1, 1)), ValueError, r"spacing must hold .*\(2\), got \(1.0, 1.0, 1.0\)"),
    "spacing empty": (spaced(()), ValueError, r"spacing must hold .*\(2\), got \(\)"),
    "spacing scalar": (spaced(2.0), TypeError, r"spacing must be a sequence .*, got 2.0; .*\(2.0,\) \* 2"),
    "spacing str": (spaced("11"), TypeError, r"spacing must be a sequence .*, got '11'"),
    "spacing 0-d array": (spaced(np.array(2.0)), TypeError, r"spacing must be a sequence .*, got array\(2"),
    "spacing 0-d tensor": (spaced(torch.tensor(2.0)), TypeError, r"spacing must be a sequence .*, got tensor\(2"),
    "spacing of a loss": (
        boundary(LOGITS, TARGET, to_onehot_y=True, spacing=(1, 0)), ValueError, r"spacing must hold .*, got \(1.0, 0.0\)",
    ),
    "spacing of a transform": (
        lambda: SignedDistanceMap(2, spacing=(1.0,))(LABELS), ValueError, r"spacing must hold .*\(2\), got \(1.0,\)",
    ),
    "affine with a zero column": (
        lambda: SignedDistanceMap(2)(MetaTensor(TARGET[0], affine=torch.zeros(4, 4))), ValueError,
        r"spacing must hold .*, got \(0.0, 0.0\)",
    ),
    # masks
    "mask of floats": (lambda: signed_distance(MASK * 1.0), TypeError, r"mask must be bool .*, got dtype float64; threshold"),
    "mask of float16": (
        lambda: distance_transform(MASK.astype(np.float16)), TypeError, r"mask must be bool .*, got dtype float16",
    ),
    "mask of strings": (lambda: signed_distance(MASK.astype(str)), TypeError, r"mask must be bool .*, got dtype <U5"),
    "mask with a 2": (lambda: signed_distance(MASK * 2), ValueError, r"mask must be bool .*, got values in \[0, 2\]"),
    "mask with a -1": (lambda: signed_distance(-1 * MASK), ValueError, r"mask must be bool .*, got values in \[-1, 0\]"),
    "mask with 4 axes": (lambda: signed_distance(MASK[None, None]), ValueError, r"mask must be \(\*S\) .*, got shape \(1, 1, 3, 4\)"),
    "mask with no axis": (lambda: signed_distance(np.array(True)), ValueError, r"mask must be \(\*S\) .*, got shape \(\)"),
    "mask of size 0": (lambda: signed_distance(MASK[:, :0]), ValueError, r"mask must not be empty, got shape \(3, 0\)"),
    "mask without a seed": (lambda: distance_transform(~MASK & MASK), ValueError, r"mask must hold at least one True .*, got none"),
    "mask on the meta device": (
        lambda: signed_distance(torch.from_numpy(MASK).to("meta")), ValueError, r"mask must hold values, got a tensor on the meta device",
    ),
    "mask of complex": (lambda: signed_distance(MASK * 1j), TypeError, r"mask must be bool .*, got dtype complex128"),
    # labels
    "label too large": (labelled(with_label(5)), ValueError, r"labels must lie in \[0, 1\] .*, got \[5\] at 1 voxels; .*num_classes=6"),
    "label negative": (labelled(with_label(-1)), ValueError, r"labels must lie in \[0, 1\] .*, got \[-1\] at 1 voxels"),
    "label 255 beside another ignored": (
        labelled(with_label(255, np.uint8), ignore_index=254), ValueError,
        r"labels must lie in \[0, 1\] or equal ignore_index=254, got \[255\]",
    ),
    "label fractional": (
        labelled(with_label(0.5, np.float32)), ValueError, r"labels must hold integers, got float32 with fractional .*nearest",
    ),
    "label nan": (labelled(with_label(np.nan, np.float64)), ValueError, r"labels must hold integers, got float64 with .*non-finite"),
    "label inf": (labelled(with_label(np.inf, np.float16)), ValueError, r"labels must hold integers, got float16 with .*non-finite"),
    "labels of strings": (labelled(LABELS.astype(str)), TypeError, r"labels must hold integers, got dtype <U"),
    "labels of complex": (labelled(LABELS * 1j), TypeError, r"labels must hold integers, got dtype complex128"),
    "labels one-hot": (
        labelled(np.concatenate([LABELS, LABELS])), ValueError, r"labels must have one channel, .*got shape \(2, 3, 4\); use argmax",
    ),
    "labels without channel": (labelled(LABELS[0, 0]), ValueError, r"labels must be \(C, \*S\) .*, got shape \(4,\)"),
    "labels with 4 axes": (labelled(LABELS[None, None]), ValueError, r"labels must be \(C, \*S\) .*, got shape \(1, 1, 1, 3, 4\)"),
    "labels of size 0": (labelled(LABELS[:, :0]), ValueError, r"labels must not be empty, got shape \(1, 0, 4\)"),
    "labels on the meta device": (labelled(TARGET[0].to("meta")), ValueError, r"labels must hold values, got a tensor on the meta device"),
    "one class": (labelled(LABELS, 1), ValueError, r"num_classes must be an integer >= 2 .*, got 1"),
    "num_classes float": (labelled(LABELS, 2.0), ValueError, r"num_classes must be an integer >= 2 .*, got 2.0"),
    "num_classes bool": (labelled(LABELS, True), ValueError, r"num_classes must be an integer >= 2 .*, got True"),
    # options
    "convention": (labelled(LABELS, convention="center"), ValueError, r"convention must be one of 'half', .*, got 'center'"),
    "absent": (labelled(LABELS, absent="inf"), ValueError, r"absent must be one of 'zero', 'far', got 'inf'"),
    "normalize": (labelled(LABELS, normalize="mean"), ValueError, r"normalize must be one of .*, got 'mean'"),
    "backend": (labelled(LABELS, backend="cupy"), ValueError, r"backend must be one of .*, got 'cupy'"),
    "clip zero": (labelled(LABELS, clip=0), ValueError, r"clip must be finite and > 0, got 0"),
    "clip negative": (labelled(LABELS, clip=-1.0), ValueError, r"clip must be finite and > 0, got -1.0"),
    "clip nan": (labelled(LABELS, clip=float("nan")), ValueError, r"clip must be finite and > 0, got nan"),
    "clip str": (labelled(LABELS, clip="10"), TypeError, r"clip must be a number.*, got str"),
    "clip bool": (labelled(LABELS, clip=True), TypeError, r"clip must be a number.*, got bool"),
    "normalize by no clip": (labelled(LABELS, normalize="clip"), ValueError, r"clip must be given in mm .*, got None"),
    "balance above 1": (labelled(LABELS, balance=1.5), ValueError, r"balance must lie in \[0, 1\], got 1.5"),
    "balance negative": (labelled(LABELS, balance=-0.5), ValueError, r"balance must be finite and >= 0, got -0.5"),
    "balance_lesions above 1": (labelled(LABELS, balance_lesions=2), ValueError, r"balance_lesions must lie in \[0, 1\], got 2"),
    "balance_cap zero": (labelled(LABELS, balance_cap=0), ValueError, r"balance_cap must be finite and > 0, got 0"),
    "preset": (lambda: preset_options("paper"), ValueError, r"preset must be one of .*'published', got 'paper'"),
    "preset of a loss": (lambda: GeneralizedDiceBoundaryLoss("paper"), ValueError, r"preset must be one of .*, got 'paper'"),
    # transforms
    "option unknown": (
        lambda: SignedDistanceMap(2, clipp=3), TypeError,
        r"options of SignedDistanceMap must be of num_classes, .*, balance_lesions, got clipp; did you mean clip\?",
    ),
    "map dtype": (lambda: SignedDistanceMap(2, dtype=torch.bfloat16), ValueError, r"dtype must be one of .*, got torch.bfloat16"),
    "map engine": (lambda: SignedDistanceMap(2, backend="gpu"), ValueError, r"backend must be one of .*, got 'gpu'"),
    "ignore of one-hot": (
        lambda: SignedDistanceMap(ignore_index=255), ValueError, r"ignore_index must be None for one-hot input, got 255",
    ),
    "one-hot of one background": (
        transformed(LABELS, include_background=False), ValueError, r"labels must have a channel besides the background, got 1",
    ),
    "one-hot fractional": (transformed(LABELS * 0.5), ValueError, r"one-hot labels must hold 0 and 1, got fractional values"),
    "one-hot with a 2": (transformed(LABELS * 2), ValueError, r"labels must be bool .*, got values in \[0, 2\]"),
    "transform label range": (transformed(with_label(5), 2), ValueError, r"labels must lie in \[0, 1\] .*, got \[5\]"),
    "transform rank": (transformed(LABELS[0, 0], 2), ValueError, r"labels must be \(C, \*S\) .*, got shape \(4,\)"),
    # losses
    "two activations": (lambda: BoundaryLoss(sigmoid=True, softmax=True), ValueError, r"more than 1 of \[sigmoid=True, softmax=True"),
    "other_act no function": (lambda: BoundaryLoss(other_act="tanh"), TypeError, r"other_act must be None or callable but is str"),
    "reduction": (lambda: BoundaryLoss(reduction="max"), ValueError, r"'max' is not a valid LossReduction"),
    "offset": (lambda: BoundaryLoss(offset="min"), ValueError, r"offset must be one of None, 'zero_at_target', got 'min'"),
    "loss engine": (lambda: BoundaryLoss(backend="gpu"), ValueError, r"backend must be one of .*, got 'gpu'"),
    "logits of integers": (boundary(LOGITS.long(), None, MAPS), TypeError, r"input must be floating point .*, got torch.int64"),
    "logits without space": (boundary(LOGITS[0, 0], None, MAPS), ValueError, r"input must be \(B, C, \*S\) .*, got shape \(3, 4\)"),
    "logits with 4 axes": (
        boundary(LOGITS[..., None, None], None, MAPS), ValueError, r"input must be \(B, C, \*S\) .*, got shape \(1, 2, 3, 4, 1, 1\)",
    ),
    "logits of batch 0": (boundary(LOGITS[:0], None, MAPS[:0]), ValueError, r"input must be .*none empty, got shape \(0, 2, 3, 4\)"),
    "logits of size 0": (dice(LOGITS[:, :, :0], TARGET[:, :, :0]), ValueError, r"input must be .*, got shape \(1, 2, 0, 4\)"),
    "map channels": (boundary(LOGITS, None, MAPS[:, :1]), ValueError, r"distance_map must have shape \(1, 2, 3, 4\) .*, got \(1, 1, 3, 4\)"),
    "map channels of the foreground": (
        boundary(LOGITS, None, torch.zeros(1, 3, 3, 4), include_background=False), ValueError,
        r"distance_map must have shape \(1, 1, 3, 4\) .*include_background=False, got \(1, 3, 3, 4\)",
    ),
    "map shape": (boundary(LOGITS, None, MAPS[..., :3]), ValueError, r"distance_map must have shape .*, got \(1, 2, 3, 3\)"),
    "map batch": (boundary(LOGITS, None, MAPS.expand(2, -1, -1, -1)), ValueError, r"distance_map must .*, got \(2, 2, 3, 4\)"),
    "map rank": (boundary(LOGITS, None, MAPS[0]), ValueError, r"distance_map must have shape .*, got \(2, 3, 4\)"),
    "map of labels": (boundary(LOGITS, None, MAPS.long()), TypeError, r"distance_map must be floating point, got torch.int64"),
    "map on another device": (
        boundary(LOGITS, None, MAPS.to("meta")), ValueError, r"distance_map and input must be on one device, got meta and cpu; move",
    ),
    "neither target nor map": (boundary(LOGITS), ValueError, r"distance_map must be given when target is None"),
    "target on another device": (
        boundary(LOGITS, TARGET.to("meta"), to_onehot_y=True), ValueError, r"target and input must be on one device, got meta and cpu",
    ),
    "labels where one-hot is due": (
        boundary(LOGITS, TARGET), ValueError, r"target must be \(1, 2, 3, 4\), got \(1, 1, 3, 4\); .*to_onehot_y=True",
    ),
    "one-hot where labels are due": (
        boundary(LOGITS, MAPS, to_onehot_y=True), ValueError, r"target must be \(1, 1, 3, 4\), got \(1, 2, 3, 4\)",
    ),
    "target shape": (boundary(LOGITS, TARGET[..., :3], to_onehot_y=True), ValueError, r"target must be .*, got \(1, 1, 3, 3\)"),
    "target label": (
        boundary(LOGITS, 5 * TARGET, to_onehot_y=True), ValueError, r"labels must lie in \[0, 1\] .*, got \[5\] at 6 voxels",
    ),
    "target label, dice": (dice(LOGITS, 5 * TARGET), ValueError, r"target must hold labels in \[0, 1\] .*, got 5 among"),
    "target label negative, dice": (dice(LOGITS, -TARGET), ValueError, r"target must hold labels in \[0, 1\] .*, got -1 among"),
    "target ignored label elsewhere, dice": (
        dice(LOGITS, 5 * TARGET, ignore_index=4), ValueError, r"target must hold labels in \[0, 1\] or ignore_index=4, got 5 among",
    ),
    "alpha negative": (
        lambda: RegionBoundaryLoss(GeneralizedDiceLoss(), BoundaryLoss(), alpha=-1), ValueError, r"alpha must be finite and >= 0, got -1",
    ),
    "alpha nan": (lambda: GeneralizedDiceBoundaryLoss(alpha=float("nan")), ValueError, r"alpha must be finite and >= 0, got nan"),
    "alpha str": (lambda: GeneralizedDiceBoundaryLoss(alpha="0.1"), TypeError, r"alpha must be a number, got str"),
    "weights negative": (
        lambda: setattr(GeneralizedDiceBoundaryLoss(), "term_weights", (1, -0.5)), ValueError, r"weights?.* must be finite and >= 0, got -0.5",
    ),
    "mode": (lambda: GeneralizedDiceBoundaryLoss(mode="swap"), ValueError, r"mode must be one of 'rebalance', 'increase', 'complement', got 'swap'"),
    "region_floor": (
        lambda: RegionBoundaryLoss(GeneralizedDiceLoss(), BoundaryLoss(), region_floor=2), ValueError, r"region_floor must lie in \[0, 1\], got 2",
    ),
    "guard threshold": (lambda: CollapseGuard(threshold=5), ValueError, r"threshold must lie in \[0, 1\], got 5"),
    "guard momentum": (lambda: CollapseGuard(momentum=-0.1), ValueError, r"momentum must be finite and >= 0, got -0.1"),
    "guard warmup": (lambda: CollapseGuard(warmup=-1), ValueError, r"warmup must be an integer >= 0, got -1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_bad_input_is_named_with_what_it_got(name):
    call, error, text = CALLS[name]
    with pytest.raises(error, match=text):
        call()
