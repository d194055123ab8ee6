"""``monai-boundary inspect``: what the boundary loss sees in one case, as text and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monai_boundary.cli.options import PATH, refuse_file

if TYPE_CHECKING:
    from monai_boundary.datasets.nifti import Volume
    from monai_boundary.kernels.distance import DistanceMapOptions

__all__ = ["inspect"]

CONVENTIONS = ("half", "centre", "kervadec", "kervadec_mm")  # kernels.distance.CONVENTIONS, without an import


@click.command()
@click.argument("image", type=PATH)
@click.argument("label", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Picture to write, such as out.png.")
@click.option("--preset", type=click.Choice(("clipped", "robust", "published")),
              help="Settings of the map, as in the transform and in the loss.  [default: clipped]")  # fmt: skip
@click.option("--clip", type=float, metavar="MM", help="Limit of the distances: a map in mm instead of a preset.")
@click.option("--convention", type=click.Choice(CONVENTIONS),
              help="Where the zero level lies: a map in mm instead of a preset.  [default: half]")  # fmt: skip
@click.option("--class", "index", type=int, metavar="N", help="Class whose map is drawn.  [default: the largest]")
@click.option("--ignore-index", type=int, metavar="N", help="Label of voxels that do not count.")
@click.option("--force", is_flag=True, help="Replace a picture that is there.")
def inspect(  # noqa: PLR0913 - one argument per option
    image: Path, label: Path, output: Path, preset: Any, clip: float | None, convention: Any, index: int | None,
    ignore_index: int | None, force: bool,
) -> None:  # fmt: skip
    """Show what the boundary loss sees in one case.

    IMAGE and LABEL are NIfTI files, or PNG, TIFF or BMP images, on the same grid. Prints spacing, unit, settings of
    the map, the number of classes, the classes absent, the foreground share, and the range of every class's map.
    Draws the contours of the classes on the image and one map with iso-lines.
    """
    import numpy as np

    from monai_boundary.datasets.grids import grid_difference
    from monai_boundary.datasets.label_maps import read_any_image, read_any_labels
    from monai_boundary.datasets.nifti import same_grid
    from monai_boundary.kernels.distance import masks_distance_map
    from monai_boundary.reports import inspect_figure, save_figure

    refuse_file(output, (image, label), force)
    options, name = _options(preset, clip, convention)
    picture, labels = read_any_image(image), read_any_labels(label)
    if not same_grid(picture, labels):
        raise ValueError(
            f"image and label map must lie on one grid, got {grid_difference(picture, labels).text}; pass two files of "
            "one case, copy the header of the image if the voxels belong together, or resample the label map"
        )
    counts = {int(value): int(count) for value, count in zip(*np.unique(labels.array, return_counts=True), strict=True)}
    ignored = counts.pop(ignore_index, 0) if ignore_index is not None else 0
    present = [value for value in counts if value > 0]
    if index is not None and index not in present:
        raise ValueError(f"label must be a foreground class of {label} {present}, got {index}")
    chosen = index if index is not None else max(present, key=lambda value: counts[value], default=None)
    rows = _grid_facts(picture, labels, options, name) | _class_facts(counts, present)
    if ignored:
        rows["ignored"] = f"{ignored} voxels"
    click.echo("\n".join(f"{name + ':':14s} {text}" for name, text in rows.items()))
    unit = labels.unit if options.normalize is None else ""
    heading = f"\n class     voxels        share   range of its map{unit and f' in {unit}'}"
    click.echo(heading if present else "\nno foreground class")
    valid = None if ignore_index is None else labels.array != ignore_index
    drawn = np.zeros(labels.array.shape, np.float32)
    for value in present:  # one map at a time: a label map may hold a hundred classes
        distance = np.asarray(masks_distance_map((labels.array == value)[None], labels.spacing, options, valid)[0])
        share = 100 * counts[value] / sum(counts.values())
        click.echo(f"{value:6d} {counts[value]:10d} {share:10.4f} %   {distance.min():+8.2f} to {distance.max():+8.2f}")
        if value == chosen:
            drawn = distance
    spacing = " x ".join(f"{size:g}" for size in picture.spacing)
    title = f"{image.name}\n{spacing} {labels.unit} (z, y, x), {name}"
    figure = inspect_figure(picture.array, labels.array, drawn, picture.spacing, title, chosen or 1, labels.unit, unit)
    click.echo(f"\nwrote {save_figure(figure, output)}")


def _options(preset: Any, clip: float | None, convention: Any) -> tuple[DistanceMapOptions, str]:
    """Return the settings of the map, and what they are called."""
    from monai_boundary.kernels.distance import DistanceMapOptions, preset_options

    if clip is None and convention is None:
        return preset_options(preset or "clipped"), f"preset {preset or 'clipped'!r}"
    if preset is not None:
        raise click.UsageError("--preset sets clip and convention: leave out --clip and --convention")
    return DistanceMapOptions(convention or "half", clip), f"convention {convention or 'half'!r}"


def _grid_facts(image: Volume, labels: Volume, options: DistanceMapOptions, name: str) -> dict[str, str]:
    import numpy as np

    from monai_boundary._geometry import is_sheared

    finite = image.array[np.isfinite(image.array)]
    lost = image.array.size - finite.size
    values = f"{finite.min():g} to {finite.max():g}" if finite.size else "no finite value"
    rows = {
        "shape": " x ".join(map(str, labels.array.shape))
        + " (z, y, x)"
        + (f", axes in the file {labels.axcodes}" if labels.unit == "mm" else ""),
        "spacing": " x ".join(f"{size:g}" for size in labels.spacing) + f" {labels.unit} (z, y, x)",
        "unit": labels.unit,
        "map": name,
        "convention": options.convention,
        "clip": "none" if options.clip is None else f"{options.clip:g} {labels.unit}",
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
