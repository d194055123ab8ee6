"""What all trainers here check and keep whole: results folder, labels, checkpoints."""

from __future__ import annotations

import difflib
import inspect
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from nnunetv2 import paths
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from monai_boundary._checksums import check_archive
from monai_boundary._files import remove_parts, replacing

__all__ = ["CheckedMixin"]

if TYPE_CHECKING:  # what the mixin is mixed into
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as _Trainer
else:
    _Trainer = object


class CheckedMixin(_Trainer):
    """Finds out before training what nnU-Net would find out when it saves, and never leaves half a checkpoint."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a mixin behind the trainer that it should change: that trainer would call none of its methods.

        Raises:
            TypeError: It is behind.
        """
        super().__init_subclass__(**options)
        order = cls.__mro__
        behind = order[order.index(nnUNetTrainer) :] if nnUNetTrainer in order else ()
        late = [base.__name__ for base in behind if issubclass(base, CheckedMixin)]
        if late:
            raise TypeError(
                f"{late[0]} must come before nnU-Net's trainer in the bases of {cls.__name__}, got it behind, where no "
                f"method of it is called; write class {cls.__name__}({late[0]}, ...)"
            )

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int | Literal["all"],
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008
    ) -> None:
        # nnU-Net reads these five names from the signature.
        if not paths.nnUNet_results or not os.fspath(paths.nnUNet_results):  # nnU-Net's error would name no variable
            raise RuntimeError("nnUNet_results must be a folder to write into, got none; export nnUNet_results=FOLDER")
        try:
            super().__init__(plans, configuration, fold, dataset_json, device)
        except OSError as error:
            raise RuntimeError(f"nnUNet_results must be a folder to write into, got {error}; set it to one") from error
        folder = Path(self.output_folder)
        if not os.access(folder, os.W_OK):
            raise RuntimeError(f"nnUNet_results must be a folder to write into, got read-only {folder}; set it to one")
        self._check_names()
        self._check_settings()

    def _check_names(self) -> None:
        """Refuse class attributes that look like settings and that nobody reads."""
        order = type(self).__mro__
        for place, base in enumerate(order[: order.index(nnUNetTrainer)]):
            ours = base.__module__.partition(".")[0] == __package__  # what a user declares is misspelt, too
            known = [name for each in order[place if ours else place + 1 :] for name in inspect.get_annotations(each)]
            plain = [name for name, value in vars(base).items() if not (hasattr(value, "__get__") or callable(value))]
            for name in plain:
                if name.startswith("_") or name in known:
                    continue
                if name in vars(self):
                    raise TypeError(
                        f"{name} of {base.__name__} must be set by run_epochs, run_iterations or refine_lr, or in "
                        "initialize(), got a class attribute, which nnU-Net passes over"
                    )
                if near := difflib.get_close_matches(name, known, 1, 0.8):
                    raise TypeError(f"settings of {base.__name__} must be known, got {name}; did you mean {near[0]}?")

    def _check_settings(self) -> None:
        values = [int(value) for value in self.label_manager.all_labels]
        if not self.label_manager.has_regions and values != list(range(len(values))):
            raise ValueError(
                f"labels of dataset.json must be consecutive from 0, got {values}; "
                "renumber the label files and dataset.json"
            )

    def save_checkpoint(self, filename: str) -> None:
        """Save nnU-Net's checkpoint in one step: the one before stays until the next is whole.

        What a killed run left beside it is removed.
        """
        path = Path(filename)
        if self.local_rank != 0 or self.disable_checkpointing:  # nnU-Net writes none
            super().save_checkpoint(filename)
            return
        remove_parts(path.parent, path.name)
        with replacing(path) as part:
            super().save_checkpoint(str(part))

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Load nnU-Net's checkpoint, of this trainer or of a stock one.

        Raises:
            RuntimeError: The file is truncated or no checkpoint.
        """
        path = filename_or_checkpoint
        if isinstance(path, str) and Path(path).is_file():
            _check_file(path)
        super().load_checkpoint(filename_or_checkpoint)


def _check_file(path: str) -> None:
    # A zip archive ends with its index. Torch has another error for every place where the file may break off.
    fault = None if zipfile.is_zipfile(path) else "cut off or foreign"
    try:
        check_archive(path)
    except ValueError as error:
        fault = str(error)
    if fault is not None:
        raise RuntimeError(
            f"checkpoint must be a whole file as torch.save writes it, got {path}, {fault}; "
            "remove it, and --c takes the next one: checkpoint_final, checkpoint_latest, checkpoint_best"
        )
