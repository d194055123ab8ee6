"""The one form of all experiments, and the options that every command has."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from experiments.shared.journal import Run, Train, finished_runs, run_missing
from experiments.shared.real_data import data_folder

FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class Plan:
    """What an experiment does.

    Args:
        runs: What each run is: names, seeds and settings, the beginning of its line.
        train: Makes the rest of the line.
        report: Takes all finished lines and the folder for pictures, ``None`` for no pictures; returns the tables.
        keys: Entries by which a finished run is known again; all by default.
    """

    runs: Sequence[Run]
    train: Train
    report: Callable[[list[Run], Path | None], str]
    keys: Sequence[str] | None = None

    def carry_out(self, results: Path, table: Path | None = None, figures: Path | None = None) -> str:
        """Train what `results` does not hold, or nothing where `table` is given, and return the tables."""
        if table is None:
            with warnings.catch_warnings():
                for category in (FutureWarning, DeprecationWarning):  # of MONAI and Ignite, about each other
                    warnings.simplefilter("ignore", category)
                run_missing(results, self.runs, self.train, self.keys)
            figures = figures or results.parent
        source = table or results
        rows = finished_runs(source)
        if not rows:
            raise ValueError(f"{source} must hold finished runs, got none")
        return f"\n{self.report(rows, figures)}\n\nruns: {source}"


def experiment(
    name: str, data: Literal["required", "folder"] | None = None, folder: bool = False
) -> Callable[[Callable[..., Plan]], click.Command]:
    """Make a command of what turns options into a `Plan`.

    Args:
        name: Of the command and of its results file.
        data: Whether there is an option ``--data``: ``"required"`` unless only a table is printed, or by default the
            ``"folder"`` of real data.
        folder: Whether the function wants the ``folder`` of the results, to keep more there.
    """

    def decorate(planned: Callable[..., Plan]) -> click.Command:
        @functools.wraps(planned)
        def call(results: Path, table: Path | None, figures: Path | None, **options: Any) -> None:
            if data == "required" and table is None and options["data"] is None:
                raise click.UsageError("Missing option '--data'", click.get_current_context())
            if folder:
                options["folder"] = (table or results).parent
            click.echo(planned(**options).carry_out(results, table, figures))

        default = Path("runs") / f"{name.replace('-', '_')}.jsonl"
        call = click.option("--figures", type=FILE, help="Folder for pictures.  [that of the results]")(call)
        call = click.option("--table", type=FILE, help="Train nothing; print the tables of this results file.")(call)
        call = click.option(
            "--results", type=FILE, default=default, show_default=True,
            help="Finished runs, one line each, which are not repeated.",
        )(call)  # fmt: skip
        if data:
            real = data_folder() if data == "folder" else None
            call = click.option("--data", type=FILE, default=real, help=_DATA[data])(call)
        return click.command(name)(call)

    return decorate


_DATA = {"required": "Folder of the data; docs/data.md.", "folder": "Folder of real data.  [$MONAI_BOUNDARY_DATA]"}


class ListOf(click.ParamType):
    """Values with commas between them, each of the type `each`."""

    name = "list"

    def __init__(self, each: click.ParamType | Iterable[str]) -> None:
        self.each = each if isinstance(each, click.ParamType) else click.Choice(tuple(each))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a tuple."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(self.each.convert(part, param, ctx) for part in parts)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the choices."""
        return ",".join(getattr(self.each, "choices", ("N", "N"))) + ",..."


def seeds_option(count: int = 3) -> Callable:
    """Return the option ``--seeds``: of the network's start and of the order of the items."""
    default = ",".join(map(str, range(count)))
    return click.option("--seeds", type=ListOf(click.IntRange(min=0)), default=default, show_default=True)
