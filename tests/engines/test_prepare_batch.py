"""What `PrepareBatchTarget` gets from a loader and from its transform is tensors, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate

from monai_boundary.engines import PrepareBatchTarget
from monai_boundary.losses import HausdorffDistanceLoss
from monai_boundary.transforms import RegionSeeds, RegionSeedsd, SignedDistanceMap


@pytest.mark.parametrize("key", ["image", "label", "distance_map"])
@pytest.mark.parametrize(
    ("value", "kind"), [(np.zeros((1, 1, 4)), "ndarray"), ([torch.zeros(1, 4)], "list"), (0, "int")]
)
def test_what_is_no_tensor_is_named_by_its_key(key, value, kind):
    batch = {name: torch.zeros(1, 1, 4) for name in ("image", "label", "distance_map")}
    text = rf"batchdata\['{key}'\] must be a tensor \(B, C, \*S\), got {kind}; load batches with .*DataLoader"
    with pytest.raises(TypeError, match=text):
        PrepareBatchTarget()({**batch, key: value}, "cpu")


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        (
            RegionSeeds(spacing=(1, 1)),
            r"got tuple from RegionSeeds; .*RegionSeedsd there, and PrepareBatchTarget\('seeds'",
        ),
        (lambda label: label.numpy(), "must give one tensor per label, got ndarray"),
        (lambda label: None, "must give one tensor per label, got NoneType"),  # noqa: ARG005
    ],
)
def test_a_transform_that_gives_no_tensor_is_refused(transform, text):
    batch = {"image": torch.zeros(2, 1, 6, 6), "label": torch.ones(2, 1, 6, 6, dtype=torch.int64)}
    with pytest.raises(TypeError, match=text):
        PrepareBatchTarget("seeds", transform=transform)(batch, "cpu")


def test_maps_made_here_keep_the_spacing_of_each_sample():
    make = SignedDistanceMap(2, preset=None, convention="centre")
    labels = [MetaTensor(torch.zeros(1, 12, 12, dtype=torch.int64), affine=np.diag([mm, mm, 1, 1])) for mm in (1, 3)]
    for label in labels:
        label[:, 3:8, 4:9] = 1
    batch = list_data_collate([{"image": torch.zeros(1, 12, 12), "label": label} for label in labels])
    _, target = PrepareBatchTarget(transform=make)(batch, "cpu")
    loaded = list_data_collate([make(label) for label in labels])
    assert torch.equal(target["distance_map"], loaded)
    assert target["distance_map"].meta.keys() == loaded.meta.keys()
    assert [one.pixdim[0] for one in decollate_batch(target["distance_map"])] == [1, 3]
    loss = HausdorffDistanceLoss(softmax=True, to_onehot_y=True, reduction="none")
    logits = torch.zeros(2, 2, 12, 12)
    torch.testing.assert_close(
        loss(logits, batch["label"], target["distance_map"]), loss(logits, batch["label"], loaded), rtol=0, atol=0
    )


def test_seeds_come_from_the_loader_as_the_message_says():
    items = [{"image": torch.zeros(1, 6, 6), "label": torch.ones(1, 6, 6, dtype=torch.int64)}] * 2
    batch = list_data_collate([RegionSeedsd("label", spacing=(1, 1))(item) for item in items])
    image, target = PrepareBatchTarget("seeds", label_key="membrane")(batch, "cpu")
    assert torch.equal(target["label"], batch["membrane"])
    assert torch.equal(target["seeds"], batch["seeds"])
    assert torch.equal(image, batch["image"])
