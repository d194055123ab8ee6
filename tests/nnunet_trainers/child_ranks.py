"""Child of test_command_line.py: the hooks of two ranks under gloo.

nnU-Net puts a trainer that starts under DDP on CUDA. So the trainers are built before the ranks meet, and are told of
DDP afterwards: their steps and hooks, ours and nnU-Net's, then gather for real.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel


def rank_main(rank: int, store: str, out: str) -> None:
    from nnunet_trainers.boundary import nnUNetTrainerBoundary
    from tests.nnunet_trainers.datasets import LABELS
    from tests.nnunet_trainers.running import build

    trainer = build(nnUNetTrainerBoundary, LABELS)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    trainer.is_ddp, trainer.local_rank = True, rank
    trainer.network = DistributedDataParallel(trainer.network)
    trainer.loss = trainer._build_loss()
    trainer.batch_size = 2 - rank  # a batch of 3 is split 2 and 1
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    torch.manual_seed(rank)
    np.random.seed(rank)  # noqa: NPY002
    for _ in range(2):  # the second step fails where a parameter of the first had no gradient
        trainer.train_step(next(trainer.dataloader_train))
    weight = sum(float(parameter.detach().double().abs().sum()) for parameter in trainer.network.parameters())
    steps = [0.1, 0.3] if rank == 0 else [0.5, 0.7]
    trainer.on_train_epoch_end(
        [{**{key: np.array(step + shift) for key, shift in (("loss", 0), ("region_term", 1), ("boundary_term", 2))},
          "alpha": trainer.loss.alpha} for step in steps]
    )  # fmt: skip
    counts = {"tp_hard": [100, 20], "fp_hard": [0, 40], "fn_hard": [300, 0]} if rank == 0 else {
        "tp_hard": [0, 10], "fp_hard": [30, 0], "fn_hard": [0, 70]
    }  # fmt: skip
    result = {key: np.array(value, np.float32) for key, value in counts.items()}
    trainer.on_validation_epoch_end([{"loss": np.array(0.5), **result}] * 2)
    trainer.on_epoch_end()
    log = {key: [float(v) for v in np.ravel(values)] for key, values in trainer.boundary_log.values.items()}
    with open(f"{out}.{rank}", "w") as file:  # noqa: PTH123
        json.dump({**log, "ratio": trainer.boundary_log.guard.ratio, "weight": weight}, file)
    dist.barrier()  # a rank that leaves while the other still speaks to it is aborted
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.spawn(rank_main, args=tuple(sys.argv[1:3]), nprocs=2)
