"""Turns a trained model into one that a stock nnU-Net runs without this package.

The network of the boundary trainers is nnU-Net's own; only the trainer's name in the checkpoint ties it to it.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_boundary._checksums import check_archive
from monai_boundary._files import copy_file, replacing, write_torch

__all__ = ["STOCK_TRAINER", "export_checkpoint"]

STOCK_TRAINER = "nnUNetTrainer"
_FILES = ("plans.json", "dataset.json", "dataset_fingerprint.json")
_KEYS = ("network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes")
# What nnU-Net's own logger keeps; a further key would cut its progress plot short when stock nnU-Net resumes.
_STOCK_LOG = (
    "mean_fg_dice", "ema_fg_dice", "dice_per_class_or_region", "train_losses", "val_losses", "lrs",
    "epoch_start_timestamps", "epoch_end_timestamps",
)  # fmt: skip


def export_checkpoint(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], overwrite: bool = False
) -> Path:
    """Copy a trained model so that stock nnU-Net predicts with it, and resumes from it.

    Where the trainer has another optimizer than stock nnU-Net, that of the copy starts anew.

    Args:
        source: A model folder (``.../nnUNetTrainerBoundary__nnUNetPlans__3d_fullres``) or one checkpoint file.
        destination: For a model folder the folder that receives ``nnUNetTrainer__nnUNetPlans__3d_fullres``, such as the
            data set's folder in another nnUNet_results. For a checkpoint the file to write, or an existing folder.
        overwrite: Replace what is there.

    Returns:
        The folder or file written.

    Raises:
        ValueError: The source is no complete nnU-Net model or checkpoint.
        FileExistsError: The destination exists and `overwrite` is False.
        OSError: The source does not exist, or the destination is not writable.
    """
    source, destination = Path(source), Path(destination)
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist; pass a trained model folder or a checkpoint (.pth)")
    if source.is_dir():
        return _export_folder(source.resolve(), destination, overwrite)
    target = destination / source.name if destination.is_dir() else destination
    _refuse(source, target, overwrite)
    _save(_load(source), target)
    return target


def _export_folder(source: Path, destination: Path, overwrite: bool) -> Path:
    parts = source.name.split("__")
    checkpoints = sorted(source.glob("fold_*/checkpoint_*.pth"))
    absent = [name for name in _FILES[:2] if not (source / name).is_file()]
    if len(parts) != 3 or not checkpoints or absent:
        found = f"{len(checkpoints)} checkpoints" + (f" and no {' and no '.join(absent)}" if absent else "")
        raise ValueError(
            f"source must be a trained nnU-Net model folder, <trainer>__<plans>__<configuration> with plans.json, "
            f"dataset.json and fold_*/checkpoint_*.pth, got {source} with {found}"
        )
    target = destination / "__".join([STOCK_TRAINER, *parts[1:]])
    _refuse(source, target, overwrite)
    with replacing(target) as partial:
        partial.mkdir()
        for path in checkpoints:  # one at a time: a checkpoint of a large network takes 0.5 GB
            fold = partial / path.parent.name
            fold.mkdir(exist_ok=True)
            _save(_load(path), fold / path.name)
        for name in _FILES:
            if (source / name).is_file():
                copy_file(source / name, partial / name)
    return target


def _refuse(source: Path, target: Path, overwrite: bool) -> None:
    if target.exists() and target.resolve() == source.resolve():
        raise ValueError(f"destination must differ from the source, got {target} for both")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} already exists; choose another destination, or pass --force to replace it")


def _load(path: Path) -> dict[str, Any]:
    """Load a checkpoint without running code from it, and check that it is nnU-Net's."""
    told = f"{path} must be an nnU-Net v2 checkpoint"
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    scalar: Any = np.float64(0).__reduce__()[0]  # its module moved between NumPy 1 and 2
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        check_archive(path)
        with torch.serialization.safe_globals([scalar, *names, np.dtype, *kinds]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[-1][:160]
        raise ValueError(f"{told} of tensors and plain values, got one that cannot be read safely: {reason}") from error
    except (RuntimeError, EOFError, KeyError, ValueError, IndexError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise ValueError(
            f"{path} must be a complete checkpoint, got a truncated or foreign file ({reason}); copy it again"
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{told}, got a {type(checkpoint).__name__}")
    if absent := [key for key in _KEYS if key not in checkpoint]:
        raise ValueError(f"{told}, got one without {', '.join(absent)}")
    return checkpoint


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    log = checkpoint.get("logging")
    if isinstance(log, dict) and set(_STOCK_LOG) <= set(log):
        checkpoint = {**checkpoint, "logging": {key: log[key] for key in _STOCK_LOG}}
    groups = (checkpoint.get("optimizer_state") or {}).get("param_groups")
    if groups and "betas" in groups[0]:  # Adam's kind: stock nnU-Net would end in its first step
        checkpoint = {**checkpoint, "optimizer_state": _fresh_optimizer(sum(len(group["params"]) for group in groups))}
    write_torch(path, {**checkpoint, "trainer_name": STOCK_TRAINER})


def _fresh_optimizer(parameters: int) -> dict[str, Any]:
    """Return the state of stock nnU-Net's optimizer before its first step."""
    group = {"params": [torch.zeros(1) for _ in range(parameters)], "initial_lr": 1e-2}
    return torch.optim.SGD([group], lr=1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5).state_dict()
