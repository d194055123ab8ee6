"""What turns an nnU-Net trainer into one with a boundary term."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.utilities.collate_outputs import collate_outputs
from torch import nn

from monai_boundary._check import check_choice
from monai_boundary.kernels.distance import CLIPPED, DistanceMapOptions, check_map_options
from monai_boundary.losses.gradient_share import Share
from monai_boundary.reports.boundary_log import GRADIENT_KEYS, plot_boundary_log
from monai_boundary.schedules import GradientShare, Schedule, check_schedule
from nnunet_trainers.beside import BesideMixin
from nnunet_trainers.boundary_log import BoundaryLog, mean_over_ranks
from nnunet_trainers.checked import CheckedMixin
from nnunet_trainers.losses import RegionAndBoundary, TargetGeneralizedDice
from nnunet_trainers.targets import AppendBeside, AppendDistanceMaps

__all__ = ["BoundaryMixin", "GeneralizedDiceMixin"]


class GeneralizedDiceMixin(CheckedMixin):
    """Generalized Dice in place of nnU-Net's Dice and cross-entropy, with its deep supervision."""

    def _build_loss(self) -> nn.Module:
        stock = super()._build_loss()
        loss = TargetGeneralizedDice(self.label_manager.has_regions, self.label_manager.ignore_label)
        # nnU-Net's weights depend on DDP and compile: take them over instead of computing them again.
        return DeepSupervisionWrapper(loss, stock.weight_factors) if self.enable_deep_supervision else loss


class BoundaryMixin(BesideMixin, CheckedMixin):
    """Adds the boundary term to any nnU-Net trainer: ``class Mine(BoundaryMixin, nnUNetTrainerNoMirroring): ...``.

    Settings are class attributes, so a variant is a three-line subclass with a name, and a results folder, of its own.
    The data loader, or the trainer itself, makes the maps; each step gives them to the loss and is nnU-Net's otherwise.

    Attributes:
        boundary_map: Settings of the distance maps, and of what the loss expects. They are maps of the patch: with the
            default's clip and ``absent="far"``, maps of the whole volume trained no better network
            (docs/evidence/patch_maps.md).
        boundary_schedule: Weights of the region and the boundary term over the epochs, a number or a share of the
            gradient.
        boundary_pause: Train on the region term alone while the predicted foreground, of any class, is all but gone.
        distance_maps_on: ``"workers"``: the processes of the data loader make the maps. ``"device"``: the training
            process makes them of each batch, on the GPU where there is one; the loader then ships none. ``"workers"``
            is the default until ``python -m benchmarks.gpu`` has been run on a GPU and shows which of the two is
            faster; without a GPU they are, since the CPU would make them between two steps.
    """

    # .5 finds fewer false objects and loses more thin ones: docs/evidence/objects.md, "How large should the share be".
    boundary_map: ClassVar[DistanceMapOptions] = CLIPPED
    boundary_schedule: ClassVar[Schedule] = GradientShare(end=0.2)
    boundary_pause: ClassVar[bool] = True
    distance_maps_on: ClassVar[Literal["workers", "device"]] = "workers"

    def _check_settings(self) -> None:
        super()._check_settings()
        check_map_options("boundary_map", self.boundary_map)
        check_schedule("boundary_schedule", self.boundary_schedule)
        check_choice("boundary_pause", self.boundary_pause, (True, False))
        check_choice("distance_maps_on", self.distance_maps_on, ("workers", "device"))

    @cached_property
    def boundary_log(self) -> BoundaryLog:
        """What is kept of each epoch in nnU-Net's log."""
        return BoundaryLog(self.logger)

    def initialize(self) -> None:
        """Initialize as nnU-Net does.

        Raises:
            TypeError: Another class has put its loss in place of this mixin's.
        """
        super().initialize()
        if not isinstance(self.loss, RegionAndBoundary):
            raise TypeError(
                f"the loss of {type(self).__name__} must be that of BoundaryMixin, got {type(self.loss).__name__} of "
                "another base; name BoundaryMixin, or the trainer that has it, before that"
            )

    # Distance maps: from the data loader, or from here, to the loss

    def beside_label(self) -> list[AppendBeside]:
        """Return the distance maps."""
        return [*super().beside_label(), self.appending(AppendDistanceMaps, options=self.boundary_map)]

    def made_on_device(self, one: AppendBeside) -> bool:
        """Whether the training process makes it; see `distance_maps_on`."""
        return isinstance(one, AppendDistanceMaps) and self.distance_maps_on == "device"

    def give_loss(self, beside: dict[str, torch.Tensor]) -> None:
        """Give the loss the maps."""
        super().give_loss(beside)
        self.loss.take_maps(beside["distance_map"], self.boundary_map)

    def _build_loss(self) -> nn.Module:
        region, labels = super()._build_loss(), self.label_manager
        weights = region.weight_factors if self.enable_deep_supervision else None
        return RegionAndBoundary(region, labels.has_regions, weights, self.boundary_map, labels.ignore_label)

    def train_step(self, batch: dict) -> dict:
        """Run nnU-Net's step and add both terms to what it returns."""
        result = super().train_step(batch)
        region, boundary = (term.cpu().numpy() for term in (self.loss.region_term, self.loss.boundary_term))
        return {**result, "region_term": region, "boundary_term": boundary, "alpha": self.loss.alpha}

    # Weights and log, once per epoch

    def on_train_epoch_start(self) -> None:
        """Set the weights of this epoch; while the prediction collapses the boundary term is left out."""
        super().on_train_epoch_start()
        pause = self.boundary_pause and self.boundary_log.guard.collapsed
        # A smaller alpha still pulls at a prediction that is all but empty: the region term has to find the target.
        self.loss.term_weights = (1.0, 0.0) if pause else self._scheduled_weights(self.current_epoch)
        self.boundary_log.write(self.current_epoch, alpha_paused=float(pause))
        if pause:
            self.print_to_log_file("boundary term paused: the predicted foreground is falling away")

    def _scheduled_weights(self, epoch: int) -> tuple[float, float | Share]:
        """Weights of an epoch; paused epochs before it do not move the schedule on."""
        values = self.boundary_log.values
        pauses = values["alpha_paused"][:epoch]
        terms = [term for term, paused in zip(values["region_term"], pauses, strict=False) if paused != 1]
        return self.boundary_schedule.weights(len(terms), self.num_epochs, terms)

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Log both terms, their weights, and the gradients behind a share."""
        super().on_train_epoch_end(train_outputs)
        outputs = collate_outputs(train_outputs)
        names = ("region_term", "boundary_term")
        terms = {name: float(mean_over_ranks(np.mean(outputs[name]), self.is_ddp)) for name in names}
        (region_weight, alpha), share = self.loss.term_weights, self.loss.gradient_share
        if share is not None:  # each step has its own, the same on all ranks
            alpha = float(np.mean(outputs["alpha"]))
        found = self.loss.found_by_class
        behind = (share, *(self.loss.gradient_norms or (None, None)), found and list(found))
        gradients = dict(zip(GRADIENT_KEYS, behind, strict=True))
        self.boundary_log.write(
            self.current_epoch, region_weight=region_weight, alpha=alpha, **terms,
            **{key: math.nan if value is None else value for key, value in gradients.items()},
        )  # fmt: skip
        wanted = "" if share is None else f" for {share:.3f} of the gradient"
        self.print_to_log_file(
            f"region term {terms['region_term']:.4f} with weight {region_weight:.4f}, "
            f"boundary term {terms['boundary_term']:.4f} with alpha {alpha:.4g}{wanted}"
        )

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """Log predicted and true foreground of each class, and warn of a collapse."""
        super().on_validation_epoch_end(val_outputs)
        outputs = collate_outputs(val_outputs)
        seen = math.prod(self.configuration_manager.patch_size) * self.batch_size * len(val_outputs)
        voxels = mean_over_ranks(seen, self.is_ddp)  # the batch sizes of two ranks may differ by one
        hits, extra, missed = (
            mean_over_ranks(np.sum(outputs[key], axis=0), self.is_ddp) / voxels
            for key in ("tp_hard", "fp_hard", "fn_hard")
        )
        shares = [(hits + other).tolist() for other in (extra, missed)]
        for message in self.boundary_log.write_shares(self.current_epoch, *shares):
            self.print_to_log_file(f"WARNING: {message}")  # which is what nnU-Net's users read, not stderr

    def on_epoch_end(self) -> None:
        """Draw boundary.png beside nnU-Net's progress.png."""
        super().on_epoch_end()
        if self.local_rank == 0:
            path = Path(self.output_folder) / "boundary.png"
            plot_boundary_log(self.boundary_log.values, path, f"{type(self).__name__}, fold {self.fold}")

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Load a checkpoint, and bring log and guard up to its epoch."""
        super().load_checkpoint(filename_or_checkpoint)
        self.boundary_log.restore(self.current_epoch)
        self._restore_share()

    def _restore_share(self) -> None:
        """Go on with the moving averages of the last epoch, and say where the share is not that of the run before."""
        last = {key: self.boundary_log.values[key][-1] for key in GRADIENT_KEYS} if self.current_epoch else {}
        *norms, found = (last.get(key, math.nan) for key in GRADIENT_KEYS[1:])
        self.loss.gradient_norms = None if np.isnan(norms).any() else tuple(norms)
        self.loss.foreground_found = None if np.isnan(found).any() else found
        if not last or self.boundary_log.values["alpha_paused"][-1] != 0:
            return
        boundary = self._scheduled_weights(self.current_epoch - 1)[1]
        shares = last["gradient_share"], boundary.value if isinstance(boundary, Share) else math.nan
        if str(shares[0]) != str(shares[1]):
            before, now = ("alpha by a schedule" if math.isnan(value) else f"{value:.3f}" for value in shares)
            self.print_to_log_file(
                f"WARNING: the boundary term's share of the gradient was {before} in epoch {self.current_epoch - 1} of "
                f"the run that this one goes on with, and would be {now} there; from here on it follows this trainer"
            )
