"""What the boundary term costs nnU-Net: a worker of its data loader, and its training step.

A synthetic blosc2 case goes through nnU-Net's own loader and transforms, with the distance maps appended and without.
Augmentation is drawn at random: a round is several batches, and both loaders draw the same numbers. Network, optimiser,
losses and step are those of nnU-Net's trainers.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.case import Against, Calls, Case
from benchmarks.phantoms import ellipsoids, scattered_lesions

__all__ = ["CASES", "training_step"]

SPACING = (1.0, 1.0, 1.0)
ANGLES = (-np.pi / 6, np.pi / 6)
BATCH = 2


def worker(foreground: int, edge: int, batches: int) -> Calls:
    """One round of each loader, on one case with `foreground` classes."""
    labels = ellipsoids((edge * 5 // 4,) * 3, foreground + 1)
    return _rounds(labels, foreground, edge, batches, "with maps")


def worker_cells(lesions: int, edge: int, batches: int) -> Calls:
    """The same on a case of one class with so many lesions, with their cells."""
    labels = scattered_lesions((edge * 5 // 4,) * 3, lesions).astype(np.uint8)
    return _rounds(labels, 1, edge, batches, "with cells")


def _rounds(labels: np.ndarray, foreground: int, edge: int, batches: int, ours: str) -> Calls:
    folder = Path(tempfile.mkdtemp())
    pair = _loaders(folder, labels, foreground, edge, ours)

    def call(name: str) -> None:
        for seed in range(batches):
            np.random.seed(seed)  # noqa: NPY002 - nnU-Net draws from the global generators
            torch.manual_seed(seed)
            pair[name].generate_train_batch()

    calls = {ours: lambda: call(ours), "stock loader": lambda: call("stock loader")}
    weakref.finalize(calls[ours], shutil.rmtree, folder)
    return Calls(calls, scale=dict.fromkeys(calls, 1 / (BATCH * batches)))


def _loaders(folder: Path, labels: np.ndarray, foreground: int, edge: int, ours: str) -> dict[str, Any]:
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 - nnU-Net's name, read at import
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    from monai_boundary.kernels.distance import ROBUST
    from nnunet_trainers.targets import AppendDistanceMaps, AppendLesionCells

    patch = (edge,) * 3
    image = np.random.default_rng(0).standard_normal((1, *labels.shape)).astype(np.float32) + labels
    places = {k: np.argwhere(labels[None] == k)[:10000] for k in range(1, foreground + 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that chunks are not those of a patch, which both loaders read alike
        nnUNetDatasetBlosc2.save_case(
            image, labels[None].astype(np.int16), {"class_locations": places}, str(folder / "case")
        )
    scales = [[1 / 2**i] * 3 for i in range(max(1, edge.bit_length() - 3))]
    transforms = nnUNetTrainer.get_training_transforms(
        patch, ANGLES, scales, (0, 1, 2), False, use_mask_for_norm=[False], foreground_labels=list(places)
    )
    more, beside = copy.deepcopy(transforms), {"with cells": AppendLesionCells(foreground + 1, SPACING)}
    beside["with maps"] = AppendDistanceMaps(foreground + 1, SPACING, ROBUST)
    more.transforms.append(beside[ours])
    manager = LabelManager({"background": 0} | {f"class {k}": k for k in places}, None)
    initial = get_patch_size(patch, ANGLES, ANGLES, ANGLES, (0.85, 1.25))
    return {
        name: nnUNetDataLoader(
            nnUNetDatasetBlosc2(str(folder)), BATCH, initial, patch, manager, 0.33, transforms=chosen
        )
        for name, chosen in (("stock loader", transforms), (ours, more))
    }


def training_step(size: int, device: str) -> Calls:
    """A step of each trainer on a batch that stays the same, by a plan as nnU-Net makes one for 3d_fullres."""
    folder = Path(tempfile.mkdtemp())
    for name in ("raw", "preprocessed", "results"):  # read when nnU-Net is imported
        os.environ.setdefault(f"nnUNet_{name}", str(folder))
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from monai_boundary.schedules import Constant
    from nnunet_trainers.boundary import nnUNetTrainerDiceCEBoundary

    class OnDevice(nnUNetTrainerDiceCEBoundary):
        distance_maps_on = "device"

    class FixedAlpha(nnUNetTrainerDiceCEBoundary):
        boundary_schedule = Constant(0.1)

    (folder / "case.b2nd").touch()  # by which nnU-Net knows the format; nothing is loaded
    labels = torch.stack([torch.from_numpy(ellipsoids((size,) * 3, 4, seed)).short()[None] for seed in range(BATCH)])
    image = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    names = {"background": 0, "first": 1, "second": 2, "third": 3}
    description = {"channel_names": {"0": "MRI"}, "labels": names, "numTraining": 1, "file_ending": ".nii.gz"}

    def step(trainer_class: type) -> Callable[[], object]:
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = trainer_class(_plans(size), "3d_fullres", 0, description, torch.device(device))
            trainer.preprocessed_dataset_folder = str(folder)
            trainer.initialize()
            trainer.on_train_epoch_start()
        target = [labels[(..., *(slice(None, None, round(1 / part)) for part in scale))].contiguous()
                  for scale in trainer._get_deep_supervision_scales()]  # fmt: skip
        if trainer_class in (nnUNetTrainerDiceCEBoundary, FixedAlpha):
            (maps,) = trainer.beside_label()
            target.append(torch.stack([maps.of_sample(sample) for sample in labels]))
        return lambda: trainer.train_step({"data": image, "target": list(target)})

    calls = {
        "maps of the workers": step(nnUNetTrainerDiceCEBoundary),
        "maps on the device": step(OnDevice),
        "alpha fixed": step(FixedAlpha),
        "stock trainer": step(nnUNetTrainer),
    }
    calls["alpha by its share"] = calls["maps of the workers"]
    weakref.finalize(calls["stock trainer"], shutil.rmtree, folder)
    return Calls(calls)


def _plans(size: int) -> dict[str, Any]:
    """What the trainers read of nnU-Net's plans: six stages of 32 to 320 features at 128^3."""
    stages = max(3, int(math.log2(size / 4)) + 1)
    first, most = (32, 320) if size >= 64 else (4, 8)
    network = {
        "n_stages": stages,
        "features_per_stage": [min(first * 2**stage, most) for stage in range(stages)],
        "kernel_sizes": [[3] * 3] * stages,
        "strides": [[1] * 3] + [[2] * 3] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_op": "torch.nn.modules.conv.Conv3d", "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d", "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None, "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
    }  # fmt: skip
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": network,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": BATCH, "patch_size": [size] * 3, "spacing": [3.0, 1.0, 1.0], "batch_dice": False,
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False], "architecture": architecture,
    }  # fmt: skip
    return {
        "dataset_name": "Dataset999_Benchmark", "plans_name": "nnUNetPlans", "label_manager": "LabelManager",
        "configurations": {"3d_fullres": configuration}, "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2], "continue_training": False,
    }  # fmt: skip


CASES = [
    *(Case(f"nnunet_worker_{foreground}", "nnunet", f"worker, sample of 128^3, {foreground} foreground class{plural}",
           worker, (foreground, 128, 8), (foreground, 16, 1),
           (Against("stock loader", 1 / most, ours="with maps", cost=True),), ("nnunetv2",), headline=True)
      for foreground, plural, most in ((1, "", 1.08), (3, "es", 1.15))),
    *(Case(f"nnunet_worker_cells_{lesions}", "nnunet", f"worker, sample of 128^3, cells of {lesions} lesions",
           worker_cells, (2 * lesions, 128, 8), (2, 16, 1),
           (Against("stock loader", 1 / 1.1, ours="with cells", cost=True),), ("nnunetv2",), headline=lesions == 25)
      for lesions in (5, 25, 100)),
    Case("nnunet_step", "nnunet", "training step on the CPU, B=2, 64^3", training_step, (64, "cpu"), (16, "cpu"),
         (Against("stock trainer", 1 / 1.03, ours="maps of the workers", cost=True),), ("nnunetv2",)),
    Case("nnunet_share", "nnunet", "the same, alpha by its share of the gradient", training_step,
         (64, "cpu"), (16, "cpu"),
         (Against("alpha fixed", 1 / 1.03, ours="alpha by its share", cost=True),), ("nnunetv2",)),
]  # fmt: skip
