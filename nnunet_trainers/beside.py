"""From the data loader to the loss: what it takes beside the label, and nnU-Net does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

from nnunet_trainers.targets import AppendBeside

__all__ = ["BesideMixin"]

if TYPE_CHECKING:  # what the mixin is mixed into
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as _Trainer
else:
    _Trainer = object

Append = TypeVar("Append", bound=AppendBeside)


class BesideMixin(_Trainer):
    """Makes what the loss takes beside the label and hands it over; each step is nnU-Net's otherwise.

    A trainer says what it wants in `beside_label` and gives it to its loss in `give_loss`:

        def beside_label(self):
            return [*super().beside_label(), self.appending(AppendLesionCells)]

        def give_loss(self, beside):
            super().give_loss(beside)
            self.loss.take_cells(beside["lesion_cells"])
    """

    def beside_label(self) -> list[AppendBeside]:
        """Return what the loss takes beside the label, in the order in which it is appended."""
        return []

    def made_on_device(self, one: AppendBeside) -> bool:  # noqa: ARG002
        """Whether the training process makes it of each batch; the workers of the data loader do otherwise."""
        return False

    def give_loss(self, beside: dict[str, torch.Tensor]) -> None:
        """Give the loss what it takes beside the label, by name, on the device, before it is called."""

    def appending(self, kind: type[Append], **settings: Any) -> Append:
        """Return a transform that appends to the targets of this trainer."""
        labels, configuration = self.label_manager, self.configuration_manager
        spacing = tuple(float(size) for size in configuration.spacing)[-len(configuration.patch_size) :]
        # the label manager counts the background as a head, unless the heads are regions
        layout = {"regions": labels.has_regions, "ignore_index": labels.ignore_label}
        return kind(labels.num_segmentation_heads, spacing, **layout, **settings)

    def _with_beside(self, transforms: Any) -> Any:
        transforms.transforms.extend(one for one in self.beside_label() if not self.made_on_device(one))
        return transforms

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's transforms and, last, what the workers make beside the label."""
        return self._with_beside(super().get_training_transforms(*args, **kwargs))

    def get_validation_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """Return nnU-Net's transforms and, last, what the workers make beside the label."""
        return self._with_beside(super().get_validation_transforms(*args, **kwargs))

    def _hand_over(self, batch: dict) -> dict:
        """Give the loss what was appended, or is made here, and return the batch as nnU-Net knows it."""
        target, wanted = batch["target"], self.beside_label()
        shipped = [one for one in wanted if not self.made_on_device(one)]
        heads = list(target) if isinstance(target, list) else [target]
        count = len(heads) - len(shipped)
        targets, appended = heads[:count], heads[count:]
        if count < 1 or any(found.dtype != one.dtype for one, found in zip(shipped, appended, strict=True)):
            names = ", ".join(f"{one.name} ({str(one.dtype).removeprefix('torch.')})" for one in shipped)
            raise RuntimeError(
                f"batch['target'] must end with {names}, got none; a trainer with its own get_training_transforms or "
                "get_validation_transforms must come after the mixin in its bases"
            )
        pairs = zip(shipped, appended, strict=True)
        beside = {one.name: found.to(self.device, non_blocking=True) for one, found in pairs}
        if len(shipped) < len(wanted):
            targets = [head.to(self.device, non_blocking=True) for head in targets]
            beside |= {one.name: one.of_batch(targets[0]) for one in wanted if self.made_on_device(one)}
        self.give_loss(beside)
        return {**batch, "target": targets if self.enable_deep_supervision else targets[0]}

    def train_step(self, batch: dict) -> dict:
        """Run nnU-Net's step."""
        result: dict = super().train_step(self._hand_over(batch))
        return result

    def validation_step(self, batch: dict) -> dict:
        """Run nnU-Net's step."""
        result: dict = super().validation_step(self._hand_over(batch))
        return result
