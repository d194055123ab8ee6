"""Weights of the region and the boundary term over the epochs, as pure functions.

A schedule is a frozen dataclass; ``weights(epoch, max_epochs)`` returns ``(region, boundary)`` for a 0-based epoch. It
holds no state, so there is nothing to checkpoint and a resumed run gets the weights of an unbroken one. The boundary
weight is a number or, from `GradientShare`, a `Share` of the gradient, which the loss turns into a number in each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from monai_boundary._check import check_count, check_fraction, check_number
from monai_boundary.losses.gradient_share import Share, check_share

__all__ = ["Constant", "GradientShare", "Increase", "Rebalance", "Schedule", "WaitForRegion", "Warmup", "suggest_alpha"]

Weights = tuple[float, float | Share]


class Schedule(Protocol):
    """What every schedule offers."""

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:
        """Return (region, boundary) for 0-based `epoch`; `history` holds the region term of the epochs before."""
        ...


def _progress(epoch: int, max_epochs: int, pace: int | None = None) -> float:
    """Share of the run behind `epoch`: 0 at the first epoch, 1 at the last and after it."""
    max_epochs, epoch = check_count("max_epochs", max_epochs), check_count("epoch", epoch, 0)
    steps = max_epochs if pace is None else pace
    if steps > 1:
        return min(1.0, epoch / (steps - 1))
    return float(pace is not None and epoch > 0)  # a run of one epoch has no ramp


def _check_ramp(start: float, end: float, pace: int | None) -> None:
    check_number("start", start, strict=False)
    check_number("end", end, strict=False)
    if end < start:
        raise ValueError(f"end must be >= start={start}, got {end}")
    if pace is not None:
        check_count("pace", pace)


def check_schedule(name: str, value: Any) -> Any:
    """Return `value`; raise ``TypeError`` unless it is a schedule, and not the class of one."""
    if isinstance(value, type) or not hasattr(value, "weights"):
        remedy = "Constant(0.1)" if isinstance(value, float) else "GradientShare(end=0.2)"
        raise TypeError(f"{name} must be a schedule, got {value!r}; pass for example {remedy}")
    return value


@dataclass(frozen=True)
class Constant:
    """The same weights in every epoch.

    Args:
        boundary: Boundary weight.
        region: Region weight.
    """

    boundary: float = 0.1
    region: float = 1.0

    def __post_init__(self) -> None:
        check_number("boundary", self.boundary, strict=False)
        check_number("region", self.region, strict=False)

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:  # noqa: ARG002
        """Return (region, boundary)."""
        _progress(epoch, max_epochs)
        return self.region, self.boundary


@dataclass(frozen=True)
class Increase:
    """The boundary weight rises linearly from `start` to `end`; the region weight stays 1 (the paper's "increase").

    Args:
        start: Boundary weight in the first epoch.
        end: Boundary weight in the last epoch of the ramp, held from there on.
        pace: Epochs that the ramp takes; ``None`` spreads it over `max_epochs`.
    """

    start: float = 0.01
    end: float = 1.0
    pace: int | None = None

    def __post_init__(self) -> None:
        _check_ramp(self.start, self.end, self.pace)

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:  # noqa: ARG002
        """Return (region, boundary)."""
        progress = _progress(epoch, max_epochs, self.pace)
        return 1.0, self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class Rebalance:
    """The boundary weight rises linearly and what it gains is taken from the region weight (the paper's "rebalance").

    With the defaults and 100 epochs these are the published weights: boundary 0.01 + 0.01 per epoch, region
    max(0.1, 1 - 0.01 per epoch). Kervadec et al., MedIA 2021, section 2.4.

    Args:
        start: Boundary weight in the first epoch.
        end: Boundary weight in the last epoch of the ramp, held from there on.
        floor: Smallest region weight.
        pace: Epochs that the ramp takes; ``None`` spreads it over `max_epochs`, ``100`` is the paper's pace in any run.
    """

    start: float = 0.01
    end: float = 1.0
    floor: float = 0.1
    pace: int | None = None

    def __post_init__(self) -> None:
        _check_ramp(self.start, self.end, self.pace)
        check_fraction("floor", self.floor)

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:  # noqa: ARG002
        """Return (region, boundary)."""
        progress = _progress(epoch, max_epochs, self.pace)
        boundary = self.start + (self.end - self.start) * progress
        return max(self.floor, 1.0 - (boundary - self.start)), boundary


@dataclass(frozen=True)
class GradientShare:
    """The boundary term's share of the gradient rises linearly to `end`; the region weight stays 1.

    At a fixed alpha the boundary term rules the first steps and is all but absent from the last: the gradient of the
    region term, which is relative to the few foreground voxels, does not fall as that of a mean over all voxels does. A
    share means the same for every map, unit, data set and network.

    Args:
        end: Share at the end of the ramp, held from there on, in (0, 1).
        ramp: Part of the run that the ramp takes, in [0, 1].

    Example:
        >>> GradientShare(end=0.2).weights(epoch=99, max_epochs=100)
        (1.0, Share(value=0.2))
    """

    end: float = 0.2
    ramp: float = 0.3

    def __post_init__(self) -> None:
        check_share("end", self.end)
        check_fraction("ramp", self.ramp)

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:  # noqa: ARG002
        """Return (region, boundary)."""
        _progress(epoch, max_epochs)
        steps = max(1.0, self.ramp * max_epochs)
        return 1.0, Share(self.end * min(1.0, (epoch + 1) / steps))


@dataclass(frozen=True)
class Warmup:
    """Region term alone for `epochs` epochs, then another schedule over the epochs that are left.

    Args:
        epochs: Number of epochs, or, below 1, a share of `max_epochs`.
        then: The schedule that follows; its epoch 0 is the first one after the warm-up.
    """

    epochs: float
    then: Schedule = GradientShare()

    def __post_init__(self) -> None:
        number = check_number("epochs", self.epochs, strict=False)
        check_schedule("then", self.then)
        if number >= 1 and number != int(number):
            raise ValueError(f"epochs must be a whole number, or a share of the run below 1, got {self.epochs}")

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:
        """Return (region, boundary)."""
        _progress(epoch, max_epochs)
        first = int(self.epochs) if self.epochs >= 1 else round(self.epochs * max_epochs)
        if epoch < first:
            return 1.0, 0.0
        return self.then.weights(epoch - first, max(1, max_epochs - first), history[first:])


@dataclass(frozen=True)
class WaitForRegion:
    """Region term alone until its moving average has settled, then another schedule over the epochs that are left.

    Settled means that the mean of the last `window` epochs is lower than that of the `window` epochs before by less
    than `tolerance` of it. The decision is read from `history`, one region term per finished epoch, so a resumed run
    takes it at the same epoch.

    Args:
        then: The schedule that follows.
        window: Epochs per mean.
        tolerance: Relative decrease below which the term has settled.
        latest: Share of the run after which `then` starts in any case.
    """

    then: Schedule = GradientShare()
    window: int = 5
    tolerance: float = 0.02
    latest: float = 0.5

    def __post_init__(self) -> None:
        check_schedule("then", self.then)
        check_count("window", self.window)
        check_number("tolerance", self.tolerance, strict=False)
        check_fraction("latest", self.latest)

    def start_epoch(self, max_epochs: int, history: Sequence[float]) -> int | None:
        """Return the first epoch of `then`, or ``None`` while the history does not decide it."""
        latest = round(self.latest * max_epochs)
        for epoch in range(2 * self.window, min(len(history), latest) + 1):
            before = sum(history[epoch - 2 * self.window : epoch - self.window]) / self.window
            recent = sum(history[epoch - self.window : epoch]) / self.window
            if before - recent < self.tolerance * abs(before):
                return epoch
        return latest if len(history) >= latest else None

    def weights(self, epoch: int, max_epochs: int, history: Sequence[float] = ()) -> Weights:
        """Return (region, boundary); `history` must hold the region term of every epoch before `epoch`."""
        _progress(epoch, max_epochs)
        if isinstance(history, str) or not isinstance(history, Sequence | np.ndarray):
            raise TypeError(f"history must be a sequence of region terms, got {type(history).__name__}")
        if len(history) < epoch:
            raise ValueError(
                f"history must hold one region term per finished epoch ({epoch}), got {len(history)}; collect "
                "loss.region_term, or let AlphaScheduleHandler do it"
            )
        first = self.start_epoch(max_epochs, history[:epoch])
        if first is None or epoch < first:
            return 1.0, 0.0
        return self.then.weights(epoch - first, max(1, max_epochs - first), history[first:])


def suggest_alpha(
    loss: Any,
    network: Callable[[torch.Tensor], Any],
    batches: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    share: float = 0.2,
) -> float:
    """Suggest a boundary weight from the gradients of the two terms on a few batches.

    `GradientShare` keeps the share during a whole run; a number that is right here is too small later on.

    Args:
        loss: A `RegionBoundaryLoss` or `DeepSupervisionLoss`; its weights are not used and not changed.
        network: Maps images to logits, or to those of several heads; run without gradient, in the mode that it is
            in: call ``network.eval()`` before, or a batch norm takes these batches into its statistics.
        batches: ``(image, target, distance_map)`` as the loss takes them; a few suffice.
        share: Wanted share of the boundary term in the sum of the two gradient norms, in (0, 1).

    Returns:
        alpha such that alpha |d boundary / d logits| is `share` of that plus |d region / d logits|, the norms averaged
        over the batches: ``loss.term_weights = 1.0, alpha``. Of a loss whose weights have the sum 1, such as
        `BoundaryF1IoULoss`, it is what ``loss.alpha`` takes.

    Raises:
        ValueError: No batch, `share` outside (0, 1), or a term whose gradient is 0 in all of them (maps of zeros?) or
            not finite in one.
    """
    wanted = Share(share)
    region_norm = boundary_norm = 0.0
    for image, target, distance_map in batches:
        with torch.no_grad():
            logits = network(image)
        region, boundary = loss.measure_gradients(logits, target, distance_map)
        region_norm, boundary_norm = region_norm + region, boundary_norm + boundary
    for name, norm in (("region", region_norm), ("boundary", boundary_norm)):
        if not 0 < norm < math.inf:
            raise ValueError(
                f"batches must hold one where the {name} term has a gradient, and none where it is NaN, got a norm of "
                f"{norm:g}; check the network's output, the labels and what the loss is given beside them"
            )
    alpha = wanted.alpha(region_norm / boundary_norm, 1.0)
    return alpha / (1 + alpha) if getattr(loss, "mode", None) == "complement" else alpha
