"""The values of each epoch: kept in nnU-Net's log, and so in its checkpoints, and watched by a collapse guard."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from torch import distributed as dist

from monai_boundary.losses import CollapseGuard, CollapseWarning
from monai_boundary.reports.boundary_log import LOG_KEYS

__all__ = ["BoundaryLog", "mean_over_ranks"]


class BoundaryLog:
    """Our keys in nnU-Net's log.

    nnU-Net asserts one value per key and epoch, cuts its plot at the shortest list, and replaces all lists by those of
    a checkpoint that it loads.

    Args:
        logger: nnU-Net's logger.

    Attributes:
        guard: Watches the foreground shares; it has seen those of all epochs in the log.
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.restore(0)

    @property
    def values(self) -> dict[str, list[Any]]:
        """nnU-Net's log: one list per key."""
        lists: dict[str, list[Any]] = self.logger.local_logger.my_fantastic_logging
        return lists

    def restore(self, epochs: int) -> None:
        """Bring lists and guard up to a log of `epochs` finished epochs, which a stock trainer may have written."""
        for key in LOG_KEYS:
            values = self.values.setdefault(key, [])
            values.extend([math.nan] * (epochs - len(values)))
        self.guard = CollapseGuard(momentum=0.7, warmup=5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)  # said in the run that ended here
            for shares in zip(self.values["foreground_predicted"], self.values["foreground_true"], strict=True):
                self.guard.update(*shares)

    def write(self, epoch: int, **values: float | list[float]) -> None:
        """Log a value of an epoch under each key."""
        for key, value in values.items():
            self.logger.log(key, value, epoch)

    def write_shares(self, epoch: int, predicted: list[float], true: list[float]) -> list[str]:
        """Log the foreground shares of each class, and return what the guard says of them."""
        self.write(epoch, foreground_predicted=predicted, foreground_true=true)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CollapseWarning)
            self.guard.update(predicted, true)
        return [str(warning.message) for warning in caught]


def mean_over_ranks(value: Any, is_ddp: bool) -> Any:
    """Return the mean of a number or an array over the ranks, in float64."""
    values: list[Any] = [value]
    if is_ddp:
        values = [None] * dist.get_world_size()
        dist.all_gather_object(values, value)
    return np.mean(np.asarray(values, np.float64), axis=0)
