"""The four losses of the boundary F1 paper on real tiles of LoveDA and SpaceNet.

LoveDA: one tile trains and the other is scored, both ways. SpaceNet: so do the halves of its tile.

    python -m experiments.buildings.real_tiles --seeds 0 1 2
    python -m experiments.buildings.real_tiles --table
    python -m experiments.buildings.real_tiles --alignment

The last asks whether the footprints lie on the buildings at all. Those of the SpaceNet tile do not, which is why it is
left out unless named: ``--sets loveda spacenet``.

Every row has the paper's cross-entropy (section 4.2); same network, crops and steps for all, no look at the scored side
before the end. One tile is a very small training set, and buildings fill 1.4 and 0.3 % of the LoveDA tiles: this
compares losses and says little about buildings. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet
from monai.transforms import Compose, RandCropByPosNegLabeld, RandFlipd, RandRotate90d
from monai.utils import set_determinism
from scipy.ndimage import binary_erosion, gaussian_filter, gaussian_gradient_magnitude

from experiments.buildings.losses import LOSSES, THETAS, building_loss, raise_weight, score_building
from experiments.shared.data import data_folder
from experiments.shared.journal import finished_runs, missing_runs, run_all
from experiments.shared.training import computing_device, train_network
from experiments.wmh_isles.table import spread
from monai_boundary.datasets.remote import IGNORE, TileReader
from monai_boundary.datasets.remote.raster import without_georeference_warning

STEPS = 20  # per epoch
WORDS = {"loveda": ("tile 0", "tile 1"), "spacenet": ("left half", "right half")}


@dataclass(frozen=True)
class Settings:
    """What all runs share: `batch` 1 is one draw of `crops` crops, half of them around a pixel of a building.

    Batch norm and the learning rate were chosen by the training side of one run: with instance norm, or at 1e-3, the
    network had not learnt its own tile after 160 steps.
    """

    epochs: int = 8
    batch: int = 1
    lr: float = 5e-3
    features: tuple[int, ...] = (8, 16, 32, 64)
    crop: int = 96
    crops: int = 8
    weight: float = 0.5
    score_every: int = 8


@dataclass(frozen=True, eq=False)
class Side:
    """Image `(C, H, W)` as stored, and mask `(H, W)`: 1 building, 0 none, 255 no data."""

    image: np.ndarray
    mask: np.ndarray


def read(path: Path) -> np.ndarray:
    """Return all pixels of a file, `(C, H, W)`."""
    with without_georeference_warning(), TileReader(path) as reader:
        height, width = reader.shape
        return reader.read(slice(0, height), slice(0, width))


def sides(data: Path) -> dict[str, tuple[Side, Side]]:
    """Return the two sides of each data set."""
    tiles = []
    for number in range(2):
        label = read(data / "loveda" / f"label_{number}.png")[0]
        mask = np.where(label == 0, IGNORE, label == 2).astype(np.uint8)
        tiles.append(Side(read(data / "loveda" / f"image_{number}.png"), mask))
    image = read(data / "spacenet" / "image.tif")
    mask = (read(data / "spacenet" / "building_mask.tif")[0] > 0).astype(np.uint8)
    middle = image.shape[2] // 2
    halves = Side(image[..., :middle], mask[:, :middle]), Side(image[..., middle:], mask[:, middle:])
    return {"loveda": (tiles[0], tiles[1]), "spacenet": halves}


def scaled(image: np.ndarray, low: np.ndarray, high: np.ndarray) -> torch.Tensor:
    """Bring the range from `low` to `high` of every channel to [0, 1]; values beyond it are cut."""
    return torch.from_numpy(np.clip((image - low) / (high - low), 0, 1).astype(np.float32))


def alignment(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Return the mean edge strength of the image on the outline of the mask, where it is and at its best shift.

    Both are in standard deviations over all shifts of the mask, around the image: a mask that belongs to its image
    stands out where it is.
    """
    grey = np.log1p(image.mean(0, dtype=np.float64))
    strength = gaussian_gradient_magnitude(grey, 1)
    strength -= gaussian_filter(strength, 15)
    outline = ((mask == 1) ^ binary_erosion(mask == 1)).astype(float)
    found = np.fft.ifft2(np.fft.fft2(strength - strength.mean()) * np.conj(np.fft.fft2(outline - outline.mean()))).real
    scores = (found - found.mean()) / found.std()
    near = np.roll(scores, (5, 5), (0, 1))[:11, :11]
    return float(near.max()), float(scores.max())


def print_alignment(data: Path) -> None:
    """Print how well every mask lies on its image, within 5 pixels and at any shift."""
    print("| side | in its place | best shift |\n|---|---|---|")
    for name, pair in sides(data).items():
        for side, word in zip(pair, WORDS[name], strict=True):
            place, best = alignment(side.image, side.mask)
            print(f"| {name}, {word} | {place:.1f} | {best:.1f} |")


def training_crops(image: torch.Tensor, mask: np.ndarray, shared: Settings) -> Dataset:
    """Return `STEPS` items, each a draw of crops, flipped and turned at random."""
    keys = ("image", "label")
    crop = RandCropByPosNegLabeld(
        keys, "building", (shared.crop, shared.crop), pos=1, neg=1, num_samples=shared.crops, allow_smaller=False
    )
    transform = Compose(
        [crop, RandFlipd(keys, 0.5, 0), RandFlipd(keys, 0.5, 1), RandRotate90d(keys, 0.75, spatial_axes=(0, 1))]
    )
    label = torch.from_numpy(mask[None].astype(np.float32))
    item = {"image": image, "label": label, "building": (label == 1).float()}
    return Dataset([item] * STEPS, transform)


def train(run: dict[str, Any], first: Side, second: Side, shared: Settings, title: str) -> dict[str, Any]:
    """Train on `first`, score `second`; the percentiles that scale both are those of `first`."""
    set_determinism(run["seed"])
    start, device = time.monotonic(), computing_device()
    low, high = np.percentile(first.image, (2, 98), axis=(1, 2))[..., None, None]
    ignore = IGNORE if (first.mask == IGNORE).any() else None
    loss = building_loss(run["loss"], shared.weight, cross_entropy=True, ignore_index=ignore).to(device)
    channels = len(first.image)
    strides = (2,) * (len(shared.features) - 1)
    network = UNet(2, channels, 1, shared.features, strides, num_res_units=1, norm="batch").to(device)

    def score(_engine: Any) -> dict[str, Any]:
        network.eval()
        with torch.no_grad():
            image = scaled(second.image, low, high)[None].to(device)
            logits = sliding_window_inference(image, 256, 4, network, overlap=0.25)
        network.train()
        if not logits.isfinite().all():
            raise RuntimeError("the network's output must be finite, got NaN or infinity: the training diverged")
        found, valid = (logits[0, 0] > 0).cpu().numpy(), second.mask != IGNORE
        return {
            **score_building(found, second.mask == 1, None if valid.all() else valid).row(),
            "predicted": round(float(found[valid].mean()), 5),
            "true": round(float((second.mask == 1)[valid].mean()), 5),
        }

    policy = raise_weight(loss, shared.weight, shared.epochs) if run["loss"] == "bf1+iou" else None
    items = training_crops(scaled(first.image, low, high), first.mask, shared)
    curve = train_network(
        network, loss, items, shared, score, lambda point: f"IoU {point['iou']:.3f}", title, before_epoch=policy
    )
    return {"cases": [curve[-1]], "curve": curve, "seconds": round(time.monotonic() - start)}


def table(rows: list[dict[str, Any]]) -> str:
    """Return one line per data and loss, mean ± standard deviation over seeds in per cent."""
    columns = {"IoU": "iou"} | {f"BF1, theta {theta}": f"f1_{theta}" for theta in THETAS} | {"predicted": "predicted"}
    lines = [f"| train to test | loss | seeds | {' | '.join(columns)} | true |", "|---" * (len(columns) + 4) + "|"]
    for data in dict.fromkeys(row["data"] for row in rows):
        for loss in LOSSES:
            cases = [row["cases"][0] for row in rows if row["data"] == data and row["loss"] == loss]
            if cases:
                cells = [spread([100 * case[key] for case in cases], ".2f") for key in columns.values()]
                lines.append(f"| {data} | {loss} | {len(cases)} | {' | '.join(cells)} | {100 * cases[0]['true']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=["loveda"], choices=WORDS)
    parser.add_argument("--losses", nargs="+", default=list(LOSSES), choices=LOSSES)
    parser.add_argument("--epochs", type=int, default=8, help=f"of {STEPS} steps of 8 crops")
    parser.add_argument("--out", type=Path, default=Path("docs/results/buildings_real.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--alignment", action="store_true", help="only print how well the masks lie on the images")
    arguments = parser.parse_args()
    if arguments.alignment:
        return print_alignment(arguments.data)
    if not arguments.table:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        warnings.filterwarnings("ignore", category=FutureWarning)
        run(arguments)
    print(f"\n{table(finished_runs(arguments.out))}")


def run(arguments: argparse.Namespace) -> None:
    """Train both ways on both data sets."""
    shared = Settings(epochs=arguments.epochs, score_every=arguments.epochs)
    pairs = {}
    found = sides(arguments.data)
    for name in arguments.sets:
        first, second, words = *found[name], WORDS[name]
        pairs[f"{name}, {words[0]} to {words[1]}"] = first, second
        pairs[f"{name}, {words[1]} to {words[0]}"] = second, first
    runs = [
        {"data": data, "loss": loss, "seed": seed, **asdict(shared)}
        for seed in arguments.seeds
        for data in pairs
        for loss in arguments.losses
    ]
    run_all(
        arguments.out,
        missing_runs(arguments.out, runs),
        lambda run, title: train(run, *pairs[run["data"]], shared, title),
        lambda run: f"{run['data']}, {run['loss']}, seed {run['seed']}",
    )


if __name__ == "__main__":
    main()
