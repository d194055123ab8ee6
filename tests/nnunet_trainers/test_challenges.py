"""The trainers of the paper's two data sets: what they set, and which data sets they refuse."""

from __future__ import annotations

import pytest
import torch

from monai_boundary.kernels import PUBLISHED
from nnunet_trainers.challenges import nnUNetTrainerBoundaryISLES, nnUNetTrainerBoundaryWMH
from tests.nnunet_trainers.running import build

WMH = {"WMH": 1, "ignore": 2}
LESION = {"lesion": 1}


@pytest.mark.parametrize(
    ("trainer_class", "labels", "channels"),
    [
        (nnUNetTrainerBoundaryWMH, WMH, 2),
        (nnUNetTrainerBoundaryISLES, LESION, 5),
        (nnUNetTrainerBoundaryISLES, LESION, 3),
    ],
)
def test_the_published_protocol_is_set(trainer_class: type, labels: dict, channels: int) -> None:
    ours = build(trainer_class, configuration="2d", started=False, labels=labels, channels=channels)
    assert ours.boundary_map == PUBLISHED
    # the published lists: alpha 0.01 in the first epoch and 0.01 more in each, region weight 1 and 0.01 less, to 0.1
    for epoch in (0, 1, 50, 95):
        expected = (max(0.1, 1 - 0.01 * epoch), 0.01 * (epoch + 1))
        assert ours.boundary_schedule.weights(epoch, 100) == pytest.approx(expected)
    assert ours.label_manager.ignore_label == labels.get("ignore")
    ours.initialize()
    assert ours.num_epochs == ours.lr_scheduler.max_steps == 100
    assert isinstance(ours.optimizer, torch.optim.Adam)
    assert (ours.optimizer.defaults["lr"], ours.optimizer.defaults["betas"]) == (1e-3, (0.9, 0.99))


@pytest.mark.parametrize(
    ("trainer_class", "labels", "channels", "text"),
    [
        (nnUNetTrainerBoundaryWMH, LESION, 2, r"one class and the label ignore, and 2 channels, got .*convert wmh"),
        (nnUNetTrainerBoundaryWMH, {**LESION, "other": 2}, 2, "one class and the label ignore"),
        (nnUNetTrainerBoundaryWMH, WMH, 1, "and 2 channels, got labels.*train nnUNetTrainerBoundaryPublished"),
        (nnUNetTrainerBoundaryISLES, WMH, 5, r"one class and no label ignore, and 5 or 3 channels.*convert isles2018"),
        (nnUNetTrainerBoundaryISLES, LESION, 2, "and 5 or 3 channels"),
    ],
)
def test_another_data_set_is_refused(trainer_class: type, labels: dict, channels: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build(trainer_class, configuration="2d", started=False, labels=labels, channels=channels)
