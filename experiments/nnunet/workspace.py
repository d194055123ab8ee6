"""nnU-Net's own commands, run in one folder, and scores of what they predict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from monai_boundary.evaluation import EvaluationSettings, evaluate_folder

SHORT_TRAINERS = Path(__file__).parent / "short_trainers"


class Workspace:
    """The three folders of nnU-Net below one folder, and commands run in them, one core unless told otherwise."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.raw, self.preprocessed, self.results = (folder / name for name in ("raw", "preprocessed", "results"))
        for path in (self.raw, self.preprocessed, self.results):
            path.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log.txt"
        self.environment = os.environ | {
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results),
            "nnUNet_extTrainer": str(SHORT_TRAINERS),
            "nnUNet_n_proc_DA": "1",
            "nnUNet_def_n_proc": "1",
            "OMP_NUM_THREADS": str(threads),
        }

    def call(self, command: str, *arguments: object) -> None:
        """Run one nnU-Net command; its output goes to log.txt."""
        line = [str(Path(sys.executable).parent / command), *map(str, arguments)]
        print("+", command, *arguments, flush=True)
        with self.log.open("a") as stream:
            subprocess.run(line, env=self.environment, stdout=stream, stderr=subprocess.STDOUT, check=True)

    def shrink_plans(self, dataset: str, configuration: str, features: Sequence[int], **changes: object) -> None:
        """Write smallPlans.json: nnU-Net's own plans with fewer features, for a CPU."""
        folder = self.preprocessed / dataset
        plans = json.loads((folder / "nnUNetPlans.json").read_text()) | {"plans_name": "smallPlans"}
        chosen = plans["configurations"][configuration]
        network = chosen["architecture"]["arch_kwargs"]
        network["features_per_stage"] = [features[min(i, len(features) - 1)] for i in range(network["n_stages"])]
        chosen.update(changes)
        (folder / "smallPlans.json").write_text(json.dumps(plans, indent=2))

    def train(self, dataset: str, configuration: str, trainer: str, fold: int, start: str | None = None) -> Path:
        """Train one fold unless it is there, and return the folder with nnU-Net's predictions of the held-out cases.

        A run that was stopped goes on from its last checkpoint; a new one starts from the model of the trainer `start`.
        """
        folder = self._fold(dataset, configuration, trainer, fold)
        if not (folder / "validation" / "summary.json").exists():
            options = ["-tr", trainer, "-p", "smallPlans", "-device", "cpu"]
            if any(folder.glob("checkpoint_*.pth")):
                options.append("--c")
            elif start is not None:
                weights = self._fold(dataset, configuration, start, fold) / "checkpoint_final.pth"
                options += ["-pretrained_weights", str(weights)]
            self.call("nnUNetv2_train", int(dataset[7:10]), configuration, fold, *options)
        return folder / "validation"

    def curve(self, dataset: str, configuration: str, trainer: str, fold: int) -> list[float]:
        """Return nnU-Net's pseudo Dice of every epoch of a finished run."""
        file = self._fold(dataset, configuration, trainer, fold) / "checkpoint_final.pth"
        # nnU-Net's checkpoints hold arrays of NumPy; this one was written here
        logging = torch.load(file, map_location="cpu", weights_only=False)["logging"]
        return [round(float(value), 4) for value in logging["mean_fg_dice"]]

    def _fold(self, dataset: str, configuration: str, trainer: str, fold: int) -> Path:
        return self.results / dataset / f"{trainer}__smallPlans__{configuration}" / f"fold_{fold}"

    def score(self, dataset: str, predictions: Path, labels: Sequence[int]) -> list[dict[str, Any]]:
        """Dice and HD95 of every case and label."""
        truth = self.preprocessed / dataset / "gt_segmentations"
        fold = int(predictions.parent.name.removeprefix("fold_"))
        held_out = json.loads((self.preprocessed / dataset / "splits_final.json").read_text())[fold]["val"]
        result = evaluate_folder(predictions, truth, EvaluationSettings(labels=tuple(labels)), progress=False)
        if lost := set(held_out) - {row.case for row in result.rows}:
            raise ValueError(f"{predictions} must hold every case of the fold, got none of use for {sorted(lost)[:5]}")
        return [
            {"case": row.case, "label": row.label, "dice": row.scores["dice"], "hd95_mm": row.scores["hd95_mm"],
             "surface_dice": row.scores["surface_dice"], "missed": row.missed}
            for row in result.rows if row.case in held_out
        ]  # fmt: skip
