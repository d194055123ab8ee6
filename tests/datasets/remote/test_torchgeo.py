"""Samples of torchgeo train with the boundary F1 loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from torch.utils.data import DataLoader

from monai_boundary import BoundaryBandd, BoundaryF1IoULoss
from monai_boundary.datasets.remote import torchgeo_item
from tests.datasets.remote import files

TRANSFORMS = Compose(
    [torchgeo_item, BoundaryBandd("label", num_classes=2, theta0=3, theta=5, include_background=False)]
)


def losses_of_training(batches: list[dict]) -> list[float]:
    torch.manual_seed(0)
    network, loss = torch.nn.Conv2d(3, 1, 3, padding=1), BoundaryF1IoULoss(alpha=0.1, theta0=3, theta=5)
    optimizer, found = torch.optim.Adam(network.parameters(), 0.1), []
    for _ in range(30):
        for batch in batches:
            value = loss(network(batch["image"] / 100 - 1), batch["label"], batch["target_boundary"])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        found.append(value.item())
    return found


def scene() -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 12:40] = mask[40:58, 30:50] = 1
    noise = np.random.default_rng(0).normal(0, 10, (3, 64, 64))
    return (60 + 120 * mask + noise).astype(np.uint8), mask


@pytest.mark.parametrize("channel", [False, True])
def test_a_sample_as_torchgeo_documents_it_trains(channel: bool) -> None:
    image, mask = (torch.from_numpy(array) for array in scene())
    sample = {
        "image": image.float(), "mask": mask.long()[None] if channel else mask.long(), "crs": object(),
        "bounds": (slice(0, 1), slice(0, 1)), "transform": object(),
    }  # fmt: skip
    losses = losses_of_training(list(DataLoader([TRANSFORMS(sample)] * 2, 2)))
    assert losses[-1] < 0.7 * losses[0]


def test_samples_of_torchgeo_train(tmp_path: Path) -> None:
    pytest.importorskip("torchgeo", reason="torchgeo is not installed; it is in no extra, as it brings twenty packages")
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import RandomGeoSampler

    class Images(RasterDataset):
        filename_glob = "image*.tif"

    class Masks(RasterDataset):
        filename_glob, is_image = "mask*.tif", False

    image, mask = scene()
    files.write(tmp_path / "image.tif", image)
    files.write(tmp_path / "mask.tif", mask)
    dataset = Images(tmp_path) & Masks(tmp_path)
    dataset.transforms = TRANSFORMS
    torch.manual_seed(0)
    loader = DataLoader(dataset, 2, sampler=RandomGeoSampler(dataset, 48, 4), collate_fn=stack_samples)
    losses = losses_of_training(list(loader))
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"image": torch.rand(3, 8, 8)}, r"sample must have a tensor 'mask', got NoneType among \['image'\]; join"),
        ({"image": np.zeros((3, 8, 8)), "mask": torch.zeros(8, 8)}, "a tensor 'image', got ndarray among"),
        ({"image": torch.rand(2, 3, 8, 8), "mask": torch.zeros(8, 8)}, r"got \(2, 3, 8, 8\) and \(8, 8\)"),
        ({"image": torch.rand(3, 8, 8), "mask": torch.zeros(8, 9)}, r"of its size, got \(3, 8, 8\) and \(8, 9\)"),
        ({"image": torch.rand(3, 8, 8), "mask": torch.zeros(8, 8)}, r"integers, got torch.float32 and torch.float32"),
    ],
)
def test_another_sample_is_refused(sample: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        torchgeo_item(sample)
