"""The public names are frozen, and each is documented."""

from __future__ import annotations

import dataclasses
import inspect
import re
from importlib.metadata import version

import pytest

import monai_boundary
from monai_boundary import kernels, losses, schedules, transforms, weight_search
from monai_boundary.kernels import barrier, components, regions

PUBLIC = {
    "BoundaryAwareLoss", "CrossEntropyBoundaryAwareLoss", "RegionSeeds",
    "RegionSeedsd",
    "BlobLoss", "ComponentDiceLoss", "GeneralizedSurfaceLoss", "HausdorffDistanceLoss", "RegionWiseLoss",
    "BoundaryBand", "BoundaryBandd", "BoundaryF1IoULoss", "BoundaryF1Loss", "BoundaryLoss", "CollapseGuard", "Constant",
    "DeepSupervisionLoss", "DistanceMapOptions", "GeneralizedDiceBoundaryLoss", "GeneralizedDiceLoss",
    "GradientShare", "Increase", "LesionCells", "LesionCellsd",
    "PrecomputedDistanceMapd",
    "Rebalance", "RegionBoundaryLoss", "RescaleDistanceMap", "RescaleDistanceMapd", "SensitivitySpecificityLoss",
    "Share", "SignedDistanceMap", "SignedDistanceMapd", "TopologyLoss", "WaitForRegion", "Warmup", "WeightSearch",
    "distance_transform", "nearest_label", "signed_distance", "signed_distance_map", "suggest_alpha",
}  # fmt: skip
PARTS = {
    kernels: {
        "CLIPPED", "PUBLISHED", "ROBUST", "DistanceMapOptions", "boundary_band", "box_max_pool", "box_min_pool",
        "distance_transform", "nearest_label", "signed_distance", "signed_distance_map", "soft_boundary",
    },
    barrier: {"WEIGHTINGS", "BarrierCut", "barrier_weights", "minimum_barrier_cut"},
    components: {"components", "lesion_cells"},
    regions: {
        "RESERVED_IDS", "IdOverlaps", "compact_ids", "connected_components", "id_overlaps", "near_other_regions",
        "region_distance", "region_seeds", "unlabelled_voxels",
    },
    transforms: {
        "BoundaryBand", "BoundaryBandD", "BoundaryBandDict", "BoundaryBandd", "MissingSpacingWarning",
        "ShearedAffineWarning",
        "LesionCells", "LesionCellsD", "LesionCellsDict", "LesionCellsd",
        "PrecomputedDistanceMapD", "PrecomputedDistanceMapDict", "PrecomputedDistanceMapd",
        "RegionSeeds", "RegionSeedsD", "RegionSeedsDict", "RegionSeedsd",
        "RescaleDistanceMap", "RescaleDistanceMapD", "RescaleDistanceMapDict", "RescaleDistanceMapd",
        "SignedDistanceMap", "SignedDistanceMapD", "SignedDistanceMapDict", "SignedDistanceMapd",
    },
    losses: {
        "BinaryCrossEntropyLoss", "BlobLoss", "BoundaryAwareLoss", "ComponentDiceLoss", "GeneralizedSurfaceLoss",
        "HausdorffDistanceLoss", "RegionWiseLoss",
        "CrossEntropyBoundaryAwareLoss",
        "BoundaryF1IoULoss", "BoundaryF1Loss", "BoundaryLoss", "CollapseGuard", "CollapseWarning",
        "DeepSupervisionLoss", "GeneralizedDiceBoundaryLoss", "GeneralizedDiceLoss", "GradientShareWarning",
        "RegionBoundaryLoss", "SensitivitySpecificityLoss", "Share", "TopologyLoss",
        "foreground_shares",
    },
    schedules: {
        "Constant", "GradientShare", "Increase", "Rebalance", "Schedule", "WaitForRegion", "Warmup", "suggest_alpha",
    },
    weight_search: {"SearchRound", "WeightSearch", "WeightSearchHandler"},
}  # fmt: skip
CALLABLES = sorted(
    {getattr(module, name) for module, names in PARTS.items() for name in names if callable(getattr(module, name))},
    key=lambda item: item.__name__,
)


def test_public_names_are_the_frozen_set():
    assert set(monai_boundary.__all__) == PUBLIC
    assert len(monai_boundary.__all__) == len(PUBLIC)


@pytest.mark.parametrize("module", PARTS, ids=lambda module: module.__name__)
def test_public_names_of_a_part_are_the_frozen_set(module):
    assert set(module.__all__) == PARTS[module]
    assert all(hasattr(module, name) for name in module.__all__)


def test_version_is_that_of_the_installed_package():
    assert monai_boundary.__version__ == version("monai-boundary")


def parameters(item) -> list[str]:
    if getattr(item, "_is_protocol", False):
        return []
    if dataclasses.is_dataclass(item) and not hasattr(item, "forward"):
        return [field.name for field in dataclasses.fields(item)]
    if inspect.isclass(item) and issubclass(item, Warning):
        return []
    target = item.__init__ if inspect.isclass(item) else item
    return [name for name in inspect.signature(target).parameters if name != "self"]


@pytest.mark.parametrize("item", CALLABLES, ids=lambda item: item.__name__)
def test_public_callable_documents_every_argument(item):
    text = inspect.getdoc(item) or ""
    assert len(text) > 20
    section = text.partition("Args:\n")[2]
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"^ {4}([\w*, ]+):", section, re.MULTILINE))))
    missing = [name for name in parameters(item) if name not in documented]
    assert not missing, f"{item.__name__} leaves {missing} undocumented"


@pytest.mark.parametrize(
    "item", [item for item in CALLABLES if hasattr(item, "forward")], ids=lambda item: item.__name__
)
def test_forward_is_documented(item):
    assert inspect.getdoc(item.forward)
