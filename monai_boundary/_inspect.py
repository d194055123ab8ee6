"""``monai-boundary inspect``: what the boundary loss sees in one case, as text and as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np

from monai_boundary._geometry import is_sheared
from monai_boundary.datasets.nifti import Volume, read_image, read_labels, same_grid
from monai_boundary.kernels.distance import DistanceMapOptions, masks_distance_map

__all__ = ["inspect_case"]


def inspect_case(
    image_path: str | os.PathLike[str],
    label_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: DistanceMapOptions,
    label: int | None = None,
    ignore_index: int | None = None,
) -> Path:
    """Print what a case holds, write its picture, and return the picture's path.

    Args:
        image_path: NIfTI image.
        label_path: NIfTI label map on the grid of the image.
        output: Picture to write.
        options: Convention and clip of the distance maps.
        label: Class whose map is drawn; ``None`` for the foreground class with the most voxels.
        ignore_index: Label of voxels that do not count.

    Raises:
        ValueError: A file is unusable, the two differ in shape or position, or `label` does not occur.
        OSError: A file does not exist, or the picture cannot be written.
    """
    image, labels = read_image(image_path), read_labels(label_path)
    _check_grid(image, labels)
    counts = {int(value): int(count) for value, count in zip(*np.unique(labels.array, return_counts=True), strict=True)}
    ignored = counts.pop(ignore_index, 0) if ignore_index is not None else 0
    present = [value for value in counts if value > 0]
    if label is not None and label not in present:
        raise ValueError(f"label must be a foreground class of {label_path} {present}, got {label}")
    chosen = label if label is not None else max(present, key=lambda value: counts[value], default=None)
    rows = _grid_facts(image, labels, options) | _class_facts(counts, present)
    if ignored:
        rows["ignored"] = f"{ignored} voxels"
    click.echo("\n".join(f"{name + ':':14s} {text}" for name, text in rows.items()))
    click.echo("\n class     voxels        share   range of its map in mm" if present else "\nno foreground class")
    valid = None if ignore_index is None else labels.array != ignore_index
    drawn = np.zeros(labels.array.shape, np.float32)
    for value in present:  # one map at a time: a label map may hold a hundred classes
        distance = np.asarray(masks_distance_map((labels.array == value)[None], labels.spacing, options, valid)[0])
        share = 100 * counts[value] / sum(counts.values())
        click.echo(f"{value:6d} {counts[value]:10d} {share:10.4f} %   {distance.min():+8.2f} to {distance.max():+8.2f}")
        if value == chosen:
            drawn = distance
    from monai_boundary.reports import inspect_figure, save_figure

    spacing = " x ".join(f"{size:g}" for size in image.spacing)
    title = f"{Path(image_path).name}\n{spacing} mm (z, y, x), convention {options.convention!r}"
    figure = inspect_figure(image.array, labels.array, drawn, image.spacing, title, chosen or 1)
    return save_figure(figure, output)


def _check_grid(image: Volume, labels: Volume) -> None:
    if image.array.shape != labels.array.shape:
        raise ValueError(
            f"image and label map must have the same shape, got {image.array.shape} and {labels.array.shape}; "
            "pass two files of one case"
        )
    if not same_grid(image, labels):
        raise ValueError(
            f"image and label map must lie at the same place, got spacings {image.spacing} and {labels.spacing} mm and "
            f"origins {image.affine[:3, 3].round(2).tolist()} and {labels.affine[:3, 3].round(2).tolist()}; "
            "resample the label map onto the image"
        )


def _grid_facts(image: Volume, labels: Volume, options: DistanceMapOptions) -> dict[str, str]:
    finite = image.array[np.isfinite(image.array)]
    lost = image.array.size - finite.size
    values = f"{finite.min():g} to {finite.max():g}" if finite.size else "no finite value"
    rows = {
        "shape": " x ".join(map(str, labels.array.shape)) + f" (z, y, x), axes in the file {labels.axcodes}",
        "spacing": " x ".join(f"{size:g}" for size in labels.spacing) + " mm (z, y, x)",
        "unit": "mm",
        "convention": options.convention,
        "clip": "none" if options.clip is None else f"{options.clip:g} mm",
        "image values": values + (f", {lost} not finite" if lost else ""),
    }
    if is_sheared(labels.affine):
        rows["warning"] = "the affine is sheared: distances are measured as if its axes were orthogonal"
    return rows


def _class_facts(counts: dict[int, int], present: list[int]) -> dict[str, str]:
    num_classes = max([1, *present]) + 1
    absent = [value for value in range(num_classes) if value not in counts]
    names = ", ".join(map(str, absent[:12])) + (f" and {len(absent) - 12} more" if len(absent) > 12 else "")
    share = 100 * sum(counts[value] for value in present) / max(1, sum(counts.values()))
    return {
        "classes": f"{num_classes} with the background (0 to {num_classes - 1})",
        "absent": names or "none",
        "foreground": f"{share:.4f} % of the voxels",
    }
