"""Real data that several experiments read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from monai_boundary.datasets.datalist import CaseFiles
from monai_boundary.datasets.nifti import load_nifti

#: Lesions fill 0.69 % of the first and 0.018 % of the second.
MS_PATIENTS = ("patient19", "patient07")
MS_CHANNELS = ("FLAIR", "T1", "T2")


def data_folder() -> Path:
    """Return the folder of real data, whether it is there or not."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("MONAI_BOUNDARY_DATA", default))


def ms_patient(data: Path, patient: str) -> CaseFiles:
    """Return the files of one of `MS_PATIENTS`."""
    folder = data / "ms_lesions" / patient
    return CaseFiles(patient, tuple(folder / f"{name}.nii.gz" for name in MS_CHANNELS), folder / "lesion.nii.gz")


def read_body(files: CaseFiles) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Return the channels of a case `(C, *S)`, normalised over the body and cropped to its box, and that box.

    The body is where the first channel is above 0.
    """
    channels = [load_nifti(path)[0] for path in files.image]
    body = channels[0] > 0
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in np.nonzero(body))
    cropped = [np.where(body, (c - c[body].mean()) / c[body].std(), 0)[box] for c in channels]
    return np.stack(cropped).astype(np.float32), box
