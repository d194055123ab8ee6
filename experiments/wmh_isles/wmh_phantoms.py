"""The published protocol on phantoms in the layout of the WMH challenge, made of eight real lesion masks.

    python -m experiments.wmh_isles.wmh_phantoms --seeds 0 1 2

Each mask of ms_lesions/masks_raw is brought to 3.2 mm slices of 1.875 mm voxels and drawn into a synthetic FLAIR and
T1; the phantom's own lesions, of much the same contrast, are labelled 2 (other pathology), which this protocol takes
for background as the published code does. `monai-boundary convert wmh` converts the tree; five cases train, three are
scored. Lesion shapes are real, images are not: this compares losses. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from experiments.shared.curves import curves_figure
from experiments.shared.data import data_folder
from experiments.shared.journal import finished_runs
from experiments.wmh_isles.settings import SETTINGS
from experiments.wmh_isles.table import protocol_table
from experiments.wmh_isles.training import RunSettings, run_protocol
from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.convert import convert_challenge
from monai_boundary.datasets.datalist import CaseFiles, read_datalist
from monai_boundary.reports.figures import save_figure

SITES = ("GE3T", "Singapore", "Utrecht")
FACTOR = 4  # voxels of the mask per voxel of the phantom, along each axis
TRAINING = 5
ROBUST = ("gdl+boundary3d", "dicece+boundary3d")


def write_tree(masks: Path, folder: Path) -> Path:
    """Write one subject per mask, with the files that the challenge has and this protocol reads."""
    for number, file in enumerate(sorted(masks.glob("*.nii.gz"))):
        image = nib.load(file)
        array = np.asarray(image.dataobj) > 0
        blocks = array.reshape([part for n in array.shape for part in (n // FACTOR, FACTOR)]).mean(axis=(1, 3, 5))
        slices = int(np.argmax(image.header.get_zooms()))  # the axis of the thickest voxels is that of the slices
        lesion = np.moveaxis(blocks >= 0.25, slices, 0)
        spacing = tuple(FACTOR * float(size) for size in np.sort(image.header.get_zooms())[::-1])
        phantom = lesion_phantom(number, lesion.shape, spacing)
        soft = gaussian_filter(lesion.astype(np.float32), [0.6 / size for size in spacing])
        labels = np.where(lesion, 1, 2 * phantom.labels).astype(np.uint8)
        subject = folder / SITES[number % 3] / str(number)
        (subject / "pre").mkdir(parents=True)
        noise = np.random.default_rng(number).normal(0, 25, lesion.shape)
        volumes = {"FLAIR": phantom.image + 250 * soft, "T1": 1000 - 0.6 * phantom.image - 60 * soft + noise}
        for name, volume in volumes.items():
            write_volume(subject / "pre" / f"{name}.nii.gz", volume.astype(np.float32), spacing)
        write_volume(subject / "wmh.nii.gz", labels, spacing)
    return folder


def splits(data: Path) -> dict[str, list[CaseFiles]]:
    """Return the converted cases, the first five by name for training: a sixth of eight would leave one to score."""
    cases = sorted((case for part in read_datalist(data).values() for case in part), key=lambda case: case.case)
    return {"training": cases[:TRAINING], "validation": cases[TRAINING:]}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("docs/results/wmh_layout.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print the table and draw the curves")
    arguments = parser.parse_args()
    if not arguments.table:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        warnings.filterwarnings("ignore", category=FutureWarning)
        with tempfile.TemporaryDirectory() as folder:
            tree = write_tree(arguments.data / "ms_lesions" / "masks_raw", Path(folder) / "download")
            data = convert_challenge("wmh", tree, Path(folder) / "raw").folder
            for seed in arguments.seeds:
                for preset, settings in (("published", list(SETTINGS)), ("robust", list(ROBUST))):
                    shared = RunSettings(
                        preset, arguments.epochs, features=(16, 32, 64), size=None, empty_share=0.1, score_every=2
                    )
                    run_protocol("WMH layout", splits(data), arguments.out, settings, [seed], shared)
    rows = finished_runs(arguments.out)
    print(f"\n{protocol_table(rows)}")
    save_figure(curves_figure(rows), arguments.out.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
