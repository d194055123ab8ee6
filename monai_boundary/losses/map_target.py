"""Base of the losses that want a signed distance map beside the target: given and checked, or made from the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from monai_boundary._check import check_choice
from monai_boundary.kernels.distance import (
    BACKENDS,
    Backend,
    DistanceMapOptions,
    Preset,
    batch_labels_map,
    batch_masks_map,
    check_map_options,
    preset_options,
)
from monai_boundary.losses.contract import TargetContract
from monai_boundary.losses.map_agreement import FirstMapCheck, label_masks
from monai_boundary.losses.target import SpacedLoss, by_spacing
from monai_boundary.losses.values import check_mask_values

__all__ = ["MapLoss"]


@dataclass(eq=False, repr=False, kw_only=True)
class MapLoss(SpacedLoss):
    """Base of the losses that want a signed distance map beside the target.

    Hand them the map of `SignedDistanceMapd`. The first ones are compared with the settings here and with the label, so
    that a map of other settings or of another case is named. Without a map the loss makes one from the target, on its
    device: on CUDA by ``backend="torch"``, where labels are not checked.

    Args:
        preset: ``"clipped"``, ``"robust"`` or ``"published"``: settings of the maps, made here or given.
        options: Settings in place of the preset's.
        spacing: See `SpacedLoss`.
        ignore_index: Value of the target at voxels that do not count: their map is 0, and what the network says there
            reaches neither value nor gradient.
        backend: Engine of maps that the loss computes itself.
        check_map: Compare the first given map with the settings, and the first one in which a class has 10 voxels with
            the target.
    """

    resizes: ClassVar[str] = "target"
    target_name: ClassVar[str] = "distance_map"
    makes: ClassVar[str] = "distance maps"
    made_by: ClassVar[str] = "SignedDistanceMapd"

    preset: Preset | None = "clipped"
    options: DistanceMapOptions = None  # type: ignore[assignment] # those of the preset, once it is made
    ignore_index: int | None = None
    backend: Backend = "auto"
    check_map: bool = True

    def set_up(self) -> None:
        """Check the arguments that these losses add; the options are those of the preset unless given."""
        super().set_up()
        of_preset = DistanceMapOptions() if self.preset is None else preset_options(self.preset)
        if self.options is None:
            self.options = of_preset
        check_map_options("options", self.options)
        check_choice("backend", self.backend, BACKENDS)
        self._first_map = FirstMapCheck() if self.check_map else None

    def _masked(
        self, input: torch.Tensor, target: torch.Tensor | None, distance_map: torch.Tensor | None, first: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and maps of the counted channels, both 0 where voxels do not count."""
        if distance_map is None:
            if target is None:
                raise ValueError("distance_map must be given when target is None; pass one of them")
            if self.contract.validate:
                self.contract.read(input, target)  # the engine of the map looks at no value on CUDA
            values, labelled = self.contract.labels(input, target)
            maps = self._make_map(target, values, input.shape[1] if labelled else None, first)
            return self.contract.masked(input, self.contract.counted(values)), maps
        maps = self.given_map(input, target, distance_map, first)
        if target is None or self.contract.ignore_index is None:
            return self.contract.masked(input, None), maps
        valid = self.contract.counted(self.contract.labels(input, target)[0])
        if valid is not None:
            maps = torch.where(valid[:, first:] if valid.shape[1] > 1 else valid, maps, 0)
        return self.contract.masked(input, valid), maps

    def given_map(
        self, input: torch.Tensor, target: torch.Tensor | None, distance_map: torch.Tensor, first: int
    ) -> torch.Tensor:
        """Return a given map for the channels from `first` on, checked; the first one is compared with the label."""
        maps = self.contract.beside("distance_map", distance_map, input[:, first:], first)
        if not maps.is_floating_point():
            raise TypeError(f"distance_map must be floating point, got {maps.dtype}; labels go into target")
        if self._first_map is not None:
            ignored = self.contract.ignore_index
            self._first_map(maps, self.options, lambda: label_masks(target, input, first, ignored))
        return maps

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

        def make(part: slice, spacing: tuple[float, ...]) -> torch.Tensor:
            if classes is None:
                return self._masks_map(values[part], spacing, first)
            ignored = self.contract.ignore_index
            return batch_labels_map(values[part], classes, spacing, self.options, first == 0, ignored, self.backend)

        return by_spacing(make, self.spacing_of(target, values.ndim - 2))

    def _masks_map(self, masks: torch.Tensor, spacing: tuple[float, ...], first: int) -> torch.Tensor:
        valid = self.contract.counted(masks)
        if valid is not None:
            masks = masks.masked_fill(~valid, 0)
        check_mask_values("target", masks, self.contract.ignore_index)
        if valid is not None and valid.shape[1] > 1:
            valid = valid[:, first:]
        return self.map_of_masks(masks[:, first:] > 0.5, spacing, valid)

    def map_of_masks(self, masks: torch.Tensor, spacing: tuple[float, ...], valid: torch.Tensor | None) -> torch.Tensor:
        """Map of bool masks `(B, C, *S)` of one spacing; `valid` `(B, 1 or C, *S)` are the voxels that count."""
        if valid is None or valid.shape[1] == 1:
            return batch_masks_map(masks, spacing, self.options, valid, self.backend)
        # channels that are ignored apart, each as a sample of its own
        alone = [tensor.flatten(0, 1).unsqueeze(1) for tensor in (masks, valid)]
        return batch_masks_map(alone[0], spacing, self.options, alone[1], self.backend).view(masks.shape)

    def _mean(self, values: torch.Tensor) -> torch.Tensor:
        """Average `(B, C, *S)` over the voxels, and reduce as asked for."""
        per_channel = values.flatten(2).mean(-1)
        return self.reduce(per_channel.mean(dim=0) if self.batch else per_channel)

    def extra_repr(self) -> str:
        """Show the settings that change the value."""
        return f"{super().extra_repr()}, options={self.options}"
