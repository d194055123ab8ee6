"""``monai-boundary inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_boundary.cli.options import CONVENTIONS, PATH

__all__ = ["inspect"]


@click.command()
@click.argument("image", type=PATH)
@click.argument("label", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="Picture to write, such as out.png.")
@click.option("--clip", type=float, metavar="MM", help="Limit of the distances in mm.  [default: none]")
@click.option(
    "--convention", default="half", show_default=True, type=CONVENTIONS,
    help="Where the zero level of the distance map lies.",
)  # fmt: skip
@click.option("--class", "index", type=int, metavar="N", help="Class whose map is drawn.  [default: the largest]")
@click.option("--ignore-index", type=int, metavar="N", help="Label of voxels that do not count.")
def inspect(
    image: Path,
    label: Path,
    output: Path,
    clip: float | None,
    convention: Any,
    index: int | None,
    ignore_index: int | None,
) -> None:
    """Show what the boundary loss sees in one case.

    IMAGE and LABEL are NIfTI files on the same grid. Prints spacing, unit, convention, the number of classes, the
    classes absent, the foreground share, and the range of every class's distance map. Draws the contours of
    the classes on the image and one distance map with iso-lines in mm.
    """
    from monai_boundary._inspect import inspect_case
    from monai_boundary.kernels.distance import DistanceMapOptions

    written = inspect_case(image, label, output, DistanceMapOptions(convention, clip), index, ignore_index)
    click.echo(f"\nwrote {written}")
