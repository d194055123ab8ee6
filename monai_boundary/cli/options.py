"""What the options of several commands share. It imports nothing of the package: ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["PATH", "refuse_earlier"]

PATH = click.Path(path_type=Path)


def refuse_earlier(path: Path, force: bool) -> None:
    """Raise ``FileExistsError`` where `path` holds earlier results, unless they are to be replaced."""
    if path.exists() and not force:
        raise FileExistsError(f"{path} must not exist, got earlier results; pass --force or another --output")
