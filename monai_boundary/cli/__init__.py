"""The command line, one file per command. No maths.

Every command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from monai_boundary.cli.advise import advise
from monai_boundary.cli.bundle import bundle
from monai_boundary.cli.compare import compare
from monai_boundary.cli.consensus import consensus
from monai_boundary.cli.convert import convert
from monai_boundary.cli.evaluate import evaluate
from monai_boundary.cli.inspection import inspect
from monai_boundary.cli.nnunet import demo, export, nnunet_path
from monai_boundary.cli.precompute import precompute
from monai_boundary.cli.rasterize import rasterize

__all__ = ["main"]

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class OneLineErrors(click.Group):
    """Group whose errors are one line on stderr and exit code 2: a traceback helps no user with a wrong path."""

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **kwargs: Any) -> Any:  # type: ignore[override]
        """Run the command line; expected errors end the process when `standalone_mode` is set."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **kwargs)
        try:
            code = super().main(args, standalone_mode=False, **kwargs)
        except click.Abort:
            click.echo("aborted", err=True)
            sys.exit(130)
        except click.UsageError as error:
            hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
            _fail(error.format_message().rstrip(".") + hint)
        except click.ClickException as error:
            _fail(error.format_message())
        except OSError as error:
            known = error.strerror and error.filename
            _fail(f"{error.filename}: {error.strerror}" if known else str(error) or type(error).__name__)
        except (ValueError, TypeError, RuntimeError, ImportError) as error:
            _fail(str(error) or type(error).__name__)
        sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str) -> NoReturn:
    click.echo(f"error: {' '.join(text.split())}", err=True)
    sys.exit(2)


@click.group(cls=OneLineErrors, context_settings=_HELP, invoke_without_command=True)
@click.version_option(package_name="monai-boundary", prog_name="monai-boundary")
@click.pass_context
def main(context: click.Context) -> None:
    """Boundary-aware training of segmentation networks for MONAI and nnU-Net.

    To train with nnU-Net:

    \b
      export nnUNet_extTrainer="$(monai-boundary nnunet-path)"
      nnUNetv2_train DATASET 3d_fullres 0 -tr nnUNetTrainerDiceCEBoundary
    """  # noqa: D301 - click takes the backspace character for "do not wrap"
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    demo, nnunet_path, advise, inspect, export, bundle, convert, rasterize, evaluate, compare, consensus, precompute,
):  # fmt: skip
    main.add_command(command)
