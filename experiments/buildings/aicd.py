"""The synthetic experiment of the boundary F1 paper (section 4.1) on phantoms: one small network, four losses.

The paper says: 800 images with one primitive each, no augmentation, no postprocessing, a fully convolutional network
of four convolutions in the encoder and four in the decoder. Optimiser, learning rate, epochs, split, image size and
widths it does not say; the defaults of `AicdSettings` are ours, but for Adam's step, which is that of its section 4.2.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from monai.networks import eval_mode
from monai.networks.nets import AutoEncoder
from monai.utils import set_determinism
from tqdm import tqdm

from experiments.buildings.losses import building_loss, iou, raise_alpha, score_building
from experiments.shared.journal import Run, settings_of
from experiments.shared.training import Budget, Point, finite, train_network
from monai_boundary.datasets import BuildingPhantom, BuildingPhantoms

_GROUP = 20  # phantoms after which outlines and places repeat
_EXAMPLES = 4


@dataclass(frozen=True)
class AicdSettings(Budget):
    """What all runs of a table share.

    Args:
        images: Number of phantoms; the last quarter, in whole groups of 20, is scored, the others train.
        size: Height and width in pixels.
        features: Channels of the four encoder convolutions, each of stride 2.
        weight: Of the part beside the IoU loss, in every row that has one: alpha.
        ramp: Raise the weight of the boundary F1 loss from 0 in the first epoch to `weight` in the last: the paper
            found that it "should be gradually increased" (section 1). The other rows keep theirs.
        theta: Window of the boundary F1 loss in pixels.
        cross_entropy: Add binary cross-entropy to every row, as the paper does on real tiles.
        smoke: Whether this is a trial of the command and says nothing about losses.
    """

    score_every: int = 5
    images: int = 800
    size: int = 256
    features: tuple[int, ...] = (16, 32, 64, 128)
    weight: float = 0.5
    ramp: bool = True
    theta: int = 5
    cross_entropy: bool = False
    smoke: bool = False

    def __post_init__(self) -> None:
        if self.images < 2 * _GROUP or self.images % _GROUP:
            raise ValueError(f"images must be a multiple of {_GROUP} and at least {2 * _GROUP}, got {self.images}")
        if self.size < 64 or self.size % 16:
            raise ValueError(f"size must be a multiple of 16 and at least 64, got {self.size}")

    @property
    def scored(self) -> int:
        """Number of images that are scored."""
        return max(1, round(self.images / 4 / _GROUP)) * _GROUP


def aicd_runs(losses: Sequence[str], seeds: Sequence[int], shared: AicdSettings) -> list[Run]:
    """Return every loss with every seed; a seed draws the start of the network and the order of the images."""
    return [{"data": "aicd", "loss": name, "seed": seed, **asdict(shared)} for seed in seeds for name in losses]


@cache
def aicd_phantoms(images: int, size: int) -> tuple[list[BuildingPhantom], list[BuildingPhantom]]:
    """Return training and test images, the same in all runs; a quarter of each is cut by the image edge."""
    phantoms = BuildingPhantoms(images, 0, (size, size))
    made = [phantoms.phantom(index) for index in tqdm(range(images), desc="phantoms", unit="image")]
    scored = AicdSettings(images=images, size=size).scored
    return made[:-scored], made[-scored:]


def train_aicd(run: Run, title: str, keep_all: bool = False) -> dict[str, Any]:
    """Train a run of `aicd_runs`, and score its test images.

    Args:
        run: The run.
        title: Of the progress bar.
        keep_all: Keep the predictions of all scored images in the line, not only those of `example_cases`.
    """
    shared = settings_of(AicdSettings, run)
    train, test = aicd_phantoms(shared.images, shared.size)
    set_determinism(run["seed"])
    network = AutoEncoder(2, 3, 1, shared.features, (2,) * len(shared.features))
    loss = building_loss(run["loss"], shared.weight, shared.theta, shared.cross_entropy)
    items = [
        {"image": torch.from_numpy(phantom.image), "label": torch.from_numpy(phantom.mask[None].astype(np.float32))}
        for phantom in train
    ]
    masks: list[np.ndarray] = []
    cases: list[dict[str, Any]] = []

    def score(_engine: Any) -> Point:
        masks[:] = predict(network, [phantom.image for phantom in test])
        cases[:] = score_cases(masks, test, shared.size // 16)
        return {key: round(float(np.mean([case[key] for case in cases])), 4) for key in ("iou", "f1_3", "f1_5")}

    policy = raise_alpha(loss, shared.weight, shared.epochs) if shared.ramp and run["loss"] == "bf1+iou" else None
    curve = train_network(network, loss, items, shared, score, title, shown="iou", before_epoch=policy)
    kept = range(len(test)) if keep_all else example_cases(test)
    return {
        "cases": cases,
        "examples": {str(index): _pack_mask(masks[index]) for index in kept},
        "curve": curve,
    }


def predict(network: torch.nn.Module, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return bool masks `(H, W)` of images `(3, H, W)`, the probability cut at 0.5."""
    device = next(network.parameters()).device
    with eval_mode(network):
        logits = [finite(network(batch.to(device))) for batch in torch.from_numpy(np.stack(images)).split(16)]
    return list((torch.cat(logits)[:, 0] > 0).numpy())


def score_cases(masks: Sequence[np.ndarray], phantoms: Sequence[BuildingPhantom], width: int) -> list[dict[str, Any]]:
    """Score every image: ``at_edge`` says whether the edge cuts its building, ``edge_iou`` looks at its edge band.

    Args:
        masks: Bool `(H, W)` predictions.
        phantoms: The truth.
        width: Of the band along the image edge in pixels. Where neither mask reaches it, ``edge_iou`` is ``None``.
    """
    rows = []
    for mask, phantom in zip(masks, phantoms, strict=True):
        true = phantom.mask > 0
        band = edge_band(true.shape, width)
        at_edge = iou(mask[band], true[band])
        edge_iou = None if np.isnan(at_edge) else round(at_edge, 4)
        rows.append({"at_edge": phantom.at_edge, **score_building(mask, true), "edge_iou": edge_iou})
    return rows


def edge_band(shape: tuple[int, int], width: int) -> np.ndarray:
    """Bool `shape` of the pixels whose distance from the image edge is below `width` pixels."""
    band = np.ones(shape, bool)
    band[width:-width, width:-width] = False
    return band


def example_cases(phantoms: Sequence[BuildingPhantom]) -> list[int]:
    """Return the first four images whose building the edge cuts, chosen without a look at any prediction."""
    return [index for index, phantom in enumerate(phantoms) if phantom.at_edge][:_EXAMPLES]


def scored_masks(row: Run) -> dict[str, tuple[BuildingPhantom, np.ndarray]]:
    """Return the scored images of a line of which it keeps the prediction, each with that bool mask `(H, W)`."""
    first = row["images"] - AicdSettings(images=row["images"], size=row["size"]).scored
    phantoms = BuildingPhantoms(row["images"], 0, (row["size"],) * 2)
    return {
        index: (phantoms.phantom(first + int(index)), _unpack_mask(packed, row["size"]))
        for index, packed in row["examples"].items()
    }


def _pack_mask(mask: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()


def _unpack_mask(text: str, size: int) -> np.ndarray:
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=size * size).reshape(size, size).astype(bool)
