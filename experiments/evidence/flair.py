"""Multiple-sclerosis lesions in FLAIR: one of four patients is reported, the others train."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from experiments.evidence.cases import Case, Split
from experiments.shared.real_data import MS_PATIENTS, ms_patient

#: The last is hard: of its scanner there is one other patient, who has hardly a lesion.
PATIENTS = ("P39", "P14", "patient07", "patient19")
#: Of the grid of all volumes, (right-left, front-back, slices): what holds the brains.
BOX = (slice(11, 171), slice(14, 206), slice(10, 160))
#: Of the slices in the box: the validation part of a training patient, and the gap on both sides that is left out.
VALID, GAP = slice(60, 85), 3


@cache
def flair_cases(data: Path) -> tuple[Case, ...]:
    """Read the six volumes of the four patients; P14 was seen three times."""
    files = {name: ms_patient(data, name) for name in MS_PATIENTS}
    cases = [_read(name, name, Path(each.image[0]), Path(str(each.label))) for name, each in files.items()]
    folder = data / "mslesseg_flair"
    for image in sorted((folder / "images").glob("*.nii.gz")):
        name = image.name.split(".")[0]
        cases.append(_read(name, name.split("_")[0], image, folder / "labels" / image.name))
    return tuple(cases)


def _read(name: str, group: str, image: Path, label: Path) -> Case:
    volume, mask = (np.asarray(nib.load(file).dataobj, np.float32)[BOX] for file in (image, label))
    body = volume > 0.1 * np.percentile(volume, 99)
    # Of two scanners: lesions are 1.3 to 1.8 times as bright as the median of the brain, which becomes 0.
    scaled = np.where(body, (volume / np.median(volume[body]) - 1) / 0.3, -3).astype(np.float32)
    return Case(name, group, np.moveaxis(scaled, 2, 0)[:, None], np.moveaxis(mask > 0, 2, 0).astype(np.uint8))


def flair_split(data: Path, patient: str) -> Split:
    """Report a patient; of each of the others a slab of slices validates, and what is apart from it trains."""
    cases = flair_cases(data)
    train, valid = [], []
    for case in cases:
        if case.group != patient:
            train += [case.slices(slice(None, VALID.start - GAP)), case.slices(slice(VALID.stop + GAP, None))]
            valid.append(case.slices(VALID))
    return Split(train, valid, [case for case in cases if case.group == patient])
