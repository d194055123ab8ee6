"""How kernels, transforms and metrics are called: a line for each public name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from tests.input_grid.cells import Recipe, given, recipe
from tests.input_grid.kinds import ANY, ERROR, TENSOR_LAYOUTS, choice, constants, integer, number, spacing

MASK = np.zeros((6, 7), bool)
MASK[2:5, 1:5] = True
OTHER = np.roll(MASK, 1, 1)
LABELS = MASK.astype(np.int64)
LABELS[3, 2:4] = 2
IDS = np.zeros((6, 9), np.int64)
IDS[:, :4], IDS[:, 5:] = 1, 2
FOUND_IDS = np.roll(IDS, 1, 0)
LIKELIHOOD = np.where(IDS == 0, 0.75, 0.25).astype(np.float32)
LOGITS = torch.linspace(-2, 2, 2 * 3 * 42).view(2, 3, 6, 7).sin()
TARGET = torch.from_numpy(np.stack([LABELS, np.roll(LABELS, 1, 1)]))[:, None]
REGIONS = torch.cat([TARGET > 0, TARGET > 1, TARGET == 0], 1).float()


def documented(why: str, *names: str, odd: tuple[str, ...]) -> dict[tuple[str, str], str]:
    return {(name, one): why for name in names for one in odd}


def pair(pred: Any, target: Any, kind: str = "mask", leading: int = 0) -> dict[str, Any]:
    names = ("y_pred", "y") if leading else ("pred", "target")
    return {name: given(value, kind, leading, paired=True) for name, value in zip(names, (pred, target), strict=True)}


def kernels() -> dict[str, Recipe]:
    from monai_boundary import kernels as k
    from monai_boundary.kernels import barrier, regions, slices
    from monai_boundary.kernels import components as lesions

    labels, ids, window = given(LABELS[None], "labels", 1), given(IDS, "ids"), (3, integer())
    cut = {"likelihood": given(LIKELIHOOD, "finite", paired=True), "seeds": given(IDS, "ids", paired=True)}
    shapes = documented("the shape alone", "values", "probs", "masks", odd=("meta_device",))
    shapes |= documented("any dtype with an order", "values", odd=("bool", "uint8", "int64"))
    alone = documented("inf without a second label", "seeds", odd=("empty", "full"))
    return {
        "distance_transform": recipe(k.distance_transform, mask=given(MASK, "mask"), reach=(None, number())),
        "signed_distance": recipe(k.signed_distance, mask=given(MASK, "mask")),
        "signed_distance_map": recipe(
            k.signed_distance_map, labels=labels, num_classes=(3, integer()), clip=(None, number()),
            normalize=(None, choice()), aliases={"num_classes": ("labels",), "normalize": ("clip",)},
        ),
        "DistanceMapOptions": recipe(
            k.DistanceMapOptions, clip=(5.0, number()), normalize=("clip", choice()), aliases={"clip": ("normalize",)},
            documented=documented("no normalisation", "normalize", odd=("none",)),
        ),
        "box_max_pool": recipe(k.box_max_pool, values=given(LOGITS, "logits", 2), window=window, documented=shapes),
        "box_min_pool": recipe(k.box_min_pool, values=given(LOGITS, "logits", 2), window=window, documented=shapes),
        "soft_boundary": recipe(
            k.soft_boundary, probs=given(LOGITS.sigmoid(), "logits", 2), theta0=window, documented=shapes
        ),
        "boundary_band": recipe(
            k.boundary_band, masks=given(REGIONS > 0.5, "mask", 2), theta0=window, theta=(5, integer()),
            documented=shapes,
        ),
        "nearest_label": recipe(k.nearest_label, labels=ids),
        "components": recipe(lesions.components, mask=given(MASK, "mask"), connectivity=(1, integer())),
        "lesion_cells": recipe(
            lesions.lesion_cells, labels=labels, num_classes=(3, integer()), connectivity=(1, integer()),
            aliases={"num_classes": ("labels",), "labels": ("num_classes", "one-hot")},
        ),
        "minimum_barrier_cut": recipe(barrier.minimum_barrier_cut, **cut, documented=alone),
        "barrier_weights": recipe(
            barrier.barrier_weights, **cut, membrane=given(IDS == 0, "mask", paired=True), dilation=(1, integer()),
        ),
        "connected_components": recipe(regions.connected_components, labels=ids),
        "unlabelled_voxels": recipe(
            regions.unlabelled_voxels, ids=(IDS.astype(np.uint64), constants(ANY, none=None, text="ids", empty=IDS[:0]))
        ),
        "compact_ids": recipe(regions.compact_ids, ids=ids),
        "id_overlaps": recipe(regions.id_overlaps, **pair(FOUND_IDS, IDS, "ids")),
        "region_distance": recipe(
            regions.region_distance, regions=ids, documented=documented("id beyond 2^32", "regions", odd=("with_2^40",))
        ),
        "near_other_regions": recipe(regions.near_other_regions, regions=ids, width=(1.0, number())),
        "region_seeds": recipe(regions.region_seeds, regions=ids),
        "link_slices": recipe(slices.link_slices, ids=given(np.stack([IDS] * 2), "ids"), ndim=3),
    }  # fmt: skip


def transforms() -> dict[str, Recipe]:
    from monai_boundary import transforms as t

    labels, ids = given(LABELS[None], "labels", 1), given(IDS[None], "ids", 1)
    names = {"labels": ("one-hot", "spacing", "num_classes"), "num_classes": ("labels",)}
    sizes = {"spacing": ((1.0, 1.0), spacing())}
    found = {}
    for suffix, fixed in (("", {}), ("d", {"keys": "label"})):
        twin: Any = of_item if suffix else (lambda transform, labels: transform(labels))
        found["SignedDistanceMap" + suffix] = recipe(
            with_settings(t.SignedDistanceMap, getattr(t, "SignedDistanceMap" + suffix), **fixed), twin,
            labels=labels, num_classes=(3, integer()), **sizes, aliases=names,
        )  # fmt: skip
        found["BoundaryBand" + suffix] = recipe(
            with_settings(t.BoundaryBand, getattr(t, "BoundaryBand" + suffix), **fixed), twin,
            labels=labels, num_classes=(3, integer()), theta0=(3, integer()), theta=(5, integer()), aliases=names,
        )  # fmt: skip
        found["LesionCells" + suffix] = recipe(
            with_settings(t.LesionCells, getattr(t, "LesionCells" + suffix), **fixed), twin,
            labels=labels, num_classes=(3, integer()), **sizes, connectivity=(1, integer()), aliases=names,
        )  # fmt: skip
        found["RegionSeeds" + suffix] = recipe(
            with_settings(t.RegionSeeds, getattr(t, "RegionSeeds" + suffix), **fixed), twin,
            labels=ids, slice_axis=(None, integer()), **sizes, aliases=names,
        )  # fmt: skip
    maps = t.SignedDistanceMap(3, spacing=(1, 1))(MetaTensor(LABELS[None]))
    odd = [one for one in given(maps, "map", 1)[1] if one.name not in ("sparse", "metatensor")]
    left = documented("a tensor made of it may have lost the record", "distance_map", odd=tuple(TENSOR_LAYOUTS))
    for name, keys in (("RescaleDistanceMap", {}), ("RescaleDistanceMapd", {"keys": "distance_map"})):
        found[name] = recipe(
            with_settings(t.RescaleDistanceMap, getattr(t, name), **keys), rescaled, tolerance=(0.02, number()),
            distance_map=(maps, odd), documented=left,
        )  # fmt: skip
    return found


def with_settings(shown: Any, cls: Any, **fixed: Any) -> Callable[..., Any]:
    """Return a maker of `cls` with some arguments fixed and the signature of `shown`."""

    def make(**settings: Any) -> Any:
        return cls(**fixed, **settings)

    own = inspect.signature(shown)
    kept = [parameter for parameter in own.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    make.__signature__ = own.replace(parameters=kept)  # type: ignore[attr-defined]
    return make


def of_item(transform: Any, labels: Any) -> Any:
    made = transform({"label": labels})
    return [value for key, value in made.items() if key != "label"] or made["label"]


def rescaled(transform: Any, distance_map: Any) -> Any:
    if hasattr(transform, "keys"):
        return transform({"distance_map": distance_map})["distance_map"]
    return transform(distance_map)


def metrics() -> dict[str, Recipe]:
    from monai_boundary import metrics as m

    sides = ("pred", "target", "y_pred", "y")
    nothing = documented("NaN: nothing to measure", *sides, odd=("empty", "full"))
    mask_pair = pair(MASK, OTHER)
    labels = pair(MASK.astype(np.int64), OTHER.astype(np.int64))
    ignored = nothing | documented("255 is ignored by default", "target", "y", odd=("0_and_255",))
    classes = documented("another class", *sides, odd=("with_two",))
    classes |= documented("no such class", "label", odd=("large", "zero"))
    empty = documented("a number of mm", "empty", odd=("number",))
    thresholds = constants(
        ERROR, text="0.5", number=0.5, nan=(float("nan"),), twice=(0.5, 0.5), above=(2,), none=None, empty=()
    )
    scores = (None, constants(ERROR, unknown="nonsense", number=3, empty=[], list=["nonsense"]))
    found = {
        "surface_distances": recipe(m.surface_distances, **mask_pair, documented=nothing),
        "dice_score": recipe(m.dice_score, **mask_pair, documented=nothing),
        "boundary_f1": recipe(m.boundary_f1, **mask_pair, documented=nothing),
        "lesion_counts": recipe(m.lesion_counts, **mask_pair, connectivity=(1, integer())),
        "lesion_scores": recipe(m.lesion_scores, **mask_pair, documented=nothing),
        "LesionSettings": recipe(
            m.LesionSettings, connectivity=(2, integer()), documented=documented("all", "connectivity", odd=("none",)),
            size_limits_mm3=((100.0, 1000.0), constants(ERROR, text="12", number=1, nan=(1, float("nan")), one=(1.0,))),
        ),
        "instance_scores": recipe(m.instance_scores, **pair(FOUND_IDS, IDS, "ids"), documented=nothing),
        "score_buildings": recipe(m.score_buildings, **labels, documented=ignored),
        "cremi_target": recipe(
            m.cremi_target, ids=given(IDS[None], "ids"), border=(1.0, number()), ndim=3, aliases={"ids": ("spacing",)}
        ),
        "score_pair": recipe(
            m.score_pair, protocol=("surface", choice()), **labels, spacing=((1.0, 1.0), spacing()), scores=scores,
            documented=nothing | classes | empty,
        ),
        "LikelihoodSegmentation": recipe(
            m.LikelihoodSegmentation, lambda made, likelihood: made(likelihood),
            likelihood=given(LIKELIHOOD, "likelihood"),
        ),
        "threshold_sweep": recipe(
            m.threshold_sweep, likelihood=given(LIKELIHOOD, "likelihood", paired=True), progress=False,
            target=given(IDS, "ids", paired=True), thresholds=((0.3, 0.5), thresholds), documented=nothing,
            aliases={"target": ("pred",)},
        ),
    }  # fmt: skip
    masks = pair(torch.from_numpy(OTHER)[None, None].long(), torch.from_numpy(MASK)[None, None].long(), leading=2)
    ids = pair(torch.from_numpy(FOUND_IDS)[None, None], torch.from_numpy(IDS)[None, None], "ids", leading=2)
    likelihood = given(torch.from_numpy(LIKELIHOOD)[None, None], "likelihood", 2, paired=True)
    names = {"y": ("target", "ids"), "y_pred": ("pred", "ids", "likelihood")}
    for name in ("BoundaryF1Metric", "BuildingMetric", "LesionMetric", "ProtocolMetric", "SurfaceDistanceMetric"):
        found[name] = recipe(
            getattr(m, name),
            scored,
            **masks,
            aliases=names,
            documented=(ignored if "Building" in name else nothing) | empty,
        )
    for name in ("InstanceMetric", "VariationOfInformationMetric", "AdaptedRandMetric", "CremiScoreMetric"):
        found[name] = recipe(getattr(m, name), scored, **ids, aliases=names, documented=nothing)
    found["ThresholdSweepMetric"] = recipe(
        m.ThresholdSweepMetric, scored, y_pred=likelihood, y=ids["y"], aliases=names, documented=nothing,
        thresholds=((0.3, 0.5), thresholds),
    )  # fmt: skip
    return found


def scored(metric: Any, y_pred: Any, y: Any) -> Any:
    metric(y_pred, y)
    return metric.aggregate()
