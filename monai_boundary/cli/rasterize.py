"""``monai-boundary rasterize``."""

from __future__ import annotations

from pathlib import Path

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH

__all__ = ["rasterize"]


@click.command(short_help="Draw polygons as masks of aerial images.")
@click.argument("images", type=PATH)
@click.argument("vectors", type=PATH)
@click.argument("masks", type=PATH)
@click.option("--all-touched", is_flag=True, help="Draw every pixel that a polygon touches, not only at its centre.")
@click.option("--layer", help="Layer of the vector files; needed where they have several.")
@click.option("--crs", help="Reference system of the vector files, such as EPSG:25833, in place of their own.")
@click.option("--force", is_flag=True, help="Draw masks again that are there.")
def rasterize(
    images: Path, vectors: Path, masks: Path, all_touched: bool, layer: str | None, crs: str | None, force: bool
) -> None:
    """Draw the polygons of VECTORS as masks (0 and 255) of IMAGES, into the folder MASKS.

    IMAGES is an image or a folder of them. VECTORS is one file for all (GeoJSON, GeoPackage, shapefile), or a folder
    with one for each image, of its name: town6.geojson for town6.tif. Polygons are moved to the reference system of
    each image.
    """
    from monai_boundary.datasets.remote import rasterize_folder

    result = rasterize_folder(images, vectors, masks, all_touched=all_touched, layer=layer, crs=crs, overwrite=force)
    for note in result.notes:
        click.echo(note)
    if result.kept:
        click.echo(f"kept {counted(len(result.kept), 'mask')} of an earlier run; --force draws them again")
    drawn, polygons = counted(len(result.written), "mask"), counted(sum(result.written.values()), "polygon")
    click.echo(f"wrote {drawn} with {polygons} to {masks}")
    if empty := [name for name, count in result.written.items() if not count]:
        click.echo(f"without a polygon: {', '.join(empty)}")
    if result.failed:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in result.failed.items())
        raise click.ClickException(f"{counted(len(result.failed), 'image has', 'images have')} no mask: {reasons}")
