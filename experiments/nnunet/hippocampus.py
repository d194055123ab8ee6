"""The main job on real MRI: hippocampus of the Medical Segmentation Decathlon through nnU-Net, trainer against trainer.

100 T1 crops, two classes. Same network, same number of steps, same folds; the held-out fold is predicted by nnU-Net's
own final validation. A finished fold is not trained again.

    python -m experiments.nnunet.hippocampus --work /tmp/hippocampus --folds 0 1
    python -m experiments.nnunet.hippocampus --table
"""

from __future__ import annotations

import shutil
from pathlib import Path

from experiments.nnunet.workspace import Workspace, run_evidence

DATASET = "Dataset004_Hippocampus"


def prepare(workspace: Workspace, data: Path) -> None:
    """Convert, plan and preprocess with nnU-Net's commands."""
    source = workspace.raw.parent / "Task04_Hippocampus"
    shutil.copytree(data / source.name, source, dirs_exist_ok=True, copy_function=shutil.copyfile)
    workspace.call("nnUNetv2_convert_MSD_dataset", "-i", source, "-overwrite_id", 4, "-np", 1)
    workspace.call("nnUNetv2_plan_and_preprocess", "-d", 4, "--verify_dataset_integrity", "-c", "3d_fullres", "-np", 1)
    workspace.shrink_plans(DATASET, "3d_fullres", (8, 16, 32, 64), batch_size=2)


if __name__ == "__main__":
    run_evidence(
        __doc__,
        DATASET,
        "3d_fullres",
        {1: "anterior", 2: "posterior"},
        (
            "nnUNetTrainerGDLShort",
            "nnUNetTrainerBoundaryShort",
            "nnUNetTrainerShort",
            "nnUNetTrainerDiceCEBoundaryShort",
        ),
        prepare,
    )
