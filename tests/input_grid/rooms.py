"""The rooms of the grid, what is left out and why, and the recipes of all."""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any

from tests.input_grid import arrays, models
from tests.input_grid.cells import Recipe

ROOMS = [
    "monai_boundary", "monai_boundary.kernels", "monai_boundary.kernels.barrier",
    "monai_boundary.kernels.components", "monai_boundary.kernels.regions", "monai_boundary.kernels.slices",
    "monai_boundary.losses", "monai_boundary.schedules", "monai_boundary.transforms", "monai_boundary.metrics",
    "monai_boundary.weight_search", "monai_boundary.engines", "monai_boundary.inference", "monai_boundary.map_store",
    "monai_boundary.precompute", "monai_boundary.evaluation", "monai_boundary.datasets", "monai_boundary.datasets.em",
    "monai_boundary.datasets.remote",
]  # fmt: skip
#: What nobody calls with data of their own, and why.
LEFT_OUT = {
    "results that the package makes": {
        "BarrierCut", "BoundaryF1", "BuildingPhantom", "BuildingScore", "CaseRow", "Evaluation", "Georeference",
        "IdOverlaps", "InstanceScores", "LesionCounts", "LesionScores", "MapRecord", "MembranePhantom", "Pairs",
        "Phantom",
        "Precomputed", "SearchRound", "SurfaceDistances", "Volume",
    },
    "bases of others": {"BlockSource", "CaseMetric", "MaskMetric", "Schedule", "TileSource"},
    "read or write files: tests/precompute, tests/evaluation, tests/datasets, tests/inference": {
        "EmSlices", "EmVolume", "EmVolumes", "Layer", "MapStore", "MaskCodes", "MaskReader", "PrecomputedDistanceMapd",
        "Stored", "Tile", "TileInferer", "TileReader", "TileWindows", "cremi_volumes", "encode_map", "evaluate_folder",
        "find_pairs", "fold_volumes", "gala_volumes", "inria_tiles", "isbi2012_volumes", "potsdam_codes",
        "PolygonWarning", "Polygons", "RasterizedFolder", "polygonize", "rasterize", "rasterize_folder",
        "read_polygons", "predict_blocks", "torchgeo_item",
        "potsdam_tiles", "precompute_maps", "predict_tile", "read_image", "read_labels", "read_record", "read_records",
        "require_blosc2", "require_settings", "same_grid", "slice_range", "snemi3d_volumes", "volume_shape",
        "write_nnunet_phantoms", "write_report", "write_tables", "write_volume", "zarr_volumes",
    },
    "take engines, networks and losses: tests/engines, tests/weight_search": {
        "AlphaScheduleHandler", "LossTermsHandler", "PrepareBatchTarget", "RestoreLabelHandler", "WeightSearch",
        "WeightSearchHandler",
    },
}  # fmt: skip


def public_callables(room: ModuleType) -> dict[str, Any]:
    """Return the public functions and classes of a room that are no warnings and no exceptions."""
    public = {name: getattr(room, name) for name in room.__all__}
    return {
        name: item
        for name, item in public.items()
        if (inspect.isfunction(item) or inspect.isclass(item))
        and not (inspect.isclass(item) and issubclass(item, BaseException))
    }


def targets() -> set[str]:
    """Return the names that the grid has to hold, once each: dictionary transforms have up to three."""
    left_out, found = set().union(*LEFT_OUT.values()), {}
    for room in map(import_module, ROOMS):
        for name, item in public_callables(room).items():
            if not {name, getattr(item, "__name__", name)} & left_out:
                found.setdefault(item, name)
    return set(found.values())


def recipes() -> dict[str, Recipe]:
    """Return all recipes by name."""
    return {**arrays.kernels(), **arrays.transforms(), **arrays.metrics(), **models.losses(), **models.schedules(),
            **models.others()}  # fmt: skip
