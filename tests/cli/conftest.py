"""Fixtures of the command line: one case, one trained model."""

import numpy as np
import pytest
import torch

from monai_boundary.datasets import lesion_phantom, write_volume


@pytest.fixture
def case(tmp_path):
    phantom = lesion_phantom(2)
    write_volume(tmp_path / "image.nii.gz", phantom.image, phantom.spacing)
    write_volume(tmp_path / "label.nii.gz", phantom.labels, phantom.spacing)
    return tmp_path


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path)


def write_model(root, learning_rate=0.01):
    """A folder as nnU-Net writes it: NumPy scalars in the log, tensors, a device."""
    folder = root / "Dataset900_X" / "nnUNetTrainerBoundary__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json", "dataset_fingerprint.json"):
        (folder / name).write_text("{}")
    stock = ("mean_fg_dice", "ema_fg_dice", "train_losses", "val_losses", "lrs")
    stock += ("dice_per_class_or_region", "epoch_start_timestamps", "epoch_end_timestamps")
    checkpoint = {
        "network_weights": {"weight": torch.arange(4.0)},
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.ones(4)}}, "param_groups": [{"lr": learning_rate}]},
        "grad_scaler_state": None,
        "logging": {**{key: [np.float64(0.5), np.float32(0.5)] for key in stock}, "alpha": [0.01, 0.02]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 2,
        "init_args": {"plans": {}, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainerBoundary",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder
