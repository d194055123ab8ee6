"""torch.compile, which nnU-Net turns on for CUDA: here with the backend "eager", which traces and generates no code."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from monai_boundary.schedules import Rebalance
from nnunet_trainers.boundary import nnUNetTrainerBoundary, nnUNetTrainerDiceCEBoundary
from tests.nnunet_trainers.running import build, run_epoch


class Rebalanced(nnUNetTrainerBoundary):
    boundary_schedule = Rebalance()


# torch's own tracer reads .grad of the tensors that it traces
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("trainer_class", [Rebalanced, nnUNetTrainerDiceCEBoundary])
def test_trains_compiled_with_a_new_alpha_in_each_epoch(trainer_class: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_class, "_do_i_compile", lambda _: True)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    trainer = build(trainer_class)
    trainer.num_epochs = 3
    graphs = []
    for _ in range(3):
        trained, _ = run_epoch(trainer, 2, 1)
        assert all(np.isfinite(step["loss"]) for step in trained)
        graphs.append(counters["stats"]["unique_graphs"])
    log = trainer.boundary_log.values
    if trainer_class is nnUNetTrainerDiceCEBoundary:
        assert log["gradient_share"] == [0.2] * 3
        assert min(log["alpha"]) > 0
    else:
        assert log["alpha"] == pytest.approx([0.01, 0.505, 1])
    assert graphs[2] == graphs[1]  # alpha lies outside what is compiled
    torch._dynamo.reset()
