"""Challenge downloads to nnU-Net raw data sets that MONAI reads, too.

A challenge is one short file, as `wmh`, `isles2018`, `isles2022` and `acdc` are: a `Challenge` with its channels,
labels and published split, and a function that says of each file of the download which case it belongs to and what it
is in that case. The rest is common: `challenge` finds the cases, `case` reads and writes one, `conversion` goes through
them all and keeps a record, so that a run that was broken off goes on. To add a challenge, write its file and name it
in `CHALLENGES`. Data that need no conversion (`monai_boundary.datasets.em`, `.remote`) are read where they lie.
"""

from __future__ import annotations

import os
from typing import Any

from monai_boundary._check import check_choice
from monai_boundary.datasets.convert.acdc import ACDC
from monai_boundary.datasets.convert.challenge import Challenge
from monai_boundary.datasets.convert.conversion import Conversion, convert_cases
from monai_boundary.datasets.convert.isles2018 import ISLES2018
from monai_boundary.datasets.convert.isles2022 import ISLES2022
from monai_boundary.datasets.convert.wmh import WMH

__all__ = ["CHALLENGES", "Challenge", "Conversion", "convert_cases", "convert_challenge"]

#: Challenges by the name that the command line gives them.
CHALLENGES: dict[str, Challenge] = {"wmh": WMH, "isles2018": ISLES2018, "isles2022": ISLES2022, "acdc": ACDC}


def convert_challenge(
    challenge: str, source: str | os.PathLike[str], target: str | os.PathLike[str], **options: Any
) -> Conversion:
    """Convert the download of a challenge.

    Every case is read whole and checked before it is written. A case that is damaged or incomplete is skipped, and the
    result says why. ``dataset.json``, without which nnU-Net takes no folder for a data set, is written last; a run that
    was broken off goes on where it stopped.

    Args:
        challenge: ``"wmh"``, ``"isles2018"``, ``"isles2022"`` or ``"acdc"``.
        source: The unpacked challenge; nothing is written there.
        target: Folder to make ``DatasetXXX_NAME`` in, such as ``$nnUNet_raw``.
        **options: ``dataset_id``: XXX, each challenge has its own default; ``overwrite``: convert every case again,
            also over files that this function did not write; ``dry_run``: read and check everything, write nothing;
            ``progress``: show a progress bar.

    Raises:
        ValueError: `source` holds no case, or `target` lies inside it.
        FileExistsError: The data set's folder was not made by this function, or from other files; see ``overwrite``.
        OSError: The disk is full, or a file may not be read.
    """
    check_choice("challenge", challenge, tuple(CHALLENGES))
    return convert_cases(CHALLENGES[challenge], source, target, **options)
