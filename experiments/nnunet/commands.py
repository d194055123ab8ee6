"""``python -m experiments hippocampus`` and ``ms-nnunet``: trainer against trainer on real MRI.

Same network, same number of steps, same folds; the held-out fold is predicted by nnU-Net's own final validation.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from experiments.nnunet.workspace import Workspace
from experiments.shared.commands import FILE, ListOf, Plan, experiment
from experiments.shared.journal import Run
from experiments.shared.real_data import MS_CHANNELS, MS_PATIENTS, ms_patient
from experiments.shared.tables import grouped, markdown, mean_of, spread

TRAINERS = "nnUNetTrainerGDLShort,nnUNetTrainerBoundaryShort,nnUNetTrainerShort,nnUNetTrainerDiceCEBoundaryShort"


@dataclass(frozen=True)
class NnunetData:
    """A data set of nnU-Net.

    Args:
        name: Such as Dataset004_Hippocampus.
        configuration: Such as 3d_fullres.
        labels: Names of the labels to score.
        prepare: Called with the workspace and the data folder until smallPlans.json exists.
    """

    name: str
    configuration: str
    labels: dict[int, str]
    prepare: Callable[[Workspace, Path], None]


def prepare_hippocampus(workspace: Workspace, data: Path) -> None:
    """Convert, plan and preprocess with nnU-Net's commands."""
    source = workspace.raw.parent / "Task04_Hippocampus"
    shutil.copytree(data / source.name, source, dirs_exist_ok=True, copy_function=shutil.copyfile)
    workspace.call("nnUNetv2_convert_MSD_dataset", "-i", source, "-overwrite_id", 4, "-np", 1)
    workspace.call("nnUNetv2_plan_and_preprocess", "-d", 4, "--verify_dataset_integrity", "-c", "3d_fullres", "-np", 1)
    workspace.shrink_plans(HIPPOCAMPUS.name, "3d_fullres", (8, 16, 32, 64), batch_size=2)


def prepare_lesions(workspace: Workspace, data: Path) -> None:
    """Write the raw data set, plan and preprocess with nnU-Net's commands, and split by patient."""
    folder = workspace.raw / LESIONS.name
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for patient in MS_PATIENTS:
        files = ms_patient(data, patient)
        for index, image in enumerate(files.image):
            shutil.copyfile(image, folder / "imagesTr" / f"{patient}_{index:04d}.nii.gz")
        shutil.copyfile(files.label, folder / "labelsTr" / f"{patient}.nii.gz")  # type: ignore[arg-type]
    description = {
        "channel_names": dict(enumerate(MS_CHANNELS)),
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(MS_PATIENTS),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    workspace.call("nnUNetv2_plan_and_preprocess", "-d", 700, "--verify_dataset_integrity", "-c", "2d", "-np", 1)
    splits = [{"train": [train], "val": [other]} for train, other in (MS_PATIENTS, MS_PATIENTS[::-1])]
    (workspace.preprocessed / LESIONS.name / "splits_final.json").write_text(json.dumps(splits))
    workspace.shrink_plans(LESIONS.name, "2d", (8, 16, 32, 64), batch_size=4)


HIPPOCAMPUS = NnunetData(
    "Dataset004_Hippocampus", "3d_fullres", {1: "anterior", 2: "posterior"}, prepare_hippocampus
)  # fmt: skip
LESIONS = NnunetData("Dataset700_MSLesions", "2d", {1: "lesion"}, prepare_lesions)


def _command(name: str, source: NnunetData, text: str) -> click.Command:
    @experiment(name, data="folder")
    @click.option("--work", type=FILE, default=Path("runs") / name.replace("-", "_"), show_default=True,
                  help="Folder of nnU-Net's three folders; a finished fold is not trained again.")  # fmt: skip
    @click.option("--folds", type=ListOf(click.INT), default="0,1", show_default=True)
    @click.option("--trainers", type=ListOf(click.STRING), default=TRAINERS, show_default=True)
    def command(data: Path, work: Path, folds: tuple[int, ...], trainers: tuple[str, ...]) -> Plan:
        def train(run: Run, _title: str) -> Run:
            workspace = Workspace(work.resolve())
            if not (workspace.preprocessed / source.name / "smallPlans.json").exists():
                source.prepare(workspace, data.resolve())
            predictions = workspace.train(source.name, source.configuration, run["trainer"], run["fold"])
            return {"scores": workspace.score(source.name, predictions, list(source.labels))}

        runs = [{"trainer": trainer, "fold": fold} for fold in folds for trainer in trainers]
        return Plan(runs, train, lambda rows, _figures: trainer_table(rows, source.labels))

    command.help = text
    return command


def trainer_table(rows: Sequence[dict[str, Any]], labels: dict[int, str]) -> str:
    """Return mean and standard deviation over the folds of the mean over cases."""
    cells = []
    for trainer, runs in grouped(rows, lambda row: row["trainer"]).items():
        scores = [score for run in runs for score in run["scores"]]
        means = [
            spread([mean_of(s[key] for s in run["scores"] if s["label"] == label) for run in runs], form)
            for label in labels for key, form in (("dice", ".3f"), ("hd95_mm", ".2f"))
        ]  # fmt: skip
        cells.append([trainer, len(runs), *means, f"{sum(score['missed'] for score in scores)}/{len(scores)}"])
    columns = [f"{name} {score}" for name in labels.values() for score in ("Dice", "HD95 mm")]
    return markdown(("trainer", "folds", *columns, "missed"), cells)


hippocampus = _command(
    "hippocampus", HIPPOCAMPUS,
    "Train nnU-Net on 100 hippocampus crops of the Medical Segmentation Decathlon, trainer against trainer.",
)  # fmt: skip
ms_nnunet = _command(
    "ms-nnunet", LESIONS,
    """Train nnU-Net on one patient with sclerosis lesions and predict the other, both ways.

    Lesions fill 0.69 % of patient19 (fold 0 trains on it) and 0.018 % of patient07 (fold 1 trains on it). One patient
    is no training set: the question is only whether training survives.
    """,
)  # fmt: skip
