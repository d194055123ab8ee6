"""``monai-boundary bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_boundary._words import counted
from monai_boundary.cli.options import PATH, say_lost

__all__ = ["bundle"]


@click.group(short_help="List, copy and run the MONAI bundles.")
def bundle() -> None:
    """MONAI bundles that train, evaluate and predict from JSON alone.

    \b
      monai-boundary bundle list
      monai-boundary bundle run wmh_boundary train --dataset_dir DATA
      monai-boundary bundle run wmh_boundary inference --dataset_dir DATA
    """  # noqa: D301


@bundle.command("list")
def list_() -> None:
    """Print the name, description and folder of every bundle."""
    from monai_boundary.bundles import bundle_folder, list_bundles

    for name, description in list_bundles().items():
        click.echo(f"{name}: {description}\n    {bundle_folder(name)}")


@bundle.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the folder of the bundle NAME inside the installed package."""
    from monai_boundary.bundles import bundle_folder

    click.echo(bundle_folder(name))


@bundle.command()
@click.argument("name")
@click.argument("destination", type=PATH)
@click.option("--force", is_flag=True, help="Replace the files of an earlier copy.")
def copy(name: str, destination: Path, force: bool) -> None:
    """Copy the bundle NAME to DESTINATION/NAME, to edit it there."""
    from monai_boundary.bundles import copy_bundle

    click.echo(f"wrote {copy_bundle(name, destination, overwrite=force)}")


@bundle.command(context_settings={"ignore_unknown_options": True})
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
@click.option("--dask", metavar="ADDRESS", help="Inference on the workers of this Dask scheduler, case by case.")
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="CONFIG... [--ENTRY VALUE]...")
def run(name: str, arguments: tuple[str, ...], traceback: bool, dask: str | None) -> None:
    """Run the bundle NAME, or the copy of one in the folder NAME, as python -m monai.bundle run does.

    CONFIG names its configurations: train, inference, or what changes train, such as evaluate, small or slices_2d.
    Every entry can be set, such as --max_epochs 30 or --network_def#channels "[8,16,32,64]".
    Outputs go to the folder NAME, unless --bundle_root names another. An error is one line, the last.

    \b
      monai-boundary bundle run wmh_boundary train small --dataset_dir DATA
      monai-boundary bundle run wmh_boundary evaluate --dataset_dir DATA
      monai-boundary bundle run wmh_boundary inference --dataset_dir DATA --images FOLDER
      monai-boundary bundle run wmh_boundary inference --dataset_dir DATA --shard 3/8
    """  # noqa: D301
    from monai_boundary.bundles.running import parse_settings, reason_of, run_bundle

    configs, settings = parse_settings(arguments)
    try:
        if dask is None:
            run_bundle(name, configs, settings)
        else:
            _on_dask(dask, name, configs, settings)
    except Exception as error:
        if traceback:
            raise
        raise click.ClickException(reason_of(error)) from error


def _on_dask(address: str, name: str, configs: list[str], settings: dict[str, Any]) -> None:
    from monai_boundary.bundles.spread import predict_on_dask

    result = predict_on_dask(address, name, configs, settings)
    click.echo(f"{counted(len(result.made), 'case')} predicted")
    say_lost(result.lost, "cases")
