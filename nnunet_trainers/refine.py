"""Refine a trained model: an hour with the boundary term, at a small rate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from monai_boundary._check import check_number
from monai_boundary.schedules import GradientShare, Schedule
from nnunet_trainers.boundary import nnUNetTrainerDiceCEBoundary

__all__ = ["nnUNetTrainerBoundaryRefine"]


class nnUNetTrainerBoundaryRefine(nnUNetTrainerDiceCEBoundary):
    """Go on from a model of a stock trainer: 50 epochs from the rate 1e-3, the share of the gradient from the first.

    ``nnUNetv2_train ... FOLD -tr nnUNetTrainerBoundaryRefine -pretrained_weights .../fold_FOLD/checkpoint_final.pth``

    nnU-Net itself leaves the segmentation layers of such a file out; those of the same labels are taken over here. The
    file must be of the same fold: the model of another has been trained on this one's validation cases.
    """

    run_epochs: ClassVar[int | None] = 50
    refine_lr: ClassVar[float] = 1e-3
    boundary_schedule: ClassVar[Schedule] = GradientShare(end=0.2, ramp=0.0)

    def _check_settings(self) -> None:
        super()._check_settings()
        check_number("refine_lr", self.refine_lr)

    def initialize(self) -> None:
        """Set the rate before the optimizer is made from it, and keep in mind what an untrained network looks like."""
        self.initial_lr = self.refine_lr
        super().initialize()
        self._untrained = next(self.network.parameters()).detach().clone()

    def on_train_start(self) -> None:
        """Take over the segmentation layers.

        Raises:
            RuntimeError: No weights were loaded.
        """
        if not self.was_initialized:
            self.initialize()
        if torch.equal(next(self.network.parameters()), self._untrained):
            own = Path(self.output_folder)
            stock = own.parent.with_name(own.parent.name.replace(type(self).__name__, "nnUNetTrainer", 1)) / own.name
            raise RuntimeError(
                f"{type(self).__name__} must start from a trained model, got none; add -pretrained_weights "
                f"{stock / 'checkpoint_final.pth'}, or the checkpoint of another trainer on this fold"
            )
        if self.current_epoch == 0:
            self._take_segmentation_layers(_pretrained_weights())
        super().on_train_start()

    def _take_segmentation_layers(self, file: str | None) -> None:
        network = _unwrapped(self.network)
        mine = {name: value for name, value in network.state_dict().items() if ".seg_layers." in name}
        saved: dict[str, Any] = {}
        if file is not None:
            saved = torch.load(file, map_location="cpu", weights_only=False)
        weights, init = saved.get("network_weights", {}), saved.get("init_args", {})
        labels, before = self.dataset_json["labels"], init.get("dataset_json", {}).get("labels")
        same_labels = before == labels and (not self.label_manager.has_regions or [*before] == [*labels])
        if not (same_labels and mine.keys() <= weights.keys()):
            why = (
                "-pretrained_weights is not on the command line"
                if file is None
                else (f"{file} has other labels, or regions in another order")
            )
            self.print_to_log_file(
                f"WARNING: the segmentation layers start from chance: nnU-Net leaves them out, and {why}"
            )
            return
        network.load_state_dict({name: weights[name] for name in mine}, strict=False)
        self.print_to_log_file(f"refines {file}, segmentation layers included")
        then, now = ((args["plans"]["dataset_name"], args["fold"]) for args in (init, self.my_init_kwargs))
        if then != now:
            self.print_to_log_file(
                f"WARNING: {file} was trained on fold {then[1]} of {then[0]}: where its training cases are among "
                f"the validation cases of fold {now[1]}, scores of these say nothing"
            )


def _pretrained_weights() -> str | None:
    """Return the file that nnU-Net's command line names: nnU-Net hands over the weights alone."""
    for argument, following in zip(sys.argv, [*sys.argv[1:], None], strict=True):
        option, equals, value = argument.partition("=")
        if option == "-pretrained_weights":
            return value if equals else following
    return None


def _unwrapped(network: nn.Module) -> nn.Module:
    if isinstance(network, DistributedDataParallel):
        network = network.module
    return network._orig_mod if isinstance(network, OptimizedModule) else network
