"""Extreme imbalance through nnU-Net: one patient with sclerosis lesions trains, the other is predicted, both ways.

Lesions fill 0.69 % of patient19 (fold 0 trains on it) and 0.018 % of patient07 (fold 1 trains on it). One patient is no
training set: the question is only whether training survives, that is whether the prediction is anything but empty.

    python -m experiments.nnunet.ms_lesions --work /tmp/ms_lesions
    python -m experiments.nnunet.ms_lesions --table
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from experiments.nnunet.workspace import Workspace, run_evidence

DATASET = "Dataset700_MSLesions"
CHANNELS = ("FLAIR", "T1", "T2")
PATIENTS = ("patient19", "patient07")


def prepare(workspace: Workspace, data: Path) -> None:
    """Write the raw data set, plan and preprocess with nnU-Net's commands, and split by patient."""
    folder = workspace.raw / DATASET
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for patient in PATIENTS:
        source = data / "ms_lesions" / patient
        for index, channel in enumerate(CHANNELS):
            target = folder / "imagesTr" / f"{patient}_{index:04d}.nii.gz"
            shutil.copyfile(source / f"{channel}.nii.gz", target)
        shutil.copyfile(source / "lesion.nii.gz", folder / "labelsTr" / f"{patient}.nii.gz")
    description = {
        "channel_names": dict(enumerate(CHANNELS)),
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(PATIENTS),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    workspace.call("nnUNetv2_plan_and_preprocess", "-d", 700, "--verify_dataset_integrity", "-c", "2d", "-np", 1)
    splits = [{"train": [train], "val": [other]} for train, other in (PATIENTS, PATIENTS[::-1])]
    (workspace.preprocessed / DATASET / "splits_final.json").write_text(json.dumps(splits))
    workspace.shrink_plans(DATASET, "2d", (8, 16, 32, 64), batch_size=4)


if __name__ == "__main__":
    run_evidence(
        __doc__,
        DATASET,
        "2d",
        {1: "lesion"},
        (
            "nnUNetTrainerGDLShort",
            "nnUNetTrainerBoundaryShort",
            "nnUNetTrainerShort",
            "nnUNetTrainerDiceCEBoundaryShort",
        ),
        prepare,
    )
