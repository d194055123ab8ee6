"""What turns an nnU-Net trainer into one with a boundary term."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.utilities.collate_outputs import collate_outputs
from torch import distributed as dist
from torch import nn

from monai_boundary._check import check_choice
from monai_boundary.kernels.distance import ROBUST, DistanceMapOptions
from monai_boundary.losses import CollapseGuard, CollapseWarning
from monai_boundary.schedules import Rebalance, Schedule
from nnunet_trainers.losses import RegionAndBoundary, TargetGeneralizedDice
from nnunet_trainers.plot import plot_boundary_log
from nnunet_trainers.targets import AppendDistanceMaps

__all__ = ["BoundaryMixin", "GeneralizedDiceMixin"]

#: One value per epoch of each (the last two: one per class), kept in nnU-Net's log and so in its checkpoints.
LOG_KEYS = (
    "alpha", "region_weight", "alpha_paused", "region_term", "boundary_term", "foreground_predicted", "foreground_true"
)  # fmt: skip


def _new_guard() -> CollapseGuard:
    return CollapseGuard(momentum=0.7, warmup=5)


class GeneralizedDiceMixin:
    """Generalized Dice in place of nnU-Net's Dice and cross-entropy, with its deep supervision."""

    def _build_loss(self) -> nn.Module:
        stock = super()._build_loss()  # type: ignore[misc]
        labels = self.label_manager  # type: ignore[attr-defined]
        loss = TargetGeneralizedDice(labels.has_regions, labels.ignore_label)
        # nnU-Net's weights depend on DDP and compile: take them over instead of computing them again.
        return DeepSupervisionWrapper(loss, stock.weight_factors) if self.enable_deep_supervision else loss  # type: ignore[attr-defined]


class BoundaryMixin:
    """Adds the boundary term to any nnU-Net trainer: ``class Mine(BoundaryMixin, nnUNetTrainerNoMirroring): ...``.

    Settings are class attributes, so a variant is a three-line subclass with a name, and a results folder, of its own.

    Attributes:
        boundary_map: Settings of the distance maps. They are maps of the patch: with the default's clip and
            ``absent="far"``, maps of the whole volume trained no better network (docs/patch_maps.md).
        boundary_schedule: Weights of the region and the boundary term over the epochs.
        boundary_pause: Train on the region term alone while the predicted foreground, of any class, is all but gone.
        distance_maps_on: ``"workers"``: the processes of the data loader make the maps. ``"device"``: the training
            process makes them of each batch, on the GPU where there is one; the loader then ships none. ``"workers"``
            is the default until ``python -m benchmarks.gpu`` has been run on a GPU and shows which of the two is
            faster; without a GPU they are, since the CPU would make them between two steps.
    """

    boundary_map: ClassVar[DistanceMapOptions] = ROBUST
    boundary_schedule: ClassVar[Schedule] = Rebalance()
    boundary_pause: ClassVar[bool] = True
    distance_maps_on: ClassVar[Literal["workers", "device"]] = "workers"

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int | Literal["all"],
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        # nnU-Net reads these five names from the signature.
        check_choice("distance_maps_on", self.distance_maps_on, ("workers", "device"))
        try:
            super().__init__(plans, configuration, fold, dataset_json, device)  # type: ignore[call-arg]
        except OSError as error:
            raise RuntimeError(f"nnUNet_results must be a folder to write into, got {error}; set it to one") from error
        folder = Path(self.output_folder)  # type: ignore[attr-defined]
        if not os.access(folder, os.W_OK):  # nnU-Net would find out when it saves
            raise RuntimeError(f"nnUNet_results must be a folder to write into, got read-only {folder}; set it to one")
        self._check_labels()
        self.boundary_guard = _new_guard()
        self._pad_log(0)

    def _check_labels(self) -> None:
        labels = self.label_manager  # type: ignore[attr-defined]
        values = [int(value) for value in labels.all_labels]
        if not labels.has_regions and values != list(range(len(values))):
            raise ValueError(
                f"labels of dataset.json must be consecutive from 0, got {values}; "
                "renumber the label files and dataset.json"
            )

    # Distance maps: from the data loader to the loss

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's transforms and, last, the distance maps where the workers make them."""
        return self._with_maps(super().get_training_transforms(*args, **kwargs))  # type: ignore[misc]

    def get_validation_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's transforms and, last, the distance maps where the workers make them."""
        return self._with_maps(super().get_validation_transforms(*args, **kwargs))  # type: ignore[misc]

    def _with_maps(self, transforms: Any) -> Any:
        if self.distance_maps_on == "workers":
            transforms.transforms.append(self._map_transform())
        return transforms

    def _map_transform(self) -> AppendDistanceMaps:
        labels, configuration = self.label_manager, self.configuration_manager  # type: ignore[attr-defined]
        spacing = tuple(float(size) for size in configuration.spacing)[-len(configuration.patch_size) :]
        # the label manager counts the background as a head, unless the heads are regions
        return AppendDistanceMaps(
            labels.num_segmentation_heads, spacing, self.boundary_map, labels.has_regions, labels.ignore_label
        )

    def _build_loss(self) -> nn.Module:
        region = super()._build_loss()  # type: ignore[misc]
        weights = region.weight_factors if self.enable_deep_supervision else None  # type: ignore[attr-defined]
        return RegionAndBoundary(region, self.label_manager.has_regions, weights)  # type: ignore[attr-defined]

    def _hand_over_maps(self, batch: dict) -> dict:
        """Give the loss the maps, from the target's end or made here, and return the batch as nnU-Net knows it."""
        target = batch["target"]
        if self.distance_maps_on == "device":
            heads = target if isinstance(target, list) else [target]
            targets = [head.to(self.device, non_blocking=True) for head in heads]  # type: ignore[attr-defined]
            maps = self._map_transform().batch_distance_maps(targets[0])
        elif isinstance(target, list) and target[-1].dtype == torch.float16:
            *targets, maps = target
        else:
            raise RuntimeError(
                "batch['target'] must end with the float16 distance maps, got none; a trainer with its own "
                "get_training_transforms or get_validation_transforms must come after BoundaryMixin in its bases"
            )
        self.loss.distance_maps = maps.to(self.device, non_blocking=True)  # type: ignore[attr-defined]
        return {**batch, "target": targets if self.enable_deep_supervision else targets[0]}  # type: ignore[attr-defined]

    def train_step(self, batch: dict) -> dict:
        """Run nnU-Net's step and add both terms to what it returns."""
        result = super().train_step(self._hand_over_maps(batch))  # type: ignore[misc]
        region, boundary = (term.cpu().numpy() for term in self.loss.terms)  # type: ignore[attr-defined]
        return {**result, "region_term": region, "boundary_term": boundary}

    def validation_step(self, batch: dict) -> dict:
        """Run nnU-Net's step."""
        result: dict = super().validation_step(self._hand_over_maps(batch))  # type: ignore[misc]
        return result

    # Weights and log, once per epoch

    @property
    def boundary_log(self) -> dict[str, list[Any]]:
        """nnU-Net's log, which its checkpoints carry."""
        log: dict[str, list[Any]] = self.logger.local_logger.my_fantastic_logging  # type: ignore[attr-defined]
        return log

    def on_train_epoch_start(self) -> None:
        """Set the weights of this epoch; while the prediction collapses the boundary term is left out."""
        super().on_train_epoch_start()  # type: ignore[misc]
        epoch, log = self.current_epoch, self.boundary_log  # type: ignore[attr-defined]
        paused = [int(value == 1) for value in log["alpha_paused"][:epoch]]
        pause = self.boundary_pause and self.boundary_guard.collapsed
        # A smaller alpha still pulls at a prediction that is all but empty: the region term has to find the target.
        weights = (1.0, 0.0) if pause else self.boundary_schedule.weights(
            epoch - sum(paused), self.num_epochs, log["region_term"][:epoch]  # type: ignore[attr-defined]
        )  # fmt: skip
        self.loss.term_weights = weights  # type: ignore[attr-defined]
        self._log_values(region_weight=weights[0], alpha=weights[1], alpha_paused=float(pause))
        note = " (boundary term paused: the predicted foreground is falling away)" if pause else ""
        self.print_to_log_file(f"region weight {weights[0]:.4f}, alpha {weights[1]:.4f}{note}")  # type: ignore[attr-defined]

    def on_train_epoch_end(self, train_outputs: list[dict]) -> None:
        """Log the mean of both terms."""
        super().on_train_epoch_end(train_outputs)  # type: ignore[misc]
        outputs = collate_outputs(train_outputs)
        terms = {key: float(self._mean_over_ranks(np.mean(outputs[key]))) for key in ("region_term", "boundary_term")}
        self._log_values(**terms)
        self.print_to_log_file(f"region term {terms['region_term']:.4f}, boundary term {terms['boundary_term']:.4f}")  # type: ignore[attr-defined]

    def on_validation_epoch_end(self, val_outputs: list[dict]) -> None:
        """Log predicted and true foreground of each class, and warn of a collapse."""
        super().on_validation_epoch_end(val_outputs)  # type: ignore[misc]
        outputs = collate_outputs(val_outputs)
        counts = {key: self._mean_over_ranks(np.sum(outputs[key], axis=0)) for key in ("tp_hard", "fp_hard", "fn_hard")}
        seen = math.prod(self.configuration_manager.patch_size) * self.batch_size * len(val_outputs)  # type: ignore[attr-defined]
        voxels = self._mean_over_ranks(seen)  # the batch sizes of two ranks may differ by one
        shares = [((counts["tp_hard"] + counts[key]) / voxels).tolist() for key in ("fp_hard", "fn_hard")]
        self._log_values(foreground_predicted=shares[0], foreground_true=shares[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CollapseWarning)
            self.boundary_guard.update(*shares)
        for warning in caught:  # nnU-Net's users read its log file, not stderr
            self.print_to_log_file(f"WARNING: {warning.message}")  # type: ignore[attr-defined]

    def on_epoch_end(self) -> None:
        """Draw boundary.png beside nnU-Net's progress.png."""
        super().on_epoch_end()  # type: ignore[misc]
        if self.local_rank == 0:  # type: ignore[attr-defined]
            path = Path(self.output_folder) / "boundary.png"  # type: ignore[attr-defined]
            plot_boundary_log(self.boundary_log, path, f"{type(self).__name__}, fold {self.fold}")  # type: ignore[attr-defined]

    def _mean_over_ranks(self, value: Any) -> Any:
        values: list[Any] = [value]
        if self.is_ddp:  # type: ignore[attr-defined]
            values = [None] * dist.get_world_size()
            dist.all_gather_object(values, value)
        return np.mean(np.asarray(values, np.float64), axis=0)

    def _log_values(self, **values: float | list[float]) -> None:
        for key, value in values.items():
            self.logger.log(key, value, self.current_epoch)  # type: ignore[attr-defined]

    def _pad_log(self, epochs: int) -> None:
        """Give every key one value per finished epoch: nnU-Net asserts it, and cuts its plot at the shortest list."""
        for key in LOG_KEYS:
            values = self.boundary_log.setdefault(key, [])
            values.extend([math.nan] * (epochs - len(values)))

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Load nnU-Net's checkpoint, of this trainer or of a stock one, and bring log and guard up to its epoch.

        Raises:
            RuntimeError: The file is truncated or no checkpoint.
        """
        path = filename_or_checkpoint
        if isinstance(path, str) and Path(path).is_file() and not zipfile.is_zipfile(path):
            # A zip archive ends with its index. Torch has another error for every place where the file may break off.
            raise RuntimeError(
                f"checkpoint must be a whole file as torch.save writes it, got {path}, cut off or foreign; "
                "remove it, and --c takes the next one: checkpoint_final, checkpoint_latest, checkpoint_best"
            )
        super().load_checkpoint(filename_or_checkpoint)  # type: ignore[misc]
        self._pad_log(self.current_epoch)  # type: ignore[attr-defined]
        self.boundary_guard = _new_guard()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)  # said in the run that ended here
            for shares in zip(
                self.boundary_log["foreground_predicted"], self.boundary_log["foreground_true"], strict=True
            ):
                self.boundary_guard.update(*shares)
