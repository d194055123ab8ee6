"""ISLES 2022: acute and subacute stroke, DWI, ADC and FLAIR, in the layout of BIDS."""

from __future__ import annotations

import re
from collections.abc import Sequence

from monai_boundary.datasets.convert.challenge import DRAWN, Challenge, Place

__all__ = ["ISLES2022"]

_NAME = re.compile(r"(sub-[A-Za-z0-9]+)_ses-[A-Za-z0-9]+_(dwi|adc|flair|msk)", re.IGNORECASE)


def _place(folders: Sequence[str], name: str) -> Place | None:  # noqa: ARG001 - the names say it all
    """``sub-strokecase0001_ses-0001_dwi.nii.gz``, in any folder; msk is the label, and a subject has one session."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    role = found[2].upper()
    return Place(found[1], [found[1]], "label" if role == "MSK" else role)


ISLES2022 = Challenge(
    dataset_id=503,
    dataset_name="ISLES2022",
    channels=("DWI", "ADC", "FLAIR"),
    labels={"background": 0, "lesion": 1},
    expected=(250, 0),
    validation=(50, 250),
    split=DRAWN,
    place=_place,
    resampled=("FLAIR",),
)
