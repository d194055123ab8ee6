"""Train one network per loss from the same pretrained weights, and score the regions that its membranes enclose.

The experiment of section 5 of the boundary-aware loss paper: a U-Net, several folds, and continuations "from the same
pre-trained weights". What the paper does not say (size of the network, batch, augmentation, length of the pretraining)
is ours, in `MembraneSettings`; training ends after a given number of epochs instead of by an early stop.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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

from experiments.membranes.data import DATA, MembraneImage, check_same_images, membrane_transforms
from experiments.membranes.losses import LOSSES, set_weights
from experiments.membranes.settings import MembraneSettings, Stage
from experiments.shared.journal import missing_runs, run_all
from experiments.shared.training import Point, computing_device, train_network
from monai_boundary._check import check_choice
from monai_boundary._files import replacing
from monai_boundary.engines import PrepareBatchTarget
from monai_boundary.metrics.likelihood import LikelihoodSegmentation, Membrane, threshold_sweep

__all__ = ["PRETRAINED", "predict", "run_membranes"]

#: Name of the row of the weights that all others start from.
PRETRAINED = "pretrained"


def run_membranes(
    data: str, root: Path, out: Path, losses: Sequence[str], seeds: Sequence[int], shared: MembraneSettings
) -> None:
    """Train every loss in every fold with every seed, and append one line per finished run to `out`.

    Finished runs are not repeated, nor is a finished pretraining: its weights are kept beside `out`, and so are the
    likelihood maps of the scored images, as bytes.

    Args:
        data: One of `DATA`.
        root: Its folder.
        out: JSON lines file.
        losses: Names among `LOSSES`; the pretrained weights always get a line of their own.
        seeds: Integers >= 0: of the start of the network, the order of the images and their augmentation, the same for
            all losses.
        shared: What all runs share.

    Raises:
        ValueError: A name is unknown, `root` does not hold the data, or runs beside `out` were on other images.
    """
    read = DATA[check_choice("data", data, tuple(DATA))]
    for name in losses:
        check_choice("losses", name, tuple(LOSSES))
    runs = [
        {"data": data, "loss": name, "fold": fold, "seed": seed, **asdict(shared)}
        for seed in seeds
        for fold in range(shared.folds)
        for name in (PRETRAINED, *losses)
    ]
    missing = missing_runs(out, runs)
    folds = {fold: read(root, fold, shared) for fold in sorted({run["fold"] for run in missing})}
    for train, test in folds.values():
        check_same_images(out.with_name("images.json"), data, (*train, *test))
    run_all(
        out,
        missing,
        lambda run, title: _Run(run, folds[run["fold"]], shared, out.parent, title).result(),
        lambda run: f"{data} {run['loss']} fold {run['fold']} seed {run['seed']}",
    )


@dataclass(frozen=True)
class _Run:
    run: dict[str, Any]
    images: tuple[list[MembraneImage], list[MembraneImage]]
    shared: MembraneSettings
    folder: Path
    title: str

    def result(self) -> dict[str, Any]:
        """Train, score, keep the maps, and return the rest of the line."""
        start = time.monotonic()
        train, test = self.images
        set_determinism(self.run["seed"])
        network = make_network(train[0].image.ndim - 1, self.shared.features).to(computing_device())
        self._pretrain(network)
        curve = (
            []
            if self.run["loss"] == PRETRAINED
            else self._train(network, self.run["loss"], self.shared.further, self.title)
        )
        own = [self._scores(predict(network, image), image) for image in train]
        maps = {image.case: predict(network, image) for image in test}
        return {
            "cases": [self._scores(maps[image.case], image) for image in test],
            "train_cases": own,
            "curve": curve,
            "maps": self._keep(maps),
            "seconds": round(time.monotonic() - start),
        }

    def _train(self, network: torch.nn.Module, name: str, stage: Stage, title: str) -> list[Point]:
        train, test = self.images
        set_determinism(self.run["seed"])
        row = LOSSES[name]
        ndim = train[0].image.ndim - 1
        items = [one.training_item for one in train]
        transform = membrane_transforms(stage.crop, ndim, row.companion, self.shared.min_region_size, self.run["seed"])
        loss = row.make().to(next(network.parameters()).device)
        options = {} if row.companion is None else {"prepare_batch": PrepareBatchTarget(row.companion)}

        def score(_engine: Any) -> Point:
            rows = [self._scores(predict(network, image), image, (0.5,)) for image in test]
            return {"bce": float(np.mean([one["bce"] for one in rows])), "cases": rows}

        return train_network(
            network, loss, Dataset(items, transform), stage, score, lambda point: f"test BCE {point['bce']:.3f}",
            title, before_epoch=set_weights(loss, stage.epochs), decay=True, **options,
        )  # fmt: skip

    def _scores(
        self, likelihood: np.ndarray, image: MembraneImage, thresholds: Sequence[float] | None = None
    ) -> dict[str, Any]:
        return image_scores(likelihood, image, thresholds or self.shared.thresholds, self.shared.filled)

    def _pretrain(self, network: torch.nn.Module) -> None:
        """Load the weights that all losses of this fold and seed start from; train and keep them where they are not."""
        keys = ("data", "fold", "seed", "folds", "features", "pretrain", "membrane_width")
        described = {key: self.run[key] for key in keys}
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
        path = self.folder / "pretrained" / f"{_name(self.run)}_{digest}.pt"
        if not path.exists():
            self._train(
                network, "bce", self.shared.pretrain, f"pretrain fold {self.run['fold']} seed {self.run['seed']}"
            )
            with replacing(path) as part:
                torch.save(network.state_dict(), part)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def _keep(self, maps: dict[str, np.ndarray]) -> str:
        name = f"maps/{_name(self.run)}_{self.run['loss']}.npz"
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            self.folder / name, **{case: np.rint(255 * one).astype(np.uint8) for case, one in maps.items()}
        )
        return name


def _name(run: dict[str, Any]) -> str:
    return f"{run['data']}_fold{run['fold']}_seed{run['seed']}"


def make_network(ndim: int, features: Sequence[int]) -> torch.nn.Module:
    """Return a U-Net of one input and one output channel with instance norm, which batches of one image allow."""
    depth = len(features)
    network: torch.nn.Module = DynUNet(
        ndim, 1, 1, [3] * depth, [1] + [2] * (depth - 1), [2] * (depth - 1), filters=list(features)
    )
    return network


def predict(network: torch.nn.Module, image: MembraneImage) -> np.ndarray:
    """Return the likelihood of membrane `(*S)`, float32 in [0, 1].

    Raises:
        RuntimeError: The network's output is not finite.
    """
    padded = DivisiblePad(16, mode="symmetric")(torch.from_numpy(image.image))
    with eval_mode(network):
        logits = network(padded.as_tensor()[None].to(next(network.parameters()).device))[0, 0].cpu()
    before = [(there - here) // 2 for there, here in zip(logits.shape, image.ids.shape, strict=True)]
    logits = logits[tuple(slice(low, low + size) for low, size in zip(before, image.ids.shape, strict=True))]
    if not logits.isfinite().all():
        raise RuntimeError("the network's output must be finite, got NaN or infinity: the training diverged; lower lr")
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
