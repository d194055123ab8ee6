"""ISLES 2018: acute stroke, CT and CT perfusion."""

from __future__ import annotations

import re
from collections.abc import Sequence

from monai_boundary.datasets.convert.challenge import SAMPLED, Challenge, Place, is_test

__all__ = ["ISLES2018"]

_NAME = re.compile(r"SMIR\.Brain\.XX\.O\.(?:CT_)?(CT|CBF|CBV|MTT|Tmax|OT)\.\d+")


def _place(folders: Sequence[str], name: str) -> Place | None:
    """``TRAINING/case_1/SMIR.Brain.XX.O.CT_CBF.123/SMIR.Brain.XX.O.CT_CBF.123.nii``; OT is the label."""
    numbered = [depth for depth, folder in enumerate(folders) if re.fullmatch(r"case_\d+", folder)]
    if not numbered:
        return None
    path, found = folders[1 : numbered[-1] + 1], _NAME.fullmatch(name)
    test = is_test(folders[: numbered[-1]], "training", "testing")
    role = None if found is None else "label" if found[1] == "OT" else found[1]
    case = folders[numbered[-1]]
    return Place(f"test_{case}" if test else case, path, role, test=test)


ISLES2018 = Challenge(
    dataset_id=502,
    dataset_name="ISLES2018",
    channels=("CT", "CBF", "CBV", "MTT", "Tmax"),
    labels={"background": 0, "lesion": 1},
    expected=(94, 62),
    validation=(20, 94),
    split=SAMPLED,
    place=_place,
)
