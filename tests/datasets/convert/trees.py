"""Tiny challenge downloads, with the names that the real ones have."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from monai_boundary.datasets.convert import convert_challenge

SHAPE = (12, 10, 4)
AFFINE = np.array([[-1.0, 0, 0, 7], [0, 1.2, 0, -3], [0, 0, 3, 11], [0, 0, 0, 1]])


def volume(path: Path, array: np.ndarray | None = None, seed: int = 0, affine: np.ndarray = AFFINE, dtype=np.float32):
    """Write a NIfTI file; noise when no array is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(100, 20, SHAPE) if array is None else array
    nib.save(nib.Nifti1Image(values.astype(dtype), affine), path)
    return path


def mask(*values: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A label map with a small block of each value."""
    array = np.zeros(shape)
    for index, value in enumerate(values):
        array[1 + 3 * index : 3 + 3 * index, 2:5, 1:3] = value
    return array


def wmh_case(folder: Path, seed: int, ending: str = ".nii.gz") -> Path:
    for number, name in enumerate(("FLAIR", "T1", "3DT1")):
        volume(folder / "pre" / f"{name}{ending}", seed=100 * seed + number)
        volume(folder / "orig" / f"{name}{ending}", seed=100 * seed + number + 50)
    (folder / "orig" / "reg_3DT1_to_FLAIR.txt").write_text("x")
    volume(folder / f"wmh{ending}", mask(1, 2))
    return folder


def wmh(root: Path, dataverse: bool = False) -> Path:
    """Three sites with two subjects each; as on Dataverse, with its two odd test sites, or as the challenge's zips."""
    training = root / "training" if dataverse else root
    sites = ["Amsterdam/GE3T" if dataverse else "GE3T", "Singapore", "Utrecht"]
    for number, site in enumerate(sites):
        for subject in range(2):
            wmh_case(training / site / str(50 * number + subject), 10 * number + subject)
    if dataverse:
        for number, site in enumerate(("Amsterdam/GE1T5", "Amsterdam/Philips_VU .PETMR_01.", "Utrecht")):
            wmh_case(root / "test" / site / str(150 + number), 70 + number)
        extra = root / "additional_annotations" / "observer_o3" / "training" / "Utrecht" / "100"
        volume(extra / "wmh.nii.gz", mask(1))
        volume(extra / "result.nii.gz", mask(1))
    return root


def isles2018(root: Path, perfusion: str = "CT_4DPWI") -> Path:
    """Six training and two test cases with the shadow that macOS leaves in zips."""
    kinds = {"CT": np.int32, "CT_CBF": np.uint16, "CT_CBV": np.uint16, "CT_MTT": np.float64, "CT_Tmax": np.float64}
    number = 334000
    for part, count in (("TRAINING", 6), ("TESTING", 2)):
        for case in range(1, count + 1):
            folder = root / part / f"case_{case}"
            for kind, dtype in kinds.items():
                number += 1
                name = f"SMIR.Brain.XX.O.{kind}.{number}"
                volume(folder / name / f"{name}.nii", seed=number, dtype=dtype)
                shadow = root / "__MACOSX" / part / f"case_{case}" / name / f"._{name}.nii"
                shadow.parent.mkdir(parents=True, exist_ok=True)
                shadow.write_bytes(b"\x00\x05\x16\x07")
            name = f"SMIR.Brain.XX.O.{perfusion}.{number + 50}"
            volume(folder / name / f"{name}.nii", np.zeros((*SHAPE, 3)))
            if part == "TRAINING":
                name = f"SMIR.Brain.XX.O.OT.{number + 51}"
                volume(folder / name / f"{name}.nii", mask(1), dtype=np.uint8)
    return root


def isles2022(root: Path, rawdata: bool = True, ending: str = ".nii.gz") -> Path:
    """Five cases; FLAIR lies on a grid of its own."""
    finer = AFFINE @ np.diag([0.5, 0.5, 0.75, 1.0])
    for number in range(1, 6):
        name = f"sub-strokecase{number:04d}"
        images = (root / "rawdata" if rawdata else root) / name / "ses-0001"
        for kind in ("dwi", "adc"):
            volume(images / "dwi" / f"{name}_ses-0001_{kind}{ending}", seed=number)
        volume(images / "anat" / f"{name}_ses-0001_FLAIR{ending}", linear((30, 30, 30), finer), affine=finer)
        truth = root / "derivatives" / name / "ses-0001" / f"{name}_ses-0001_msk{ending}"
        volume(truth, mask(1), dtype=np.uint8)
    return root


def linear(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """An image whose value at any place in space is x + 2 y + 3 z in mm: what linear resampling must keep."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return (index @ affine[:3, :3].T + affine[:3, 3]) @ np.array([1.0, 2.0, 3.0])


def acdc(root: Path, ending: str = ".nii.gz") -> Path:
    """Five training patients with two frames each and one test patient."""
    for part, numbers in (("training", range(1, 6)), ("testing", range(101, 102))):
        for number in numbers:
            folder = root / "database" / part / f"patient{number:03d}"
            volume(folder / f"patient{number:03d}_4d{ending}", np.zeros((*SHAPE, 3)))
            (folder / "Info.cfg").write_text("ED: 1\nES: 12\n")
            for frame in (1, 12):
                name = f"patient{number:03d}_frame{frame:02d}"
                volume(folder / f"{name}{ending}", seed=number + frame)
                volume(folder / f"{name}_gt{ending}", mask(1, 2, 3), dtype=np.uint8)
    return root


def convert(source: Path, target: Path, challenge: str = "wmh", **options):
    return convert_challenge(challenge, source, target, progress=False, **options)


TREES = {"wmh": wmh, "isles2018": isles2018, "isles2022": isles2022, "acdc": acdc}
