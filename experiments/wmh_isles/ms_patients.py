"""The published protocol on two real patients with multiple-sclerosis lesions: one trains, the other is scored.

Both ways, with FLAIR, T1 and T2; lesions fill 0.69 % of patient19 and 0.018 % of patient07. One patient is a very
small training set: this compares losses, it is not a clinical result. Finished runs are not repeated.

    python -m experiments.wmh_isles.ms_patients --seeds 0 1 2
    python -m experiments.wmh_isles.ms_patients --table
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import torch

from experiments.shared.curves import curves_figure
from experiments.shared.data import data_folder
from experiments.shared.journal import finished_runs
from experiments.wmh_isles.settings import SETTINGS
from experiments.wmh_isles.table import protocol_table
from experiments.wmh_isles.training import RunSettings, run_protocol
from monai_boundary.datasets.datalist import CaseFiles
from monai_boundary.reports.figures import save_figure

PATIENTS = ("patient19", "patient07")
CHANNELS = ("FLAIR", "T1", "T2")


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--presets", nargs="+", default=["published", "robust"], choices=("published", "robust"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--train-on", nargs="+", default=list(PATIENTS), choices=PATIENTS)
    parser.add_argument("--out", type=Path, default=Path("docs/results/reproduce_ms.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print the table and draw the curves")
    arguments = parser.parse_args()
    if not arguments.table:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        warnings.filterwarnings("ignore", category=FutureWarning)
        run(arguments)
    rows = finished_runs(arguments.out)
    print(f"\n{protocol_table(rows)}")
    save_figure(curves_figure(rows), arguments.out.with_suffix(".png"), dpi=110)


def run(arguments: argparse.Namespace) -> None:
    """Train in both directions; the region losses alone run once, since the preset has no say in them."""
    cases = {}
    for patient in PATIENTS:
        folder = arguments.data / "ms_lesions" / patient
        images = tuple(folder / f"{channel}.nii.gz" for channel in CHANNELS)
        cases[patient] = CaseFiles(patient, images, folder / "lesion.nii.gz")
    for seed in arguments.seeds:
        for preset in arguments.presets:
            settings = [name for name in arguments.settings if SETTINGS[name].maps or preset == arguments.presets[0]]
            shared = RunSettings(
                preset, arguments.epochs, features=(16, 32, 64, 128), size=(160, 192), empty_share=0.1, score_every=5
            )
            for train, test in (PATIENTS, PATIENTS[::-1]):
                if train in arguments.train_on:
                    splits = {"training": [cases[train]], "validation": [cases[test]]}
                    run_protocol(f"{train} to {test}", splits, arguments.out, settings, [seed], shared)


if __name__ == "__main__":
    main()
