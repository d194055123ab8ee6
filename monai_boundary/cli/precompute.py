"""``monai-boundary precompute-maps``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH, say_lost

__all__ = ["precompute"]


@click.command("precompute-maps", short_help="Compute the distance maps of whole volumes, once.")
@click.argument("data", type=PATH)
@click.argument("out", type=PATH)
@click.option("--num-classes", required=True, type=click.IntRange(min=2), help="Including the background.")
@click.option(
    "--preset", type=click.Choice(("clipped", "robust", "published")), help="Settings of the maps.  [default: clipped]"
)
@click.option("--clip", metavar="MM", help="Limit of the distances in mm, or none: maps in mm instead of a preset.")
@click.option("--ignore-index", type=int, metavar="N", help="Label of voxels that do not count.")
@click.option("--include-background", is_flag=True, help="Compute a map of class 0, too.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Number of processes.")
@click.option("--shard", metavar="I/N", help="Only every N-th case from the I-th on, such as 3/8.")
@click.option("--dask", metavar="ADDRESS", help="Dask scheduler whose workers compute the maps.")
def precompute(data: Path, out: Path, num_classes: int, **given: Any) -> None:
    """Compute the signed distance map of every volume of DATA into the folder OUT, to read patches of it in training.

    DATA is a datalist.json (also dataset.json of the Decathlon) or its folder, or a folder of NIfTI label
    maps. To continue an interrupted run, run the same command again. Jobs on several machines take one shard each.
    """
    from monai_boundary.precompute import precompute_maps

    options = _options(given.pop("preset"), given.pop("clip"))
    result = precompute_maps(data, out, num_classes, options, **given)
    for case, reason in result.remade.items():
        click.echo(f"recomputed: {case}: {reason}")
    click.echo(f"{counted(len(result.made), 'map')} made, {len(result.kept)} kept in {result.folder}")
    say_lost(result.lost, "maps")
    if result.missing:
        click.echo(f"{counted(len(result.missing), 'case')} of {data} without a map yet, such as {result.missing[0]}")


def _options(preset: Any, clip: str | None) -> Any:
    from monai_boundary.kernels.distance import DistanceMapOptions, preset_options

    if clip is None:
        return preset_options(preset or "clipped")
    if preset is not None:
        raise click.UsageError("--preset sets the clip: leave out --clip")
    try:
        limit = None if clip == "none" else float(clip)
    except ValueError:
        raise click.BadParameter(f"{clip!r} is neither a number of mm nor none", param_hint="'--clip'") from None
    return DistanceMapOptions(clip=limit, absent="far")
