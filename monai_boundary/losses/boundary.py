"""The boundary loss: softmax probabilities times the signed distance map of the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from monai.utils import LossReduction
from torch.nn.modules.loss import _Loss

from monai_boundary._check import check_activation, check_choice, check_spacing
from monai_boundary.kernels.distance import BACKENDS, Backend, DistanceMapOptions, batch_labels_map, batch_masks_map
from monai_boundary.losses._fused import fusible, map_sum
from monai_boundary.losses.target import (
    activate,
    as_float32,
    check_network_output,
    check_target,
    counted_channels,
    first_counted_channel,
    reduce_loss,
)

__all__ = ["BoundaryLoss"]


class BoundaryLoss(_Loss):
    """Mean of probability times signed distance: predicted foreground far from the target costs most.

    A superset of `monai.losses.BoundaryLoss` 1.6.1. With ``options=DistanceMapOptions(convention="kervadec")`` it has
    its value and gradient. Hand it the map of `SignedDistanceMapd`: then it never reads the target and costs a product.
    Without one the map is computed from the target on its device: on CUDA by ``backend="torch"``, where labels are not
    checked; on the CPU by `edt`.

    Alone it has an empty prediction as a near-minimum; use it beside a region loss (`GeneralizedDiceBoundaryLoss`).

    Args:
        include_background: Whether channel 0 counts. A given map may hold or leave out that channel.
        to_onehot_y: Whether the target is a label map `(B, 1, *S)` or `(B, *S)`.
        sigmoid: Apply a sigmoid to the input.
        softmax: Apply a softmax over the channels to the input.
        other_act: Apply this function to the input instead.
        reduction: ``"mean"`` over samples and channels, ``"sum"``, or ``"none"``: `(B, C)`, `(C,)` with `batch`.
        batch: Average over the batch before the reduction.
        options: Settings of maps that the loss computes itself; a given map is used as it is.
        spacing: Voxel size in mm of maps that the loss computes itself; ``None`` means 1.
        ignore_index: Label that is not counted, when the loss computes the map itself from a label map.
        offset: ``"zero_at_target"`` subtracts the value of the perfect prediction, so that this scores 0 and
            nothing scores less; the gradient stays. ``None`` is the published value, which is negative at the optimum.
        backend: Engine of maps that the loss computes itself.
        fused: Use the one-pass form where it applies: softmax or sigmoid, reduced, not compiled, not inside of
            `torch.func` or forward-mode differentiation. Same value, less memory; a second derivative costs what the
            plain form does.

    Raises:
        TypeError: `other_act` is not callable; `input` or the map is not floating point.
        ValueError: More than one activation, an unknown reduction or offset, or shapes that do not match.

    References:
        Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019, eq. 6; MedIA 2021.

    Example:
        >>> loss = BoundaryLoss(softmax=True, to_onehot_y=True)
        >>> logits = torch.zeros(1, 2, 4)
        >>> float(loss(logits, torch.tensor([[[0, 1, 1, 0]]])))
        0.0
    """

    def __init__(  # noqa: PLR0913 - MONAI's seven arguments come first
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
        batch: bool = False,
        *,
        options: DistanceMapOptions | None = None,
        spacing: Sequence[float] | None = None,
        ignore_index: int | None = None,
        offset: Literal["zero_at_target"] | None = None,
        backend: Backend = "auto",
        fused: bool = True,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        check_activation(sigmoid, softmax, other_act)
        self.include_background = include_background
        self.to_onehot_y = to_onehot_y
        self.sigmoid = sigmoid
        self.softmax = softmax
        self.other_act = other_act
        self.batch = batch
        self.options = DistanceMapOptions() if options is None else options
        self.spacing = spacing
        self.ignore_index = ignore_index
        self.offset = check_choice("offset", offset, (None, "zero_at_target"))
        self.backend = check_choice("backend", backend, BACKENDS)
        self.fused = fused

    def forward(
        self, input: torch.Tensor, target: torch.Tensor | None = None, distance_map: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            input: Logits, or probabilities without an activation, `(B, C, *S)` with 1 to 3 spatial axes.
            target: `(B, C, *S)`, or labels with `to_onehot_y`; not read when `distance_map` is given.
            distance_map: Float `(B, C, *S)`, or `(B, C - 1, *S)` with ``include_background=False``; a constant, which
                gets no gradient.
        """
        logits = input
        check_network_output(logits)
        first = first_counted_channel(logits.shape[1], self.include_background)
        if distance_map is None:
            maps = self.compute_distance_map(logits, target)
        else:
            maps = counted_channels("distance_map", distance_map, logits, first, self.include_background)
            if not maps.is_floating_point():
                raise TypeError(f"distance_map must be floating point, got {maps.dtype}; labels go into target")
        maps = maps.detach()
        loss = self._one_pass(logits, maps, first) if self._can_fuse(logits) else self._plain(logits, maps, first)
        if self.offset is not None:
            loss = loss - self._reduce(as_float32(maps).clamp(max=0).flatten(2).mean(-1))
        return loss

    @torch.no_grad()
    def compute_distance_map(self, logits: torch.Tensor, target: torch.Tensor | None) -> torch.Tensor:
        """Return the maps `(B, C, *S)` of `target` for the counted channels, on the device of `logits`."""
        if target is None:
            raise ValueError("distance_map must be given when target is None; pass one of them")
        channels = logits.shape[1]
        target, labelled = check_target(target, logits, self.to_onehot_y)
        spacing = check_spacing(self.spacing, logits.ndim - 2)
        first = first_counted_channel(channels, self.include_background)
        if labelled:
            return batch_labels_map(
                target, channels, spacing, self.options, first == 0, self.ignore_index, self.backend
            )
        return batch_masks_map(target[:, first:] > 0.5, spacing, self.options, backend=self.backend)

    def _can_fuse(self, logits: torch.Tensor) -> bool:
        known = self.sigmoid or (self.softmax and logits.shape[1] > 1)
        return self.fused and known and self.reduction in ("mean", "sum") and fusible(logits)

    def _one_pass(self, logits: torch.Tensor, maps: torch.Tensor, first: int) -> torch.Tensor:
        voxels = logits[0, 0].numel()
        count = maps.numel() if self.reduction == "mean" else voxels * (logits.shape[0] if self.batch else 1)
        return map_sum(logits, maps, first, self.sigmoid) / count

    def _plain(self, logits: torch.Tensor, maps: torch.Tensor, first: int) -> torch.Tensor:
        probs = activate(logits, self.sigmoid, self.softmax, self.other_act)[:, first:]
        return self._reduce((probs * maps).flatten(2).mean(-1))

    def _reduce(self, per_channel: torch.Tensor) -> torch.Tensor:
        """Reduce `(B, C)` as asked for."""
        if self.batch:
            per_channel = per_channel.mean(dim=0)
        return reduce_loss(per_channel, self.reduction)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"include_background={self.include_background}, reduction={self.reduction!r}, options={self.options}"
