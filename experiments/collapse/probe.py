"""Which settings survive extreme imbalance: a probe on two real patients with multiple-sclerosis lesions.

Lesions fill 0.69 % of one volume and 0.018 % of the other. Axial slices are cut into blocks of 12; odd blocks train,
even blocks test, so the same patients are on both sides: this ranks losses, it is not a clinical result. One 2D UNet,
Adam, flips; maps belong to the whole volume. Every run appends one line to the results file, and a run that is there is
not repeated.

    python -m experiments.collapse.probe --epochs 20 --seeds 0 1 2 --out docs/results/collapse_probe.jsonl
    python -m experiments.collapse.probe --table docs/results/collapse_probe.jsonl
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.metrics import compute_hausdorff_distance
from monai.networks.nets import UNet
from scipy import ndimage
from tqdm import tqdm

from experiments.collapse.table import print_table
from experiments.shared.data import data_folder
from monai_boundary import (
    BoundaryLoss,
    CollapseGuard,
    Constant,
    GeneralizedDiceLoss,
    Increase,
    Rebalance,
    RegionBoundaryLoss,
    SignedDistanceMap,
    WaitForRegion,
    Warmup,
)
from monai_boundary.kernels.distance import PUBLISHED, ROBUST, DistanceMapOptions
from monai_boundary.losses.collapse import CollapseWarning, foreground_shares
from monai_boundary.schedules import Schedule

PATIENTS = ("patient19", "patient07")
BLOCK = 12
BATCH = 8


@dataclass(frozen=True)
class Setting:
    """One row of the table: the region loss, the map and the schedule."""

    region: str
    options: DistanceMapOptions
    schedule: Schedule


CLIP = ROBUST.replace(balance=0.0)
SETTINGS: dict[str, Setting] = {
    "gdl": Setting("gdl", ROBUST, Constant(0.0)),
    "gdl+published": Setting("gdl", PUBLISHED, Rebalance()),
    "gdl+clip": Setting("gdl", CLIP, Rebalance()),
    "gdl+robust": Setting("gdl", ROBUST, Rebalance()),
    "gdl+robust-end0.5": Setting("gdl", ROBUST, Rebalance(end=0.5)),
    "gdl+robust-wait": Setting("gdl", ROBUST, WaitForRegion(Rebalance())),
    "gdl+robust-increase": Setting("gdl", ROBUST, Increase()),
    "gdl+robust-increase0.3": Setting("gdl", ROBUST, Increase(end=0.3)),
    "gdl+published-warmup": Setting("gdl", PUBLISHED, Warmup(0.5, Rebalance())),
    "dicece": Setting("dicece", ROBUST, Constant(0.0)),
    "dicece+published": Setting("dicece", PUBLISHED, Increase()),
    "dicece+robust": Setting("dicece", ROBUST, Increase()),
    "dicece+robust-end0.3": Setting("dicece", ROBUST, Increase(end=0.3)),
    "dicece+robust-wait0.3": Setting("dicece", ROBUST, WaitForRegion(Increase(end=0.3))),
}


@dataclass(frozen=True)
class Volume:
    """One patient: image (3, X, Y, Z), lesion (X, Y, Z), and which axial slices train and test."""

    image: np.ndarray
    lesion: np.ndarray
    train: np.ndarray
    test: np.ndarray


def load_patient(folder: Path) -> Volume:
    """Read, normalise to the brain, and crop to its bounding box, padded to multiples of 8."""
    channels = [np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj, np.float32) for name in ("FLAIR", "T1", "T2")]
    lesion = np.asarray(nib.load(folder / "lesion.nii.gz").dataobj) > 0
    brain = channels[0] > 0
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in np.nonzero(brain))
    cropped = [np.where(brain, (c - c[brain].mean()) / c[brain].std(), 0)[box] for c in channels]
    pad = [(0, -size % 8) for size in cropped[0].shape[:2]] + [(0, 0)]
    image = np.stack([np.pad(c, pad) for c in cropped]).astype(np.float32)
    mask = np.pad(lesion[box], pad)
    block = np.arange(mask.shape[2]) // BLOCK
    return Volume(image, mask, np.flatnonzero(block % 2 == 1), np.flatnonzero(block % 2 == 0))


def slices(volumes: list[Volume], options: DistanceMapOptions) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Training slices as (image, label, distance map), the map taken from the whole volume, 1 mm voxels."""
    result = []
    for volume in volumes:
        labels = torch.from_numpy(volume.lesion[None].astype(np.uint8))
        transform = SignedDistanceMap(2, None, include_background=False, spacing=(1, 1, 1), **vars(options))
        maps = transform(labels)
        image = torch.from_numpy(volume.image)
        result += [(image[..., z], labels[..., z].float(), maps[..., z]) for z in volume.train]
    return result


def batches(
    data: list[tuple[torch.Tensor, ...]], generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """One epoch of shuffled, flipped batches; slices of the two patients differ in size and are padded alike."""
    order = torch.randperm(len(data), generator=generator).tolist()
    size = [max(item[0].shape[axis] for item in data) for axis in (1, 2)]
    for start in range(0, len(order) - BATCH + 1, BATCH):
        samples = []
        for index in order[start : start + BATCH]:
            flips = [axis for axis in (1, 2) if torch.rand((), generator=generator) < 0.5]
            image, label, distance = (_pad(t, size) for t in data[index])
            samples.append([torch.flip(t, flips) for t in (image, label, distance)])
        yield tuple(torch.stack(column) for column in zip(*samples, strict=True))  # type: ignore[misc]


def _pad(tensor: torch.Tensor, size: list[int]) -> torch.Tensor:
    amount = [0, size[1] - tensor.shape[2], 0, size[0] - tensor.shape[1]]
    return torch.nn.functional.pad(tensor[None], amount, mode="replicate")[0] if any(amount) else tensor


def region_loss(name: str) -> torch.nn.Module:
    """The region term by name."""
    return GeneralizedDiceLoss(softmax=True, to_onehot_y=True) if name == "gdl" else DiceCELoss(
        softmax=True, to_onehot_y=True
    )  # fmt: skip


def train(setting: Setting, volumes: list[Volume], epochs: int, seed: int, note: Callable[[str], None]) -> UNet:
    """Train one network."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = slices(volumes, setting.options)
    network = UNet(2, 3, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=0, norm="instance")
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    loss = RegionBoundaryLoss(region_loss(setting.region), BoundaryLoss(include_background=False, softmax=True))
    guard, history = CollapseGuard(), []
    for epoch in range(epochs):
        loss.term_weights = setting.schedule.weights(epoch, epochs, history)
        terms = []
        for image, label, distance in batches(data, generator):
            logits = network(image)
            value = loss(logits, label, distance)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            terms.append(loss.region_term.item())
            guard.update(*foreground_shares(logits, label))
        history.append(float(np.mean(terms)))
        note(
            f"epoch {epoch + 1}/{epochs} region {history[-1]:.3f} alpha {loss.alpha:.2f} foreground x{guard.ratio:.2f}"
        )
    return network


@torch.no_grad()
def score(network: UNet, volume: Volume) -> dict[str, float | None]:
    """Dice, HD95 (mm), lesion recall and precision over the test blocks; HD95 of an empty prediction is None."""
    network.eval()
    prediction = np.zeros_like(volume.lesion)
    for z in volume.test:
        prediction[..., z] = network(torch.from_numpy(volume.image[None, ..., z])).argmax(1)[0].numpy() > 0
    truth = np.zeros_like(volume.lesion)
    truth[..., volume.test] = volume.lesion[..., volume.test]
    overlap = float((prediction & truth).sum())
    structure = np.ones((3, 3, 3))
    true_parts, true_count = ndimage.label(truth, structure)
    predicted_parts, predicted_count = ndimage.label(prediction, structure)
    hd95 = None
    if prediction.any():
        pair = (torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (prediction, truth))
        hd95 = float(compute_hausdorff_distance(*pair, include_background=True, percentile=95))
    return {
        "dice": 2 * overlap / float(prediction.sum() + truth.sum()),
        "hd95_mm": hd95,
        "lesion_recall": len(np.unique(true_parts[prediction & truth])) / true_count,
        "lesion_precision": len(np.unique(predicted_parts[prediction & truth])) / max(1, predicted_count),
        "predicted_over_true": float(prediction.sum() / truth.sum()),
    }


def run(name: str, volumes: list[Volume], epochs: int, seed: int) -> dict:
    """Train and score one setting."""
    started = time.time()
    with (
        tqdm(total=epochs, desc=f"{name} seed {seed}", leave=False) as bar,
        warnings.catch_warnings(record=True) as seen,
    ):
        warnings.simplefilter("always", CollapseWarning)
        network = train(SETTINGS[name], volumes, epochs, seed, lambda text: (bar.update(), bar.set_postfix_str(text)))
    scores = {patient: score(network, volume) for patient, volume in zip(PATIENTS, volumes, strict=True)}
    warned = any(issubclass(warning.category, CollapseWarning) for warning in seen)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return {
        "setting": name, "epochs": epochs, "seed": seed, "scores": scores, "guard_warned": warned,
        "seconds": round(time.time() - started), "date": str(datetime.date.today()),
        "torch": torch.__version__, "machine": machine,
    }  # fmt: skip


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/results/collapse_probe.jsonl"))
    parser.add_argument("--table", type=Path, help="only print the table of this results file")
    arguments = parser.parse_args()
    if arguments.table:
        print_table(arguments.table, PATIENTS)
        return
    torch.set_num_threads(arguments.threads)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if arguments.out.exists():
        rows = map(json.loads, arguments.out.read_text().splitlines())
        done = {(row["setting"], row["epochs"], row["seed"]) for row in rows}
    volumes = [load_patient(arguments.data / "ms_lesions" / patient) for patient in PATIENTS]
    for seed in arguments.seeds:
        for name in arguments.settings:
            if (name, arguments.epochs, seed) not in done:
                with arguments.out.open("a") as stream:
                    stream.write(json.dumps(run(name, volumes, arguments.epochs, seed)) + "\n")
    print_table(arguments.out, PATIENTS)


if __name__ == "__main__":
    main()
