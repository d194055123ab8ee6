"""Multiple-sclerosis lesions in FLAIR: one patient is reported, the others train."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from experiments.evidence.cases import Case, Split
from experiments.shared.real_data import MS_PATIENTS, ms_patient

#: Those of our data. The last is hard: of its scanner there is one other patient, who has hardly a lesion.
PATIENTS = ("P39", "P14", "patient07", "patient19")
#: The grid of all volumes, (right-left, front-back, slices), and what of it holds the brains.
GRID = (182, 218, 182)
BOX = (slice(11, 171), slice(14, 206), slice(10, 160))
#: Of the slices in the box: the validation part of a training patient, and the gap on both sides that is left out.
VALID, GAP = slice(60, 85), 3


def flair_patients(data: Path) -> tuple[str, ...]:
    """Return the patients that the folders hold, those of our data first; `PATIENTS` where there are no data."""
    found = {name.split("_")[0] for name, _, _ in _files(data)}
    known = tuple(name for name in PATIENTS if name in found)
    return (*known, *sorted(found - set(known))) or PATIENTS


def _files(data: Path) -> list[tuple[str, Path, Path]]:
    """Name, image and label of each volume; a patient who was seen more than once has a name for each time."""
    lesjak = [(name, ms_patient(data, name)) for name in MS_PATIENTS if (data / "ms_lesions" / name).is_dir()]
    folder = data / "mslesseg_flair"
    return [(name, Path(files.image[0]), Path(str(files.label))) for name, files in lesjak] + [
        (image.name.split(".")[0], image, folder / "labels" / image.name)
        for image in sorted((folder / "images").glob("*.nii.gz"))
    ]


@cache
def flair_cases(data: Path) -> tuple[Case, ...]:
    """Read the volumes of all patients."""
    return tuple(_read(*files) for files in _files(data))


def _read(name: str, image: Path, label: Path) -> Case:
    volumes = [nib.load(file) for file in (image, label)]
    for file, each in zip((image, label), volumes, strict=True):
        if each.shape != GRID:
            raise ValueError(f"{file} must have the grid {GRID} of the other volumes, got {each.shape}; register it")
    volume, mask = (np.asarray(each.dataobj, np.float32)[BOX] for each in volumes)
    body = volume > 0.1 * np.percentile(volume, 99)
    # Of two scanners: lesions are 1.3 to 1.8 times as bright as the median of the brain, which becomes 0.
    scaled = np.where(body, (volume / np.median(volume[body]) - 1) / 0.3, -3).astype(np.float32)
    slices, lesions = np.moveaxis(scaled, 2, 0)[:, None], np.moveaxis(mask > 0, 2, 0).astype(np.uint8)
    return Case(name, name.split("_")[0], slices, lesions)


def flair_split(data: Path, patient: str) -> Split:
    """Report a patient; of each of the others a slab of slices validates, and what is apart from it trains."""
    cases = flair_cases(data)
    names = tuple(dict.fromkeys(case.group for case in cases))
    if patient not in names or len(names) < 2:
        raise ValueError(f"folds must be of the patients in {data}, two or more, which are {names}; got {patient!r}")
    train, valid = [], []
    for case in cases:
        if case.group != patient:
            train += [case.slices(slice(None, VALID.start - GAP)), case.slices(slice(VALID.stop + GAP, None))]
            valid.append(case.slices(VALID))
    return Split(train, valid, [case for case in cases if case.group == patient])
