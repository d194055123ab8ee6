"""Train one network per loss from the same pretrained weights, and score the regions that its membranes enclose.

The experiment of section 5 of the boundary-aware loss paper: a U-Net, several folds, and continuations "from the same
pre-trained weights". What the paper does not say (size of the network, batch, augmentation, length of the pretraining)
is ours, in `MembraneSettings`; training ends after a given number of epochs instead of by an early stop.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import Dataset
from monai.networks import eval_mode
from monai.networks.nets import DynUNet
from monai.transforms import DivisiblePad
from monai.utils import set_determinism

from experiments.membranes.data import DATA, MembraneImage, Split, check_same_images, membrane_transforms
from experiments.membranes.losses import LOSSES, PRETRAINED
from experiments.membranes.settings import MembraneSettings, Stage
from experiments.shared.journal import Run
from experiments.shared.training import DEVICE, Point, boundary_options, finite, train_network
from monai_boundary._check import check_choice
from monai_boundary._files import replacing
from monai_boundary.metrics.likelihood import LikelihoodSegmentation, Membrane, threshold_sweep


def membrane_runs(data: str, losses: Sequence[str], seeds: Sequence[int], shared: MembraneSettings) -> list[Run]:
    """Return the pretrained weights and every loss in every fold with every seed.

    A seed draws the start of the network, the order of the images and their augmentation, the same for all losses.
    """
    check_choice("data", data, tuple(DATA))
    for name in losses:
        check_choice("losses", name, tuple(LOSSES))
    return [
        {"data": data, "loss": name, "fold": fold, "seed": seed, **asdict(shared)}
        for seed in seeds for fold in range(shared.folds) for name in (PRETRAINED, *losses)
    ]  # fmt: skip


@dataclass(frozen=True)
class MembraneTraining:
    """Trains `membrane_runs`; called with a run and a title, it returns the rest of the line.

    A finished pretraining is not repeated: its weights are kept in the folder, and so are the likelihood maps of the
    scored images, as bytes.

    Args:
        data: One of `DATA`.
        root: Its folder.
        folder: Where weights and maps are kept.
        shared: What all runs share.

    Raises:
        ValueError: `root` does not hold the data, or the runs in `folder` were on other images.
    """

    data: str
    root: Path
    folder: Path
    shared: MembraneSettings

    @cached_property
    def folds(self) -> dict[int, Split]:
        """The folds that were read."""
        return {}

    def images(self, fold: int) -> Split:
        """Return the images of a fold that train, and those that are scored."""
        if fold not in self.folds:
            train, test = DATA[self.data](self.root, fold, self.shared)
            check_same_images(self.folder / "images.json", self.data, (*train, *test))
            self.folds[fold] = train, test
        return self.folds[fold]

    def __call__(self, run: Run, title: str) -> Run:
        """Train, score, keep the maps, and return the rest of the line."""
        train, test = self.images(run["fold"])
        set_determinism(run["seed"])
        network = make_network(train[0].image.ndim - 1, self.shared.features).to(DEVICE)
        self._pretrain(network, run)
        curve = [] if run["loss"] == PRETRAINED else self._train(network, run, run["loss"], self.shared.further, title)
        own = [self._scores(predict(network, image), image) for image in train]
        maps = {image.case: predict(network, image) for image in test}
        return {
            "cases": [self._scores(maps[image.case], image) for image in test],
            "train_cases": own,
            "curve": curve,
            "maps": self._keep(maps, f"maps/{_name(run)}_{run['loss']}.npz"),
        }

    def _train(self, network: torch.nn.Module, run: Run, name: str, stage: Stage, title: str) -> list[Point]:
        train, test = self.images(run["fold"])
        set_determinism(run["seed"])
        ndim = train[0].image.ndim - 1
        loss = LOSSES[name].make()
        wanted = getattr(loss, "target_name", None)
        transform = membrane_transforms(stage.crop, ndim, wanted, self.shared.min_region_size, run["seed"])
        items = Dataset([one.training_item for one in train], transform)

        def score(_engine: Any) -> Point:
            rows = [self._scores(predict(network, image), image, (0.5,)) for image in test]
            return {"bce": float(np.mean([one["bce"] for one in rows])), "cases": rows}

        options = {} if wanted is None else boundary_options(loss, LOSSES[name].schedule)
        return train_network(network, loss, items, stage, score, title, shown="bce", decay=True, **options)

    def _scores(
        self, likelihood: np.ndarray, image: MembraneImage, thresholds: Sequence[float] | None = None
    ) -> dict[str, Any]:
        return image_scores(likelihood, image, thresholds or self.shared.thresholds, self.shared.filled)

    def _pretrain(self, network: torch.nn.Module, run: Run) -> None:
        """Load the weights that all losses of this fold and seed start from; train and keep them where they are not."""
        keys = ("data", "fold", "seed", "folds", "features", "pretrain", "membrane_width")
        described = {key: run[key] for key in keys}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
        path = self.folder / "pretrained" / f"{_name(run)}_{digest}.pt"
        if not path.exists():
            self._train(network, run, "bce", self.shared.pretrain, f"pretrain fold {run['fold']} seed {run['seed']}")
            with replacing(path) as part:
                torch.save(network.state_dict(), part)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def _keep(self, maps: dict[str, np.ndarray], name: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **{case: np.rint(255 * one).astype(np.uint8) for case, one in maps.items()})
        return name


def _name(run: Run) -> str:
    return f"{run['data']}_fold{run['fold']}_seed{run['seed']}"


def make_network(ndim: int, features: Sequence[int]) -> torch.nn.Module:
    """Return a U-Net of one input and one output channel with instance norm, which batches of one image allow."""
    depth = len(features)
    network: torch.nn.Module = DynUNet(
        ndim, 1, 1, [3] * depth, [1] + [2] * (depth - 1), [2] * (depth - 1), filters=list(features)
    )
    return network


def predict(network: torch.nn.Module, image: MembraneImage) -> np.ndarray:
    """Return the likelihood of membrane `(*S)`, float32 in [0, 1]."""
    padded = DivisiblePad(16, mode="symmetric")(torch.from_numpy(image.image))
    with eval_mode(network):
        logits = finite(network(padded.as_tensor()[None].to(next(network.parameters()).device)))[0, 0]
    before = [(there - here) // 2 for there, here in zip(logits.shape, image.ids.shape, strict=True)]
    logits = logits[tuple(slice(low, low + size) for low, size in zip(before, image.ids.shape, strict=True))]
    return np.asarray(torch.sigmoid(logits).numpy())


def image_scores(
    likelihood: np.ndarray, image: MembraneImage, thresholds: Sequence[float], filled: Membrane = "keep"
) -> dict[str, Any]:
    """Return cross-entropy, and split, merge and adapted Rand index by threshold."""
    curve = threshold_sweep(likelihood, image.ids, thresholds, LikelihoodSegmentation(membrane=filled), progress=False)
    values, truth = torch.from_numpy(likelihood), torch.from_numpy(image.membrane[0]).float()
    return {
        "case": image.case,
        "bce": round(float(F.binary_cross_entropy(values, truth)), 5),
        "sweep": {
            str(threshold): [
                round(value, 5) for value in (scores.voi_split, scores.voi_merge, scores.adapted_rand_index)
            ]
            for threshold, scores in curve.items()
        },
    }
