"""What the options of several commands share. It imports no torch: ``--help`` answers at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from monai_boundary._words import counted

__all__ = ["PATH", "finish", "refuse_earlier", "refuse_file", "say_lost"]

PATH = click.Path(path_type=Path)


def refuse_earlier(folder: Path, names: Sequence[str], force: bool) -> None:
    """Raise ``FileExistsError`` where a file that will be written is there, unless it is to be replaced.

    What a run that was killed put in place is no result. Call this as the only writer of `folder`.

    Args:
        folder: Of the results.
        names: Of all files that will be written.
        force: Whether files are replaced.
    """
    from monai_boundary._files import half_placed

    if force:
        return
    begun = half_placed(folder)
    for name in names:
        if (folder / name).exists() and name not in begun:
            raise FileExistsError(
                f"{folder / name} must not exist, got earlier results; pass --force or another --output"
            )


def refuse_file(path: Path, inputs: Iterable[Path], force: bool) -> None:
    """Raise where the one file that will be written is there, unless it is to be replaced; an input never is.

    Args:
        path: The file.
        inputs: Files that the command reads.
        force: Whether the file is replaced.

    Raises:
        ValueError: `path` is one of `inputs`.
        FileExistsError: `path` exists, and `force` is off.
    """
    if not path.exists():
        return
    if any(one.exists() and path.samefile(one) for one in inputs):
        raise ValueError(f"--output must be another file than what is read, got {path}; choose another name")
    if not force:
        raise FileExistsError(f"{path} must not exist, got a file; pass --force or another --output")


def say_lost(workers: Sequence[str], things: str) -> None:
    """Name the workers of Dask that went away during a run, if any, and what others did in their place."""
    if workers:
        left = counted(len(workers), "Dask worker")
        click.echo(f"{left} left during the run ({', '.join(workers)}); others did their {things}")


def finish(
    lines: list[str],
    failed: Mapping[str, str],
    missing: Mapping[str, Sequence[str]],
    written: Mapping[str, Path],
    thing: str,
    done: str,
    allow_missing: bool,
) -> None:
    """Print what was found, what was lost and where all is; a case that is not `done` is an error unless it may be."""
    lines += [f"\nnot {done}: {case}: {reason}" for case, reason in failed.items()]
    for what, lost in missing.items():
        if lost:
            more = ", ..." if len(lost) > 5 else ""
            lines.append(f"\nno {what} for {counted(len(lost), thing)}: {', '.join(lost[:5])}{more}")
    click.echo("\n".join([*lines, "", *(f"{name}: {path}" for name, path in written.items())]))
    if failed:
        raise click.ClickException(f"{counted(len(failed), thing)} could not be {done}; the reasons are above")
    if (count := sum(map(len, missing.values()))) and not allow_missing:
        alone = counted(count, f"{thing} is", f"{thing}s are")
        raise click.ClickException(f"{alone} in one folder alone; pass --allow-missing if that may be")
