"""What the boundary term costs nnU-Net: worker time per sample at 128^3, and the training step on real MRI.

CPU time of interleaved repeats on one thread: mean per sample for the worker; for the step the median of the ratios of
neighbouring calls, so that a machine that slows down for a while slows down both. The worker reads a synthetic blosc2
case through nnU-Net's own loader and transforms, with and without the distance maps appended. The step is that of
nnUNetTrainer and of nnUNetTrainerDiceCEBoundary on the hippocampus data set as nnU-Net plans it, prepared by
benchmarks/hippocampus.py in the same --work folder.

    python benchmarks/nnunet_overhead.py --work /tmp/hippocampus --json docs/results/nnunet_overhead.json
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "nnUNet_n_proc_DA": "0"}  # read at import

import argparse
import contextlib
import copy
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import torch
from benchmark import Against, Record, compare, make_record
from measure import interleaved, machine
from phantoms_speed import ellipsoids
from tables import new_run

SHAPE, PATCH, SPACING = (160, 160, 160), (128, 128, 128), (1.0, 1.0, 1.0)
TARGETS = {"worker, 1 foreground class": 1.15, "worker, 3 foreground classes": 1.20, "train_step": 1.03}


def loaders(folder: Path, foreground: int) -> dict[str, Any]:
    """Stock loader and the same with distance maps, on one case with `foreground` classes."""
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    from monai_boundary.kernels import ROBUST
    from nnunet_trainers.targets import AppendDistanceMaps

    folder = folder / str(foreground)
    folder.mkdir()
    labels = ellipsoids(SHAPE, foreground + 1)
    image = np.random.default_rng(0).standard_normal((1, *SHAPE)).astype(np.float32) + labels
    places = {k: np.argwhere(labels[None] == k)[:10000] for k in range(1, foreground + 1)}
    nnUNetDatasetBlosc2.save_case(
        image, labels[None].astype(np.int16), {"class_locations": places}, str(folder / "case")
    )
    scales = [[1 / 2**i] * 3 for i in range(5)]
    angles = (-np.pi / 6, np.pi / 6)
    transforms = nnUNetTrainer.get_training_transforms(
        PATCH, angles, scales, (0, 1, 2), False, use_mask_for_norm=[False], foreground_labels=list(places)
    )
    with_maps = copy.deepcopy(transforms)
    with_maps.transforms.append(AppendDistanceMaps(foreground + 1, SPACING, ROBUST))
    manager = LabelManager({"background": 0} | {f"class {k}": k for k in places}, None)
    initial = get_patch_size(PATCH, angles, angles, angles, (0.85, 1.25))
    return {
        name: nnUNetDataLoader(nnUNetDatasetBlosc2(str(folder)), 2, initial, PATCH, manager, 0.33, transforms=chosen)
        for name, chosen in (("stock", transforms), ("with maps", with_maps))
    }


def worker_calls(folder: Path, foreground: int) -> dict[str, Any]:
    """Draw the same random numbers for both, so that both augment alike."""
    pair = loaders(folder, foreground)
    draws = {name: iter(range(10**6)) for name in pair}

    def call(name: str) -> None:
        seed = next(draws[name])
        np.random.seed(seed)  # noqa: NPY002 - nnU-Net draws from the global generators
        torch.manual_seed(seed)
        pair[name].generate_train_batch()

    return {name: (lambda name=name: call(name)) for name in pair}


def step_calls(work: Path) -> dict[str, Any]:
    """One train_step of the stock trainer and of the one with the boundary term, each on its own batch."""
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(work / name)
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from nnunet_trainers.boundary import nnUNetTrainerDiceCEBoundary

    folder = work / "preprocessed" / "Dataset004_Hippocampus"
    calls = {}
    for name, trainer_class in (("stock", nnUNetTrainer), ("with maps", nnUNetTrainerDiceCEBoundary)):
        plans = json.loads((folder / "nnUNetPlans.json").read_text()) | {"continue_training": False}
        description = json.loads((folder / "dataset.json").read_text())
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = trainer_class(plans, "3d_fullres", 0, description, torch.device("cpu"))
            trainer.on_train_start()
            trainer.on_epoch_start()
            trainer.on_train_epoch_start()
        batch = next(trainer.dataloader_train)
        calls[name] = lambda trainer=trainer, batch=batch: trainer.train_step(batch)
    return calls


def record_of(name: str, times: dict[str, Any], ratio: float) -> Record:
    """One row in the form of benchmarks/run.py, where a ratio is that of the peer's time to ours."""
    record = make_record(f"nnU-Net, {name}", "nnunet", times, statistic="median" if name == "train_step" else "mean")
    record["results"] = compare(record, (Against("stock", 1 / TARGETS[name], ours="with maps"),))
    record["results"][0] |= {"ratio": 1 / ratio, "met": ratio <= TARGETS[name]}
    return record


def main(given: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder of benchmarks/hippocampus.py; without it no training step")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(given)
    torch.set_num_threads(1)
    result: dict[str, Any] = {"machine": machine(), "rows": {}}
    run = new_run(False, {})
    with tempfile.TemporaryDirectory() as folder:
        cases = {
            "worker, 1 foreground class": lambda: worker_calls(Path(folder), 1),
            "worker, 3 foreground classes": lambda: worker_calls(Path(folder), 3),
        }
        if arguments.work:
            cases["train_step"] = lambda: step_calls(arguments.work.resolve())
        print("| what | stock, ms CPU | with maps, ms CPU | ratio | at most |\n|---|---|---|---|---|")
        for name, make in cases.items():
            calls = make()
            interleaved(calls, 1)  # warm up
            times = interleaved(calls, arguments.repeats * (1 if name == "train_step" else 4))
            # Augmentation is drawn at random, alike for both: what a worker does on average is the mean over the draws.
            average, samples = (median, 1) if name == "train_step" else (mean, 2)  # a batch of the loader holds two
            stock, ours = (1000 * average(times[key]["cpu_s"]) / samples for key in ("stock", "with maps"))
            ratio = ours / stock
            if name == "train_step":
                pairs = zip(times["with maps"]["cpu_s"], times["stock"]["cpu_s"], strict=True)
                ratio = median(with_maps / alone for with_maps, alone in pairs)
            result["rows"][name] = {"times": times, "stock_ms": stock, "with_maps_ms": ours, "ratio": ratio}
            run["benchmarks"]["nnunet_" + name.replace(",", "").replace(" ", "_")] = record_of(name, times, ratio)
            print(f"| {name} | {stock:.0f} | {ours:.0f} | {ratio:.3f} | {TARGETS[name]:.2f} |", flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result | {"runs": [run]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
