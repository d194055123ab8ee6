"""nnU-Net trainers with a boundary term.

`boundary`, `refine` and `challenges` define the trainers, `short` their variants of few epochs, `mixin` adds the term
to any trainer, `beside` hands the loss what it takes beside the label, `losses` and `targets` connect the package to
nnU-Net's targets. Losses and distance maps themselves are
in `monai_boundary`.

nnU-Net finds the trainers through ``export nnUNet_extTrainer="$(monai-boundary nnunet-path)"``, which names the folder
`discovery`. Its one module re-exports them, so that their classes live here, in an installed package, and can be
pickled: nnU-Net drops every module below the folder that it searched.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["discovery_folder", "require_nnunet"]

MINIMUM_NNUNET = (2, 8)


def require_nnunet() -> None:
    """Raise ``RuntimeError`` unless nnU-Net is installed in a version that finds trainers outside its own folder."""
    needed = ".".join(map(str, MINIMUM_NNUNET))
    try:
        found = version("nnunetv2")
    except PackageNotFoundError:
        raise RuntimeError(
            f"the trainers need nnunetv2>={needed}, got none; pip install 'monai-boundary[nnunet]'"
        ) from None
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers < MINIMUM_NNUNET:
        raise RuntimeError(
            f"the trainers need nnunetv2>={needed}, which finds external trainers, got {found}; pip install -U nnunetv2"
        )


def discovery_folder() -> Path:
    """Return the folder that nnUNet_extTrainer must name."""
    return Path(__file__).parent / "discovery"
