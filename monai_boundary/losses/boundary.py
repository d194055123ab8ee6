"""The boundary loss: softmax probabilities times the signed distance map of the target."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from monai_boundary._check import check_choice, check_spacing
from monai_boundary._geometry import MissingSpacingWarning, batch_spacing
from monai_boundary.kernels.distance import (
    BACKENDS,
    Backend,
    DistanceMapOptions,
    Preset,
    batch_labels_map,
    batch_masks_map,
    preset_options,
)
from monai_boundary.losses._fused import fusible, map_sum
from monai_boundary.losses.contract import TargetContract, as_float32, check_mask_values, check_output
from monai_boundary.losses.map_agreement import FirstMapCheck, label_masks
from monai_boundary.losses.target import TargetLoss

__all__ = ["BoundaryLoss"]


@dataclass(eq=False, repr=False, kw_only=True)
class BoundaryLoss(TargetLoss):
    """Mean of probability times signed distance: predicted foreground far from the target costs most.

    A superset of `monai.losses.BoundaryLoss` 1.6.1: with ``preset="published"`` it has its value and gradient. Three
    things differ: shapes that do not match are a ``ValueError``; `(B, C, L)` is accepted; a target outside [0, 1] or a
    class out of range is not.

    Hand it the map of `SignedDistanceMapd`: it then costs one product. The first map is compared with the settings
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
        preset: ``"robust"``, ``"clipped"`` or ``"published"``: settings of the maps, made here or given.
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
        check_map: Compare the first given map with the settings and, where there is a target, with its foreground.

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

    resizes: ClassVar[str] = "target"
    target_name: ClassVar[str] = "distance_map"

    preset: Preset = "robust"
    options: DistanceMapOptions = None  # type: ignore[assignment] # those of the preset, once it is made
    spacing: Sequence[float] | None = None
    ignore_index: int | None = None
    offset: Literal["zero_at_target"] | None = None
    backend: Backend = "auto"
    fused: bool = True
    check_map: bool = True

    def set_up(self) -> None:
        """Check the arguments that this loss adds; the options are those of the preset unless given."""
        self.options = preset_options(self.preset) if self.options is None else self.options
        check_choice("offset", self.offset, (None, "zero_at_target"))
        check_choice("backend", self.backend, BACKENDS)
        self._first_map = FirstMapCheck() if self.check_map else None
        self._said_spacing = False

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

    def _masked(
        self, input: torch.Tensor, target: torch.Tensor | None, distance_map: torch.Tensor | None, first: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and maps of the counted channels, both 0 where voxels do not count."""
        if distance_map is None:
            if target is None:
                raise ValueError("distance_map must be given when target is None; pass one of them")
            values, labelled = self.contract.labels(input, target)
            maps = self._make_map(target, values, input.shape[1] if labelled else None, first)
            return self.contract.masked(input, self.contract.counted(values)), maps
        maps = self.contract.beside("distance_map", distance_map, input[:, first:], first)
        if not maps.is_floating_point():
            raise TypeError(f"distance_map must be floating point, got {maps.dtype}; labels go into target")
        ignored = self.contract.ignore_index
        if self._first_map is not None:
            self._first_map(maps, self.options, lambda: label_masks(target, input, first, ignored))
        if target is None or ignored is None:
            return input, maps
        valid = self.contract.counted(self.contract.labels(input, target)[0])
        if valid is not None:
            maps = torch.where(valid[:, first:] if valid.shape[1] > 1 else valid, maps, 0)
        return self.contract.masked(input, valid), maps

    def compute_distance_map(self, target: torch.Tensor, input: torch.Tensor | None = None) -> torch.Tensor:
        """Return the maps of the counted channels of `target`, on its device.

        Args:
            target: Masks `(B, C, *S)`, all of whose channels count, as in MONAI's loss; or, with `input`, whatever the
                loss takes beside it.
            input: Network output `(B, C, *S)`.
        """
        if input is None:
            return self._make_map(target, TargetContract().labels(target, target)[0], None, 0)
        values, labelled = self.contract.labels(input, target)
        return self._make_map(target, values, input.shape[1] if labelled else None, self.contract.first_channel(input))

    @torch.no_grad()
    def _make_map(self, target: torch.Tensor, values: torch.Tensor, classes: int | None, first: int) -> torch.Tensor:
        """Map of `values`: labels where `classes` is given, else masks. `target` is what carries their spacing."""

        def make(part: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
            if classes is None:
                return self._masks_map(part, spacing, first)
            ignored = self.contract.ignore_index
            return batch_labels_map(part, classes, spacing, self.options, first == 0, ignored, self.backend)

        found = self._spacing_of(target, values.ndim - 2)
        if len(set(found)) == 1:
            return make(values, found[0])
        return torch.cat([make(values[index : index + 1], spacing) for index, spacing in enumerate(found)])

    def _spacing_of(self, target: torch.Tensor, ndim: int) -> list[tuple[float, ...]]:
        """Spacing of each sample, or one for all."""
        if self.spacing is not None:
            return [check_spacing(self.spacing, ndim)]
        found = batch_spacing(target, ndim)
        if found is None and not (self._said_spacing or torch.compiler.is_compiling()):
            self._said_spacing = True
            warnings.warn(
                "spacing of the target is unknown, so that the loss makes distance maps in voxels; pass spacing= to "
                "the loss, or hand it a MetaTensor (LoadImaged) or the map of SignedDistanceMapd",
                MissingSpacingWarning,
                stacklevel=6,
            )
        return found or [(1.0,) * ndim]

    def _masks_map(self, masks: torch.Tensor, spacing: tuple[float, ...], first: int) -> torch.Tensor:
        valid = self.contract.counted(masks)
        if valid is not None:
            masks = masks.masked_fill(~valid, 0)
        check_mask_values("target", masks, self.contract.ignore_index)
        masks = masks[:, first:] > 0.5
        if valid is None or valid.shape[1] == 1:
            return batch_masks_map(masks, spacing, self.options, valid, self.backend)
        # channels that are ignored apart, each as a sample of its own
        alone = [tensor.flatten(0, 1).unsqueeze(1) for tensor in (masks, valid[:, first:])]
        return batch_masks_map(alone[0], spacing, self.options, alone[1], self.backend).view(masks.shape)

    def _can_fuse(self, logits: torch.Tensor) -> bool:
        known = self.contract.sigmoid or (self.contract.softmax and logits.shape[1] > 1)
        return self.fused and known and self.reduction in ("mean", "sum") and fusible(logits)

    def _one_pass(self, logits: torch.Tensor, maps: torch.Tensor, first: int) -> torch.Tensor:
        voxels = logits[0, 0].numel()
        count = maps.numel() if self.reduction == "mean" else voxels * (logits.shape[0] if self.batch else 1)
        return map_sum(logits, maps, first, self.contract.sigmoid) / count

    def _mean(self, values: torch.Tensor) -> torch.Tensor:
        """Average `(B, C, *S)` over the voxels, and reduce as asked for."""
        per_channel = values.flatten(2).mean(-1)
        return self.reduce(per_channel.mean(dim=0) if self.batch else per_channel)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"{super().extra_repr()}, options={self.options}"
