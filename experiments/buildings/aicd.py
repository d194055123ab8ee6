"""The synthetic experiment of the boundary F1 paper (section 4.1) on phantoms: one small network, four losses.

The paper says: 800 images with one primitive each, no augmentation, no postprocessing, a fully convolutional network
of four convolutions in the encoder and four in the decoder. Optimiser, learning rate, epochs, split, image size and
widths it does not say; the defaults of `AicdSettings` are ours, but for Adam's step, which is that of its section 4.2.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks import eval_mode
from monai.networks.nets import AutoEncoder
from monai.utils import set_determinism
from tqdm import tqdm

from experiments.buildings.losses import LOSSES, building_loss, iou, raise_weight, score_building
from experiments.shared.journal import missing_runs, run_all
from experiments.shared.training import computing_device, train_network
from monai_boundary.datasets import BuildingPhantom, BuildingPhantoms

__all__ = ["AicdSettings", "aicd_phantoms", "edge_band", "example_cases", "run_aicd", "unpack_mask"]

_GROUP = 20  # phantoms after which outlines and places repeat
_EXAMPLES = 4


@dataclass(frozen=True)
class AicdSettings:
    """What all runs of a table share.

    Args:
        images: Number of phantoms; the last quarter, in whole groups of 20, is scored, the others train.
        size: Height and width in pixels.
        epochs: Number of epochs.
        batch: Images per step.
        lr: Learning rate of Adam.
        features: Channels of the four encoder convolutions, each of stride 2.
        weight: Of the part beside the IoU loss, in every row that has one.
        ramp: Raise the weight of the boundary F1 loss from 0 in the first epoch to `weight` in the last: the paper
            found that it "should be gradually increased" (section 1). The other rows keep theirs.
        theta: Window of the boundary F1 loss in pixels.
        cross_entropy: Add binary cross-entropy to every row, as the paper does on real tiles.
        score_every: Epochs between two points of the curve; the last epoch always has one.
        smoke: Whether this is a trial of the command and says nothing about losses.
    """

    images: int = 800
    size: int = 256
    epochs: int = 100
    batch: int = 8
    lr: float = 1e-3
    features: tuple[int, ...] = (16, 32, 64, 128)
    weight: float = 0.5
    ramp: bool = True
    theta: int = 5
    cross_entropy: bool = False
    score_every: int = 5
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


def aicd_phantoms(shared: AicdSettings) -> tuple[list[BuildingPhantom], list[BuildingPhantom]]:
    """Return training and test images; a quarter of each is cut by the image edge, and outlines take turns."""
    phantoms = BuildingPhantoms(shared.images, 0, (shared.size, shared.size))
    made = [phantoms.phantom(index) for index in tqdm(range(shared.images), desc="phantoms", unit="image")]
    return made[: -shared.scored], made[-shared.scored :]


def edge_band(shape: tuple[int, int], width: int) -> np.ndarray:
    """Bool `shape` of the pixels whose distance from the image edge is below `width` pixels."""
    band = np.ones(shape, bool)
    band[width:-width, width:-width] = False
    return band


def run_aicd(
    out: Path, losses: Sequence[str], seeds: Sequence[int], shared: AicdSettings, keep_all: bool = False
) -> None:
    """Train every loss with every seed, and append one line per finished run to `out`; finished ones are not repeated.

    The images are the same in all runs; a seed draws the start of the network and the order of the images, the same
    for all losses.

    Args:
        out: JSON lines file.
        losses: Names among `LOSSES`.
        seeds: Integers >= 0.
        shared: What all runs share.
        keep_all: Keep the predictions of all scored images in a line, not only those of `example_cases`.

    Raises:
        ValueError: A loss is unknown.
    """
    unknown = [name for name in losses if name not in LOSSES]
    if unknown:
        raise ValueError(f"losses must be among {', '.join(LOSSES)}, got {', '.join(unknown)}")
    runs = [{"data": "aicd", "loss": name, "seed": seed, **asdict(shared)} for seed in seeds for name in losses]
    missing = missing_runs(out, runs)
    if not missing:
        return
    train, test = aicd_phantoms(shared)
    run_all(
        out,
        missing,
        lambda run, title: _train(run["loss"], run["seed"], train, test, shared, title, keep_all),
        lambda run: f"aicd {run['loss']} seed {run['seed']}",
    )


def _train(
    name: str,
    seed: int,
    train: Sequence[BuildingPhantom],
    test: Sequence[BuildingPhantom],
    shared: AicdSettings,
    title: str,
    keep_all: bool,
) -> dict[str, Any]:
    set_determinism(seed)
    start, device = time.monotonic(), computing_device()
    network = AutoEncoder(2, 3, 1, shared.features, (2,) * len(shared.features)).to(device)
    loss = building_loss(name, shared.weight, shared.theta, shared.cross_entropy).to(device)
    items = [
        {"image": torch.from_numpy(phantom.image), "label": torch.from_numpy(phantom.mask[None].astype(np.float32))}
        for phantom in train
    ]
    masks: list[np.ndarray] = []
    cases: list[dict[str, Any]] = []

    def score(_engine: Any) -> dict[str, Any]:
        masks[:] = predict(network, [phantom.image for phantom in test], device)
        cases[:] = score_cases(masks, test, shared.size // 16)
        return {key: round(float(np.mean([case[key] for case in cases])), 4) for key in ("iou", "f1_3", "f1_5")}

    policy = raise_weight(loss, shared.weight, shared.epochs) if shared.ramp and name == "bf1+iou" else None
    curve = train_network(network, loss, items, shared, score, _describe, title, before_epoch=policy)
    kept = range(len(test)) if keep_all else example_cases(test)
    return {
        "cases": cases,
        "examples": {str(index): _pack_mask(masks[index]) for index in kept},
        "curve": curve,
        "seconds": round(time.monotonic() - start),
    }


def _describe(point: dict[str, Any]) -> str:
    return f"IoU {point['iou']:.3f} BF1 {point['f1_3']:.3f}"


def predict(network: torch.nn.Module, images: Sequence[np.ndarray], device: torch.device) -> list[np.ndarray]:
    """Return bool masks `(H, W)` of images `(3, H, W)`, the probability cut at 0.5.

    Raises:
        RuntimeError: The network's output is not finite.
    """
    batches = torch.from_numpy(np.stack(images)).split(16)
    with eval_mode(network):
        logits = torch.cat([network(batch.to(device)).cpu() for batch in batches])
    if not logits.isfinite().all():
        raise RuntimeError("the network's output must be finite, got NaN or infinity: the training diverged; lower lr")
    return list((logits[:, 0] > 0).numpy())


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
        rows.append(
            {
                "at_edge": phantom.at_edge,
                **score_building(mask, true).row(),
                "edge_iou": None if np.isnan(at_edge) else round(at_edge, 4),
            }
        )
    return rows


def example_cases(phantoms: Sequence[BuildingPhantom]) -> list[int]:
    """Return the first four images whose building the edge cuts, chosen without a look at any prediction."""
    return [index for index, phantom in enumerate(phantoms) if phantom.at_edge][:_EXAMPLES]


def _pack_mask(mask: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()


def unpack_mask(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Return the bool mask `shape` that a line keeps as `text`."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)
