"""Random generators go on where they were saved: alone, inside MONAI's transforms, and in the workers of a loader."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import Compose, OneOf, RandFlipd, RandGaussianNoise, RandGaussianNoised, RandRotate90
from torch import nn

from monai_boundary import BoundaryF1IoULoss, WeightSearch
from monai_boundary.weight_search.saved_state import SavedState

# MONAI, not this package
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
GENERATORS = [torch.Generator(), np.random.default_rng(0), np.random.RandomState(0), random.Random(0)]  # noqa: S311


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: type(generator).__module__)
def test_a_generator_goes_on_where_it_was_saved(generator):
    def draw() -> float:
        if isinstance(generator, torch.Generator):
            return float(torch.rand(1, generator=generator))
        return generator.gauss(0, 1) if isinstance(generator, random.Random) else generator.standard_normal()

    draw()  # leaves the second number of a pair behind in some of them
    saved = SavedState({"generator": generator})
    snapshot = saved.take()
    first = [draw() for _ in range(5)]
    saved.go_back(snapshot)
    assert [draw() for _ in range(5)] == first


def test_transforms_inside_transforms_go_on_where_they_were_saved():
    def make(seed: int) -> Compose:
        inner = OneOf([RandGaussianNoise(prob=0.9), RandRotate90(prob=0.9)])
        return Compose([RandGaussianNoise(prob=0.5), inner]).set_random_state(seed)

    def apply(transform: Compose) -> list[torch.Tensor]:
        return [torch.as_tensor(transform(torch.ones(1, 4, 5))) for _ in range(6)]

    transform = make(1)
    apply(transform)
    snapshot = SavedState({"transform": transform}).take()
    expected = apply(transform)
    other = make(2)
    SavedState({"transform": other}).go_back(snapshot)
    assert all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(apply(other), expected, strict=True))


def test_parts_that_share_a_generator_share_it_again():
    def make() -> Compose:
        return Compose([RandGaussianNoise(prob=0.5), RandGaussianNoise(prob=0.5)])

    shared = make()
    shared.transforms[1].R = shared.transforms[0].R
    snapshot = SavedState({"transform": shared}).take()
    other = make()
    SavedState({"transform": other}).go_back(snapshot)
    assert other.transforms[0].R is other.transforms[1].R
    assert other.transforms[0].R is not other.R
    assert other.transforms[0].R.rand() == shared.transforms[0].R.rand()


class Loaded:
    """A training on MONAI's cached data set, with random transforms in this process or in workers."""

    def __init__(self, folder: Path, workers: int) -> None:
        torch.manual_seed(1)
        items = [{"image": torch.rand(1, 8, 8), "label": (torch.rand(1, 8, 8) > 0.5).float()} for _ in range(4)]
        keys = ["image", "label"]
        # In a first use MONAI makes such a transform share its generator with the one inside it.
        transform = Compose([RandFlipd(keys, prob=0.5, spatial_axis=0), RandGaussianNoised("image", prob=0.7)])
        data = CacheDataset(items, transform, progress=False)
        self.loader = DataLoader(data, batch_size=2, shuffle=True, num_workers=workers)
        self.network, self.loss = nn.Conv2d(1, 1, 3, padding=1), BoundaryF1IoULoss()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 0.01)
        state = {"network": self.network, "optimizer": self.optimizer}
        self.search = WeightSearch(
            self.loss, state if workers else state | {"transform": transform}, folder, 4,
            candidates=(0.2, 0.8), first=1, every=2,
        )  # fmt: skip
        self.left = 100

    def train_epoch(self, _epoch: int) -> None:
        for batch in self.loader:
            self.optimizer.zero_grad()
            self.loss(self.network(batch["image"]), batch["label"]).backward()
            self.optimizer.step()
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def run(self) -> list[torch.Tensor]:
        self.search.run(self.train_epoch, lambda: float(self.network.weight.detach().sum()))
        return [*self.network.state_dict().values()]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_run_over_random_transforms_ends_as_the_unbroken_one(tmp_path, workers):
    expected = Loaded(tmp_path / "whole", workers).run()
    broken = Loaded(tmp_path / "broken", workers)
    broken.left = 4
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    again = Loaded(tmp_path / "broken", workers)
    torch.manual_seed(9)
    assert all(map(torch.equal, again.run(), expected))


def test_another_learning_rate_is_not_passed_over(tmp_path):
    def search(rate: float) -> WeightSearch:
        optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), rate)
        state = {"adam": optimizer, "steps": torch.optim.lr_scheduler.StepLR(optimizer, 1)}
        return WeightSearch(BoundaryF1IoULoss(), state, tmp_path, 9, first=2, every=2)

    begun = search(0.01)
    begun.restore()
    begun.finish_epoch()
    search(0.01).restore()
    with pytest.raises(ValueError, match=r"rates must be {'adam': \[0\.01\]} as .*, got {'adam': \[0\.1\]}; leave"):
        search(0.1).restore()


def test_a_search_does_not_go_on_with_other_cases(tmp_path):
    def search(*names: str) -> WeightSearch:
        return WeightSearch(BoundaryF1IoULoss(), {}, tmp_path, 9, first=1, every=2, cases={"training": names})

    search("a", "b").restore()
    search("b", "a").restore()
    with pytest.raises(ValueError, match=r"cases of training must be the 2 of .*, got 2: without b, and with c"):
        search("a", "c").restore()
