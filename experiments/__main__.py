"""``python -m experiments NAME``."""

from __future__ import annotations

import importlib

import click

from experiments import EXPERIMENTS
from monai_boundary.cli import OneLineErrors


class _Lazy(OneLineErrors):
    """Imports an experiment when it runs, and not for the list of all."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(EXPERIMENTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in EXPERIMENTS:
            return None
        module, name = EXPERIMENTS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"experiments.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Experiments"):
            formatter.write_dl([(name, text) for name, (_, text) in EXPERIMENTS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Train as a paper did, or as a page of docs/ says, and print the table. Finished runs are not repeated."""


if __name__ == "__main__":
    main(prog_name="python -m experiments")
