"""nnU-Net's training step of `gpu.py`: stock, and with the boundary term, its maps made on the device or by workers.

The network, optimiser, losses and step are nnU-Net's own, by its trainers, for a plan as it makes one for 3d_fullres:
six stages of 32 to 320 features at 128^3. Images are noise and labels ellipsoids, on the host as a loader leaves them.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from gpu_term import BATCH, NUM_CLASSES, SPACING, Calls, batch_of_labels

__all__ = ["STEP_TARGET", "step_calls"]

#: Of the step with maps on the device to the stock step.
STEP_TARGET = 1.05


def plans_of(size: int) -> dict[str, Any]:
    """What the trainers read of nnU-Net's plans, for patches of `size` voxels along each axis."""
    stages = max(3, int(math.log2(size / 4)) + 1)
    first, most = (32, 320) if size >= 64 else (4, 8)
    network = {
        "n_stages": stages,
        "features_per_stage": [min(first * 2**stage, most) for stage in range(stages)],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3] * 3] * stages,
        "strides": [[1] * 3] + [[2] * 3] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": BATCH,
        "patch_size": [size] * 3,
        "spacing": list(SPACING),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset999_Benchmark",
        "plans_name": "nnUNetPlans",
        "configurations": {"3d_fullres": configuration},
        "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "continue_training": False,
    }


def step_calls(size: int, device: torch.device) -> Calls:
    """One training step each, on a batch that stays the same."""
    folder = tempfile.mkdtemp(prefix="nnunet_step_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (Path(folder) / "case.b2nd").touch()  # by which nnU-Net knows the format; nothing is loaded
    for name in ("raw", "preprocessed", "results"):  # read when nnU-Net is imported
        os.environ.setdefault(f"nnUNet_{name}", folder)
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from nnunet_trainers.boundary import nnUNetTrainerDiceCEBoundary

    class OnDevice(nnUNetTrainerDiceCEBoundary):
        distance_maps_on = "device"

    classes = {
        "maps on the device": OnDevice,
        "stock": nnUNetTrainer,
        "maps of the workers": nnUNetTrainerDiceCEBoundary,
    }
    labels = batch_of_labels(size).to(torch.int16)
    image = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    names = {"background": 0} | {f"class {index}": index for index in range(1, NUM_CLASSES)}
    description = {"channel_names": {"0": "MRI"}, "labels": names, "numTraining": 1, "file_ending": ".nii.gz"}
    calls = {}
    for name, trainer_class in classes.items():
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = trainer_class(plans_of(size), "3d_fullres", 0, description, device)
            trainer.preprocessed_dataset_folder = folder
            trainer.initialize()
            trainer.on_train_epoch_start()
        target = [labels[(..., *(slice(None, None, round(1 / part)) for part in scale))].contiguous()
                  for scale in trainer._get_deep_supervision_scales()]  # fmt: skip
        if name == "maps of the workers":
            maps = trainer._map_transform()
            target.append(torch.stack([maps.distance_maps(sample) for sample in labels]))
        batch = {"data": image, "target": target}
        calls[name] = lambda trainer=trainer, batch=batch: trainer.train_step(dict(batch))
    return calls
