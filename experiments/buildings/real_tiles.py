"""The four losses of the boundary F1 paper on real tiles of LoveDA: one tile trains and the other is scored, both ways.

Every row has the paper's cross-entropy (section 4.2); same network, crops and steps for all, no look at the scored side
before the end. One tile is a very small training set, and buildings fill 1.4 and 0.3 % of the tiles: this compares
losses and says little about buildings. The SpaceNet tile, whose halves do the same, is left out unless named: its
footprints do not lie on its buildings, as ``python -m experiments alignment`` shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from monai.data import Dataset
from monai.inferers import sliding_window_inference
from monai.networks import eval_mode
from monai.transforms import Compose, RandCropByPosNegLabeld, RandFlipd, RandRotate90d
from monai.utils import set_determinism
from scipy.ndimage import binary_erosion, gaussian_filter, gaussian_gradient_magnitude

from experiments.buildings.losses import LOSSES, THETAS, building_loss, raise_alpha, score_building
from experiments.shared.commands import FILE, ListOf, Plan, experiment, seeds_option
from experiments.shared.journal import Run, settings_of
from experiments.shared.real_data import data_folder
from experiments.shared.tables import grouped, markdown, spread
from experiments.shared.training import DEVICE, Budget, Point, finite, make_unet, train_network
from monai_boundary.datasets.remote import IGNORE, TileReader
from monai_boundary.datasets.remote.georeference import without_georeference_warning

STEPS = 20  # per epoch
SIDES = {"loveda": ("tile 0", "tile 1"), "spacenet": ("left half", "right half")}


@dataclass(frozen=True)
class TileSettings(Budget):
    """What all runs share: `batch` 1 is one draw of `crops` crops, half of them around a pixel of a building.

    Batch norm and the learning rate were chosen by the training side of one run: with instance norm, or at 1e-3, the
    network had not learnt its own tile after 160 steps.
    """

    epochs: int = 8
    batch: int = 1
    lr: float = 5e-3
    score_every: int = 8
    features: tuple[int, ...] = (8, 16, 32, 64)
    crop: int = 96
    crops: int = 8
    weight: float = 0.5


@dataclass(frozen=True, eq=False)
class Side:
    """Image `(C, H, W)` as stored, and mask `(H, W)`: 1 building, 0 none, 255 no data."""

    image: np.ndarray
    mask: np.ndarray


@experiment("buildings", data="folder")
@seeds_option()
@click.option("--sets", type=ListOf(SIDES), default="loveda", show_default=True)
@click.option("--losses", type=ListOf(LOSSES), default=",".join(LOSSES), show_default=True)
@click.option("--epochs", default=8, show_default=True, help=f"Of {STEPS} steps of 8 crops.")
def buildings(data: Path, seeds: tuple[int, ...], sets: tuple[str, ...], losses: tuple[str, ...], epochs: int) -> Plan:
    """Train on one real tile and score the other, both ways, with the four losses of the boundary F1 paper."""
    shared = TileSettings(epochs=epochs, score_every=epochs)
    directions = [f"{name}, {a} to {b}" for name in sets for a, b in (SIDES[name], SIDES[name][::-1])]
    runs = [
        {"data": direction, "loss": loss, "seed": seed, **asdict(shared)}
        for seed in seeds for direction in directions for loss in losses
    ]  # fmt: skip

    def train(run: Run, title: str) -> dict[str, Any]:
        name, direction = run["data"].split(", ", 1)
        first, second = (read_sides(data, name)[side] for side in direction.split(" to "))
        return train_side(run, first, second, title)

    return Plan(runs, train, lambda rows, _figures: tile_table(rows))


@click.command()
@click.option("--data", type=FILE, default=data_folder())
def alignment(data: Path) -> None:
    """Print how well every mask lies on its image, within 5 pixels of its place and at its best shift."""
    cells = []
    for name in SIDES:
        for side, each in read_sides(data, name).items():
            cells.append([f"{name}, {side}", *(f"{value:.1f}" for value in alignment_scores(each.image, each.mask))])
    click.echo(markdown(("side", "in its place", "best shift"), cells))


@cache
def read_sides(data: Path, name: str) -> dict[str, Side]:
    """Return the two sides of a data set by name."""
    if name == "loveda":
        labels = [_read(data / "loveda" / f"label_{number}.png")[0] for number in range(2)]
        masks = [np.where(label == 0, IGNORE, label == 2).astype(np.uint8) for label in labels]
        pair = [Side(_read(data / "loveda" / f"image_{number}.png"), mask) for number, mask in enumerate(masks)]
    else:
        image = _read(data / "spacenet" / "image.tif")
        mask = (_read(data / "spacenet" / "building_mask.tif")[0] > 0).astype(np.uint8)
        middle = image.shape[2] // 2
        pair = [Side(image[..., part], mask[:, part]) for part in (slice(middle), slice(middle, None))]
    return dict(zip(SIDES[name], pair, strict=True))


def _read(path: Path) -> np.ndarray:
    with without_georeference_warning(), TileReader(path) as reader:
        height, width = reader.shape
        return reader.read(slice(0, height), slice(0, width))


def alignment_scores(image: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
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


def train_side(run: Run, first: Side, second: Side, title: str) -> dict[str, Any]:
    """Train on `first`, score `second`; the percentiles that scale both are those of `first`."""
    set_determinism(run["seed"])
    shared = settings_of(TileSettings, run)
    low, high = np.percentile(first.image, (2, 98), axis=(1, 2))[..., None, None]
    train_image, test_image = (
        torch.from_numpy(np.clip((side.image - low) / (high - low), 0, 1).astype(np.float32))
        for side in (first, second)
    )
    ignore = IGNORE if (first.mask == IGNORE).any() else None
    loss = building_loss(run["loss"], shared.weight, cross_entropy=True, ignore_index=ignore)
    network = make_unet(2, len(first.image), 1, shared.features, norm="batch")
    true, valid = second.mask == 1, second.mask != IGNORE

    def score(_engine: Any) -> Point:
        with eval_mode(network):
            logits = finite(sliding_window_inference(test_image[None].to(DEVICE), 256, 4, network, overlap=0.25))
        found = (logits[0, 0] > 0).numpy()
        shares = {"predicted": round(float(found[valid].mean()), 5), "true": round(float(true[valid].mean()), 5)}
        return {**score_building(found, true, None if valid.all() else valid), **shares}

    policy = raise_alpha(loss, shared.weight, shared.epochs) if run["loss"] == "bf1+iou" else None
    items = training_crops(train_image, first.mask, shared)
    curve = train_network(network, loss, items, shared, score, title, shown="iou", before_epoch=policy)
    return {"cases": [curve[-1]], "curve": curve}


def training_crops(image: torch.Tensor, mask: np.ndarray, shared: TileSettings) -> Dataset:
    """Return `STEPS` items, each a draw of crops, flipped and turned at random."""
    keys, size = ("image", "label"), (shared.crop, shared.crop)
    crop = RandCropByPosNegLabeld(keys, "building", size, num_samples=shared.crops, allow_smaller=False)
    flips = [RandFlipd(keys, 0.5, axis) for axis in (0, 1)]
    label = torch.from_numpy(mask[None].astype(np.float32))
    item = {"image": image, "label": label, "building": (label == 1).float()}
    return Dataset([item] * STEPS, Compose([crop, *flips, RandRotate90d(keys, 0.75, spatial_axes=(0, 1))]))


def tile_table(rows: Sequence[Run]) -> str:
    """Return one line per data and loss, mean ± standard deviation over seeds in per cent."""
    columns = {"IoU": "iou"} | {f"BF1, theta {theta}": f"f1_{theta}" for theta in THETAS} | {"predicted": "predicted"}
    groups = grouped(rows, lambda row: (row["data"], row["loss"]))
    cells = []
    for data in dict.fromkeys(row["data"] for row in rows):
        for loss in LOSSES:
            if runs := [row["cases"][0] for row in groups.get((data, loss), [])]:
                scores = [spread([100 * case[key] for case in runs], ".2f") for key in columns.values()]
                cells.append([data, loss, len(runs), *scores, f"{100 * runs[0]['true']:.2f}"])
    return markdown(("train to test", "loss", "seeds", *columns, "true"), cells)
