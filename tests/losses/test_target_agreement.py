"""A target boundary and seeds say what they were made with, and a loss that has other settings warns once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor

from monai_boundary import (
    BoundaryAwareLoss,
    BoundaryBandd,
    BoundaryF1IoULoss,
    BoundaryF1Loss,
    CrossEntropyBoundaryAwareLoss,
    RegionSeedsd,
)
from monai_boundary.losses.map_agreement import MapMismatchWarning
from monai_boundary.transforms.boundary_band import WINDOWS_KEY


def batch(transform, ndim: int = 2) -> dict:
    """Two samples through a data loader, as training has them."""
    labels = np.zeros((2, 1, *(12, 10, 8)[:ndim]), np.int64)
    labels[:, :, 3:6, 2:7], labels[:, :, 8:, 4:] = 1, 2
    items = [transform({"label": MetaTensor(torch.from_numpy(one), affine=torch.eye(4))}) for one in labels]
    return next(iter(DataLoader(items, batch_size=2)))


def caught(call) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in found if one.category is MapMismatchWarning]


BANDS = {"num_classes": 3, "include_background": False}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("made", [{}, {"theta": 3}, {"theta0": 5}, {"theta": 7, "theta0": 5}, {"theta": (5, 5, 3)}])
def test_a_band_of_other_windows_warns_once(ndim, made):
    made = {name: value[-ndim:] if isinstance(value, tuple) else value for name, value in made.items()}
    sample = batch(BoundaryBandd("label", **BANDS, **made), ndim)
    logits = torch.zeros(2, 3, *sample["label"].shape[2:])
    for loss in (
        BoundaryF1Loss(softmax=True, include_background=False),
        BoundaryF1IoULoss(softmax=True, include_background=False, to_onehot_y=True),
    ):

        def call(loss=loss):
            return loss(logits, sample["label"], sample["target_boundary"])

        texts = caught(call)
        assert len(texts) == bool(made)
        assert not made or "theta0 and theta" in texts[0]
        assert not caught(call)
        fitting = type(loss)(softmax=True, include_background=False, to_onehot_y=True, **made)
        assert not caught(lambda fitting=fitting: fitting(logits, sample["label"], sample["target_boundary"]))


def test_the_record_goes_through_a_batch_and_back():
    sample = batch(BoundaryBandd("label", **BANDS, theta=(7, 3)))
    assert [number.tolist() for number in sample["target_boundary"].meta[WINDOWS_KEY]] == [
        [3, 3],
        [3, 3],
        [7, 7],
        [3, 3],
    ]
    loss = BoundaryF1Loss(softmax=True, include_background=False)
    with pytest.warns(MapMismatchWarning, match=r"made with theta0 and theta \(3, 3, 7, 3\), .* has \(3, 3, 5, 5\)"):
        loss(torch.zeros(1, 3, 12, 10), None, sample["target_boundary"][:1])
    plain = BoundaryF1Loss(softmax=True, include_background=False)
    assert not caught(lambda: plain(torch.zeros(2, 3, 12, 10), None, sample["target_boundary"].as_tensor()))


@pytest.mark.parametrize("made", [{}, {"connectivity": 2}, {"slice_axis": 0}, {"slice_axis": -1}])
def test_seeds_of_another_connectivity_or_slice_axis_warn_once(made):
    sample = batch(RegionSeedsd("label", **made), 3)
    logits, membrane = torch.zeros(2, 1, *sample["seeds"].shape[2:]), sample["membrane"].float()
    for loss in (BoundaryAwareLoss(), CrossEntropyBoundaryAwareLoss()):
        texts = caught(lambda loss=loss: loss(logits, membrane, sample["seeds"]))
        assert len(texts) == bool(made)
        assert not made or "connectivity and slice_axis" in texts[0]
        assert not caught(lambda loss=loss: loss(logits, membrane, sample["seeds"]))
        fitting = type(loss)(**made)
        assert not caught(lambda fitting=fitting: fitting(logits, membrane, sample["seeds"]))


@pytest.mark.parametrize("size", [0.7, 0.1, 0.3, 1.1, 2.3, 6.3])
def test_a_membrane_of_a_width_holds_the_voxels_at_that_distance(size):
    ids = np.ones((1, 40), np.int64)
    ids[0, 20:] = 2
    for steps in range(1, 12):
        transform = RegionSeedsd("label", membrane_width=size * steps, spacing=(size,))
        assert (transform({"label": ids})["membrane"] == 1).sum() == 2 * steps
