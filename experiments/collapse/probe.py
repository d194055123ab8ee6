"""Which settings survive extreme imbalance: a probe on two real patients with multiple-sclerosis lesions.

Lesions fill 0.69 % of one volume and 0.018 % of the other. Axial slices are cut into blocks of 12; odd blocks train,
even blocks test, so the same patients are on both sides: this ranks losses, it is not a clinical result. One 2D UNet,
Adam, flips; maps belong to the whole volume.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import torch
from monai.data import Dataset
from monai.losses import DiceCELoss
from monai.networks import eval_mode
from monai.transforms import Compose, RandFlipd
from monai.utils import set_determinism

from experiments.shared.commands import ListOf, Plan, experiment, seeds_option
from experiments.shared.journal import Run
from experiments.shared.real_data import MS_PATIENTS, ms_patient, read_body
from experiments.shared.tables import grouped, markdown
from experiments.shared.training import DEVICE, Budget, boundary_options, make_unet, train_network
from monai_boundary import (
    BoundaryLoss,
    CollapseGuard,
    Constant,
    GeneralizedDiceLoss,
    Increase,
    Rebalance,
    RegionBoundaryLoss,
    WaitForRegion,
    Warmup,
)
from monai_boundary.datasets.nifti import load_nifti
from monai_boundary.engines import Events
from monai_boundary.kernels.distance import PUBLISHED, ROBUST, DistanceMapOptions, labels_distance_map
from monai_boundary.losses.collapse import CollapseWarning, foreground_shares
from monai_boundary.metrics import surface_distances
from monai_boundary.metrics.lesions import lesion_counts
from monai_boundary.metrics.surface import dice_score
from monai_boundary.schedules import Schedule

BLOCK = 12


@dataclass(frozen=True)
class Setting:
    """One row of the table: the region loss, the map and the schedule."""

    region: str
    options: DistanceMapOptions
    schedule: Schedule


SETTINGS: dict[str, Setting] = {
    "gdl": Setting("gdl", ROBUST, Constant(0.0)),
    "gdl+published": Setting("gdl", PUBLISHED, Rebalance()),
    "gdl+clip": Setting("gdl", ROBUST.replace(balance=0.0), Rebalance()),
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


@dataclass(frozen=True, eq=False)
class PatientVolume:
    """One patient: image `(3, X, Y, Z)`, lesion `(X, Y, Z)`, 1 mm voxels."""

    image: np.ndarray
    lesion: np.ndarray

    def slices(self, test: bool) -> np.ndarray:
        """Return which axial slices test, or train: those of even, or of odd blocks."""
        block = np.arange(self.lesion.shape[2]) // BLOCK
        return np.flatnonzero(block % 2 == (0 if test else 1))


@experiment("collapse", data="folder")
@click.option("--settings", type=ListOf(SETTINGS), default=",".join(SETTINGS))
@seeds_option()
@click.option("--epochs", default=20, show_default=True, type=click.IntRange(min=1))
def collapse(data: Path, settings: tuple[str, ...], seeds: tuple[int, ...], epochs: int) -> Plan:
    """Ask which maps and schedules survive extreme imbalance, on two real patients with sclerosis lesions."""
    runs = [{"setting": name, "epochs": epochs, "seed": seed} for seed in seeds for name in settings]

    @cache
    def patients() -> list[PatientVolume]:
        return [load_patient(data, patient) for patient in MS_PATIENTS]

    return Plan(
        runs,
        lambda run, title: train_setting(run, patients(), title),
        lambda rows, _figures: collapse_tables(rows),
    )


def load_patient(data: Path, name: str) -> PatientVolume:
    """Read, normalise to the brain, and crop to its bounding box, padded to multiples of 8."""
    files = ms_patient(data, name)
    image, box = read_body(files)
    lesion = load_nifti(files.label)[0][box] > 0  # type: ignore[arg-type]
    pad = [*((0, -size % 8) for size in lesion.shape[:2]), (0, 0)]
    return PatientVolume(np.pad(image, [(0, 0), *pad]), np.pad(lesion, pad))


def training_items(volumes: Sequence[PatientVolume], options: DistanceMapOptions) -> list[dict[str, torch.Tensor]]:
    """Return the training slices of one size, the edge repeated beyond it, with their part of the volume's map."""
    size = np.max([volume.lesion.shape[:2] for volume in volumes], axis=0)
    items = []
    for volume in volumes:
        labels = volume.lesion[None].astype(np.uint8)
        maps = labels_distance_map(labels, 2, (1.0, 1.0, 1.0), options, include_background=False)
        pad = [(0, 0), *((0, missing) for missing in size - volume.lesion.shape[:2])]
        parts = {"image": volume.image, "label": labels.astype(np.float32), "distance_map": maps}
        items += [
            {key: torch.from_numpy(np.pad(part[..., z], pad, mode="edge")) for key, part in parts.items()}
            for z in volume.slices(test=False)
        ]
    return items


class _Guard:
    """A handler that shows every step to the guard."""

    def __init__(self) -> None:
        self.guard = CollapseGuard()

    def attach(self, engine: Any) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        """Update the guard."""
        self.guard.update(*foreground_shares(engine.state.output["pred"], engine.state.output["label"]))


def train_setting(run: Run, volumes: Sequence[PatientVolume], title: str) -> dict[str, Any]:
    """Train and score one setting."""
    setting = SETTINGS[run["setting"]]
    set_determinism(run["seed"])
    kind = {"gdl": partial(GeneralizedDiceLoss, scale_free=False), "dicece": DiceCELoss}[setting.region]
    region = kind(softmax=True, to_onehot_y=True)
    loss = RegionBoundaryLoss(region, BoundaryLoss(include_background=False, softmax=True))
    keys = ("image", "label", "distance_map")
    flips = Compose([RandFlipd(keys, 0.5, axis) for axis in (0, 1)]).set_random_state(run["seed"])
    network = make_unet(2, 3, 2, (16, 32, 64, 128), num_res_units=0, norm="instance")
    budget = Budget(run["epochs"], score_every=run["epochs"])
    options = boundary_options(loss, setting.schedule)
    options["train_handlers"].append(_Guard())

    def score(_engine: Any) -> dict[str, Any]:
        scores = {name: score_patient(network, volume) for name, volume in zip(MS_PATIENTS, volumes, strict=True)}
        return {"scores": scores, "dice": float(np.mean([each["dice"] for each in scores.values()]))}

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", CollapseWarning)
        items = Dataset(training_items(volumes, setting.options), flips)
        curve = train_network(network, loss, items, budget, score, title, shown="dice", **options)
    warned = any(issubclass(warning.category, CollapseWarning) for warning in seen)
    return {"scores": curve[-1]["scores"], "guard_warned": warned, "torch": torch.__version__}


def score_patient(network: torch.nn.Module, volume: PatientVolume) -> dict[str, float | None]:
    """Dice, HD95 (mm), lesion recall and precision over the test blocks; HD95 of an empty prediction is None."""
    found, truth = np.zeros_like(volume.lesion), np.zeros_like(volume.lesion)
    with eval_mode(network):
        for z in volume.slices(test=True):
            logits = network(torch.from_numpy(volume.image[None, ..., z]).to(DEVICE))
            found[..., z] = logits.argmax(1)[0].cpu().numpy() > 0
            truth[..., z] = volume.lesion[..., z]
    lesions, hd95 = lesion_counts(found, truth), surface_distances(found, truth).hausdorff_mm(95, empty="nan")
    return {
        "dice": dice_score(found, truth),
        "hd95_mm": hd95 if found.any() else None,
        "lesion_recall": lesions.recall,
        "lesion_precision": lesions.precision if found.any() else 0.0,
        "predicted_over_true": float(found.sum() / truth.sum()),
    }


def collapse_tables(rows: Sequence[Run]) -> str:
    """Return, per length of run, the median and the range over the seeds of each setting."""
    names = ("Dice", "HD95 mm", "lesion recall / precision")
    header = ("setting", "seeds", "empty", *(f"{p} {name}" for p in MS_PATIENTS for name in names), "guard warned")
    parts = []
    for epochs, runs in sorted(grouped(rows, lambda row: row["epochs"]).items()):
        cells = []
        for name, seeds in grouped(runs, lambda row: row["setting"]).items():
            empty = sum(row["scores"][patient]["hd95_mm"] is None for row in seeds for patient in MS_PATIENTS)
            scores = [cell for patient in MS_PATIENTS for cell in _cells([row["scores"][patient] for row in seeds])]
            warned = sum(row["guard_warned"] for row in seeds)
            total = len(seeds) * len(MS_PATIENTS)
            cells.append([name, len(seeds), f"{empty}/{total}", *scores, f"{warned}/{len(seeds)}"])
        parts.append(f"### {epochs} epochs\n\n{markdown(header, cells)}")
    return "\n\n".join(parts)


def _cells(scores: Sequence[dict[str, Any]]) -> list[str]:
    recall, precision = (median(row[key] for row in scores) for key in ("lesion_recall", "lesion_precision"))
    ranges = [_range([row[key] for row in scores], form) for key, form in (("dice", ".3f"), ("hd95_mm", ".1f"))]
    return [*ranges, f"{recall:.2f} / {precision:.2f}"]


def _range(values: Sequence[float | None], form: str) -> str:
    """Median and range; an empty prediction is larger than any distance."""
    numbers = sorted(float("inf") if value is None else value for value in values)
    words = ["empty" if v == float("inf") else format(v, form) for v in (median(numbers), numbers[0], numbers[-1])]
    return "{} ({} to {})".format(*words)
