"""Real data that several experiments read."""

from __future__ import annotations

import os
from pathlib import Path

from monai_boundary.datasets.datalist import CaseFiles

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
