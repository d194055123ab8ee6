"""Phantoms in the layout of the WMH challenge, made of real lesion masks.

Each mask is brought to 3.2 mm slices of 1.875 mm voxels and drawn into a synthetic FLAIR and T1; the phantom's own
lesions, of much the same contrast, are labelled 2 (other pathology), which this protocol takes for background as the
published code does.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from monai_boundary.datasets import lesion_phantom, write_volume
from monai_boundary.datasets.convert import convert_challenge
from monai_boundary.datasets.datalist import CaseFiles, read_datalist

SITES = ("GE3T", "Singapore", "Utrecht")
FACTOR = 4  # voxels of the mask per voxel of the phantom, along each axis
TRAINING = 5


def converted_splits(masks: Path, folder: Path) -> tuple[list[CaseFiles], list[CaseFiles]]:
    """Write phantoms to `folder`, convert them as WMH, and return the first five by name and the others.

    Of eight the split of the conversion, a sixth, would leave one to score.
    """
    for number, file in enumerate(sorted(masks.glob("*.nii.gz"))):
        _write_subject(file, number, folder / "download" / SITES[number % 3] / str(number))
    data = read_datalist(convert_challenge("wmh", folder / "download", folder / "raw").folder)
    cases = sorted((case for part in data.values() for case in part), key=lambda case: case.case)
    return cases[:TRAINING], cases[TRAINING:]


def _write_subject(mask: Path, number: int, folder: Path) -> None:
    """Write the files that the challenge has and this protocol reads."""
    image = nib.load(mask)
    array = np.asarray(image.dataobj) > 0
    blocks = array.reshape([part for n in array.shape for part in (n // FACTOR, FACTOR)]).mean(axis=(1, 3, 5))
    zooms = image.header.get_zooms()
    lesion = np.moveaxis(blocks >= 0.25, int(np.argmax(zooms)), 0)  # the axis of the thickest voxels is the slices'
    thick, high, wide = (FACTOR * float(size) for size in np.sort(zooms)[::-1])
    spacing = (thick, high, wide)
    phantom = lesion_phantom(number, lesion.shape, spacing)
    soft = gaussian_filter(lesion.astype(np.float32), [0.6 / size for size in spacing])
    noise = np.random.default_rng(number).normal(0, 25, lesion.shape)
    volumes = {"FLAIR": phantom.image + 250 * soft, "T1": 1000 - 0.6 * phantom.image - 60 * soft + noise}
    (folder / "pre").mkdir(parents=True)
    for name, volume in volumes.items():
        write_volume(folder / "pre" / f"{name}.nii.gz", volume.astype(np.float32), spacing)
    write_volume(folder / "wmh.nii.gz", np.where(lesion, 1, 2 * phantom.labels).astype(np.uint8), spacing)
