"""Devices and processes, which a bundle's JSON cannot name without importing modules into its expressions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import distributed as dist

__all__ = ["default_device", "handlers_of_rank", "is_first_rank", "start_process_group"]


def default_device() -> torch.device:
    """Return this rank's GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def start_process_group() -> None:
    """Join the processes that torchrun started: NCCL between GPUs, gloo between CPUs."""
    if "RANK" not in os.environ:
        raise RuntimeError("multi_gpu_train.json must be started by torchrun, got no RANK in the environment")
    device = default_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")


def handlers_of_rank(handlers: Sequence[Any], first_rank_only: int) -> list[Any]:
    """Return all handlers on the first rank, and all but the last `first_rank_only` on the others.

    Handlers that write files or print belong at the end of the list; those that set the weights of the loss belong at
    its front, or the ranks would train with different weights.
    """
    return list(handlers)[: len(handlers) - (0 if is_first_rank() else first_rank_only)]


def is_first_rank() -> bool:
    """Whether this process is the first one, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0
