"""What the options of several commands share. It imports nothing of the package: ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["PATH"]

PATH = click.Path(path_type=Path)
