"""``monai-boundary precompute-maps``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_boundary.cli.options import CONVENTIONS, PATH

__all__ = ["precompute"]


@click.command("precompute-maps", short_help="Make the distance maps of whole volumes, once.")
@click.argument("data", type=PATH)
@click.argument("out", type=PATH)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Number of processes.")
@click.option("--backend", default="auto", show_default=True, type=click.Choice(("auto", "edt", "numba")),
              help="Engine of the maps; numba needs the extra em.")  # fmt: skip
@click.option("--shard", metavar="I/N", help="Do only every N-th case from the I-th on, such as 3/8.")
@click.option("--cases", "listed", type=PATH, help="Do only the cases this file names, one a line.")
@click.option("--clip", default="20", show_default=True, metavar="MM", help="Limit of the distances in mm, or none.")
@click.option("--convention", type=CONVENTIONS, help="Where the zero level lies.  [default: half]")
@click.option("--absent", type=click.Choice(("zero", "far")), help="Map of a class no voxel has.  [default: far]")
@click.option("--preset", type=click.Choice(("robust", "published")),
              help="Settings of the loss's preset, in place of the three above; not for nnU-Net.")  # fmt: skip
@click.option("--num-classes", type=click.IntRange(min=2), help="With background.  [default: from dataset.json]")
@click.option("--ignore-index", type=int, metavar="N", help="Label that does not count.  [default: from dataset.json]")
@click.option("--include-background", is_flag=True, help="Make a map of class 0, too.")
@click.option("--float32", is_flag=True, help="Store float32, needed without a clip.  [default: float16]")
def precompute(data: Path, out: Path, listed: Path | None, float32: bool, **given: Any) -> None:
    """Make the signed distance map of every whole volume of DATA in the folder OUT, to read patches of it in training.

    DATA is an nnU-Net preprocessed folder (nnUNet_preprocessed/DatasetXXX/nnUNetPlans_3d_fullres) or a datalist.json or
    its folder. A run that was broken off goes on where it stopped: run the same command again. Jobs on several machines
    take one shard each; a last run without --shard checks every file and gathers one manifest.
    """
    from monai_boundary.precompute import precompute_maps

    options = _options(given.pop("preset"), given.pop("clip"), given.pop("convention"), given.pop("absent"))
    cases = None if listed is None else [line.strip() for line in listed.read_text().splitlines() if line.strip()]
    result = precompute_maps(data, out, options, cases=cases, dtype="float32" if float32 else "float16", **given)
    for case, reason in result.remade.items():
        click.echo(f"made again: {case}: {reason}")
    click.echo(f"{len(result.made)} maps made, {len(result.kept)} kept in {result.folder}")
    if result.missing:
        click.echo(f"{len(result.missing)} cases of {data} have no map yet, such as {result.missing[0]}")


def _options(preset: Any, clip: str, convention: str | None, absent: str | None) -> Any:
    from monai_boundary.kernels.distance import preset_options
    from monai_boundary.precompute.run import DEFAULT_OPTIONS

    if preset is not None:
        source = click.get_current_context().get_parameter_source("clip")
        if convention or absent or source is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("--preset sets the clip, --convention and --absent: leave these out")
        return preset_options(preset)
    try:
        limit = None if clip == "none" else float(clip)
    except ValueError:
        raise click.BadParameter(f"{clip!r} is neither a number of mm nor none", param_hint="'--clip'") from None
    changes = {"convention": convention, "absent": absent}
    return DEFAULT_OPTIONS.replace(clip=limit, **{key: value for key, value in changes.items() if value})
