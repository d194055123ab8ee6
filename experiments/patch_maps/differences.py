"""How far the map of a patch is from the volume's map at the same place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.patch_maps.patches import Box, PatchVolume, cut, finished, local_map, volume_map
from monai_boundary.kernels.distance import ROBUST, DistanceMapOptions

#: mm; the second is that of the stored maps, the third that of the trainers.
CLIPS: tuple[float | None, ...] = (None, 20.0, 10.0)
ABSENT = ("zero", "far")
#: mm; a voxel whose value differs by more counts as off.
OFF = 1.0


def patch_differences(volume: PatchVolume, boxes: Sequence[Box]) -> Iterator[dict[str, Any]]:
    """Yield the local map of each class in each patch against the volume's, for every clip and setting of ``absent``.

    Args:
        volume: The case.
        boxes: Where the patches lie.

    Yields:
        ``patch``: name of the case and number of the patch; ``clip`` of both maps in mm, ``absent`` of the local map;
        ``present``: whether the patch has a surface of the class; ``zero``: whether the local map is zero everywhere;
        ``mean_mm`` and ``max_mm`` of the absolute difference; ``off``: share of the voxels that differ by more than
        1 mm; ``true_mm``: mean of the volume's map; ``loss_difference`` and ``loss_total``: sums of absolute values of
        the difference and of the volume's map as the robust preset hands them to the loss, NaN for other clips.
    """
    whole = volume_map(volume, DistanceMapOptions(absent="far"))
    for number, box in enumerate(boxes):
        part = cut(whole, box)
        for clip in CLIPS:
            for absent in ABSENT:
                for row in _of_patch(volume, box, part, clip, absent):
                    yield {"patch": f"{volume.case} {number}", "clip": clip, "absent": absent, **row}


def _of_patch(
    volume: PatchVolume, box: Box, whole: np.ndarray, clip: float | None, absent: Any
) -> Iterator[dict[str, Any]]:
    local = local_map(volume, box, DistanceMapOptions(clip=clip, absent=absent))
    right = whole if clip is None else np.clip(whole, -clip, clip)
    sums = [(np.nan, np.nan)] * len(local)
    if clip == ROBUST.clip:
        ours = local_map(volume, box, ROBUST.replace(absent=absent))
        theirs = finished(whole, cut(volume.labels, box), volume.spacing, ROBUST)
        sums = [(float(np.abs(a - b).sum()), float(np.abs(b).sum())) for a, b in zip(ours, theirs, strict=True)]
    for channel, mm in enumerate(local):
        inside = volume.labels[0][box] == channel + 1
        error = np.abs(mm - right[channel])
        yield {
            "present": bool(inside.any() and not inside.all()),
            "zero": not mm.any(),
            "mean_mm": float(error.mean()),
            "max_mm": float(error.max()),
            "off": float((error > OFF).mean()),
            "true_mm": float(right[channel].mean()),
            "loss_difference": sums[channel][0],
            "loss_total": sums[channel][1],
        }


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Take patches of one size together.

    Args:
        rows: What `patch_differences` yields.

    Returns:
        ``patches``; ``without_foreground``: share of the patches with no surface of any class; ``zero``: share of the
        local maps, one per patch and class, that are zero with ``absent="zero"``; and ``rows``: one per clip, setting
        of ``absent``, and ``pairs``, which says which maps are meant: ``"all"``, those of classes that the patch has
        (``"present"``), or has not (``"absent"``).
    """
    table = pd.DataFrame(rows)
    kinds = [table.assign(pairs="all"), table.assign(pairs=np.where(table.present, "present", "absent"))]
    groups = pd.concat(kinds).groupby(["clip", "absent", "pairs"], dropna=False, sort=False)
    lines = [
        {"clip": None if np.isnan(clip) else clip, "absent": absent, "pairs": pairs, **_summary(group)}
        for (clip, absent, pairs), group in groups
    ]
    published = table[table["clip"].isna() & (table.absent == "zero")]
    return {
        "patches": table.patch.nunique(),
        "without_foreground": float((~table.groupby("patch").present.any()).mean()),
        "zero": float(published.zero.mean()),
        "rows": lines,
    }


def _summary(group: pd.DataFrame) -> dict[str, Any]:
    total = group.loss_total.sum(skipna=False)
    return {
        "count": len(group),
        "mean_mm": float(group.mean_mm.mean()),
        "mean_mm_p95": float(group.mean_mm.quantile(0.95)),
        "max_mm": float(group.max_mm.mean()),
        "max_mm_worst": float(group.max_mm.max()),
        "off": float(group.off.mean()),
        "true_mm": float(group.true_mm.mean()),
        "loss_relative": float(group.loss_difference.sum() / total) if total > 0 else None,
    }
