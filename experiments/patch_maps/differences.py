"""How far the map of a patch is from the volume's map at the same place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.patch_maps.patches import Box, PatchVolume, cut, draw_box, finished, local_map, volume_map
from monai_boundary.kernels.distance import ROBUST, DistanceMapOptions

__all__ = ["ABSENT", "CLIPS", "Difference", "compare", "patch_differences", "sample_boxes", "summarise"]

#: mm; the second is that of the stored maps, the third that of the trainers.
CLIPS: tuple[float | None, ...] = (None, 20.0, 10.0)
ABSENT = ("zero", "far")
#: mm; a voxel whose value differs by more counts as off.
OFF = 1.0


@dataclass(frozen=True)
class Difference:
    """Local map of one class in one patch against the volume's.

    Args:
        clip: Of both maps in mm; ``None`` for no limit.
        absent: Setting of the local map.
        present: Whether the patch has a surface of the class.
        zero: Whether the local map is zero everywhere.
        mean_mm: Mean absolute difference.
        max_mm: Largest absolute difference.
        off: Share of the voxels that differ by more than 1 mm.
        true_mm: Mean of the volume's map.
        loss_difference: Sum of absolute differences of the maps as the robust preset hands them to the loss, with
            ``absent`` of the local map; NaN for other clips than its own.
        loss_total: Sum of absolute values of the volume's map there.
    """

    clip: float | None
    absent: str
    present: bool
    zero: bool
    mean_mm: float
    max_mm: float
    off: float
    true_mm: float
    loss_difference: float = np.nan
    loss_total: float = np.nan


def compare(local: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """Return mean and largest absolute difference of two maps in mm, and the share of voxels that are off.

    Args:
        local: Float `(*S)`.
        whole: Float `(*S)`, the map to be compared with.

    Example:
        >>> compare(np.array([0.0, 2.0]), np.array([0.0, 5.0]))
        {'mean_mm': 1.5, 'max_mm': 3.0, 'off': 0.5}
    """
    error = np.abs(local - whole)
    return {"mean_mm": float(error.mean()), "max_mm": float(error.max()), "off": float((error > OFF).mean())}


def patch_differences(volume: PatchVolume, boxes: Sequence[Box]) -> Iterator[list[Difference]]:
    """Yield, for every patch, the differences of every class, clip and setting of ``absent``.

    Args:
        volume: The case.
        boxes: Where the patches lie.
    """
    whole = volume_map(volume, DistanceMapOptions(absent="far"))
    for box in boxes:
        part = cut(whole, box)
        yield [each for clip in CLIPS for absent in ABSENT for each in _of_patch(volume, box, part, clip, absent)]


def _of_patch(
    volume: PatchVolume, box: Box, whole: np.ndarray, clip: float | None, absent: Any
) -> Iterator[Difference]:
    local = local_map(volume, box, DistanceMapOptions(clip=clip, absent=absent))
    right = whole if clip is None else np.clip(whole, -clip, clip)
    sums = [(np.nan, np.nan)] * len(local)
    if clip == ROBUST.clip:
        ours = local_map(volume, box, ROBUST.replace(absent=absent))
        theirs = finished(whole, cut(volume.labels, box), volume.spacing, ROBUST)
        sums = [(float(np.abs(a - b).sum()), float(np.abs(b).sum())) for a, b in zip(ours, theirs, strict=True)]
    for channel, mm in enumerate(local):
        inside = volume.labels[0][box] == channel + 1
        present = bool(inside.any() and not inside.all())
        scores = compare(mm, right[channel])
        yield Difference(
            clip,
            absent,
            present,
            not mm.any(),
            **scores,
            true_mm=float(right[channel].mean()),
            loss_difference=sums[channel][0],
            loss_total=sums[channel][1],
        )


def sample_boxes(
    volume: PatchVolume, edge: int, count: int, generator: np.random.Generator, forced_share: float = 1 / 3
) -> list[Box]:
    """Draw `count` patches, the last `forced_share` of them with forced foreground, as in nnU-Net's batches."""
    free = round(count * (1 - forced_share))
    return [draw_box(volume, edge, generator, forced=index >= free) for index in range(count)]


def summarise(patches: Sequence[Sequence[Difference]]) -> dict[str, Any]:
    """Take patches together.

    Args:
        patches: What `patch_differences` yields, of one size of patches.

    Returns:
        ``patches``; ``without_foreground``: share of the patches with no surface of any class; ``zero``: share of the
        local maps, one per patch and class, that are zero with ``absent="zero"``; and ``rows``: one per clip, setting
        of ``absent``, and ``pairs``, which says which maps are meant: ``"all"``, those of classes that the patch has
        (``"present"``), or has not (``"absent"``).
    """
    pairs = [each for patch in patches for each in patch]
    groups: dict[tuple[float | None, str, str], list[Difference]] = defaultdict(list)
    for each in pairs:
        for kind in ("all", "present" if each.present else "absent"):
            groups[each.clip, each.absent, kind].append(each)
    rows = [
        {
            "clip": clip, "absent": absent, "pairs": kind, "count": len(group),
            "mean_mm": _mean(group, "mean_mm"),
            "mean_mm_p95": float(np.percentile([each.mean_mm for each in group], 95)),
            "max_mm": _mean(group, "max_mm"),
            "max_mm_worst": max(each.max_mm for each in group),
            "off": _mean(group, "off"),
            "true_mm": _mean(group, "true_mm"),
            "loss_relative": _ratio(group),
        }
        for (clip, absent, kind), group in groups.items()
    ]  # fmt: skip
    published = [each for each in pairs if each.clip is None and each.absent == "zero"]
    return {
        "patches": len(patches),
        "without_foreground": float(np.mean([not any(each.present for each in patch) for patch in patches])),
        "zero": float(np.mean([each.zero for each in published])),
        "rows": rows,
    }


def _mean(group: Sequence[Difference], name: str) -> float:
    return float(np.mean([getattr(each, name) for each in group]))


def _ratio(group: Sequence[Difference]) -> float | None:
    total = sum(each.loss_total for each in group)
    return None if np.isnan(total) or total == 0 else sum(each.loss_difference for each in group) / total
