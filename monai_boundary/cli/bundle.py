"""``monai-boundary bundle``."""

from __future__ import annotations

from pathlib import Path

import click

from monai_boundary.cli.options import PATH

__all__ = ["bundle"]


@click.group(short_help="List and copy the MONAI bundles.")
def bundle() -> None:
    """MONAI bundles that train, evaluate and predict from JSON alone.

    \b
      monai-boundary bundle list
      monai-boundary bundle copy wmh_boundary .
      python -m monai.bundle run --config_file wmh_boundary/configs/train.json \\
          --bundle_root wmh_boundary --dataset_dir DATA
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
