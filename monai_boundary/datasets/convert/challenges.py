"""The challenges that are converted: what one is, and the four that are known, in `CHALLENGES`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["CHALLENGES", "Challenge", "Place"]

_SAMPLED = "as published: drawn from the sorted cases with seed 0"
_DRAWN = "no split was published; every fifth, drawn with seed 0"


@dataclass(frozen=True)
class Place:
    """What a file of a download is.

    Args:
        case: Name of its case in the converted data set.
        path: Where the case lies in the download: files of one path make one case, and published splits sort by it.
        role: One of the challenge's channels, or ``"label"``; ``None`` for a file that only shows that there is a case.
        group: Cases of one group (one patient) stay on one side of the split; by default the case alone.
        test: Belongs to the test set.
    """

    case: str
    path: Sequence[str]
    role: str | None
    group: str | None = None
    test: bool = False


@dataclass(frozen=True)
class Challenge:
    """A data set and its published split.

    Args:
        dataset_id: Number of the nnU-Net data set, when the user gives none.
        dataset_name: Its name.
        channels: Names of the channels; nnU-Net normalises by them.
        labels: Values by name; ``"ignore"`` has a meaning in nnU-Net.
        expected: Numbers of training and test cases of the whole data set.
        validation: Groups in the validation set, of how many.
        split: Where the split comes from.
        place: From the names of the folders of the download, beginning with its own, and of a file in the last, without
            ending, to what the file is; ``None`` for files that do not matter.
        resampled: Channels that lie on another grid by the challenge's design.
    """

    dataset_id: int
    dataset_name: str
    channels: tuple[str, ...]
    labels: dict[str, int]
    expected: tuple[int, int]
    validation: tuple[int, int]
    split: str
    place: Callable[[Sequence[str], str], Place | None]
    resampled: tuple[str, ...] = ()


def _wmh_place(folders: Sequence[str], name: str) -> Place | None:
    """``.../SITE/SUBJECT/pre/FLAIR.nii.gz``, ``.../pre/T1.nii.gz``, ``.../SITE/SUBJECT/wmh.nii.gz``."""
    if folders[-1] == "pre":
        case, role = folders[:-1], name if name in ("FLAIR", "T1") else None
    else:
        case, role = folders, "label"
    if "additional_annotations" in folders or (role == "label" and name != "wmh"):
        return None
    plain = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(case[-2:])).strip("_")
    return Place(plain, case[1:], role, test=_is_test(case, "training", "test"))


def _isles2018_place(folders: Sequence[str], name: str) -> Place | None:
    """``TRAINING/case_1/SMIR.Brain.XX.O.CT_CBF.123/SMIR.Brain.XX.O.CT_CBF.123.nii``; OT is the label."""
    numbered = [depth for depth, folder in enumerate(folders) if re.fullmatch(r"case_\d+", folder)]
    if not numbered:
        return None
    found = re.fullmatch(r"SMIR\.Brain\.XX\.O\.(?:CT_)?(CT|CBF|CBV|MTT|Tmax|OT)\.\d+", name)
    role = None if found is None else "label" if found[1] == "OT" else found[1]
    test, case = _is_test(folders[: numbered[-1]], "training", "testing"), folders[numbered[-1]]
    return Place(f"test_{case}" if test else case, folders[1 : numbered[-1] + 1], role, test=test)


def _isles2022_place(folders: Sequence[str], name: str) -> Place | None:  # noqa: ARG001 - the names say it all
    """``sub-strokecase0001_ses-0001_dwi.nii.gz``, in any folder; msk is the label, and a subject has one session."""
    found = re.fullmatch(r"(sub-[A-Za-z0-9]+)_ses-[A-Za-z0-9]+_(dwi|adc|flair|msk)", name, re.IGNORECASE)
    if found is None:
        return None
    role = found[2].upper()
    return Place(found[1], [found[1]], "label" if role == "MSK" else role)


def _acdc_place(folders: Sequence[str], name: str) -> Place | None:
    """``training/patient001/patient001_frame01.nii.gz``; ``_gt`` is the label."""
    found = re.fullmatch(r"((patient\d+)_frame\d+)(_gt)?", name)
    if found is None:
        return None
    role, test = "label" if found[3] else "cineMRI", _is_test(folders, "training", "testing")
    return Place(found[1], [*folders[1:], found[1]], role, found[2], test)


def _is_test(folders: Sequence[str], training: str, test: str) -> bool:
    """Whether the innermost of the two names says so: the download may lie in a folder called test itself."""
    return next((name.lower() == test for name in reversed(folders) if name.lower() in (training, test)), False)


#: Challenges by the name that the command line gives them.
CHALLENGES = {
    # white matter hyperintensities, FLAIR and T1 of five scanners
    "wmh": Challenge(
        dataset_id=501,
        dataset_name="WMH2017",
        channels=("FLAIR", "T1"),
        labels={"background": 0, "WMH": 1, "ignore": 2},
        expected=(60, 110),
        validation=(10, 60),
        split=_SAMPLED,
        place=_wmh_place,
    ),
    # acute stroke, CT and CT perfusion
    "isles2018": Challenge(
        dataset_id=502,
        dataset_name="ISLES2018",
        channels=("CT", "CBF", "CBV", "MTT", "Tmax"),
        labels={"background": 0, "lesion": 1},
        expected=(94, 62),
        validation=(20, 94),
        split=_SAMPLED,
        place=_isles2018_place,
    ),
    # acute and subacute stroke, in the layout of BIDS
    "isles2022": Challenge(
        dataset_id=503,
        dataset_name="ISLES2022",
        channels=("DWI", "ADC", "FLAIR"),
        labels={"background": 0, "lesion": 1},
        expected=(250, 0),
        validation=(50, 250),
        split=_DRAWN,
        place=_isles2022_place,
        resampled=("FLAIR",),
    ),
    # cine MRI of the heart, two frames of each patient
    "acdc": Challenge(
        dataset_id=27,
        dataset_name="ACDC",
        channels=("cineMRI",),
        labels={"background": 0, "RV": 1, "MYO": 2, "LV": 3},
        expected=(200, 100),
        validation=(20, 100),
        split=_DRAWN,
        place=_acdc_place,
    ),
}
