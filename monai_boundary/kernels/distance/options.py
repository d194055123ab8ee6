"""The settings of a signed distance map, and the named sets of them.

A map and the weight of the boundary term belong together: alpha = 0.1 on a map in mm is another loss than alpha = 0.1
on a map scaled to [-1, 1]. One object therefore carries the settings to the kernel, the transforms, the losses
and the nnU-Net trainers alike.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from monai_boundary._check import check_choice, check_fraction, check_number
from monai_boundary._options import check_options

__all__ = [
    "CLIPPED", "CONVENTIONS", "PUBLISHED", "ROBUST", "DistanceMapOptions", "Preset", "check_map_options",
    "preset_options",
]  # fmt: skip

_LARGEST_FLOAT16 = 65504

Convention = Literal["half", "centre", "kervadec", "kervadec_mm"]
Absent = Literal["zero", "far"]
Normalize = Literal["clip", "diagonal", "max"]
Preset = Literal["clipped", "robust", "published"]

CONVENTIONS: tuple[Convention, ...] = ("half", "centre", "kervadec", "kervadec_mm")


@dataclass(frozen=True)
class DistanceMapOptions:
    """Settings of a signed distance map.

    Args:
        convention: Where the zero level lies; `d` is the distance to the nearest voxel centre of the other side.
            ``"half"``: +-(d - s/2) with s the smallest spacing, zero on the voxel face, right-signed at any spacing.
            ``"centre"``: +-d. ``"kervadec"``: d outside, -(d - 1) inside, as published and as in MONAI 1.6.1; the 1
            is one unit, so below 1 mm spacing some inside values turn positive. ``"kervadec_mm"``: the 1 is the
            smallest spacing.
        clip: Values are limited to +-`clip` mm; ``None`` for no limit. Exact, and cheaper than the whole map.
        absent: Map of a class that no voxel has, or all have: ``"zero"`` or ``"far"``, which is + (absent) or - (full)
            `clip`, or the diagonal of the volume without one, so that false positives cost. The published code has
            zeros for an absent class; for one that fills the volume it measures to a voxel that is not there.
        normalize: ``"clip"`` divides by `clip`, ``"diagonal"`` by the diagonal of the volume in mm, ``"max"`` by the
            largest absolute value of each channel; ``None`` keeps mm.
        balance: beta in [0, 1]: inside values are multiplied by (sum of outside values / sum of |inside values|)^beta,
            per channel. 0 is the published map; 1 makes an all-background and an all-foreground prediction score alike.
        balance_cap: Upper limit of that factor, which a single inside voxel would otherwise drive without bound.
        balance_lesions: gamma in [0, 1]: inside values of each lesion (connected also across edges and corners) are
            multiplied by (mean mass of the lesions / its mass)^gamma, per channel, where the mass is the sum of its
            |values|. 0 is the published map; at 1 a lesion of 5 voxels weighs as much as one of 5,000, without a cap:
            its voxels then have 1,000 times the value. It comes before `balance`, which it leaves to set the sum of
            all. Lesions are found on the CPU: backend ``"torch"`` waits for them.
    """

    convention: Convention = "half"
    clip: float | None = None
    absent: Absent = "zero"
    normalize: Normalize | None = None
    balance: float = 0.0
    balance_cap: float = 1000.0
    balance_lesions: float = 0.0

    def __post_init__(self) -> None:
        check_choice("convention", self.convention, CONVENTIONS)
        check_choice("absent", self.absent, ("zero", "far"))
        check_choice("normalize", self.normalize, (None, "clip", "diagonal", "max"))
        if self.clip is not None:
            check_number("clip", self.clip)
        check_fraction("balance", self.balance)
        check_number("balance_cap", self.balance_cap)
        check_fraction("balance_lesions", self.balance_lesions)
        if self.normalize == "clip" and self.clip is None:
            raise ValueError("clip must be given in mm when normalize='clip', got None; pass for example clip=10")

    @property
    def bounded(self) -> bool:
        """Whether values stay small enough for float16, whatever the size of the volume."""
        reach = math.inf if self.clip is None else self.clip
        factor = max(1.0, self.balance_cap) if self.balance else 1.0
        return (1.0 if self.normalize else reach) * factor < _LARGEST_FLOAT16 and not self.balance_lesions

    def replace(self, **changes: object) -> DistanceMapOptions:
        """Return a copy with some settings changed; a TypeError names what is no setting."""
        check_options("DistanceMapOptions", changes, vars(self))
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


#: The default of the losses, the transform and the trainers, for a share of the gradient: docs/evidence/objects.md.
CLIPPED = DistanceMapOptions(clip=10.0, absent="far", normalize="clip")
#: Half-balanced too: beside generalized Dice a linear alpha up to 1 then cost no Dice, see docs/evidence/collapse.md.
ROBUST = CLIPPED.replace(balance=0.5)
#: The published code: Kervadec et al., MIDL 2019.
PUBLISHED = DistanceMapOptions(convention="kervadec")

_PRESETS: dict[str, DistanceMapOptions] = {"clipped": CLIPPED, "robust": ROBUST, "published": PUBLISHED}


def check_map_options(name: str, options: Any) -> DistanceMapOptions:
    """Return `options`; raise ``TypeError`` unless they are `DistanceMapOptions`."""
    if not isinstance(options, DistanceMapOptions):
        raise TypeError(
            f"{name} must be DistanceMapOptions, got {options!r}; pass DistanceMapOptions(clip=10.0, ...), or "
            "preset_options('clipped')"
        )
    return options


def preset_options(preset: Preset) -> DistanceMapOptions:
    """Return the options of a named preset: ``"clipped"``, ``"robust"`` or ``"published"``."""
    return _PRESETS[check_choice("preset", preset, tuple(_PRESETS))]
