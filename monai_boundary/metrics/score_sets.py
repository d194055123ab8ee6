"""Named sets of scores: what the WMH and ISLES challenges report, the scores of single lesions, and of surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from monai_boundary._check import (
    as_numpy,
    check_choice,
    check_count,
    check_ignore_index,
    check_integers,
    check_number,
    check_same_shape,
    check_spacing,
    check_spatial_ndim,
    is_integer,
)
from monai_boundary.metrics.extent import extended_axes, flat
from monai_boundary.metrics.lesion_scores import BRATS_PENALTY_MM, LesionScores, lesion_scores
from monai_boundary.metrics.lesions import SIZES, LesionSettings, lesion_counts
from monai_boundary.metrics.surface import (
    DEFINITIONS,
    Definition,
    Empty,
    SurfaceDistances,
    check_empty,
    dice_score,
    surface_distances,
)

__all__ = [
    "PROTOCOLS", "Metric", "Protocol", "check_scores", "class_masks", "protocol_defaults", "score_pair",
    "single_lesions",
]  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """One column of a score table.

    Args:
        title: Heading with unit.
        better: Whether ``"higher"`` or ``"lower"`` values are better.
        places: Decimal places.
    """

    title: str
    better: Literal["higher", "lower"]
    places: int = 3


_DICE = Metric("Dice", "higher")
_HD95 = Metric("HD95 (mm)", "lower", 2)
_RECALL, _F1 = Metric("lesion recall", "higher"), Metric("lesion F1", "higher")

Protocol = dict[str, Metric]
#: Columns by protocol and name.
PROTOCOLS: dict[str, Protocol] = {
    "wmh": {
        "dice": _DICE,
        "hd95_mm": _HD95,
        "volume_difference_percent": Metric("volume difference (%)", "lower", 0),
        "lesion_recall": _RECALL,
        "lesion_f1": _F1,
    },
    "isles": {
        "dice": _DICE,
        "volume_difference_ml": Metric("volume difference (ml)", "lower", 1),
        "lesion_f1": _F1,
        "lesion_count_difference": Metric("lesion count difference", "lower", 0),
        "hd95_mm": _HD95,
    },
    "surface": {
        "dice": _DICE,
        "hd95_mm": _HD95,
        "hausdorff_mm": Metric("HD (mm)", "lower", 2),
        "average_mm": Metric("ASSD (mm)", "lower", 2),
        "surface_dice": Metric("surface Dice", "higher"),
    },
    "lesions": {
        "dice": _DICE,
        "lesion_dice": Metric("lesion-wise Dice", "higher"),
        "lesion_hd95_mm": Metric("lesion-wise HD95 (mm)", "lower", 2),
        "lesion_surface_dice": Metric("lesion-wise surface Dice", "higher"),
        "cc_dice": Metric("CC-Dice", "higher"),
        "panoptic_quality": Metric("panoptic quality", "higher"),
        "segmentation_quality": Metric("segmentation quality", "higher"),
        "recognition_quality": Metric("recognition quality", "higher"),
        "lesion_recall": _RECALL,
        "lesion_precision": Metric("lesion precision", "higher"),
        "lesion_f1": _F1,
        "false_lesions": Metric("false lesions", "lower", 1),
        "false_lesions_without_target": Metric("false lesions, empty scans", "lower", 1),
        **{f"recall_{size}": Metric(f"recall, {size} lesions", "higher") for size in SIZES},
        **{f"false_{size}": Metric(f"false lesions, {size}", "lower", 1) for size in SIZES},
    },
}


def check_scores(protocol: str, scores: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the scores to compute: `scores`, or all of the protocol for ``None``."""
    check_choice("protocol", protocol, tuple(PROTOCOLS))
    known = PROTOCOLS[protocol]
    if scores is None:
        return tuple(known)
    if not isinstance(scores, list | tuple) or not scores or any(name not in known for name in scores):
        raise ValueError(f"scores must be names of the protocol {protocol!r}, {', '.join(known)}, got {scores!r}")
    return tuple(scores)


def protocol_defaults(
    protocol: str, empty: Empty | None, definition: Definition | None, lesions: LesionSettings | None
) -> tuple[Empty, Definition, LesionSettings | None]:
    """Return the three arguments of `score_pair` as given, or as the protocol has them.

    Raises:
        ValueError: One is wrong, or does not go with the protocol.
    """
    single = check_choice("protocol", protocol, tuple(PROTOCOLS)) == "lesions"
    if lesions is not None and not single:
        raise ValueError(f"lesions must be None for the protocol {protocol!r}, got settings; use 'lesions'")
    if empty is None:
        empty = BRATS_PENALTY_MM if single else "diagonal"
    check_empty(empty)
    if definition is None:
        definition = "surface_elements" if single else "voxels"
    check_choice("definition", definition, DEFINITIONS)
    if definition != "voxels" and protocol == "wmh":
        raise ValueError(
            f"definition must be 'voxels' for the protocol 'wmh', got {definition!r}: its surfaces are those of slices"
        )
    return empty, definition, (lesions or LesionSettings()) if single else None


def score_pair(  # noqa: PLR0913 - four that every call gives, the rest by keyword
    protocol: str,
    pred: np.ndarray,
    target: np.ndarray,
    spacing: Sequence[float] | None,
    label: int = 1,
    ignore_index: int | None = None,
    empty: Empty | None = None,
    tolerance_mm: float = 1.0,
    slice_axis: int = 0,
    scores: Sequence[str] | None = None,
    definition: Definition | None = None,
    lesions: LesionSettings | None = None,
) -> dict[str, float]:
    """Score one class of a predicted label map.

    Args:
        protocol: ``"wmh"``: the five of the WMH 2017 challenge, whose HD95 takes its surfaces slice by slice and whose
            lesions have 26 neighbours; the edge of the image is a surface here, not in the challenge's script.
            ``"isles"``: the four of ISLES 2022, whose F1 is that of
            `LesionCounts.isles_f1`, and HD95. ``"surface"``: Dice, HD95, HD,
            average symmetric surface distance, surface Dice. ``"lesions"``: Dice, and those of `lesion_scores`.
        pred: Integers or bool `(*S)`. A volume of one slice along any axis has the surfaces of the 2D image, see
            `surface_distances`; its volumes are those of the slice with its thickness.
        target: Integers of the same shape, the ground truth.
        spacing: Voxel size in mm, one per axis in array order; ``None`` means 1 mm.
        label: The class to score.
        ignore_index: Voxels of the target with this label are taken out of the prediction, as the WMH challenge does
            with label 2.
        empty: What HD, HD95 and ASSD are where only one of the two holds the class, see `SurfaceDistances`; for
            ``"lesions"``, where only one holds the lesion. ``None``: ``"diagonal"``, and 374 mm for ``"lesions"``.
        tolerance_mm: Of the surface Dice.
        slice_axis: Axis across the slices, for ``"wmh"``; 0 in arrays (z, y, x), 2 in MONAI's (x, y, z). An image or
            a volume of one slice along any axis has none: it is one slice.
        scores: Names of the scores to compute, of those in ``PROTOCOLS[protocol]``; ``None`` for all.
        definition: What surfaces are made of, see `surface_distances`. ``None``: ``"voxels"``, the only ones of
            ``"wmh"``, and ``"surface_elements"`` for ``"lesions"``.
        lesions: Settings of the protocol ``"lesions"``, which has defaults.

    Returns:
        One value per score. NaN where neither holds the class, except for lesion scores and the Dice of ``"isles"``,
        which are then perfect; the relative volume difference is NaN wherever the target does not hold it.

    Raises:
        ValueError: Shapes differ, or an argument is wrong.

    References:
        Kuijf et al., Standardized assessment of automatic segmentation of white matter hyperintensities, TMI 2019.
        Hernandez Petzsche et al., ISLES 2022, Scientific Data 2022.
    """
    names = check_scores(protocol, scores)
    empty, definition, lesions = protocol_defaults(protocol, empty, definition, lesions)
    check_ignore_index(ignore_index)
    check_count("label", label, 0)
    check_number("tolerance_mm", tolerance_mm, strict=False)
    if not is_integer(slice_axis):
        raise TypeError(f"slice_axis must be an integer, got {type(slice_axis).__name__}")
    found, truth = class_masks(pred, target, label, ignore_index)
    spacing = check_spacing(spacing, truth.ndim)
    if lesions is not None:
        each = lesion_scores(found, truth, spacing, lesions, empty, tolerance_mm, definition)
        return single_lesions(names, found, truth, each)
    values = {"dice": dice_score(found, truth)}
    if protocol == "isles" and not (found.any() or truth.any()):
        values["dice"] = 1.0
    if any(name.startswith("volume") for name in names):
        values |= _volumes(found, truth, math.prod(spacing))
    if any(name.startswith("lesion") for name in names):
        counts = lesion_counts(found, truth)
        values["lesion_recall"] = counts.recall
        values["lesion_f1"] = counts.isles_f1 if protocol == "isles" else counts.f1
        values["lesion_count_difference"] = float(counts.difference)
    if any(name.endswith("_mm") or name == "surface_dice" for name in names):
        across = slice_axis if protocol == "wmh" else None
        surface = _surfaces(found, truth, spacing, across, definition)
        values["hd95_mm"] = surface.hausdorff_mm(95, empty)
        values["hausdorff_mm"] = surface.hausdorff_mm(None, empty)
        values["average_mm"] = surface.average_mm(empty)
        values["surface_dice"] = surface.surface_dice(tolerance_mm)
    return {name: values[name] for name in names}


def _surfaces(
    found: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], slice_axis: int | None, definition: Definition
) -> SurfaceDistances:
    """Measure the surfaces, slice by slice across `slice_axis`; an image is one slice, whichever way it is stored."""
    axes = extended_axes(truth.shape)
    if slice_axis is None or len(axes) == 3:
        return surface_distances(found, truth, spacing, slice_axis, definition)
    spacing, (found, truth) = flat(axes, spacing, found, truth)
    return surface_distances(found[None], truth[None], (1.0, *spacing), 0, definition)


def class_masks(
    pred: np.ndarray, target: np.ndarray, label: int, ignore_index: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return where prediction and ground truth hold a class, bool `(*S)`; see `score_pair`."""
    pred, target = as_numpy("pred", pred), as_numpy("target", target)
    check_same_shape("pred", pred, "target", target)
    check_spatial_ndim("target", target.shape)
    truth = _check_labels("target", target, label, ignore_index) == label
    found = _check_labels("pred", pred, label, ignore_index) == label
    if ignore_index is None:
        return found, truth
    counted = target != ignore_index
    return found & counted, truth & counted


def single_lesions(
    names: Sequence[str], found: np.ndarray, truth: np.ndarray, scores: LesionScores
) -> dict[str, float]:
    """Return scores of the protocol ``"lesions"`` by `names`, of two masks and what `lesion_scores` said of them."""
    sizes = {f"recall_{size}": value for size, value in scores.recall_by_size.items()}
    sizes |= {f"false_{size}": float(value) for size, value in scores.false_by_size.items()}
    known = sizes | ({"dice": dice_score(found, truth)} if "dice" in names else {})
    return {name: known[name] if name in known else float(getattr(scores, name)) for name in names}


def _check_labels(name: str, labels: np.ndarray, label: int, ignore_index: int | None) -> np.ndarray:
    labels = check_integers(name, labels)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 and ignore_index != low:
        raise ValueError(
            f"{name} must hold labels >= 0 or ignore_index={ignore_index}, got {low}; name the value of voxels that do "
            "not count as ignore_index"
        )
    if high == 255 and 255 not in (label, ignore_index):
        others = set(np.unique(labels).tolist()) - {0, 255, ignore_index}
        if not others:
            raise ValueError(
                f"{name} must hold the label {label}, got a mask of 0 and 255; divide it by 255, or pass "
                "ignore_index=255"
            )
        if others == {label}:
            raise ValueError(
                f"{name} must hold 0 and {label}, got 255 at {int((labels == 255).sum())} voxels beside them; pass "
                "ignore_index=255 where these do not count, or give the class another number"
            )
    return labels


def _volumes(found: np.ndarray, truth: np.ndarray, voxel_mm3: float) -> dict[str, float]:
    difference, volume = abs(int(found.sum()) - int(truth.sum())), int(truth.sum())
    return {
        "volume_difference_ml": difference * voxel_mm3 / 1000,
        "volume_difference_percent": 100 * difference / volume if volume else math.nan,
    }
