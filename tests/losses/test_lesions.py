"""Losses that are means over lesions, against loops over lesions by scipy, and on hand-made cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.losses import DiceCELoss
from scipy import ndimage

from monai_boundary import (
    BlobLoss,
    ComponentDiceLoss,
    DeepSupervisionLoss,
    GeneralizedDiceLoss,
    LesionCells,
    RegionBoundaryLoss,
    Share,
)
from monai_boundary.losses import cell_sums
from monai_boundary.transforms import MissingSpacingWarning
from tests.losses.samples import value_and_gradient

close = torch.testing.assert_close
LABELS = {"softmax": True, "to_onehot_y": True, "include_background": False}


def cells_of(mask: np.ndarray, spacing=None) -> np.ndarray:
    """Number of the nearest component, connected also across corners; of two equally far, the smaller."""
    ids, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    if not count:
        return ids
    far = [ndimage.distance_transform_edt(ids != number, spacing) for number in range(1, count + 1)]
    return 1 + np.argmin(np.round(far, 6), axis=0)


def region_loss(probs: np.ndarray, true: np.ndarray, where: np.ndarray, dice_weight: float = 1.0) -> float:
    """Dice loss and cross-entropy of the voxels `where`, in float64, without anything added to the ratio."""
    p, t = probs[where], true[where].astype(float)
    entropy = -np.log(np.where(t > 0, p, 1 - p)).mean()
    return dice_weight * (1 - 2 * (p * t).sum() / (p.sum() + t.sum())) + entropy


def loop(kind: str, probs: np.ndarray, true: np.ndarray, cells: np.ndarray, valid: np.ndarray, **settings) -> float:
    """Mean over the lesions of one class of one sample, one after the other."""
    found = []
    for number in range(1, cells.max() + 1):
        own = true & (cells == number) & valid
        if own.any():
            others = true & ~own
            where = cells == number if kind == "component_dice" else ~others
            found.append(region_loss(probs, true, where & valid, **settings))
    return float(np.mean(found)) if found else region_loss(probs, true, valid, **settings)


def blobs(seed: int, shape: tuple[int, ...], share: float = 0.12) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.0)
    return field > np.quantile(field, 1 - share)


KINDS = {"component_dice": ComponentDiceLoss, "blob": BlobLoss}


@pytest.mark.parametrize("kind", KINDS)
@given(st.integers(0, 10**6), st.sampled_from([(40,), (15, 17), (7, 9, 8)]), st.booleans(), st.booleans())
def test_value_is_the_loop_over_the_lesions_of_each_class(kind, seed, shape, sigmoid, ignored):
    rng = np.random.default_rng(seed)
    masks = np.stack([[blobs(seed + 10 * b + c, shape) for c in range(2)] for b in range(2)])
    labels = np.where(masks[:, 0], 1, np.where(masks[:, 1], 2, 0))[:, None]
    logits = rng.standard_normal((2, 3, *shape))
    if ignored:
        labels[rng.random(labels.shape) < 0.2] = 255
    settings = {**LABELS, "softmax": not sigmoid, "sigmoid": sigmoid, "ignore_index": 255, "reduction": "none"}
    found = KINDS[kind](ce_weight=float(sigmoid), **settings)(torch.from_numpy(logits), torch.from_numpy(labels))
    powers = np.exp(logits)
    probs = powers / (1 + powers) if sigmoid else powers / powers.sum(1, keepdims=True)
    for b in range(2):
        for c in (1, 2):
            true, valid = labels[b, 0] == c, labels[b, 0] != 255
            expected = loop(kind, probs[b, c], true, cells_of(true), valid)
            if not sigmoid:  # Dice alone: after a softmax the cross-entropy is that of all classes
                expected = _dice_loop(kind, probs[b, c], true, valid)
            assert float(found[b, c - 1]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def _dice_loop(kind: str, probs: np.ndarray, true: np.ndarray, valid: np.ndarray) -> float:
    return loop(kind, probs, true, cells_of(true), valid) - np.mean(_entropies(kind, probs, true, valid))


def _entropies(kind: str, probs: np.ndarray, true: np.ndarray, valid: np.ndarray) -> list[float]:
    cells, found = cells_of(true), []
    for number in range(1, cells.max() + 1):
        own = true & (cells == number) & valid
        if own.any():
            where = valid & (cells == number if kind == "component_dice" else ~(true & ~own))
            found.append(region_loss(probs, true, where, dice_weight=0.0))
    return found or [region_loss(probs, true, valid, dice_weight=0.0)]


@pytest.mark.parametrize("kind", KINDS)
def test_cross_entropy_after_a_softmax_is_that_of_all_classes(kind):
    labels = torch.from_numpy(np.where(blobs(0, (12, 14)), 1, 2 * blobs(1, (12, 14))))[None, None]
    logits = torch.randn(1, 3, 12, 14, dtype=torch.float64)
    found = KINDS[kind](dice_weight=0, reduction="none", **LABELS)(logits, labels)
    entropy = torch.nn.functional.cross_entropy(logits, labels[:, 0].long(), reduction="none")[0].numpy()
    for c in (1, 2):
        true = labels[0, 0].numpy() == c
        cells = cells_of(true)
        regions = [
            cells == n if kind == "component_dice" else ~(true & (cells != n)) for n in range(1, cells.max() + 1)
        ]
        assert float(found[0, c - 1]) == pytest.approx(np.mean([entropy[one].mean() for one in regions]))


def test_two_classes_equal_the_published_loss():
    """CC-DiceCE as its authors' code has it: ids of cells, cross-entropy of both channels, 1 for an empty sample."""
    true = np.stack([blobs(3, (9, 10, 11)), np.zeros((9, 10, 11), bool)])
    logits = torch.randn(2, 2, 9, 10, 11, dtype=torch.float64)
    probs = torch.softmax(logits, 1)[:, 1].numpy()
    loss = ComponentDiceLoss(reduction="none", **LABELS)(logits, torch.from_numpy(true[:, None].astype(int)))[:, 0]
    everywhere = np.ones(true[0].shape, bool)
    assert float(loss[0]) == pytest.approx(loop("component_dice", probs[0], true[0], cells_of(true[0]), everywhere))
    empty = -np.log(1 - probs[1]).mean() + 1
    assert float(loss[1]) == pytest.approx(empty, rel=1e-6)


def test_with_the_whole_volume_it_is_the_mean_of_two_terms():
    logits, labels = (
        torch.randn(2, 2, 9, 10),
        torch.from_numpy(np.stack([blobs(1, (9, 10)), blobs(2, (9, 10))]))[:, None],
    )
    region = DiceCELoss(**LABELS, smooth_nr=0, smooth_dr=1e-8)
    both = RegionBoundaryLoss(region, ComponentDiceLoss(**LABELS), alpha=0.5, mode="complement")
    close(
        both(logits, labels.long()), (region(logits, labels.long()) + ComponentDiceLoss(**LABELS)(logits, labels)) / 2
    )


# What the cells say


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64, torch.uint8, torch.float32])
def test_given_cells_are_those_that_the_loss_makes(kind, dtype):
    labels = torch.from_numpy(np.stack([blobs(1, (9, 10, 8)), blobs(2, (9, 10, 8))]))[:, None].long()
    logits = torch.randn(2, 2, 9, 10, 8)
    loss = KINDS[kind](**LABELS)
    cells = loss.compute_lesion_cells(labels, logits)
    assert cells.shape == (2, 1, 9, 10, 8)
    for made in (cells.to(dtype), MetaTensor(cells.to(dtype))):
        expected = value_and_gradient(loss, logits, labels)
        close(value_and_gradient(loss, logits, labels, made), expected, rtol=0, atol=0)


def test_cells_of_the_transform_are_those_that_the_loss_makes():
    labels, logits = (
        torch.from_numpy(np.where(blobs(1, (9, 10, 8)), 1, 2 * blobs(2, (9, 10, 8))))[None, None],
        torch.randn(1, 3, 9, 10, 8),
    )
    loss = ComponentDiceLoss(spacing=(3, 1, 1), **LABELS)
    made = LesionCells(num_classes=3, spacing=(3, 1, 1))(labels[0])[None]
    close(made, loss.compute_lesion_cells(labels, logits).to(made.dtype))
    target = {"label": labels, "lesion_cells": made}
    close(
        RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True, to_onehot_y=True), loss, alpha=1)(logits, target),
        0.1 * GeneralizedDiceLoss(softmax=True, to_onehot_y=True)(logits, labels) + loss(logits, labels),
    )


def test_cells_of_numbers_far_apart_are_the_same():
    labels, logits = torch.from_numpy(blobs(1, (9, 10)))[None, None].long(), torch.randn(1, 2, 9, 10)
    loss = ComponentDiceLoss(**LABELS)
    cells = loss.compute_lesion_cells(labels, logits)
    close(loss(logits, labels, 7 * cells + 20000), loss(logits, labels, cells))


def test_a_cell_that_a_crop_left_without_its_lesion_does_not_count():
    labels, logits = torch.zeros(1, 1, 20, dtype=torch.long), torch.randn(1, 2, 20)
    labels[..., [2, 3, 17]] = 1
    loss = ComponentDiceLoss(**LABELS)
    cells = loss.compute_lesion_cells(labels, logits)
    assert cells[0, 0].tolist() == [1] * 11 + [2] * 9
    left, start = slice(0, 14), slice(0, 11)
    found = loss(logits[..., left], labels[..., left], cells[..., left])
    close(found, loss(logits[..., start], labels[..., start], cells[..., start]))


def test_a_crop_of_background_with_cells_is_scored_on_the_whole_volume():
    logits, labels = torch.randn(1, 2, 8), torch.zeros(1, 1, 8, dtype=torch.long)
    cells = torch.tensor([[[1, 1, 1, 2, 2, 2, 2, 2]]])
    for kind in KINDS.values():
        close(kind(**LABELS)(logits, labels, cells), kind(**LABELS)(logits, labels))


@pytest.mark.parametrize("kind", KINDS)
def test_padding_with_zeros_is_in_no_cell(kind):
    labels, logits = torch.zeros(1, 1, 9, dtype=torch.long), torch.randn(1, 2, 9)
    labels[..., 2], labels[..., 6] = 1, 1
    loss = ComponentDiceLoss(**LABELS)
    cells = loss.compute_lesion_cells(labels, logits)
    wide = [torch.nn.functional.pad(one, (0, 3)) for one in (logits, labels, cells)]
    close(loss(*wide), loss(logits, labels, cells))


def test_distances_are_in_the_spacing_of_the_target_or_that_of_the_loss():
    mask = np.zeros((6, 9), int)
    mask[0, 0], mask[5, 4] = 1, 1
    labels, logits = torch.from_numpy(np.stack([mask, mask]))[:, None], torch.randn(2, 2, 6, 9)
    loss = ComponentDiceLoss(**LABELS)
    for spacing in ((1.0, 1.0), (5.0, 1.0)):
        affine = torch.diag(torch.tensor([*spacing, 1.0, 1.0]))
        found = loss.compute_lesion_cells(MetaTensor(labels, affine=affine), logits)
        np.testing.assert_array_equal(found[0, 0], cells_of(mask, spacing))
        found = ComponentDiceLoss(spacing=spacing, **LABELS).compute_lesion_cells(labels, logits)
        np.testing.assert_array_equal(found[1, 0], cells_of(mask, spacing))
    assert (cells_of(mask, (5.0, 1.0)) != cells_of(mask)).any()


def test_a_loss_that_measures_cells_in_voxels_says_so_once():
    labels, logits = torch.tensor([[[0, 1, 0, 0, 1]]]), torch.zeros(1, 2, 5)
    cells = LesionCells(2, spacing=(1.0,))(labels[0])[None]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ComponentDiceLoss(**LABELS)(logits, labels, cells)  # makes none itself
        ComponentDiceLoss(spacing=(1,), **LABELS)(logits, labels)
        ComponentDiceLoss(**LABELS)(logits, MetaTensor(labels))
    assert not said
    for beside in (cells, None):  # those of the prediction are measured, too
        loss = ComponentDiceLoss(bidirectional=True, threshold=0.4, **LABELS)
        with pytest.warns(MissingSpacingWarning, match=r"the loss makes cells in voxels; pass spacing= to the loss"):
            loss(logits, labels, beside)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss(logits, labels, beside)


# Hand-made cases


def row(text: str) -> torch.Tensor:
    return torch.tensor([[[int(one) for one in text]]]).float()


def sure(text: str) -> torch.Tensor:
    """Logits of a prediction without doubt."""
    return 120 * row(text) - 60


DICE = {"sigmoid": True, "ce_weight": 0.0}
CASES = {
    "all found": ("1000011100", "1000011100", 0, 0),
    "the small one missed": ("1000011100", "0000011100", 1 / 2, 1 / 2),
    "the large one missed": ("1000011100", "1000000000", 1 / 2, 1 / 2),
    "a false one in the small one's cell": ("1000011100", "1010011100", 1 / 6, (1 / 3 + 1 / 7) / 2),
    "split": ("0011111000", "0011011000", 1 / 9, 1 / 9),
    # each half ends at the border of the two cells
    "merged": ("0011001100", "0011111100", 1 / 5, 1 / 3),
    "one touches the border of its cell": ("1100000011", "1111100011", (3 / 7) / 2, (3 / 7 + 3 / 7) / 2),
    "no lesion, nothing found": ("0000000000", "0000000000", 0, 0),
    "no lesion, something found": ("0000000000", "0000100000", 1, 1),
    "all voxels, all found": ("1111111111", "1111111111", 0, 0),
    "all voxels predicted": ("1000000001", "1111111111", 2 / 3, 8 / 10),
}


@pytest.mark.parametrize("case", CASES)
def test_dice_of_hand_made_cases(case):
    target, found, component, blob = CASES[case]
    assert float(ComponentDiceLoss(**DICE)(sure(found), row(target))) == pytest.approx(component, abs=1e-6)
    assert float(BlobLoss(**DICE)(sure(found), row(target))) == pytest.approx(blob, abs=1e-6)


def test_a_false_component_costs_more_from_both_sides_and_pulls_down():
    target, found = row("111100000000"), sure("111100000001")
    one, both = (ComponentDiceLoss(sigmoid=True, ce_weight=0, dice_weight=1, bidirectional=b) for b in (False, True))
    assert float(one(found, target)) == pytest.approx(1 / 9)
    assert float(both(found, target)) == pytest.approx((1 / 9 + 1 / 2) / 2)
    entropy = [ComponentDiceLoss(sigmoid=True, dice_weight=0, bidirectional=b) for b in (False, True)]
    weak = torch.where(found > 0, 1.0, -1.0)
    gradients = [value_and_gradient(loss, weak, target)[1][0, 0, -1] for loss in entropy]
    assert gradients[1] > 1.2 * gradients[0] > 0


def test_bidirectional_is_the_mean_of_the_loops_over_true_and_predicted_components():
    true, logits = (
        blobs(5, (14, 16)),
        3 * ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((14, 16)), 1),
    )
    probs, everywhere = 1 / (1 + np.exp(-logits)), np.ones((14, 16), bool)
    forward = loop("component_dice", probs, true, cells_of(true), everywhere, dice_weight=0.5)
    cells = cells_of(probs > 0.6)
    parts = [region_loss(probs, true, cells == n, dice_weight=0.5) for n in range(1, cells.max() + 1)]
    assert len(parts) > 3
    loss = ComponentDiceLoss(sigmoid=True, bidirectional=True, threshold=0.6)
    found = loss(torch.from_numpy(logits)[None, None], torch.from_numpy(true)[None, None].float())
    assert float(found) == pytest.approx((forward + np.mean(parts)) / 2, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_foreground_predicted_everywhere_in_an_empty_sample_is_not_free(kind, bidirectional):
    if kind == "blob" and bidirectional:
        return
    settings = {"bidirectional": True} if bidirectional else {}
    loss = KINDS[kind](sigmoid=True, **settings)
    empty = torch.zeros(1, 1, 6, 7)
    value, gradient = value_and_gradient(loss, torch.full_like(empty, 3.0), empty)
    assert value > 3
    assert (gradient > 0).all()
    assert loss(torch.full_like(empty, -40.0), empty) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_batch_is_the_mean_over_all_lesions_of_the_batch(kind):
    target, found = (
        torch.cat([row("1000011100"), row("0000000100")]),
        torch.cat([sure("1000011100"), sure("0000000000")]),
    )
    values = KINDS[kind](reduction="none", **DICE)(found, target)
    close(values[:, 0], torch.tensor([0.0, 1.0]), rtol=0, atol=1e-6)
    assert float(ComponentDiceLoss(batch=True, **DICE)(found, target)) == pytest.approx(1 / 3)


# Regions, heads, shares


def test_regions_that_overlap_are_scored_apart():
    target = torch.stack([torch.from_numpy(blobs(1, (12, 13))), torch.from_numpy(blobs(1, (12, 13), 0.3))])[
        None
    ].float()
    logits = torch.randn(1, 2, 12, 13)
    for kind in KINDS.values():
        whole = kind(sigmoid=True, reduction="none")(logits, target)
        for channel in range(2):
            one = slice(channel, channel + 1)
            close(kind(sigmoid=True, reduction="none")(logits[:, one], target[:, one]), whole[:, one])


@pytest.mark.parametrize("kind", KINDS)
def test_lower_heads_get_the_cells_of_full_resolution(kind):
    labels = torch.from_numpy(np.stack([blobs(1, (12, 16)), blobs(2, (12, 16))]))[:, None].long()
    heads = [torch.randn(2, 2, 12, 16), torch.randn(2, 2, 6, 8)]
    loss = KINDS[kind](**LABELS)
    cells = loss.compute_lesion_cells(labels, heads[0])
    deep = DeepSupervisionLoss(RegionBoundaryLoss(GeneralizedDiceLoss(softmax=True, to_onehot_y=True), loss, alpha=0.5))
    close(deep(heads, labels), deep(heads, {"label": labels, "lesion_cells": cells.short()}))
    small = [one[..., 1::2, 1::2] for one in (labels, cells)]
    close(deep.boundary_term, 2 / 3 * loss(heads[0], labels, cells) + 1 / 3 * loss(heads[1], *small))


def test_a_share_holds_for_lesions_as_for_a_map():
    labels, logits = (
        torch.from_numpy(blobs(1, (12, 16)))[None, None].long(),
        torch.randn(1, 2, 12, 16, requires_grad=True),
    )
    region, lesions = GeneralizedDiceLoss(softmax=True, to_onehot_y=True), ComponentDiceLoss(**LABELS)
    loss = RegionBoundaryLoss(region, lesions, alpha=Share(0.3))
    loss(logits, labels).backward()
    norms = loss.measure_gradients(logits, labels, None)
    found = float(torch.softmax(logits.detach(), 1)[:, 1:][labels == 1].mean())
    assert loss.alpha * norms[1] / (norms[0] + loss.alpha * norms[1]) == pytest.approx(0.3 * found, rel=1e-4)
    with pytest.raises(ValueError, match=r"target must hold label and lesion_cells, .*put LesionCellsd into"):
        loss(logits, {"label": labels})


# Bad input


def test_cells_of_another_grid_or_kind_or_label_are_refused():
    labels, logits = torch.from_numpy(blobs(1, (9, 10)))[None, None].long(), torch.randn(1, 2, 9, 10)
    loss = ComponentDiceLoss(**LABELS)
    cells = loss.compute_lesion_cells(labels, logits)
    with pytest.raises(ValueError, match=r"lesion_cells must have shape \(1, 1, 9, 10\) .*got \(1, 1, 10, 9\)"):
        loss(logits, labels, cells.transpose(2, 3))
    with pytest.raises(ValueError, match=r"lesion_cells must have shape \(1, 2, 9, 10\) .*include_background=True"):
        ComponentDiceLoss(softmax=True, to_onehot_y=True)(logits, labels, cells)
    with pytest.raises(TypeError, match=r"lesion_cells must hold numbers of lesions, got torch\.bool"):
        loss(logits, labels, cells > 0)
    with pytest.raises(TypeError, match=r"lesion_cells must be a tensor, got ndarray"):
        loss(logits, labels, cells.numpy())
    with pytest.raises(ValueError, match=rf"above 0 at all voxels of a lesion, got 0 at {int(labels.sum())}"):
        loss(logits, labels, torch.zeros_like(cells))
    with pytest.raises(ValueError, match=r"lesion_cells must be >= 0, got -3"):
        loss(logits, labels, cells - 4)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1.5])
def test_cells_that_are_no_whole_numbers_are_refused(bad):
    labels, logits = torch.ones(1, 1, 4, dtype=torch.long), torch.randn(1, 2, 4)
    with pytest.raises(ValueError, match=r"lesion_cells must be whole numbers.*mode='nearest'"):
        ComponentDiceLoss(**LABELS)(logits, labels, torch.tensor([[[1.0, 1.0, bad, 1.0]]]))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dice_weight": -1}, "dice_weight must be finite and >= 0, got -1"),
        ({"ce_weight": float("nan")}, "ce_weight must be finite and >= 0, got nan"),
        ({"dice_weight": 0, "ce_weight": 0}, "dice_weight or ce_weight must be above 0"),
        ({"smooth": 0}, "smooth must be finite and > 0, got 0"),
        ({"threshold": 2}, r"threshold must lie in \[0, 1\], got 2"),
    ],
)
def test_settings_out_of_range_are_named(settings, text):
    with pytest.raises(ValueError, match=text):
        ComponentDiceLoss(**settings)


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_lesions_of_one_voxel_cost_no_loop(kind):
    rng = np.random.default_rng(0)
    true = np.zeros((200, 602), bool)
    true[::2, ::2] = rng.random((100, 301)) < 0.999
    ids = ndimage.label(true)[0]
    cells = ids[tuple(ndimage.distance_transform_edt(ids == 0, return_distances=False, return_indices=True))]
    target, logits = torch.from_numpy(true)[None, None].float(), torch.randn(1, 1, 200, 602, dtype=torch.float64)
    loss = KINDS[kind](sigmoid=True, ce_weight=0)
    assert cells.max() > 30000
    found = loss(logits, target, torch.from_numpy(cells)[None, None])
    probs = torch.sigmoid(logits)[0, 0].numpy()
    inside = probs[true][np.argsort(cells[true])]
    outside = np.bincount(cells[~true], probs[~true], minlength=cells.max() + 1)[1:]
    predicted = inside + (outside if kind == "component_dice" else outside.sum())
    assert float(found) == pytest.approx(np.mean(1 - 2 * inside / (predicted + 1)), rel=1e-6)


def test_a_lesion_that_is_ignored_is_none():
    target = row("1100000011")
    target[..., -2:] = 255
    loss = ComponentDiceLoss(ignore_index=255, **DICE)
    assert float(loss(sure("1100000000"), target)) == pytest.approx(0, abs=1e-6)
    assert float(loss(sure("0000000000"), target)) == pytest.approx(1, abs=1e-6)


def test_a_volume_of_one_voxel_and_axes_of_one_voxel_are_volumes():
    for shape in ((1, 1, 1), (1, 1, 1, 7), (2, 1, 5, 1, 1)):
        target, logits = torch.ones(shape), torch.randn(shape)
        for kind in KINDS.values():
            assert kind(sigmoid=True)(logits, target).isfinite()


def test_compiled_losses_do_not_read_the_largest_number():
    labels, logits = torch.from_numpy(blobs(1, (9, 10)))[None, None].long(), torch.randn(1, 2, 9, 10)
    loss = ComponentDiceLoss(**LABELS)
    cells = loss.compute_lesion_cells(labels, logits)
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    for made in (cells, (cells + 32000).short(), (100 * cells).short()):
        close(value_and_gradient(compiled, logits, labels, made), value_and_gradient(loss, logits, labels, made))
    with pytest.raises(RuntimeError, match="lesion_cells must be from 0 to 32768"):
        compiled(logits, labels, 40_000 * cells)


def test_sums_over_large_cells_are_exact():
    """A float32 that 2^21 values are added to, one after the other, is wrong by some percent in the end."""
    target = torch.zeros(1, 1, 64, 256, 256)
    target[:, :, :32] = 1
    inside, outside = torch.sigmoid(torch.tensor([2.0, -5.0], dtype=torch.float64)).tolist()
    found = ComponentDiceLoss(sigmoid=True, ce_weight=0)(7 * target - 5, target)
    assert float(found) == pytest.approx(1 - 2 * inside / (inside + outside + 1), rel=1e-6)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_in_one_pass_sums_and_all_derivatives_are_those_of_the_plain_form(monkeypatch, softmax, soft, ignored, first):
    torch.manual_seed(4)
    monkeypatch.setattr(cell_sums, "chunk_size", lambda: 17)
    shape = (2, 3, 6, 7)
    target, cells = torch.rand(shape), torch.randint(0, 9, shape)[:, first:]
    valid = torch.rand(2, 1, 6, 7) > 0.2 if ignored else None
    target = target if soft else target > 0.7
    places = cell_sums.Places(cells, (target > 0.7)[:, first:], valid)
    found = []
    for in_one_pass in (cell_sums.fusible, lambda _: False):
        monkeypatch.setattr(cell_sums, "fusible", in_one_pass)
        logits = torch.linspace(-5, 5, 252).sin().view(shape).requires_grad_()
        sums = cell_sums.sums_of_logits(logits * 3, target, places, softmax)
        value = (sums.probs**3 + sums.entropy.cos()).sum()
        (once,) = torch.autograd.grad(value, logits, retain_graph=True)
        (first_one,) = torch.autograd.grad(value, logits, create_graph=True)
        (second,) = torch.autograd.grad((first_one**2).sum(), logits)
        found.append([*sums, once, first_one, second])
    for compiled, plain in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", [ComponentDiceLoss, BlobLoss])
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_the_default_type_of_torch_changes_no_gradient(kind, default):
    logits, labels = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 1, 8, 8))
    expected = value_and_gradient(kind(**LABELS, spacing=(1, 1)), logits, labels)
    torch.set_default_dtype(default)
    try:
        found = value_and_gradient(kind(**LABELS, spacing=(1, 1)), logits, labels)
    finally:
        torch.set_default_dtype(torch.float32)
    close(found, expected)
