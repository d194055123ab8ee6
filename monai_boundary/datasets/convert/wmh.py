"""WMH 2017: white matter hyperintensities, FLAIR and T1 of five scanners."""

from __future__ import annotations

from collections.abc import Sequence

from monai_boundary.datasets.convert.challenge import SAMPLED, Challenge, Place, is_test, plain_name

__all__ = ["WMH"]


def _place(folders: Sequence[str], name: str) -> Place | None:
    """``.../SITE/SUBJECT/pre/FLAIR.nii.gz``, ``.../pre/T1.nii.gz``, ``.../SITE/SUBJECT/wmh.nii.gz``."""
    if folders[-1] == "pre":
        case, role = folders[:-1], name if name in ("FLAIR", "T1") else None
    else:
        case, role = folders, "label"
    if "additional_annotations" in folders or (role == "label" and name != "wmh"):
        return None
    return Place(plain_name("_".join(case[-2:])), case[1:], role, test=is_test(case, "training", "test"))


WMH = Challenge(
    dataset_id=501,
    dataset_name="WMH2017",
    channels=("FLAIR", "T1"),
    labels={"background": 0, "WMH": 1, "ignore": 2},
    expected=(60, 110),
    validation=(10, 60),
    split=SAMPLED,
    place=_place,
)
