"""The boundary loss: softmax probabilities times the signed distance map of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from monai_boundary._check import check_choice
from monai_boundary.losses._fused import fusible, map_sum
from monai_boundary.losses.map_target import MapLoss
from monai_boundary.losses.values import as_float32, check_output

__all__ = ["BoundaryLoss"]


@dataclass(eq=False, repr=False, kw_only=True)
class BoundaryLoss(MapLoss):
    """Mean of probability times signed distance: predicted foreground far from the target costs most.

    A superset of `monai.losses.BoundaryLoss` 1.6.1: with ``preset="published"`` it has its value and gradient. Three
    things differ: shapes that do not match are a ``ValueError``; `(B, C, L)` is accepted; a target outside [0, 1] or a
    class out of range is not.

    Hand it the map of `SignedDistanceMapd`: it then costs one product. The first maps are compared with the settings
    here and with the label, so that a map of other settings or of another case is named. Without a map the loss makes
    one from the target, on its device: on CUDA by ``backend="torch"``, where labels are not checked.

    Alone it has an empty prediction as a near-minimum; use it beside a region loss (`GeneralizedDiceBoundaryLoss`).

    Args:
        include_background: Whether channel 0 counts. A given map may hold or leave out that channel.
        to_onehot_y: Whether the target is a label map `(B, 1, *S)` or `(B, *S)`.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        reduction: ``"mean"`` over samples and channels, ``"sum"``, or ``"none"``: `(B, C)`, `(C,)` with `batch`.
        batch: Average over the batch before the reduction.
        preset: ``"clipped"``, ``"robust"`` or ``"published"``: settings of the maps, made here or given.
        options: Settings in place of the preset's.
        spacing: Voxel size in mm of maps that the loss computes itself; ``None`` takes that of a `MetaTensor` target,
            and 1 for a plain tensor, with one `MissingSpacingWarning`.
        ignore_index: Value of the target at voxels that do not count: their map is 0, and what the network says there
            reaches neither value nor gradient.
        offset: ``"zero_at_target"`` subtracts the value of the perfect prediction, so that this scores 0 and
            nothing scores less; the gradient stays. ``None`` is the published value, which is negative at the optimum.
        backend: Engine of maps that the loss computes itself.
        fused: Use the one-pass form where it applies: softmax or sigmoid, reduced, not compiled, not inside of
            `torch.func` or forward-mode differentiation. Same value, less memory; a second derivative costs what the
            plain form does.
        check_map: Compare the first given map with the settings, and the first one in which a class has 10 voxels with
            the target.
        validate: Refuse NaN and infinity in input or map, and on any device targets out of range, in every call; beside
            a given map the target is not read. On CUDA each call then waits for the device.

    Raises:
        TypeError: `other_act` is not callable, `ignore_index` no integer, `input` or the map not floating point.
        ValueError: More than one activation, an unknown reduction or offset, shapes that do not match, values out of
            range, or a map that is positive inside of the label.

    References:
        Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019, eq. 6; MedIA 2021.

    Example:
        >>> loss = BoundaryLoss(softmax=True, to_onehot_y=True)
        >>> logits = torch.zeros(1, 2, 4)
        >>> float(loss(logits, torch.tensor([[[0, 1, 1, 0]]])))
        0.0
    """

    offset: Literal["zero_at_target"] | None = None
    fused: bool = True

    def set_up(self) -> None:
        """Check the arguments that this loss adds."""
        super().set_up()
        check_choice("offset", self.offset, (None, "zero_at_target"))

    def forward(
        self, input: torch.Tensor, target: torch.Tensor | None = None, distance_map: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)` with 1 to 3 spatial axes.
            target: `(B, C, *S)`, or labels with `to_onehot_y`. Beside a `distance_map` it is read with `ignore_index`
                only: for the voxels that do not count.
            distance_map: Float `(B, C, *S)`, or `(B, C - 1, *S)` with ``include_background=False``; a constant, which
                gets no gradient.
        """
        check_output(input)
        first = self.contract.first_channel(input)
        logits, maps = self._masked(input, target, distance_map, first)
        maps = maps.detach()
        if self._can_fuse(logits):
            loss = self._one_pass(logits, maps, first)
        else:
            loss = self._mean(self.contract.activate(logits)[:, first:] * maps)
        if self.offset is not None:
            loss = loss - self._mean(as_float32(maps).clamp(max=0))
        return loss

    def _can_fuse(self, logits: torch.Tensor) -> bool:
        known = self.contract.sigmoid or (self.contract.softmax and logits.shape[1] > 1)
        return self.fused and known and self.reduction in ("mean", "sum") and fusible(logits)

    def _one_pass(self, logits: torch.Tensor, maps: torch.Tensor, first: int) -> torch.Tensor:
        voxels = logits[0, 0].numel()
        count = maps.numel() if self.reduction == "mean" else voxels * (logits.shape[0] if self.batch else 1)
        return map_sum(logits, maps, first, self.contract.sigmoid) / count
