"""Pictures of the comparison: scores by arm, and both maps of a patch side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.patch_maps.patches import Box, PatchVolume, draw_box, local_map, volume_map
from experiments.patch_maps.tables import LESIONS, SCORES, runs_by_arm, value_of
from experiments.patch_maps.training import ARMS
from monai_boundary.kernels.distance import DistanceMapOptions


def scores_figure(rows: Sequence[dict[str, Any]]) -> Figure | None:
    """Draw one panel per data set and score, one point per seed and arm; ``None`` where nothing was trained."""
    groups = runs_by_arm(rows)
    if not groups:
        return None
    keys = [*SCORES, "far_voxels"]
    titles = {key: title for key, (_, title) in {**SCORES, **LESIONS}.items()}
    figure = Figure(figsize=(3.2 * len(keys), 2.6 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), len(keys), squeeze=False)
    for line, (name, arms) in zip(axes, groups.items(), strict=True):
        for axis, key in zip(line, keys, strict=True):
            for place, arm in enumerate(ARMS):
                values = [value_of(run, key) for run in arms.get(arm, [])]
                axis.plot([place] * len(values), values, "o", color=f"C{place}", alpha=0.7)
                if values:
                    axis.plot([place - 0.25, place + 0.25], [np.mean(values)] * 2, color=f"C{place}")
            axis.set_title(f"{name}\n{titles[key]}", fontsize=9)
            axis.set_xticks(range(len(ARMS)), [arm.replace("-", "\n") for arm in ARMS], fontsize=8)
            axis.grid(axis="y", alpha=0.25)
    return figure


def maps_figure(volume: PatchVolume, edge: int = 48, clip: float = 20.0) -> Figure:
    """Draw a patch at a lesion, and one without where there is one: image, both maps, and their difference."""
    options = DistanceMapOptions(clip=clip, absent="far")
    whole = volume_map(volume, options)[0]
    boxes = _example_boxes(volume, whole, edge, clip / 2)
    figure = Figure(figsize=(12, 2.8 * len(boxes)), layout="constrained")
    for line, box in zip(figure.subplots(len(boxes), 4, squeeze=False), boxes, strict=True):
        local = local_map(volume, box, options)[0]
        at = int(np.abs(local - whole[box]).sum((0, 1)).argmax())  # the slice in which the two differ most
        first, second, labels = (array[..., at].T for array in (local, whole[box], volume.labels[0][box]))
        image = labels if volume.image is None else volume.image[0][box][..., at].T
        difference = first - second
        title = "FLAIR, lesion outlined" if labels.any() else "FLAIR, no lesion in the patch"
        line[0].imshow(image, cmap="gray", origin="lower")
        panels = (("map of the patch, mm", first), ("map of the volume, mm", second))
        for axis, (name, values) in zip(line[1:3], panels, strict=True):
            shown = axis.imshow(values, cmap="RdBu_r", vmin=-clip, vmax=clip, origin="lower")
            axis.set_title(name, fontsize=10)
        figure.colorbar(shown, ax=line[1:3], shrink=0.8)
        figure.colorbar(line[3].imshow(difference, vmin=0, vmax=clip, origin="lower"), ax=line[3], shrink=0.8)
        line[0].set_title(title, fontsize=10)
        line[3].set_title("patch minus volume, mm", fontsize=10)
        for axis in line:
            axis.set_axis_off()
            if labels.any():
                axis.contour(labels, [0.5], colors="lime", linewidths=1)
    return figure


def _example_boxes(volume: PatchVolume, whole: np.ndarray, edge: int, near: float) -> list[Box]:
    """A patch with foreground, and one without that has some within `near` mm; a small volume has none such."""
    generator = np.random.default_rng(5)
    first = draw_box(volume, edge, generator, forced=True)
    drawn = (draw_box(volume, edge, generator, forced=False) for _ in range(10_000))
    bare = (box for box in drawn if not volume.labels[0][box].any() and whole[box].min() < near)
    return [first, *(box for box in [next(bare, None)] if box is not None)]
