"""The cases of the comparison: hippocampus crops, patients with sclerosis lesions, and lesion masks without images."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.patch_maps.patches import PatchVolume, cut
from experiments.shared.real_data import MS_PATIENTS, ms_patient, read_body
from monai_boundary._geometry import affine_spacing
from monai_boundary.datasets.datalist import CaseFiles
from monai_boundary.datasets.nifti import load_nifti

#: Classes including the background, by name of the data.
CLASSES = {"hippocampus": 3, "ms lesions": 2, "ms lesions, raw": 2}


def case_files(data: Path, name: str) -> list[CaseFiles]:
    """Return the files of a data set, in the order of their names.

    Raises:
        ValueError: `data` does not hold it.
    """
    if name == "hippocampus":
        labels = sorted((data / "Task04_Hippocampus" / "labelsTr").glob("[!.]*.nii.gz"))
        found = [CaseFiles(each.name[:-7], (each.parent.parent / "imagesTr" / each.name,), each) for each in labels]
    elif name == "ms lesions":
        found = [ms_patient(data, patient) for patient in MS_PATIENTS]
    else:
        masks = sorted((data / "ms_lesions" / "masks_raw").glob("*.nii.gz"))
        found = [CaseFiles(each.name[:-7], (), each) for each in masks]
    if not found or not all(each.label and each.label.is_file() for each in found):
        raise ValueError(f"--data must hold the data set {name!r}, got {data}; see docs/data.md, or leave it out")
    return found


@cache
def read_cases(data: Path, name: str, count: int | None = None) -> tuple[PatchVolume, ...]:
    """Read the first cases; where there are images, they are normalised over the voxels above 0 and cropped to them."""
    return tuple(
        read_case(each, CLASSES[name]) for each in tqdm(case_files(data, name)[:count], desc=name, unit="case")
    )


def read_case(files: CaseFiles, num_classes: int) -> PatchVolume:
    """Read one case."""
    assert files.label is not None  # noqa: S101 - case_files has seen to it
    array, affine = load_nifti(files.label)
    labels, spacing = array.astype(np.uint8)[None], affine_spacing(affine, 3)
    if not files.image:
        return PatchVolume(files.case, labels, spacing, num_classes)
    image, box = read_body(files)
    return PatchVolume(files.case, np.ascontiguousarray(cut(labels, box)), spacing, num_classes, image)
