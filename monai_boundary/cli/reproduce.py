"""``monai-boundary reproduce``: points to the experiments, which are not part of the package."""

from __future__ import annotations

import click

__all__ = ["reproduce"]


@click.command(
    short_help="Show how to repeat the published experiments.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def reproduce() -> None:
    """Show how to repeat the published experiments. They run from a checkout and are not installed.

    \b
      python -m experiments wmh --data DIR        boundary loss, WMH 2017
      python -m experiments isles --data DIR      boundary loss, ISLES 2018 or 2022
      python -m experiments aicd --quick          boundary F1 loss, no data needed
      python -m experiments isbi2012 --data DIR   boundary-aware loss, ISBI 2012
      python -m experiments gala --data DIR       boundary-aware loss in 3D, FIB-SEM
      python -m experiments --help                all of them
    """  # noqa: D301
    raise click.ClickException(
        "experiments are run from a checkout of monai-boundary: python -m experiments wmh|isles|aicd|isbi2012|gala; "
        "see python -m experiments --help"
    )
