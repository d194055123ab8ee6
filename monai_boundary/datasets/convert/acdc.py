"""ACDC: cine MRI of the heart, two frames of each patient."""

from __future__ import annotations

import re
from collections.abc import Sequence

from monai_boundary.datasets.convert.challenge import DRAWN, Challenge, Place, is_test

__all__ = ["ACDC"]

_NAME = re.compile(r"((patient\d+)_frame\d+)(_gt)?")


def _place(folders: Sequence[str], name: str) -> Place | None:
    """``training/patient001/patient001_frame01.nii.gz``; ``_gt`` is the label."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    role, test = "label" if found[3] else "cineMRI", is_test(folders, "training", "testing")
    return Place(found[1], [*folders[1:], found[1]], role, found[2], test)


ACDC = Challenge(
    dataset_id=27,
    dataset_name="ACDC",
    channels=("cineMRI",),
    labels={"background": 0, "RV": 1, "MYO": 2, "LV": 3},
    expected=(200, 100),
    validation=(20, 100),
    split=DRAWN,
    place=_place,
)
