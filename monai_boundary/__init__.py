"""Boundary-aware training of segmentation networks for MONAI and nnU-Net.

Names are imported when they are first used: torch and MONAI take seconds to import, which ``monai-boundary --help`` and
the reports need not pay.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai_boundary.kernels import DistanceMapOptions, distance_transform, signed_distance, signed_distance_map
    from monai_boundary.losses import (
        BoundaryAwareDeepSupervisionLoss,
        BoundaryAwareLoss,
        BoundaryF1IoULoss,
        BoundaryF1Loss,
        BoundaryLoss,
        CollapseGuard,
        CrossEntropyBoundaryAwareLoss,
        DeepSupervisionLoss,
        GeneralizedDiceBoundaryLoss,
        GeneralizedDiceLoss,
        RegionBoundaryLoss,
        SensitivitySpecificityLoss,
        TopologyLoss,
    )
    from monai_boundary.schedules import Constant, Increase, Rebalance, WaitForRegion, Warmup, suggest_alpha
    from monai_boundary.transforms import (
        BoundaryBand,
        BoundaryBandd,
        PrecomputedDistanceMap,
        PrecomputedDistanceMapd,
        RegionSeeds,
        RegionSeedsd,
        RescaleDistanceMap,
        RescaleDistanceMapd,
        SignedDistanceMap,
        SignedDistanceMapd,
    )
    from monai_boundary.weight_search import WeightSearch

__version__ = "0.1.0"

_HOMES = {
    "kernels": ("DistanceMapOptions", "distance_transform", "signed_distance", "signed_distance_map"),
    "losses": (
        "BoundaryAwareDeepSupervisionLoss",
        "BoundaryAwareLoss",
        "BoundaryF1IoULoss",
        "BoundaryF1Loss",
        "BoundaryLoss",
        "CollapseGuard",
        "CrossEntropyBoundaryAwareLoss",
        "DeepSupervisionLoss",
        "GeneralizedDiceBoundaryLoss",
        "GeneralizedDiceLoss",
        "RegionBoundaryLoss",
        "SensitivitySpecificityLoss",
        "TopologyLoss",
    ),
    "schedules": ("Constant", "Increase", "Rebalance", "WaitForRegion", "Warmup", "suggest_alpha"),
    "transforms": (
        "BoundaryBand",
        "BoundaryBandd",
        "PrecomputedDistanceMap",
        "PrecomputedDistanceMapd",
        "RegionSeeds",
        "RegionSeedsd",
        "RescaleDistanceMap",
        "RescaleDistanceMapd",
        "SignedDistanceMap",
        "SignedDistanceMapd",
    ),
    "weight_search": ("WeightSearch",),
}

__all__ = [
    "BoundaryAwareDeepSupervisionLoss",
    "BoundaryAwareLoss",
    "BoundaryBand",
    "BoundaryBandd",
    "BoundaryF1IoULoss",
    "BoundaryF1Loss",
    "BoundaryLoss",
    "CollapseGuard",
    "Constant",
    "CrossEntropyBoundaryAwareLoss",
    "DeepSupervisionLoss",
    "DistanceMapOptions",
    "GeneralizedDiceBoundaryLoss",
    "GeneralizedDiceLoss",
    "Increase",
    "PrecomputedDistanceMap",
    "PrecomputedDistanceMapd",
    "Rebalance",
    "RegionBoundaryLoss",
    "RegionSeeds",
    "RegionSeedsd",
    "RescaleDistanceMap",
    "RescaleDistanceMapd",
    "SensitivitySpecificityLoss",
    "SignedDistanceMap",
    "SignedDistanceMapd",
    "TopologyLoss",
    "WaitForRegion",
    "Warmup",
    "WeightSearch",
    "distance_transform",
    "signed_distance",
    "signed_distance_map",
    "suggest_alpha",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
