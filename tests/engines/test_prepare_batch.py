"""What `PrepareBatchTarget` gets from a loader and from its transform is tensors, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import list_data_collate

from monai_boundary.engines import PrepareBatchTarget
from monai_boundary.transforms import RegionSeeds, RegionSeedsd


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


def test_seeds_come_from_the_loader_as_the_message_says():
    items = [{"image": torch.zeros(1, 6, 6), "label": torch.ones(1, 6, 6, dtype=torch.int64)}] * 2
    batch = list_data_collate([RegionSeedsd("label", spacing=(1, 1))(item) for item in items])
    image, target = PrepareBatchTarget("seeds", label_key="membrane")(batch, "cpu")
    assert torch.equal(target["label"], batch["membrane"])
    assert torch.equal(target["seeds"], batch["seeds"])
    assert torch.equal(image, batch["image"])
