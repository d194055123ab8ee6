"""Train on random patches with maps of the patch, with maps of the volume, or without a boundary term."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.utils import set_determinism

from experiments.patch_maps.patches import STORED, Box, PatchVolume, cut, draw_box, finished, local_map, volume_map
from experiments.patch_maps.scores import score_volume
from experiments.shared.training import Budget, Point, boundary_options, loss_terms, make_unet, train_network
from monai_boundary.kernels.distance import ROBUST
from monai_boundary.losses import GeneralizedDiceBoundaryLoss
from monai_boundary.schedules import Constant, Rebalance

#: ``"region"``: generalized Dice alone. The others add the boundary term, with the map of the patch and its setting of
#: ``absent``, or with the part of the volume's map.
ARMS = {
    "region": "region loss alone",
    "patch-zero": "map of the patch, zero where absent",
    "patch-far": "map of the patch, far where absent",
    "volume": "map of the volume",
}


@dataclass(frozen=True)
class PatchSettings(Budget):
    """What all runs on one data set share; alpha rises and the learning rate falls over the epochs.

    Args:
        edge: Voxels of a patch along each axis.
        steps: Per epoch.
        features: Channels of the network, one per resolution.
    """

    epochs: int = 20
    batch: int = 4
    lr: float = 3e-3
    score_every: int = 1_000_000
    edge: int = 24
    steps: int = 25
    features: tuple[int, ...] = (16, 32, 64)


class PatchDataset(Dataset):
    """Random patches, the same in every arm: place and flips follow from seed, epoch and index.

    A third of the patches, those at the end, are forced to hold foreground.

    Args:
        volumes: Training cases with images.
        arm: Whose map an item holds; zeros in arm ``"region"``.
        settings: Size and number of the patches.
        seed: Of the places.
    """

    def __init__(self, volumes: Sequence[PatchVolume], arm: str, settings: PatchSettings, seed: int) -> None:
        super().__init__(range(settings.steps * settings.batch))
        self.volumes, self.arm, self.settings, self.seed = volumes, arm, settings, seed
        self.epoch = 0
        self.map_seconds = 0.0
        # in memory what precompute-maps writes to disk
        self.maps = [volume_map(each, STORED).astype(np.float16) for each in volumes if arm == "volume"]

    def start(self, epoch: int) -> None:
        """Draw other patches from now on."""
        self.epoch = epoch

    def _transform(self, index: int) -> dict[str, torch.Tensor]:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        number = int(generator.integers(len(self.volumes)))
        volume = self.volumes[number]
        box = draw_box(volume, self.settings.edge, generator, forced=3 * index >= 2 * len(self))
        axes = tuple(axis for axis in range(1, len(box) + 1) if generator.random() < 0.5)
        start = time.process_time()
        distance_map = self._map(number, box)
        self.map_seconds += time.process_time() - start
        assert volume.image is not None  # noqa: S101 - for mypy
        label = cut(volume.labels, box).astype(np.float32)
        parts = {"image": cut(volume.image, box), "label": label, "distance_map": distance_map}
        return {key: torch.from_numpy(np.flip(part, axes).copy()) for key, part in parts.items()}

    def _map(self, number: int, box: Box) -> np.ndarray:
        volume = self.volumes[number]
        if self.arm == "region":
            return np.zeros((volume.num_classes - 1, *(part.stop - part.start for part in box)), np.float32)
        if self.arm == "volume":
            return finished(cut(self.maps[number], box), cut(volume.labels, box), volume.spacing, ROBUST)
        return local_map(volume, box, ROBUST.replace(absent="zero" if self.arm == "patch-zero" else "far"))


def train_patches(
    arm: str, seed: int, train: Sequence[PatchVolume], test: Sequence[PatchVolume], settings: PatchSettings, title: str
) -> dict[str, Any]:
    """Train one arm and score the test cases once, at the end.

    Args:
        arm: One of `ARMS`.
        seed: Of the network's start, of places and flips.
        train: Training cases with images.
        test: Held-out cases with images.
        settings: What all arms share.
        title: Of the progress bar.

    Returns:
        ``cases``: scores of each test case; the loss terms at the end; seconds of training, and CPU milliseconds that a
        map of a patch took.
    """
    set_determinism(seed)
    begin, first = time.monotonic(), train[0]
    if first.image is None:
        raise ValueError("train must hold images, got labels alone")
    items = PatchDataset(train, arm, settings, seed)
    network = make_unet(3, len(first.image), first.num_classes, settings.features)
    loss = GeneralizedDiceBoundaryLoss(check_map=False)  # some arms have maps of zeros
    loss.region.scale_free = False  # MONAI's generalized Dice, as in all lines of the journal

    def score(engine: Any) -> Point:
        trained = round(time.monotonic() - begin, 1)
        cases = [score_volume(network, volume, settings.edge) for volume in test]
        return {**loss_terms(engine), "train_seconds": trained, "cases": cases}

    curve = train_network(
        network, loss, items, settings, score, title, shown="boundary_term", before_epoch=items.start, decay=True,
        **boundary_options(loss, Constant(0.0) if arm == "region" else Rebalance()),
    )  # fmt: skip
    return {
        **curve[-1],
        "map_cpu_ms": round(1000 * items.map_seconds / (settings.epochs * len(items)), 3),
    }
