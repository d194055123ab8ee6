"""A training small enough to be run hundreds of times, with everything in it that a resumed run could get wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import RandFlip
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from monai_boundary import BoundaryF1IoULoss
from monai_boundary.weight_search import WeightSearch

CANDIDATES, MAX_EPOCHS = (0.2, 0.5, 0.9), 9
# So that every candidate wins once: (epoch, weight) that a trial ends with, and what it gets on top of its IoU.
FAVOURED = {(4, 0.9): 1.0, (7, 0.5): 1.0}
NUMBERS: dict[str, Any] = {"candidates": CANDIDATES, "first": 2, "every": 3}  # at 2, 5 and 8, the last cut to 1


class Training:
    """Network, optimizer, scheduler, loader and random generators of all kinds; fresh ones are always the same."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        np.random.seed(4)  # noqa: NPY002 - the global state is part of the test
        random.seed(5)
        self.loss = BoundaryF1IoULoss()
        layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=0.5), nn.ReLU(), nn.Dropout(0.1)
        self.network = nn.Sequential(*layers, nn.Conv2d(4, 1, 1))
        self.optimizer = torch.optim.Adam(self.network.parameters(), 0.02)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 2, 0.8)
        self.order = torch.Generator().manual_seed(6)
        self.noise = np.random.default_rng(7)
        self.flip = RandFlip(0.5, spatial_axis=0).set_random_state(8)
        images = torch.zeros(6, 1, 12, 12)
        for index, image in enumerate(images):
            image[:, 2 + index % 4 : 8 + index % 3, 3 : 9 - index % 2] = 1
        data = TensorDataset(images + 0.3 * torch.randn(images.shape), images)
        self.loader = DataLoader(data, 3, shuffle=True, generator=self.order)
        self.seen: list[tuple[int, float]] = []

    def state(self) -> dict[str, Any]:
        """All that training changes, but for the global generators."""
        names = ("network", "optimizer", "scheduler", "order", "noise", "flip")
        return {name: getattr(self, name) for name in names}

    def train_epoch(self, epoch: int) -> None:
        """Train one epoch; every generator has a say."""
        self.network.train()
        self.seen.append((epoch, self.loss.alpha))
        for image, label in self.loader:
            strength = float(self.noise.random()) + random.random() + float(np.random.rand())  # noqa: NPY002, S311
            image = self.flip(image[:, 0])[:, None].as_tensor() * (1 + 0.1 * strength)
            self.optimizer.zero_grad()
            self.loss(self.network(image), label).backward()
            self.optimizer.step()
        self.scheduler.step()

    def validate(self) -> float:
        """IoU on noisy images, which draws from the global generator, in evaluation mode."""
        self.network.eval()
        overlap = union = 0.0
        with torch.no_grad():
            for image, label in DataLoader(self.loader.dataset, 3):
                found = self.network(image + 0.2 * torch.randn(image.shape)) > 0
                overlap += float((found & (label > 0)).sum())
                union += float((found | (label > 0)).sum())
        return overlap / union + FAVOURED.get(self.seen[-1] if self.seen else (0, 0.0), 0.0)

    def fingerprint(self) -> list[torch.Tensor]:
        """Everything that must agree to the bit at the end, the next draw of every generator included."""
        values = [*self.network.state_dict().values()]
        for moments in self.optimizer.state_dict()["state"].values():
            values += moments.values()
        draws = [random.random(), np.random.rand(), self.noise.random(), self.flip.R.rand()]  # noqa: NPY002, S311
        numbers = [self.loss.alpha, *self.scheduler.get_last_lr(), *draws]
        return [v.double() for v in values] + [
            torch.tensor(numbers).double(), torch.rand(1).double(), torch.rand(1, generator=self.order).double(),
        ]  # fmt: skip


def make_search(training: Training, folder: Path, **numbers: Any) -> WeightSearch:
    """A search over the little training."""
    return WeightSearch(training.loss, training.state(), folder, **{"max_epochs": MAX_EPOCHS, **NUMBERS, **numbers})


def run_whole(folder: Path, around: Callable[[Training], None] = lambda _: None, **numbers: Any):
    """Train in this process; `around` may change the training first. Returns fingerprint and search."""
    training = Training()
    around(training)
    search = make_search(training, folder, **numbers)
    search.run(training.train_epoch, training.validate)
    return training.fingerprint(), search
