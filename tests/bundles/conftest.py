"""A download of CREMI, and a data set of lesions."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.datalist import CaseFiles, write_datalist
from tests.datasets.em import files


@pytest.fixture
def cremi(tmp_path: Path) -> Path:
    return files.write_samples(tmp_path / "cremi")


@pytest.fixture
def lesion_dataset(tmp_path: Path):
    def make(channels: int) -> Path:
        folder, cases = tmp_path / "data", []
        (folder / "labels").mkdir(parents=True)
        for number in range(4):
            phantom = lesion_phantom(number, (12, 40, 36))
            labels = phantom.labels.copy()
            labels[:2, :6, :6] = 2 if channels == 2 else 0  # other pathology
            files = [folder / f"p{number}_{channel:04d}.nii.gz" for channel in range(channels)]
            for index, file in enumerate(files):
                write_volume(file, phantom.image * (-1) ** index, phantom.spacing)
            write_volume(folder / "labels" / f"p{number}.nii.gz", labels, phantom.spacing)
            cases.append(CaseFiles(f"p{number}", tuple(files), folder / "labels" / f"p{number}.nii.gz"))
        write_datalist(folder / "datalist.json", {"training": cases[:2], "validation": cases[2:]})
        return folder

    return make
