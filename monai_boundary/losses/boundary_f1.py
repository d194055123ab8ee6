"""The boundary F1 loss: precision and recall of the soft boundary within a tolerance, made of max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from monai_boundary._check import check_number, check_windows
from monai_boundary.kernels.pooling import BAND_BOUNDARY, BAND_IGNORED, boundary_band, box_max_pool, soft_boundary
from monai_boundary.losses.contract import Counted, Pair
from monai_boundary.losses.map_agreement import compare_numbers
from monai_boundary.losses.target import SMOOTH, TargetLoss
from monai_boundary.losses.values import as_float32, check_output
from monai_boundary.transforms.boundary_band import WINDOWS_KEY, band_windows

__all__ = ["BoundaryF1Loss"]


@dataclass(eq=False, repr=False, kw_only=True)
class BoundaryF1Loss(TargetLoss):
    """1 - 2PR / (P + R), with the precision P and recall R of the predicted boundary, per class and sample.

    P is the share of the predicted boundary that lies in the extended target boundary, R the share of the target
    boundary in the extended prediction's. Both get `smooth` above and below, so with boundary sums M of the
    prediction and G of the target, in voxels of 100,000 that count:

    * Prediction equal to the target: exactly 0. As P and R are at most 1 this is the minimum, but not the only one:
      every prediction whose boundary stays within (theta - 1) / 2 voxels scores 0, the inverted mask among them.
    * Target without a boundary (class absent, or filling the image): 0 for a prediction without one, else
      M / (M + 2 smooth), which is 1 with hardly a gradient.
    * Prediction without a boundary (any constant) on a target that has one: G / (G + 2 smooth), which is 1.
    * Object cut by the image edge: no boundary there, in target and prediction alike. Voxels that are not counted act
      as the edge does.

    Hence it needs a region loss beside it that tells inside from outside, and a small weight at first
    (`BoundaryF1IoULoss`). Its gradient reaches the largest voxel of each window only (ties: see `kernels.pooling`).

    Args:
        include_background: Whether channel 0 counts. A given target boundary may hold or leave out that channel.
        to_onehot_y, sigmoid, softmax, reduction: See `BoundaryLoss`.
        other_act: Apply this function to the input instead; its values must lie in [0, 1].
        batch: Sum the boundaries over the batch before dividing, as in MONAI's Dice, so that a sample without the class
            is no case of its own. Under DDP this is the batch of one process.
        theta0: Odd width of the window that finds the boundary, in voxels, or one per spatial axis. The smallest is
            best; ``(1, 3, 3)`` leaves slices of thick-sliced volumes apart.
        theta: Odd width of the window that extends it: the tolerance is (theta - 1) / 2 voxels along each axis and
            diagonally. Smaller than the least distance between two objects.
        smooth: > 0, added above and below in P and R, in voxels of 100,000 that count: an image of twice the
            resolution, with windows of twice the reach, scores alike.
        ignore_index: Value of targets at voxels that do not count. A given target boundary says so itself.
        validate: See `BoundaryLoss`.

    Raises:
        TypeError, ValueError: See `BoundaryLoss`, or a width is no integer, or even.

    References:
        Bokhovkin and Burnaev, Boundary loss for remote sensing imagery semantic segmentation, ISNN 2019, eqs. 1 to 4.

    Example:
        >>> target = torch.zeros(1, 1, 9, 9)
        >>> target[..., 2:6, 3:8] = 1
        >>> float(BoundaryF1Loss()(target, target))
        0.0
    """

    resizes: ClassVar[str] = "head"  # a boundary of one voxel does not survive being made smaller
    target_name: ClassVar[str] = "target_boundary"

    theta0: int | Sequence[int] = 3
    theta: int | Sequence[int] = 5
    smooth: float = SMOOTH
    ignore_index: int | None = None

    def set_up(self) -> None:
        """Check the arguments that this loss adds."""
        check_windows(self.theta0, self.theta)
        self.smooth = check_number("smooth", self.smooth)
        self._compared = False

    def forward(
        self, input: torch.Tensor, target: torch.Tensor | None = None, target_boundary: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)` with 1 to 3 spatial axes.
            target: Binary `(B, C, *S)` (soft ones are cut at 0.5), or labels with `to_onehot_y`; not read when
                `target_boundary` is given.
            target_boundary: What `BoundaryBandd` makes with the same theta0 and theta, `(B, C, *S)`, or
                `(B, C - 1, *S)` with ``include_background=False``. The first one is compared with theta0 and theta.
        """
        contract = self.contract
        if target_boundary is None:
            return self.value(contract.count(self._read(input, target)))
        check_output(input)
        first, logits = contract.first_channel(input), as_float32(input)
        band, masked = self._given(target_boundary, input[:, first:], first)
        valid = band != BAND_IGNORED if masked else None
        logits = contract.masked(
            logits, valid.all(1, keepdim=True) if valid is not None and contract.softmax else valid
        )
        return self._loss(contract.activate(logits)[:, first:], band, masked)

    def value(self, counted: Counted, target_boundary: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss of what `contract.count` returned, and of the target boundary where it is given."""
        if target_boundary is None:
            return self._loss(counted.probs, self._band(counted), counted.valid is not None)
        return self._loss(counted.probs, *self._given(target_boundary, counted.probs, counted.first))

    def compute_target_boundary(self, target: torch.Tensor | None, input: torch.Tensor) -> torch.Tensor:
        """Return the `boundary_band` of `target` for the counted channels, as `forward` does when it is given none."""
        return self._band(self.contract.count(self._read(input, target)))

    def _read(self, input: torch.Tensor, target: torch.Tensor | None) -> Pair:
        if target is None:
            raise ValueError("target_boundary must be given when target is None; pass one of them")
        return self.contract.read(input, target)

    def _given(self, band: torch.Tensor, like: torch.Tensor, first: int) -> tuple[torch.Tensor, bool]:
        band = self.contract.beside("target_boundary", band, like, first)
        if not (self._compared or torch.compiler.is_compiling()):
            self._compared = True
            expected = band_windows(self.theta0, self.theta, band.ndim - 2)
            compare_numbers("target_boundary", band, WINDOWS_KEY, expected, "theta0 and theta")
        return band, _check_codes(band)

    def _band(self, counted: Counted) -> torch.Tensor:
        return boundary_band(counted.target > 0.5, self.theta0, self.theta, counted.valid)

    def _loss(self, probs: torch.Tensor, band: torch.Tensor, masked: bool) -> torch.Tensor:
        """1 - F1 of each class `(B, C)`, `(C,)` with `batch`, reduced; eqs. 3 and 4."""
        on_target = band == BAND_BOUNDARY
        near_target = (band == 1) | on_target
        valid = band != BAND_IGNORED if masked else None
        voxels = self.counted_voxels(probs, valid)
        predicted = soft_boundary(probs, self.theta0, valid)
        near_predicted = box_max_pool(predicted, self.theta)
        precision = self._share(predicted * near_target.to(predicted.dtype), predicted, voxels)
        target = on_target.to(predicted.dtype)
        recall = self._share(target * near_predicted, target, voxels)
        return self.reduce(1 - 2 * precision * recall / (precision + recall))

    def _share(self, part: torch.Tensor, whole: torch.Tensor, voxels: torch.Tensor | int) -> torch.Tensor:
        over = self.summed_axes(whole.ndim)
        return self.smoothed(part.sum(over), whole.sum(over), self.smooth, voxels)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"theta0={self.theta0}, theta={self.theta}, {super().extra_repr()}"


def _check_codes(band: torch.Tensor) -> bool:
    """Return whether voxels are to be left out; on the CPU also check that these are codes of `boundary_band`."""
    if band.dtype == torch.bool:
        raise TypeError("target_boundary must hold the codes 0, 1, 2 and 255 of BoundaryBand, got bool")
    if torch.compiler.is_compiling() or band.device.type != "cpu":
        return True  # looking at values on a CUDA device would stall every step, and cannot be traced
    if band.dtype == torch.uint8 and band.max() <= BAND_BOUNDARY:
        return False  # the usual case, in one pass
    ignored = band == BAND_IGNORED
    wrong = ~(ignored | (band == 0) | (band == 1) | (band == BAND_BOUNDARY))
    if wrong.any():
        raise ValueError(
            f"target_boundary must hold the codes 0, 1, 2 and 255 of BoundaryBand, got {band[wrong][0].item():g} among "
            "them; resample it with mode='nearest', or make it after the transforms that interpolate"
        )
    return bool(ignored.any())
